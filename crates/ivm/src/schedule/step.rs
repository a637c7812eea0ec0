//! The scheduler as a pure function: what happened and what time it is, to what to refresh and when to look
//! again.
//!
//! **Fresh:** a change that becomes known at `t` is in a tick that starts at `t + target` less what the
//! refresh needs, or as soon as the tick that runs at that moment is over.
//! **Idle is free:** while nothing is dirty nothing is ticked, and there is no next time to wake; but time that
//! passes is a change to those whose rows come and go with it, and to whoever reads them.
//!
//! A table is dirty when something that it reads changed, directly or through the stream tables it reads. So
//! the changes that a tick itself makes are never news: whoever reads them was dirty already.

use std::collections::{BTreeMap, BTreeSet};

use super::{MILLISECOND, Micros, SECOND, Schedule, Zone};

/// Start this much before the deadline even if the refresh takes no time.
const MARGIN: Micros = 50 * MILLISECOND;
/// A tick takes along what is due within this part of its own target …
const GATHER_PART: Micros = 10;
/// … and within this time, so that tables of one target keep moving together.
const GATHER_MOST: Micros = 100 * MILLISECOND;
/// Pauses after failures double from the first to the longest.
const FIRST_PAUSE: Micros = 100 * MILLISECOND;
const FIRST_PAUSE_COUNTED: Micros = SECOND;
const LONGEST_PAUSE: Micros = 60 * SECOND;

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
    /// Its rows come and go as time passes.
    pub temporal: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// What the catalog holds, and what `'calculated'` means where nobody reads the table.
    Tables { tables: Vec<Table>, default: Schedule },
    /// Sources that changed, at `since` at the earliest.
    Changed { since: Micros, sources: Vec<i32> },
    /// A tick of these tables started: it sees every change made known before.
    Started { at: Micros, ids: Vec<i32> },
    /// One table of a tick is through with it.
    Finished { at: Micros, id: i32, fate: Fate },
}

/// How a table fared in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Refreshed,
    /// There was nothing to do: tells nothing about how long a refresh takes.
    Unchanged,
    /// Not its own fault, or gone by itself soon: tried again after a short pause.
    Postponed,
    /// Counted towards suspension; tried again after a pause.
    Failed,
    /// Left alone until the catalog says otherwise.
    Suspended,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Refresh these together, each after those that it reads.
    pub tick: Vec<i32>,
    /// Then look again at this time, or only when something happens.
    pub wake: Option<Micros>,
}

/// What the scheduler knows.
#[derive(Debug, Default)]
pub struct State {
    now: Micros,
    entries: BTreeMap<i32, Entry>,
}

#[derive(Debug)]
struct Entry {
    table: Table,
    /// The schedule, or those of the consumers that it stands for.
    schedules: Vec<Schedule>,
    /// Stream tables that it reads, directly or not.
    ancestors: BTreeSet<i32>,
    /// Sources of it and of its ancestors.
    reads: BTreeSet<i32>,
    /// The time of the oldest change that it may not show.
    dirty: Option<Micros>,
    /// Where its rows, or those of an ancestor, come and go as time passes: since when it may have.
    ticking: Option<Micros>,
    running: Option<Attempt>,
    /// How long a tick with it takes.
    needed: Micros,
    failures: u32,
    retry: Option<Micros>,
}

/// A refresh under way: when it began, and what was dirty then.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    began: Micros,
    dirty: Option<Micros>,
}

impl State {
    /// Takes in what happened and decides. `now` is a wall clock; where it steps back, everything that waits
    /// steps back with it.
    pub fn step(&mut self, now: Micros, events: Vec<Event>, zone: &dyn Zone) -> Actions {
        if now < self.now {
            self.shift(now - self.now);
        }
        self.now = now;
        events.into_iter().for_each(|event| self.apply(event));
        self.decide(zone)
    }

    /// What stream table `id` reads, directly or not, among `ids`: did one of them fail, it cannot be blamed.
    pub fn reads_any(&self, id: i32, ids: &BTreeSet<i32>) -> bool {
        self.entries.get(&id).is_some_and(|entry| !entry.ancestors.is_disjoint(ids))
    }

    /// Every source that these tables read, directly or not.
    pub fn sources(&self, ids: &[i32]) -> BTreeSet<i32> {
        ids.iter().filter_map(|id| self.entries.get(id)).flat_map(|entry| entry.reads.iter().copied()).collect()
    }

