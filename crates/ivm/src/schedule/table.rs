//! A stream table as the scheduler knows it: since when it is dirty, when its refresh should start, how the last refresh
//! ended. Times are microseconds.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{MILLISECOND, Micros, SECOND, Schedule, Zone};
use crate::moment::Moving;

/// A refresh starts this much before its deadline, even if it takes no time.
const MARGIN: Micros = 50 * MILLISECOND;
/// A tick takes along a table that is due within this part of its own target …
const GATHER_PART: Micros = 10;
/// … and within this time, so that tables of one target stay in step.
const GATHER_MOST: Micros = 100 * MILLISECOND;
/// A table with a target of zero, changed during its tick, idles for so many times the tick's duration …
const IDLE_TIMES: Micros = 4;
/// … but for no longer than this.
const LONGEST_IDLE: Micros = 100 * MILLISECOND;
/// The deadline of a target of zero is missed after this time.
const ZERO_TARGET_DEADLINE: Micros = SECOND;
/// Pauses after failures double from the first to the longest.
const FIRST_PAUSE: Micros = 100 * MILLISECOND;
const FIRST_PAUSE_COUNTED: Micros = SECOND;
const LONGEST_PAUSE: Micros = 60 * SECOND;
const LONGEST_PAUSE_SKIPPED: Micros = SECOND;

/// A table with a greater target is refreshed rarely.
const RARE: Micros = 10 * SECOND;

/// A stream table as the catalog describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub id: i32,
    pub schedule: Schedule,
    /// Neither paused nor suspended.
    pub active: bool,
    /// Filled at least once.
    pub populated: bool,
    /// Errors in a row, as the catalog counts them.
    pub errors: i32,
    /// Sources that it reads.
    pub sources: Vec<i32>,
    /// Stream tables that it reads.
    pub upstream: Vec<i32>,
    /// Its rows depend on the clock.
    pub temporal: bool,
    /// It reads a source whose changes are not captured, and is refreshed whenever its schedule says.
    pub polls: bool,
    /// The refresh group that it belongs to.
    pub group: Option<String>,
    /// How long its last refresh took; `None` before the first.
    pub took: Option<Micros>,
    /// It has to be recomputed, and shows no change later than this.
    pub outdated_since: Option<Micros>,
}

impl Table {
    pub fn moving(&self) -> Moving {
        let (schedule, group) = (self.schedule.clone(), self.group.clone());
        Moving { schedule, active: self.active, polls: self.polls, group }
    }
}

/// How the refresh of a table in a tick ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Refreshed,
    /// There was no change: its duration says nothing about that of a refresh.
    Unchanged,
    /// A table that it reads was not refreshed, or it is locked: retried within a second of the end of that.
    Skipped,
    /// A transient error: retried after a short pause.
    Postponed,
    /// An error that counts towards suspension: retried after a pause.
    Failed,
    /// Not refreshed until the catalog says that it is active.
    Suspended,
}

/// What the scheduler knows of a table.
#[derive(Debug)]
pub struct Entry {
    pub table: Table,
    /// The schedule, or those of the consumers that it stands for.
    pub schedules: Vec<Schedule>,
    /// Stream tables that it reads, directly or not.
    pub ancestors: BTreeSet<i32>,
    /// What is refreshed with it: itself, its ancestors, and the tables that show one moment with one of these.
    pub company: Rc<BTreeSet<i32>>,
    /// Sources of it and of its ancestors.
    pub reads: BTreeSet<i32>,
    /// The time of the oldest change that it may not show.
    pub dirty: Option<Micros>,
    /// For a table that polls, or whose rows or those of an ancestor depend on the clock: when it was last refreshed.
    pub polled: Option<Micros>,
    pub running: Option<Attempt>,
    /// A session waits for its next refresh, whatever its schedule.
    pub requested: bool,
    /// When its last tick ended, and until when changes wait that became known during that tick.
    pub ended: Micros,
    pub idle_until: Micros,
    /// How long its own refresh takes.
    pub took: Micros,
    pub failures: u32,
    pub retry: Option<Micros>,
    /// It shows what all transactions below this one have committed; zero is not known.
    pub seen: u64,
    /// What was last reported of [`Entry::behind`].
    pub reported: Option<Micros>,
}

/// Changes that became visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How long after the commit of the oldest of them; `None` for the first rows of a table.
    pub lag: Option<Micros>,
    /// After their deadline.
    pub missed: bool,
}

/// A refresh under way.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The number of its tick.
    pub tick: u64,
    pub began: Micros,
    /// The time of the oldest change when it began.
    pub dirty: Option<Micros>,
}

impl Entry {
    pub fn new(table: Table, now: Micros) -> Entry {
        // Moments of a cron expression that have passed are not made up for.
        let since = table.outdated_since.filter(|_| !matches!(table.schedule, Schedule::Cron(_)));
        Entry {
            took: table.took.unwrap_or(0),
            table,
            schedules: vec![],
            ancestors: BTreeSet::new(),
            company: Rc::default(),
            reads: BTreeSet::new(),
            dirty: since.map_or(Some(now), |since| Some(since.min(now))),
            polled: None,
            running: None,
            requested: false,
            ended: Micros::MIN,
            idle_until: Micros::MIN,
            failures: 0,
            retry: None,
            seen: 0,
            reported: None,
        }
    }

    /// Whether no schedule has it refreshed soon after a change.
    pub fn is_rare(&self) -> bool {
        !self.schedules.iter().any(|schedule| matches!(schedule, Schedule::Every(target) if *target < RARE))
    }

