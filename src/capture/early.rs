//! Starting capture in transactions of its own.
//!
//! [`track`](crate::capture::track) keeps writers of a source waiting until the end of its transaction. A session that goes on
//! to fill a large stream table therefore has a background worker start the capture before, in a transaction that ends at
//! once. That is an optimisation: `track` starts what the worker could not.
//!
//! If the session fails afterwards, the sources have no consumer, and the scheduler ends their capture.

use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{Oid, RowExclusiveLock};
use pgrx::{PgLogLevel, PgSqlErrorCode};
use serde::{Deserialize, Serialize};

use crate::capture::cache::read_catalog;
use crate::capture::track::{track, tracked};
use crate::catalog::source;
use crate::error::{Error, Kind, Result};
use crate::pg::handed::{self, Handed};
use crate::pg::shmem::my_database;
use crate::pg::{bgworker, event, latch, relation, wake, xact};
use crate::{catalog, guc};

/// Pages of all sources from which on filling a table takes long enough for writers to notice.
const LARGE: u64 = 1024;
/// Microseconds for which a worker goes on trying to lock a source whose writers do not pause.
const PATIENCE: i64 = 10_000_000;
/// Between two attempts, in which writers are not held up.
const PAUSE: Duration = Duration::from_millis(200);

/// A source that a consumer is going to read.
pub struct Wanted {
    pub relid: Oid,
    pub columns: Vec<String>,
    pub touch: bool,
}

/// What a worker is asked for.
#[derive(Serialize, Deserialize)]
pub struct Request {
    database: u32,
    /// Relations, with the arguments of `track`.
    sources: Vec<(u32, Vec<String>, bool)>,
}

impl Request {
    /// What the session with this handle asks for; `None` if it has ended meanwhile.
    pub fn take(handle: u32) -> Option<Request> {
        serde_json::from_slice(&handed::take(handle)?).ok()
    }

    pub fn database(&self) -> Oid {
        Oid::from_u32(self.database)
    }

    /// Starts the capture of each source in a transaction of its own. Where that fails the session finds the error itself.
    /// New writers queue behind the lock that waits for running ones: `lock_timeout` ends the attempt, and the next one is made
    /// after a pause.
    pub fn serve(&self) {
        let until = bgworker::now() + PATIENCE;
        for (relation, columns, touch) in &self.sources {
            let attempt = || {
                // The scheduler ends the capture if the session fails.
                wake::catalog_changed();
                catalog::quietly(|| event::own(|| track(Oid::from_u32(*relation), columns, *touch)))
            };
            while let Err(error) = bgworker::transaction(|| bgworker::with_snapshot(attempt)) {
                if error.kind() != Kind::Transient || bgworker::now() > until || bgworker::signals().terminated {
                    return;
                }
                latch::wait(Some(PAUSE));
            }
        }
    }
}

/// Has a worker start the capture of those sources that are not captured yet, and waits for it. Does nothing where that could
/// not help: the sources are small, this transaction has itself locked one against the worker, or its snapshot would not see
/// what the worker commits.
pub fn start(sources: &[Wanted]) -> Result<()> {
    if !guc::enabled() || bgworker::usage().is_some() || xact::keeps_its_snapshot() {
        return Ok(());
    }
    let trees: Vec<Vec<Oid>> = sources.iter().map(|source| relation::lock_for_reading(source.relid)).collect();
    let pages: u64 = trees.iter().flatten().map(|table| u64::from(relation::pages(*table))).sum();
    if pages < LARGE {
        return Ok(());
    }
    let mut wanted = vec![];
    for (Wanted { relid, columns, touch }, tree) in sources.iter().zip(trees) {
        // Only refreshes write to a stream table.
        let has_writers = !read_catalog(|session| source::is_stream_table(session, *relid))?;
        let waits_for_me = tree.into_iter().any(|table| relation::is_locked_by_me(table, RowExclusiveLock));
        if has_writers && !waits_for_me && tracked(*relid, columns, *touch)?.is_none() {
            wanted.push((relid.to_u32(), columns.clone(), *touch));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let request = Request { database: my_database().to_u32(), sources: wanted };
    let bytes = serde_json::to_vec(&request).map_err(|_| Error::Bug("names and numbers are JSON"))?;
    let handed = Handed::new(&bytes);
    let start = |handed: &Handed| bgworker::start("pg_trickle tracker", "pg_trickle_tracker", handed.handle() as usize);
    match handed.as_ref().and_then(start) {
        Some(worker) => worker.await_end()?,
        None => warn(),
    }
    Ok(())
}

fn warn() {
    let what = "writers of tables that the query reads wait until this transaction ends";
    ErrorReport::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, what, "pg_trickle")
        .set_detail("The server had no background worker that would have started to capture their changes before.")
        .set_hint("Raise max_worker_processes.")
        .report(PgLogLevel::NOTICE);
}
