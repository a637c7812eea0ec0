//! Changes that stream tables do not show yet, and waiting for them.

use std::collections::BTreeMap;
use std::time::Duration;

use ivm::frontier::Frontier;
use pgrx::PgSqlErrorCode::{ERRCODE_ACTIVE_SQL_TRANSACTION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

use crate::capture::{self, Unseen};
use crate::catalog::dependency::{self, Dependency};
use crate::catalog::frontier;
use crate::catalog::stream_table::{self, Status, StreamTable};
use crate::error::{Error, Result};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::subxact::rolled_back;
use crate::pg::writes::Needs;
use crate::pg::{guard, relation, wake, xact};
use crate::refresh::{graph, tick};

/// The stream tables with pending changes of these sources, each with the commit time of the oldest one where that is known.
/// Tables that will recompute are not among them.
pub fn behind(sources: &[i32]) -> Result<Vec<(i32, Option<TimestampWithTimeZone>)>> {
    let now = Snapshot::latest();
    let everything = now.frontier().with_own(capture::position());
    spi::connect(Some(&now), |session| {
        let mut behind = vec![];
        for source in sources {
            for consumer in frontier::of_source(session, *source)? {
                let Some(seen) = consumer.follows else { continue };
                match capture::unseen(*source, &seen, &now, &everything)? {
                    Unseen::Nothing => {}
                    Unseen::From(xid) => behind.push((consumer.id, wake::committed_at(xid))),
                    Unseen::Unknown => behind.push((consumer.id, None)),
                }
            }
        }
        Ok(behind)
    })
}

/// Runs a check in a subtransaction that is rolled back, and waits this long for each lock.
pub fn with_lock_timeout<R>(timeout: Duration, check: impl FnOnce() -> Result<R>) -> Result<R> {
    let timeout = timeout.as_millis().clamp(1, i32::MAX as u128).to_string();
    rolled_back(|| guard::with_settings(&[("lock_timeout", &timeout)], check))
}

/// Waiting until a stream table shows everything that was committed when the waiting began, or what some transactions wrote.
///
/// **Law:** a stream table shows it once it has read the changes of every source up to a *mark*. The mark of a table is the
/// snapshot of the first check; that of a stream table is the snapshot of the check that first found it to show everything:
/// its refresh may be a later transaction than the changes that it passes on. Later changes do not count, so that writers who
/// continue do not prolong the wait.
pub struct Wait {
    id: i32,
    /// The role that waits, which decides the errors that it may read.
    role: Oid,
    /// The mark of tables.
    first: Option<Frontier>,
    /// Changes of this transaction, which workers do not see, are an error.
    refuses_own: bool,
    /// Stream tables that show it, with their marks.
    shown: BTreeMap<i32, Frontier>,
}

impl Wait {
    pub fn new(id: i32) -> Wait {
        Wait { id, role: guard::current_role(), first: None, refuses_own: true, shown: BTreeMap::new() }
    }

    /// Waits for what the transactions up to the newest one of these have committed, whatever this one has written.
    pub fn of_writes(id: i32, needs: Needs) -> Wait {
        let first = Frontier::new(needs.newest() + 1, xact::top_xid_if_any().into_iter().collect());
        Wait { first: Some(first), refuses_own: false, ..Wait::new(id) }
    }

    /// Whether the table shows it at this moment. An error where it never will: a table on the way is not refreshed by
    /// workers, or this transaction wrote the pending changes.
    pub fn check(&mut self) -> Result<bool> {
        self.check_under(&Snapshot::latest())
    }

    /// The same in a snapshot, which may be older.
    pub fn check_under(&mut self, now: &Snapshot) -> Result<bool> {
        let first = self.first.get_or_insert_with(|| now.frontier()).clone();
        spi::connect(Some(now), |session| {
            for id in tick::with_upstream(self.id)? {
                if !self.shown.contains_key(&id) && self.shows(session, id, now, &first)? {
                    self.shown.insert(id, now.frontier());
                }
            }
            let complete = self.shown.contains_key(&self.id);
            if !complete
                && graph::edges()?.may_be_held(self.id)
                && let Some(table) = stream_table::first_inactive(session, &tick::refreshed_with(self.id)?)?
            {
                return Err(self.never(session, &table)?);
            }
            Ok(complete)
        })
    }

    fn shows(&self, session: &Session, id: i32, now: &Snapshot, first: &Frontier) -> Result<bool> {
        let table = stream_table::get(session, id)?;
        let seen = frontier::get(session, &[id])?.remove(&id).unwrap_or_default();
        let Some(frontier) = seen.frontier.filter(|_| table.status == Status::Active) else {
            return Err(self.never(session, &table)?);
        };
        let mut complete = seen.reinitialize.is_none();
        if table.is_immediate() {
            return Ok(complete);
        }
        let edges = graph::edges()?;
        let reads = edges.reads(id);
        for dependency in dependency::of(session, id)? {
            if self.refuses_own && capture::has_own(dependency.source, &frontier, now)? {
                return Err(own_changes(&table, &dependency));
            }
            // One that writers maintain shows it at all times.
            let refreshed = dependency.stream_table.filter(|upstream| reads.contains(upstream));
            let counts = refreshed.map_or(Some(first), |upstream| self.shown.get(&upstream));
            complete &= match counts {
                Some(counts) => capture::unseen(dependency.source, &frontier, now, counts)? == Unseen::Nothing,
                None => false,
            };
        }
        Ok(complete)
    }

    /// Why this table is not refreshed.
    fn never(&self, session: &Session, table: &StreamTable) -> Result<Error> {
        let name = table.display();
        let (state, hint) = match table.status {
            Status::Paused => ("is paused", format!("Call pgtrickle.resume_stream_table('{name}') first.")),
            Status::Suspended => ("is suspended", format!("Call pgtrickle.resume_stream_table('{name}') first.")),
            Status::Active => (
                "has not been filled yet",
                "Wait until is_populated in pgtrickle.pgt_status(), or call pgtrickle.refresh_stream_table()."
                    .to_owned(),
            ),
        };
        let how = match tick::with_upstream(self.id)?.contains(&table.id) {
            true => "reads it",
            false => "is refreshed together with it, or not at all",
        };
        let reader = match self.id == table.id {
            true => None,
            false => {
                stream_table::find(session, self.id)?.map(|reader| format!("Stream table {} {how}.", reader.display()))
            }
        };
        let error =
            frontier::last_error(session, table.id, self.role)?.map(|error| format!("Its last error was: {error}."));
        let detail: Vec<String> = reader.into_iter().chain(error).collect();
        let code = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        Ok(Error::new(code, format!("stream table {name} {state}")).detail(detail.join(" ")).hint(hint))
    }
}

fn own_changes(table: &StreamTable, dependency: &Dependency) -> Error {
    let source = relation::display(dependency.relid);
    Error::new(ERRCODE_ACTIVE_SQL_TRANSACTION, "cannot wait for changes of this transaction")
        .detail(format!(
            "It has changed {source}, which stream table {} reads, and workers see that after it commits.",
            table.display()
        ))
        .hint("Commit first, then wait.")
}