    fn shift(&mut self, by: Micros) {
        for entry in self.entries.values_mut() {
            let attempt = entry.running.as_mut();
            let began = attempt.map(|attempt| [Some(&mut attempt.began), attempt.dirty.as_mut()]);
            let waiting = [entry.dirty.as_mut(), entry.ticking.as_mut(), entry.retry.as_mut()];
            began.into_iter().flatten().chain(waiting).flatten().for_each(|time| *time += by);
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Tables { tables, default } => self.replace(tables, &default),
            Event::Changed { since, sources } => {
                let concerned = |entry: &&mut Entry| sources.iter().any(|source| entry.reads.contains(source));
                self.entries.values_mut().filter(concerned).for_each(|entry| entry.taint(since));
            }
            Event::Started { at, ids } => {
                for id in ids {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.running = Some(Attempt { began: at, dirty: entry.dirty.take() });
                    }
                }
            }
            Event::Finished { at, id, fate } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.finish(at, fate);
                }
            }
        }
    }

    /// Takes over the catalog. What is new or came back to life may have missed changes: it is dirty.
    fn replace(&mut self, tables: Vec<Table>, default: &Schedule) {
        let mut known = std::mem::take(&mut self.entries);
        for table in tables {
            let id = table.id;
            let entry = match known.remove(&id) {
                Some(entry) if entry.continues(&table) => Entry { table, ..entry },
                Some(entry) => {
                    Entry { table, retry: None, failures: 0, dirty: entry.dirty.or(Some(self.now)), ..entry }
                }
                None => Entry::new(table, self.now),
            };
            self.entries.insert(id, entry);
        }
        self.link(default);
    }

    /// Follows the edges: ancestors, what is read in all, and which schedules a `'calculated'` table stands
    /// for: those of everything that reads it, of which the earliest counts.
    fn link(&mut self, default: &Schedule) {
        let mut wanted: BTreeMap<i32, Vec<Schedule>> = BTreeMap::new();
        let read: BTreeSet<i32> = self.entries.values().flat_map(|entry| entry.table.upstream.clone()).collect();
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            let ancestors = self.reachable(id);
            let with_itself: Vec<&Entry> =
                ancestors.iter().chain([&id]).filter_map(|id| self.entries.get(id)).collect();
            let reads = with_itself.iter().flat_map(|entry| entry.table.sources.iter().copied()).collect();
            let temporal = with_itself.iter().any(|entry| entry.table.temporal);
            let now = self.now;
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.ticking = temporal.then(|| entry.ticking.unwrap_or(now));
            let schedule = match &entry.table.schedule {
                Schedule::Calculated if read.contains(&id) => None,
                Schedule::Calculated => Some(default),
                own => Some(own),
            };
            for (reader, schedule) in ancestors.iter().chain([&id]).zip(std::iter::repeat(schedule)) {
                let wanted = wanted.entry(*reader).or_default();
                wanted.extend(schedule.filter(|schedule| !wanted.contains(schedule)).cloned());
            }
            entry.ancestors = ancestors;
            entry.reads = reads;
        }
        for (id, entry) in &mut self.entries {
            entry.schedules = match &entry.table.schedule {
                Schedule::Calculated => wanted.remove(id).unwrap_or_default(),
                own => vec![own.clone()],
            };
        }
    }

    fn reachable(&self, id: i32) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(entry) = open.pop().and_then(|id| self.entries.get(&id)) {
            let known = entry.table.upstream.iter().copied().filter(|up| *up != id && self.entries.contains_key(up));
            open.extend(known.filter(|up| found.insert(*up)));
        }
        found
    }

    fn decide(&self, zone: &dyn Zone) -> Actions {
        let starts: Vec<(&Entry, Micros)> =
            self.entries.values().filter_map(|entry| Some((entry, self.start(entry, zone)?))).collect();
        let mut tick: BTreeSet<i32> = BTreeSet::new();
        if starts.iter().any(|(_, start)| *start <= self.now) {
            for (entry, _) in starts.iter().filter(|(entry, start)| *start <= self.now + entry.gather()) {
                tick.insert(entry.table.id);
                tick.extend(&entry.ancestors);
            }
        }
        let left = starts.iter().filter(|(entry, _)| !tick.contains(&entry.table.id));
        let wake = left.map(|(_, start)| *start).min();
        let mut tick: Vec<i32> = tick.into_iter().collect();
        // Whatever a table reads has fewer ancestors than itself.
        tick.sort_by_key(|id| self.entries.get(id).map_or(0, |entry| entry.ancestors.len()));
        Actions { tick, wake }
    }

    /// When a tick with this table should start, if there is a reason and no obstacle.
    fn start(&self, entry: &Entry, zone: &dyn Zone) -> Option<Micros> {
        let wanted = match (entry.table.populated, entry.due(zone), entry.tick(zone)) {
            (false, _, _) => Some(self.now),
            (true, Some(due), Some(tick)) => Some(due.min(tick)),
            (true, due, tick) => due.or(tick),
        }?;
        let ancestors = || entry.ancestors.iter().filter_map(|id| self.entries.get(id));
        let blocked = std::iter::once(entry).chain(ancestors()).any(|it| !it.table.active || it.running.is_some());
        let pause = std::iter::once(entry).chain(ancestors()).filter_map(|it| it.retry).max();
        (!blocked).then(|| wanted.max(pause.unwrap_or(wanted)))
    }
}

