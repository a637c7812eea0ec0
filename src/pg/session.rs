//! Whether statements of ours run: they read stream tables as they find them, and so does what they call.

use std::cell::Cell;

use crate::pg::defer::Defer;

thread_local! {
    /// Sessions of ours that are open.
    static OPEN: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f`, a session of ours.
pub fn within<R>(f: impl FnOnce() -> R) -> R {
    let _leave = Defer(|| OPEN.set(OPEN.get() - 1));
    OPEN.set(OPEN.get() + 1);
    f()
}

#[inline]
pub fn is_open() -> bool {
    OPEN.get() > 0
}
