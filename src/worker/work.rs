//! A tick as a background process does it: in a transaction of its own, with the one to blame found and written
//! down where something fails. The scheduler does some, the workers of the pool do others.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::time::Duration;

use ivm::schedule::{Micros, Outcome};

use crate::catalog::history::Refresh;
use crate::catalog::stream_table;
use crate::error::{Error, Kind, Result};
use crate::pg::shmem::Slot;
use crate::pg::{bgworker, failures, setting};
use crate::refresh::{self, Locks};
use crate::worker::journal::Journal;

/// What a refresh must not depend on. A lost tick is simply done again, so nothing waits for the disk.
const SETTINGS: [(&CStr, &CStr); 9] = [
    // A tick leaves out what others have locked. Should it still come to wait for a user who comes to wait for it, then
    // it gives way before that user's session looks for the reason.
    (c"deadlock_timeout", c"10ms"),
    (c"lock_timeout", c"100ms"),
    (c"synchronous_commit", c"off"),
    (c"search_path", crate::pg::guard::PATH),
    // As every refresh has it.
    (c"jit", c"off"),
    (c"statement_timeout", c"0"),
    (c"idle_in_transaction_session_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
];

/// So many refreshes may wait to be concluded while others keep coming.
const MANY: usize = 32;

pub struct Work {
    slot: &'static Slot,
    pub journal: Journal,
    /// Refreshes that are not concluded.
    refreshed: Vec<Refresh>,
    /// Statistics that are still to be handed on, at this time.
    report_at: Option<Micros>,
}

impl Work {
    /// Makes this process fit for ticks of a database.
    pub fn new(slot: &'static Slot) -> Work {
        for (name, value) in SETTINGS {
            setting::set(name, value);
        }
        bgworker::report(None);
        Work { slot, journal: Journal::default(), refreshed: vec![], report_at: None }
    }

    /// Refreshes these tables in one tick, each after those that it reads, and calls `over` at its end. `generation`: that
    /// of the catalog which they were read from. How each ended, and how long its own refresh took.
    pub fn run(&mut self, ids: &[i32], generation: u64, over: impl FnOnce()) -> Vec<(i32, Outcome, Micros)> {
        bgworker::report(Some(&self.journal.activity(ids)));
        let refreshes = self.tick(ids);
        over();
        let ended = ids.iter().map(|id| self.classify(*id, &refreshes, generation)).collect();
        self.refreshed.extend(refreshes.into_iter().filter(Refresh::is_applied));
        bgworker::report(None);
        let rest = bgworker::report_statistics(false);
        self.report_at = rest.map(|rest| bgworker::now() + rest.as_micros() as Micros);
        ended
    }

    /// Concludes ticks where nothing else is to be done (`idle`), and where they have become many.
    pub fn conclude(&mut self, idle: bool) {
        if self.refreshed.is_empty() || !idle && self.refreshed.len() < MANY {
            return;
        }
        let refreshed = std::mem::take(&mut self.refreshed);
        self.aside(|| refresh::conclude(&refreshed));
    }

    /// Hands on the statistics that are due; when there is more to be handed on.
    pub fn report(&mut self, now: Micros) -> Option<Micros> {
        if self.report_at.is_some_and(|at| at <= now) {
            bgworker::report_statistics(true);
            self.report_at = None;
        }
        self.report_at
    }

    /// Does something beside ticks, in a transaction of its own. An error is told, and leaves nothing behind.
    pub fn aside<R>(&mut self, f: impl FnOnce() -> Result<R>) -> Option<R> {
        let done = bgworker::transaction(|| bgworker::with_snapshot(f));
        done.map_err(|error| self.journal.failed(None, &error)).ok()
    }

    /// Reads what these tables are called, unless that is known.
    pub fn learn(&mut self, ids: &[i32]) {
        if !self.journal.knows(ids)
            && let Some(names) = self.aside(|| stream_table::names(ids))
        {
            self.journal.learn(names);
        }
    }

    /// The refreshes of one tick. Where the tick fails as a whole with an error that is not transient, each table is
    /// refreshed alone to find the one that fails.
    fn tick(&mut self, ids: &[i32]) -> Vec<Refresh> {
        match (bgworker::transaction(|| refresh::tick(ids, Locks::Skip)), ids) {
            (Ok(refreshes), _) => refreshes,
            (Err(error), [id]) => vec![Refresh::failed(*id, error, Duration::ZERO)],
            (Err(error), _) if error.kind() == Kind::Transient => {
                self.journal.failed(None, &error);
                ids.iter().for_each(|id| note(*id, &error));
                vec![]
            }
            (Err(_), _) => self.one_by_one(ids),
        }
    }

    fn one_by_one(&mut self, ids: &[i32]) -> Vec<Refresh> {
        let mut refreshes: Vec<Refresh> = vec![];
        let mut failed = BTreeSet::new();
        for id in ids {
            let reads = bgworker::transaction(|| refresh::with_upstream(*id));
            if reads.is_ok_and(|reads| reads.iter().all(|read| !failed.contains(read))) {
                refreshes.extend(self.tick(&[*id]));
            }
            if find(*id, &refreshes).is_none_or(Refresh::is_failed) {
                failed.insert(*id);
            }
        }
        refreshes
    }

    /// How the refresh of a table ended. One that was not attempted is tried again.
    fn classify(&mut self, id: i32, refreshes: &[Refresh], generation: u64) -> (i32, Outcome, Micros) {
        let Some(refresh) = find(id, refreshes) else { return (id, Outcome::Skipped, 0) };
        let outcome = match &refresh.error {
            Some(_) if refresh.skipped => Outcome::Skipped,
            Some(error) if refresh.is_failed() => self.classify_failure(refresh, error, generation),
            _ => {
                self.journal.succeeded(id);
                failures::forget(id);
                if refresh.is_applied() { Outcome::Refreshed } else { Outcome::Unchanged }
            }
        };
        (id, outcome, (refresh.duration_ms * 1e3) as Micros)
    }

    /// Records a failure in a transaction of its own, except where the catalog changed during the tick, which may have
    /// caused it.
    fn classify_failure(&mut self, refresh: &Refresh, error: &Error, generation: u64) -> Outcome {
        if self.slot.generation() != generation {
            return Outcome::Postponed;
        }
        self.journal.failed(Some(refresh.id), error);
        let recorded = self.aside(|| refresh::record_failure(refresh, error));
        match recorded {
            Some(_) => failures::forget(refresh.id),
            None => note(refresh.id, error),
        }
        match recorded {
            Some(true) => Outcome::Suspended,
            Some(false) if error.kind() == Kind::Transient => Outcome::Postponed,
            Some(false) | None => Outcome::Failed,
        }
    }
}

/// The first refresh of a table.
fn find(id: i32, refreshes: &[Refresh]) -> Option<&Refresh> {
    refreshes.iter().find(|refresh| refresh.id == id)
}

/// Keeps in shared memory what could not be written down.
fn note(id: i32, error: &Error) {
    failures::note(id, &error.sqlstate(), &error.in_full());
}