impl Entry {
    fn new(table: Table, now: Micros) -> Entry {
        Entry {
            table,
            schedules: vec![],
            ancestors: BTreeSet::new(),
            reads: BTreeSet::new(),
            dirty: Some(now),
            ticking: None,
            running: None,
            needed: 0,
            failures: 0,
            retry: None,
        }
    }

    /// Whether what is known of the table still holds for what the catalog says.
    fn continues(&self, table: &Table) -> bool {
        let woken = table.active && !self.table.active;
        let forgiven = table.errors < self.table.errors;
        !woken && !forgiven && table.sources == self.table.sources && table.upstream == self.table.upstream
    }

    /// When a refresh should start so that the oldest change is visible in time.
    fn due(&self, zone: &dyn Zone) -> Option<Micros> {
        let (since, needed) = (self.dirty?, self.needed.max(MARGIN));
        self.schedules.iter().filter_map(|schedule| schedule.start(since, needed, zone)).min()
    }

    /// When to look again what time has done.
    fn tick(&self, zone: &dyn Zone) -> Option<Micros> {
        let since = self.ticking?;
        self.schedules.iter().filter_map(|schedule| schedule.tick(since, zone)).min()
    }

    fn taint(&mut self, since: Micros) {
        self.dirty = Some(self.dirty.map_or(since, |dirty| dirty.min(since)));
    }

    fn finish(&mut self, at: Micros, fate: Fate) {
        let Some(attempt) = self.running.take() else { return };
        match fate {
            Fate::Refreshed | Fate::Unchanged => {
                self.failures = 0;
                self.retry = None;
                self.table.errors = 0;
                self.table.populated = true;
                self.ticking = self.ticking.map(|_| at);
                if fate == Fate::Refreshed {
                    self.learn(at - attempt.began);
                }
            }
            Fate::Postponed => self.pause(at, attempt, FIRST_PAUSE),
            Fate::Failed | Fate::Suspended => {
                self.pause(at, attempt, FIRST_PAUSE_COUNTED);
                self.table.errors += 1;
                self.table.active &= fate == Fate::Failed;
            }
        }
    }

    /// A slower tick counts at once, a faster one little by little: being late is worse than being early.
    fn learn(&mut self, took: Micros) {
        self.needed = if took > self.needed { took } else { (3 * self.needed + took) / 4 };
    }

    fn pause(&mut self, at: Micros, attempt: Attempt, first: Micros) {
        self.taint(attempt.dirty.unwrap_or(attempt.began));
        let doubled = first.checked_shl(self.failures).filter(|pause| (0..LONGEST_PAUSE).contains(pause));
        self.retry = Some(at + doubled.unwrap_or(LONGEST_PAUSE));
        self.failures = (self.failures + 1).min(32);
    }

    /// How far ahead of its time a tick may take this table along.
    fn gather(&self) -> Micros {
        let targets = self.schedules.iter().map(|schedule| match schedule {
            Schedule::Every(target) => target / GATHER_PART,
            Schedule::Cron(_) | Schedule::Calculated => 0,
        });
        targets.min().unwrap_or(0).min(GATHER_MOST)
    }
}
