//! How other processes find one of ours: its entry in the process array and its process id.

use std::ffi::c_int;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};

use monitor::usage::Usage;
use pgrx::pg_sys;

#[repr(C)]
pub struct Process {
    /// Its index in the process array, plus one.
    entry: AtomicI32,
    /// 0 while no process has claimed this.
    pid: AtomicI32,
    /// The stream table that it refreshes now, by its relation; 0 for none.
    refreshing: AtomicU32,
    /// It has to leave the rest of its tick for later.
    must_yield: AtomicBool,
    pub usage: Usage,
}

unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

impl Process {
    /// Makes this process findable here; false while another process is.
    pub fn claim(&self) -> bool {
        // SAFETY: plain variables of this process, set before any code of ours runs in it.
        let (pid, entry) = unsafe {
            let first = (*pg_sys::ProcGlobal).allProcs;
            (pg_sys::MyProcPid, pg_sys::MyProc.offset_from(first) as i32)
        };
        if self.pid.compare_exchange(0, pid, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.entry.store(entry + 1, SeqCst);
        true
    }

    pub fn release(&self) {
        self.set_refreshing(pg_sys::InvalidOid);
        self.entry.store(0, SeqCst);
        self.pid.store(0, SeqCst);
    }

    /// 0 for none.
    pub fn pid(&self) -> i32 {
        self.pid.load(SeqCst)
    }

    pub fn is_running(&self) -> bool {
        self.pid() != 0
    }

    pub fn refreshing(&self) -> pg_sys::Oid {
        pg_sys::Oid::from(self.refreshing.load(SeqCst))
    }

    pub fn set_refreshing(&self, relation: pg_sys::Oid) {
        self.refreshing.store(relation.to_u32(), SeqCst);
    }

    pub fn request_yield(&self) {
        self.must_yield.store(true, SeqCst);
    }

    /// Whether a yield was requested since the last call.
    pub fn take_yield_request(&self) -> bool {
        self.must_yield.swap(false, SeqCst)
    }

    /// Sets the process's latch. If it has just ended, another process may wake up once, which is harmless.
    pub fn wake(&self) {
        let entry = self.entry.load(SeqCst);
        if entry > 0 {
            // SAFETY: entries are indexes of the process array, which lives as long as the server.
            unsafe { pg_sys::SetLatch(&raw mut (*(*pg_sys::ProcGlobal).allProcs.add(entry as usize - 1)).procLatch) };
        }
    }

    /// Sends a signal; false where there is no process.
    pub fn signal(&self, signal: u32) -> bool {
        let pid = self.pid.load(SeqCst);
        // SAFETY: the process array is searched under its lock; if the process ended since, its id is not in use again
        // within these few instructions.
        unsafe { pid != 0 && !pg_sys::BackendPidGetProc(pid).is_null() && kill(pid, signal as c_int) == 0 }
    }
}
