//! A condition variable of the server, for which processes wait without polling. See `storage/lmgr/condition_variable.c`.

use std::cell::UnsafeCell;
use std::time::Duration;

use pgrx::pg_sys;

#[repr(transparent)]
pub struct Signal(UnsafeCell<pg_sys::ConditionVariable>);

impl Signal {
    /// Makes memory that was just set up usable, of which all zero is not.
    pub(super) fn init(&self) {
        // SAFETY: no other process has the memory yet.
        unsafe { pg_sys::ConditionVariableInit(self.0.get()) };
    }

    /// Wakes all that wait. For the end of a commit: raises no error.
    pub fn broadcast(&self) {
        // SAFETY: initialised, in shared memory.
        unsafe { pg_sys::ConditionVariableBroadcast(self.0.get()) };
    }

    /// To be called before the condition is tested: what is broadcast from here on ends the next wait.
    pub fn prepare(&self) {
        // SAFETY: as above; the end of the (sub)transaction cancels it, too.
        unsafe { pg_sys::ConditionVariablePrepareToSleep(self.0.get()) };
    }

    /// Waits for a broadcast, or for this long. The statement may be cancelled here.
    pub fn wait(&self, timeout: Duration) {
        let milliseconds = timeout.as_micros().div_ceil(1000).clamp(1, i32::MAX as u128) as i64;
        // SAFETY: as above.
        unsafe { pg_sys::ConditionVariableTimedSleep(self.0.get(), milliseconds, pg_sys::PG_WAIT_EXTENSION) };
    }

    /// Ends what `prepare` began.
    pub fn cancel() {
        // SAFETY: does nothing where this process is not about to wait.
        unsafe { pg_sys::ConditionVariableCancelSleep() };
    }
}
