//! The background workers. One launcher per server starts one scheduler per database that has the extension, and
//! schedulers start the workers of the pool; see `README.md` beside this file.

mod feed;
mod journal;
mod launcher;
mod pool;
mod scheduler;
mod work;

use crate::pg::{bgworker, shmem};

/// Sets the workers up where the server preloads the library. Elsewhere everything works but them.
pub fn init() {
    if bgworker::preloading() {
        shmem::init();
        bgworker::register("pg_trickle launcher", "pg_trickle_launcher");
    }
}

/// Worker processes of the server that are left to others.
const SPARE: usize = 2;

/// How many processes there may be beside the launcher: schedulers first, then workers of the pool.
fn places() -> usize {
    bgworker::max_processes().saturating_sub(1 + SPARE)
}
