//! pg_trickle: stream tables, kept exactly equal to their queries while the data changes.
//!
//! | module | what it is |
//! |---|---|
//! | `api` | the SQL functions, one file per verb |
//! | `frontend` | query text to canonical SQL |
//! | `catalog` | one file per catalog table, typed rows |
//! | `capture` | triggers, chunks, change buffers |
//! | `refresh` | one tick: locks, snapshot, deltas, apply |
//! | `worker` | launcher, scheduler, pool: loops around `ivm::schedule` |
//! | `pg` | PostgreSQL's resources as Rust values; the only `unsafe` |

mod api;
mod capture;
mod catalog;
mod error;
mod frontend;
mod guc;
mod hooks;
mod pg;
mod refresh;
mod worker;

pgrx::pg_module_magic!();

pgrx::extension_sql_file!("../sql/bootstrap.sql", name = "bootstrap", bootstrap);
pgrx::extension_sql_file!("../sql/comments.sql", name = "comments", finalize);

#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    pg::setting::hide_backtraces();
    pg::invalidation::init(&[pg::settled::invalidate, capture::invalidate, refresh::invalidate]);
    guc::init();
    worker::init();
    hooks::init();
}
