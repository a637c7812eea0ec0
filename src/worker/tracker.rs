//! A process that starts the capture of sources for a session, which waits for it; see [`crate::capture::start`].

use pgrx::pg_guard;
use pgrx::pg_sys::Datum;

use crate::capture::Request;
use crate::pg::{bgworker, setting};
use crate::worker::ticks;

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_tracker(argument: Datum) {
    bgworker::begin();
    let Some(request) = Request::take(argument.value() as u32) else { bgworker::exit(0) };
    bgworker::connect(Some(request.database()), c"pg_trickle_tracker");
    ticks::settle();
    // New writers wait for so long at most.
    setting::set(c"lock_timeout", c"40ms");
    request.serve();
    bgworker::exit(0)
}
