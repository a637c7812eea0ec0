//! A tick as a background process does it: in a transaction of its own, with the one to blame found and written
//! down where something fails. The scheduler does some, the workers of the pool do others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use ivm::schedule::{Fate, Micros};

use crate::catalog::stream_table;
use crate::error::{Error, Kind, Result};
use crate::pg::shmem::Slot;
use crate::pg::{bgworker, failures, setting};
use crate::refresh::{self, Done, Locks, Outcome};
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

/// How one stream table fared, and how long its own refresh took.
pub struct Fared {
    pub id: i32,
    pub fate: Fate,
    pub took: Micros,
}

pub struct Work {
    slot: &'static Slot,
    pub journal: Journal,
    /// Ticks that are not concluded.
    done: Done,
    /// Statistics that are still to be handed on, at this time.
    report_at: Option<Micros>,
}

/// Whether there was something to do, or what went wrong; and for how long. An error of none: something that it
/// reads failed.
struct Verdict {
    outcome: std::result::Result<bool, Option<Error>>,
    took: Micros,
}

impl Work {
    /// Makes this process fit for ticks of a database.
    pub fn new(slot: &'static Slot) -> Work {
        for (name, value) in SETTINGS {
            setting::set(name, value);
        }
        bgworker::report(None);
        Work { slot, journal: Journal::default(), done: Done::default(), report_at: None }
    }

    /// Refreshes these tables in one tick, each after those that it reads, and calls `over` at its end. `generation`: that
    /// of the catalog which they were read from.
    pub fn run(&mut self, ids: &[i32], generation: u64, over: impl FnOnce()) -> Vec<Fared> {
        bgworker::report(Some(&self.journal.activity(ids)));
        let verdicts = self.tick(ids);
        over();
        let fared = self.judge(ids, verdicts, generation);
        bgworker::report(None);
        let rest = bgworker::report_statistics(false);
        self.report_at = rest.map(|rest| bgworker::now() + rest.as_micros() as Micros);
        fared
    }

    /// Concludes ticks where nothing else is to be done (`idle`), and where they have become many.
    pub fn conclude(&mut self, idle: bool) {
        if self.done.outcomes.is_empty() || !idle && self.done.outcomes.len() < MANY {
            return;
        }
        let done = std::mem::take(&mut self.done);
        self.aside(|| refresh::conclude(&done));
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

    /// How each table fared. Where the tick fails as a whole and not by the moment's fault, each table is tried
    /// alone to find the one to blame.
    fn tick(&mut self, ids: &[i32]) -> BTreeMap<i32, Verdict> {
        match (bgworker::transaction(|| refresh::tick(ids, Locks::Skip)), ids) {
            (Ok(Done { outcomes, consumed }), _) => {
                self.done.consumed.extend(consumed);
                outcomes.into_iter().map(|outcome| self.verdict(outcome)).collect()
            }
            (Err(error), [id]) => BTreeMap::from([(*id, Verdict { outcome: Err(Some(error)), took: 0 })]),
            (Err(error), _) if error.kind() == Kind::Transient => {
                self.journal.failed(None, &error);
                ids.iter().for_each(|id| note(*id, &error));
                BTreeMap::new()
            }
            (Err(_), _) => self.one_by_one(ids),
        }
    }

    fn verdict(&mut self, mut outcome: Outcome) -> (i32, Verdict) {
        let (id, worked, took) = (outcome.id, outcome.did_work(), (outcome.refresh.duration_ms * 1e3) as Micros);
        if let Some(error) = outcome.error.take() {
            return (id, Verdict { outcome: Err(Some(error).filter(|_| !outcome.held_up)), took });
        }
        if worked {
            self.done.outcomes.push(outcome);
        }
        (id, Verdict { outcome: Ok(worked), took })
    }

    fn one_by_one(&mut self, ids: &[i32]) -> BTreeMap<i32, Verdict> {
        let mut verdicts: BTreeMap<i32, Verdict> = BTreeMap::new();
        let mut broken = BTreeSet::new();
        for id in ids {
            let reads = bgworker::transaction(|| refresh::with_upstream(*id));
            if reads.is_ok_and(|reads| reads.iter().all(|read| !broken.contains(read))) {
                for (id, verdict) in self.tick(&[*id]) {
                    verdicts.entry(id).or_insert(verdict);
                }
            }
            if verdicts.get(id).is_none_or(|verdict| verdict.outcome.is_err()) {
                broken.insert(*id);
            }
        }
        verdicts
    }

    /// Blames who is to blame. What was not even tried is to be tried again.
    fn judge(&mut self, ids: &[i32], mut verdicts: BTreeMap<i32, Verdict>, generation: u64) -> Vec<Fared> {
        let judge = |id: &i32| {
            let untried = Verdict { outcome: Err(None), took: 0 };
            let Verdict { outcome, took } = verdicts.remove(id).unwrap_or(untried);
            let fate = match outcome {
                Ok(worked) => {
                    self.journal.succeeded(*id);
                    failures::forget(*id);
                    if worked { Fate::Refreshed } else { Fate::Unchanged }
                }
                Err(Some(error)) => self.blame(*id, &error, generation),
                Err(None) => Fate::HeldUp,
            };
            Fared { id: *id, fate, took }
        };
        ids.iter().map(judge).collect()
    }

    /// Writes a failure down, in a transaction of its own; not where the catalog moved under the tick, which
    /// may explain it.
    fn blame(&mut self, id: i32, error: &Error, generation: u64) -> Fate {
        if self.slot.generation() != generation {
            return Fate::Postponed;
        }
        self.journal.failed(Some(id), error);
        let recorded = self.aside(|| refresh::record_failure(id, error));
        match recorded {
            Some(_) => failures::forget(id),
            None => note(id, error),
        }
        match recorded {
            Some(true) => Fate::Suspended,
            Some(false) if error.kind() == Kind::Transient => Fate::Postponed,
            Some(false) | None => Fate::Failed,
        }
    }
}

/// Keeps in shared memory what could not be written down.
fn note(id: i32, error: &Error) {
    failures::note(id, &error.sqlstate(), &error.in_full());
}
