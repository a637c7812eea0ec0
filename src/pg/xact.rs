//! The current transaction: ids, nesting, and the events of its end. See `access/transam/xact.c`.

use std::ffi::c_void;

use pgrx::datum::TimestampWithTimeZone;
use pgrx::{pg_guard, pg_sys};

/// An event of the top transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Last chance to write, and to fail.
    PreCommit,
    /// Committed. Must not fail.
    Commit,
    /// Prepared: another session will commit or abort it.
    Prepared,
    Abort,
}

/// An event of a subtransaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sub {
    PreCommit,
    Commit,
    Abort,
}

mod raw {
    // Without a guard, because it is called for every captured row and only reads a variable.
    unsafe extern "C-unwind" {
        pub fn GetCurrentTransactionNestLevel() -> std::ffi::c_int;
    }
}

/// 1 in the top transaction, one more in each open subtransaction.
#[inline]
pub fn nest_level() -> i32 {
    // SAFETY: reads a variable of this backend.
    unsafe { raw::GetCurrentTransactionNestLevel() }
}

/// The id of the top transaction, assigned now if it has none.
pub fn top_xid() -> u64 {
    // SAFETY: inside a transaction.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// The id of the top transaction, if it has one.
pub fn top_xid_if_any() -> Option<u64> {
    // SAFETY: reads a variable of this backend.
    Some(unsafe { pg_sys::GetTopFullTransactionIdIfAny().value }).filter(|xid| *xid != 0)
}

/// The id that the next transaction will have.
pub fn next_xid() -> u64 {
    // SAFETY: reads shared memory of the server.
    unsafe { pg_sys::ReadNextFullTransactionId().value }
}

/// Whether a transaction runs, or begins later: here, or, on a standby, as far as it has followed.
pub fn is_unfinished(xid: u64) -> bool {
    let next = next_xid();
    // Those that are 2³¹ older have ended.
    xid >= next
        || next - xid < 1 << 31 && {
            // SAFETY: looks the id up in shared memory.
            unsafe { pg_sys::TransactionIdIsInProgress(pg_sys::TransactionId::from_inner(xid as u32)) }
        }
}

/// Whether workers of a parallel query may run: no snapshot can be taken, and no subtransaction begun.
pub fn is_parallel() -> bool {
    // SAFETY: reads a variable of this backend.
    unsafe { pg_sys::IsInParallelMode() }
}

/// Whether all statements of this transaction see one snapshot: REPEATABLE READ and SERIALIZABLE.
pub fn keeps_its_snapshot() -> bool {
    // SAFETY: a plain variable of this backend.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Whether this transaction may only read.
pub fn is_read_only() -> bool {
    // SAFETY: a plain variable of this backend.
    unsafe { pg_sys::XactReadOnly }
}

/// Whether this server follows another one: nothing can be written, and no worker runs.
pub fn is_in_recovery() -> bool {
    // SAFETY: a flag in shared memory.
    unsafe { pg_sys::RecoveryInProgress() }
}

pub fn is_serializable() -> bool {
    // SAFETY: a plain variable of this backend.
    unsafe { pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32 }
}

/// Whether a transaction is open and has not failed.
pub fn is_in_progress() -> bool {
    // SAFETY: plain state of this backend.
    unsafe { pg_sys::IsTransactionState() }
}

/// Makes the writes of this transaction visible to its next command.
pub fn advance_command() {
    // SAFETY: inside a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
}

/// Waits until a transaction has ended, and has told other processes what it invalidated.
pub fn await_end(xid: pg_sys::TransactionId) {
    // SAFETY: any id of a transaction; where and why is not reported.
    unsafe { pg_sys::XactLockTableWait(xid, std::ptr::null_mut(), std::ptr::null_mut(), pg_sys::XLTW_Oper::XLTW_None) };
}

/// Calls `top` and `sub` at the events of this and every later transaction of this backend.
pub fn observe(top: fn(Top), sub: fn(Sub)) {
    // SAFETY: function pointers live forever; the callbacks get back the ones registered here.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_top), top as *mut c_void);
        pg_sys::RegisterSubXactCallback(Some(on_sub), sub as *mut c_void);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_top(event: pg_sys::XactEvent::Type, argument: *mut c_void) {
    use pg_sys::XactEvent::*;
    let event = match event {
        XACT_EVENT_PRE_COMMIT | XACT_EVENT_PRE_PREPARE => Top::PreCommit,
        XACT_EVENT_COMMIT => Top::Commit,
        XACT_EVENT_PREPARE => Top::Prepared,
        XACT_EVENT_ABORT => Top::Abort,
        _ => return,
    };
    // SAFETY: `observe` registered a `fn(Top)` with this trampoline.
    let top = unsafe { std::mem::transmute::<*mut c_void, fn(Top)>(argument) };
    top(event);
}

#[pg_guard]
unsafe extern "C-unwind" fn on_sub(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    argument: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    let event = match event {
        SUBXACT_EVENT_PRE_COMMIT_SUB => Sub::PreCommit,
        SUBXACT_EVENT_COMMIT_SUB => Sub::Commit,
        SUBXACT_EVENT_ABORT_SUB => Sub::Abort,
        _ => return,
    };
    // SAFETY: `observe` registered a `fn(Sub)` with this trampoline.
    let sub = unsafe { std::mem::transmute::<*mut c_void, fn(Sub)>(argument) };
    sub(event);
}

/// Fires the triggers that were deferred to the end of the transaction, which is about to commit.
pub fn fire_deferred_triggers() {
    // SAFETY: no statement runs.
    unsafe { pg_sys::AfterTriggerFireDeferred() };
}

/// A value that each subtransaction may set, and that is as before where it is rolled back. It is told of its events.
#[derive(Debug)]
pub struct Nested<T>(Vec<(i32, T)>);

impl<T> Nested<T> {
    pub const fn new() -> Nested<T> {
        Nested(vec![])
    }

    pub fn get(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    pub fn set(&mut self, value: T) {
        self.set_at(nest_level(), value);
    }

    /// Each level has at most one value, and they ascend.
    fn set_at(&mut self, nest: i32, value: T) {
        self.0.retain(|(level, _)| *level < nest);
        self.0.push((nest, value));
    }

    pub fn on_sub(&mut self, event: Sub) {
        let nest = nest_level();
        if let Some((_, value)) = self.0.pop_if(|(level, _)| event != Sub::PreCommit && *level >= nest)
            && event == Sub::Commit
        {
            self.set_at(nest - 1, value);
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// When this transaction began: the `now()` of its statements.
pub fn started() -> TimestampWithTimeZone {
    // SAFETY: plain state of this backend.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
        .try_into()
        .unwrap_or_else(|_| pgrx::datum::clock_timestamp())
}
