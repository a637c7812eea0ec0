//! The background workers. One launcher per server starts one scheduler per database that has the extension, and
//! schedulers start the workers of the pool; see `README.md` in this folder.

mod changes;
mod exporter;
mod launcher;
mod log;
mod pool;
mod published;
mod scheduler;
mod ticks;
mod tracker;

use crate::guc;
use crate::pg::{bgworker, shmem};

/// Sets the workers up where the server preloads the library. Elsewhere everything else works.
pub fn init() {
    if bgworker::preloading() {
        shmem::init(guc::counted_rows());
        bgworker::register("pg_trickle launcher", "pg_trickle_launcher");
        if bgworker::max_processes() <= 1 {
            pgrx::log!(
                "pg_trickle refreshes nothing in the background, because max_worker_processes is {}; raise it to 8 or more",
                bgworker::max_processes()
            );
        }
    }
}

/// Worker processes that are left to other users of the server.
const SPARE: usize = 2;

/// How many processes there may be besides the launcher: schedulers first, then workers of the pool.
fn max_processes() -> usize {
    bgworker::max_processes().saturating_sub(1 + SPARE)
}