    /// Whether the entry is still valid for the table as the catalog now describes it.
    pub fn is_valid_for(&self, table: &Table) -> bool {
        let resumed = table.active && !self.table.active;
        let errors_reset = table.errors < self.table.errors;
        !resumed && !errors_reset && table.sources == self.table.sources && table.upstream == self.table.upstream
    }

    /// When a refresh should start so that the oldest change is visible in time, if a tick with the table takes as long as
    /// `needed`.
    pub fn due(&self, needed: impl FnOnce() -> Micros, zone: &dyn Zone) -> Option<Micros> {
        let (since, needed) = (self.dirty?, needed().max(MARGIN));
        self.schedules.iter().filter_map(|schedule| schedule.start(since, needed, zone)).min()
    }

    /// Until when the changes wait that became known during its last tick. Targets other than zero are kept.
    pub fn idle_until(&self) -> Option<Micros> {
        let at_once = self.schedules.contains(&Schedule::Every(0));
        self.dirty.filter(|since| at_once && *since < self.ended).map(|_| self.idle_until)
    }

    /// When to refresh a table that polls or depends on the clock, though no change is known.
    pub fn next_poll(&self, zone: &dyn Zone) -> Option<Micros> {
        let since = self.polled?;
        self.schedules.iter().filter_map(|schedule| schedule.next_poll(since, zone)).min()
    }

    /// The time of the oldest change that it may not show, those of a refresh under way included.
    pub fn behind(&self) -> Option<Micros> {
        let refreshing = self.running.and_then(|attempt| attempt.dirty);
        refreshing.into_iter().chain(self.dirty).min()
    }

    pub fn mark_dirty(&mut self, since: Micros) {
        self.dirty = Some(self.dirty.map_or(since, |dirty| dirty.min(since)));
    }

    /// How long a tick takes longer with it: no time if nothing has changed, and to fill a table may take any time.
    pub fn cost(&self) -> Micros {
        match self.table.populated {
            true if self.is_settled() => 0,
            true => self.took,
            false => Micros::MAX,
        }
    }

    /// Whether it needs a refresh only if a source changed, and none is known to have. The tables of a group have one data timestamp
    /// nevertheless.
    pub fn is_settled(&self) -> bool {
        let is_quiet = self.dirty.is_none() && self.retry.is_none() && self.running.is_none() && self.polled.is_none();
        is_quiet && self.table.populated && self.table.active && !self.table.polls && self.table.group.is_none()
    }

    /// Records the outcome of its refresh.
    pub fn finish(&mut self, at: Micros, outcome: Outcome, took: Micros, seen: u64) -> Option<Shown> {
        let attempt = self.running.take()?;
        let lag = attempt.dirty.filter(|_| self.table.populated).map(|since| at - since);
        self.ended = at;
        self.idle_until = at + (IDLE_TIMES * (at - attempt.began)).min(LONGEST_IDLE);
        match outcome {
            Outcome::Refreshed | Outcome::Unchanged => {
                self.failures = 0;
                self.retry = None;
                self.table.errors = 0;
                self.table.populated = true;
                self.seen = self.seen.max(seen);
                self.polled = self.polled.map(|_| at);
                if outcome == Outcome::Refreshed {
                    self.record_duration(took);
                }
            }
            Outcome::Skipped => self.pause(at, attempt, FIRST_PAUSE, LONGEST_PAUSE_SKIPPED),
            Outcome::Postponed => self.pause(at, attempt, FIRST_PAUSE, LONGEST_PAUSE),
            Outcome::Failed | Outcome::Suspended => {
                self.pause(at, attempt, FIRST_PAUSE_COUNTED, LONGEST_PAUSE);
                self.table.errors += 1;
                self.table.active &= outcome == Outcome::Failed;
            }
        }
        let deadline = self.deadline().zip(attempt.dirty).map(|(deadline, since)| since.saturating_add(deadline));
        let missed = deadline.is_some_and(|deadline| at > deadline);
        (outcome == Outcome::Refreshed).then_some(Shown { lag, missed })
    }

    /// How long after a change its deadline is missed; `None` where it has none.
    fn deadline(&self) -> Option<Micros> {
        let targets = self.schedules.iter().filter_map(|schedule| match schedule {
            Schedule::Every(0) => Some(ZERO_TARGET_DEADLINE),
            Schedule::Every(target) => Some(target.saturating_add((target / GATHER_PART).max(GATHER_MOST))),
            Schedule::Cron(_) | Schedule::Calculated => None,
        });
        targets.min()
    }

    /// A slower refresh counts at once, a faster one by a quarter: a missed deadline is worse than an early refresh.
    fn record_duration(&mut self, took: Micros) {
        self.took = if took > self.took { took } else { (3 * self.took + took) / 4 };
    }

    fn pause(&mut self, at: Micros, attempt: Attempt, first: Micros, longest: Micros) {
        self.mark_dirty(attempt.dirty.unwrap_or(attempt.began));
        let doubled = first.checked_shl(self.failures).filter(|pause| (0..longest).contains(pause));
        self.retry = Some(at + doubled.unwrap_or(longest));
        self.failures = (self.failures + 1).min(32);
    }

    /// How far ahead of its start a tick may take this table along.
    pub fn gather(&self) -> Micros {
        let targets = self.schedules.iter().map(|schedule| match schedule {
            Schedule::Every(target) => target / GATHER_PART,
            Schedule::Cron(_) | Schedule::Calculated => 0,
        });
        targets.min().unwrap_or(0).min(GATHER_MOST)
    }
}
