//! What stream tables do not show yet, and waiting for it.

use std::collections::BTreeMap;

use ivm::frontier::Frontier;
use pgrx::PgSqlErrorCode::{ERRCODE_ACTIVE_SQL_TRANSACTION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

use crate::capture::{self, Unseen};
use crate::catalog::dependency::{self, Dependency};
use crate::catalog::stream_table::{self, Status, StreamTable};
use crate::catalog::{frontier, quietly};
use crate::error::{Error, Result};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::{guard, relation, wake};
use crate::refresh::tick;

/// The stream tables that have not seen all that these sources hold, each with the time when the oldest of it was
/// committed, as far as that is known. One that will start over, whatever its sources hold, is not among them.
pub fn behind(sources: &[i32]) -> Result<Vec<(i32, Option<TimestampWithTimeZone>)>> {
    let now = Snapshot::latest();
    let everything = now.frontier().with_own(capture::position());
    quietly(|| {
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
    })
}

/// Waiting until a stream table shows everything that was committed when the waiting began.
///
/// **Law:** a table shows it once it has seen what *counts* of every source. Of a table, that is what the first look
/// saw; of a stream table, what it had handed on when it was first found to show it all: its refresh may be a later
/// transaction than those that it tells of. What comes after that does not count, so that who waits is not kept
/// waiting by writers who go on.
pub struct Wait {
    id: i32,
    /// Who waits, and is told of errors.
    asker: Oid,
    asked: Option<Frontier>,
    /// Stream tables that show it, with what they had handed on by then.
    shown: BTreeMap<i32, Frontier>,
}

impl Wait {
    pub fn new(id: i32) -> Wait {
        Wait { id, asker: guard::current_role(), asked: None, shown: BTreeMap::new() }
    }

    /// Whether the table shows it at this moment. An error where it never will: a table on the way is not refreshed by
    /// the workers, or what is missing was written by this very transaction.
    pub fn look(&mut self) -> Result<bool> {
        let now = Snapshot::latest();
        let asked = self.asked.get_or_insert_with(|| now.frontier()).clone();
        quietly(|| {
            spi::connect(Some(&now), |session| {
                for id in tick::with_upstream(self.id)? {
                    if !self.shown.contains_key(&id) && self.shows(session, id, &now, &asked)? {
                        self.shown.insert(id, now.frontier());
                    }
                }
                Ok(self.shown.contains_key(&self.id))
            })
        })
    }

    fn shows(&self, session: &Session, id: i32, now: &Snapshot, asked: &Frontier) -> Result<bool> {
        let table = stream_table::get(session, id)?;
        let seen = frontier::get(session, &[id])?.remove(&id).unwrap_or_default();
        let Some(frontier) = seen.frontier.filter(|_| table.status == Status::Active) else {
            return Err(self.never(session, &table)?);
        };
        let mut complete = seen.reinitialize.is_none();
        for dependency in dependency::of(session, id)? {
            if capture::has_own(dependency.source, &frontier, now)? {
                return Err(own_changes(&table, &dependency));
            }
            let counts = dependency.stream_table.map_or(Some(asked), |upstream| self.shown.get(&upstream));
            complete &= match counts {
                Some(counts) => capture::unseen(dependency.source, &frontier, now, counts)? == Unseen::Nothing,
                None => false,
            };
        }
        Ok(complete)
    }

    /// Why nobody brings this table up to date.
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
        let reader = match self.id == table.id {
            true => None,
            false => stream_table::find(session, self.id)?
                .map(|reader| format!("Stream table {} reads it.", reader.display())),
        };
        let error =
            frontier::last_error(session, table.id, self.asker)?.map(|error| format!("Its last error was: {error}."));
        let detail: Vec<String> = reader.into_iter().chain(error).collect();
        let code = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
        Ok(Error::new(code, format!("stream table {name} {state}")).detail(detail.join(" ")).hint(hint))
    }
}

fn own_changes(table: &StreamTable, dependency: &Dependency) -> Error {
    let source = relation::display(dependency.relid);
    Error::new(ERRCODE_ACTIVE_SQL_TRANSACTION, "cannot wait for what this transaction has itself written")
        .detail(format!(
            "It has changed {source}, which stream table {} reads, and the workers see that when it has committed.",
            table.display()
        ))
        .hint("Commit first, then wait.")
}
