//! The scheduler as a pure function: what happened and what time it is, to what to refresh and when to look
//! again.
//!
//! **Fresh:** a change that becomes known at `t` is in a tick that starts at `t + target` less what the
//! refresh needs, or after the tick that runs at that moment and the rest that it takes.
//! **Writers come first:** where changes come in faster than ticks take them, ticks keep to a small part of a
//! processor, and each takes the more. A change that comes while nothing runs is not made to wait.
//! **Idle is free:** while nothing is dirty nothing is ticked, and there is no next time to wake; but time that
//! passes is a change to those whose rows come and go with it, and to whoever reads them.
//!
//! A table is dirty when something that it reads changed, directly or through the stream tables it reads. So
//! the changes that a tick itself makes are never news: whoever reads them was dirty already.
//!
//! **The slow leave a place:** whatever takes long, or goes on for long, has at most all but one of the workers, where
//! there are several, so that runaway refreshes do not starve the rest of the database.
//!
//! **The small does not wait for the large:** tables that are due form groups without an edge between them. The
//! scheduler itself does what takes it no time, in one tick; other groups go to the pool, the ones that have waited
//! longest first, and where no worker is free they wait for one.

use std::collections::{BTreeMap, BTreeSet};

use super::{MILLISECOND, Micros, SECOND, Schedule, Zone};
use crate::dag::Dag;
use crate::target;

/// Start this much before the deadline even if the refresh takes no time.
const MARGIN: Micros = 50 * MILLISECOND;
/// A tick takes along what is due within this part of its own target …
const GATHER_PART: Micros = 10;
/// … and within this time, so that tables of one target keep moving together.
const GATHER_MOST: Micros = 100 * MILLISECOND;
/// What the scheduler does itself takes no longer than this, and so does what a worker is given at a time, unless it
/// is one group.
const SMALL: Micros = 10 * MILLISECOND;
/// What takes longer than this is slow.
const SLOW: Micros = SECOND;
/// Who is to be fresh at once rests, where changes came in during its tick, so many times as long as that took …
const REST_TIMES: Micros = 4;
/// … but of no more than this.
const LONGEST_REST: Micros = 100 * MILLISECOND;
/// A promise of "at once" is broken after this time.
const PATIENCE: Micros = SECOND;
/// Pauses after failures double from the first to the longest.
const FIRST_PAUSE: Micros = 100 * MILLISECOND;
const FIRST_PAUSE_COUNTED: Micros = SECOND;
const LONGEST_PAUSE: Micros = 60 * SECOND;
const LONGEST_HELD_UP: Micros = SECOND;

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
    /// It reads what cannot report its changes, and looks whenever its schedule says.
    pub polls: bool,
    /// How long its last refresh took, where there was one.
    pub took: Option<Micros>,
}

/// The workers of the pool: those that could take a tick now, and those that have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hands {
    pub free: usize,
    pub busy: usize,
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
    /// One table of a tick is through with it; its own refresh took so long.
    Finished { at: Micros, id: i32, outcome: Outcome, took: Micros },
    /// The pool is another one now.
    Hands(Hands),
}

/// How the refresh of a table in a tick ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Refreshed,
    /// There was nothing to do: tells nothing about how long a refresh takes.
    Unchanged,
    /// What it reads was not refreshed, or others have it locked: tried again within a second of the end of that.
    Skipped,
    /// It failed, by what goes away by itself: tried again after a short pause.
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
    /// Before that, give each of these to a free worker of the pool, to do the same.
    pub away: Vec<Vec<i32>>,
    /// More workers would have something to do.
    pub waiting: bool,
    /// Then look again at this time, or only when something happens.
    pub wake: Option<Micros>,
    /// Changes became visible in these later than was promised.
    pub late: Vec<i32>,
}

/// What the scheduler knows.
#[derive(Debug, Default)]
pub struct State {
    now: Micros,
    entries: BTreeMap<i32, Entry>,
    /// What reads what, of the tables that there are.
    graph: Dag<i32>,
    hands: Hands,
    /// How many ticks were started.
    ticks: u64,
    /// To be told of with the next actions.
    late: Vec<i32>,
}

/// Due tables with an edge between them, or with one to what all of them read.
struct Group {
    /// Each after those that it reads.
    ids: Vec<i32>,
    start: Micros,
    cost: Micros,
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
    /// Where it polls, or its rows or those of an ancestor come and go as time passes: when it last looked.
    ticking: Option<Micros>,
    running: Option<Attempt>,
    /// When its last tick ended, and until when what came in during that waits.
    ended: Micros,
    rest: Micros,
    /// How long its own refresh takes.
    took: Micros,
    failures: u32,
    retry: Option<Micros>,
}

/// A refresh under way: when it began, and what was dirty then.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// The number of its tick.
    tick: u64,
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

    /// Whether no table is known yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every source that these tables read, directly or not.
    pub fn sources(&self, ids: &[i32]) -> BTreeSet<i32> {
        ids.iter().filter_map(|id| self.entries.get(id)).flat_map(|entry| entry.reads.iter().copied()).collect()
    }

    /// Those of the sources whose changes somebody keeps who is not refreshed, because it or what it reads is inactive.
    pub fn kept(&self, sources: &[i32]) -> BTreeSet<i32> {
        let inactive = |id: &i32| self.entries.get(id).is_some_and(|entry| !entry.table.active);
        let resting = self.entries.iter().filter(|(id, entry)| entry.ancestors.iter().chain([*id]).any(inactive));
        let read: BTreeSet<i32> = resting.flat_map(|(_, entry)| entry.table.sources.iter().copied()).collect();
        sources.iter().copied().filter(|source| read.contains(source)).collect()
    }

    fn shift(&mut self, by: Micros) {
        for entry in self.entries.values_mut() {
            let attempt = entry.running.as_mut();
            let began = attempt.map(|attempt| [Some(&mut attempt.began), attempt.dirty.as_mut()]);
            let waiting = [entry.dirty.as_mut(), entry.ticking.as_mut(), entry.retry.as_mut()];
            let rest = [Some(&mut entry.ended), Some(&mut entry.rest)];
            let all = began.into_iter().flatten().chain(waiting).chain(rest).flatten();
            all.for_each(|time| *time = time.saturating_add(by));
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
                self.ticks += 1;
                for id in ids {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.running = Some(Attempt { tick: self.ticks, began: at, dirty: entry.dirty.take() });
                    }
                }
            }
            Event::Finished { at, id, outcome, took } => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    let late = entry.finish(at, outcome, took);
                    self.late.extend(late.then_some(id));
                }
            }
            Event::Hands(hands) => self.hands = hands,
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

    /// Follows the edges: ancestors, what is read in all, and which schedules a table goes by.
    fn link(&mut self, default: &Schedule) {
        self.graph = Dag::default();
        for (id, entry) in &self.entries {
            let known = entry.table.upstream.iter().copied().filter(|up| self.entries.contains_key(up));
            let known: Vec<i32> = known.collect();
            // Were there a circle, the tick would say so.
            if self.graph.put(id, &known).is_err() {
                _ = self.graph.put(id, &[]);
            }
        }
        let own = self.entries.iter().map(|(id, entry)| (*id, &entry.table.schedule)).collect();
        let mut schedules = target::schedules(&self.graph, &own, default);
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            let mut ancestors = self.graph.upstream(&[id].into());
            let with_itself = || ancestors.iter().filter_map(|id| self.entries.get(id));
            let reads = with_itself().flat_map(|entry| entry.table.sources.iter().copied()).collect();
            let temporal = with_itself().any(|entry| entry.table.temporal);
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            ancestors.remove(&id);
            entry.ticking = (temporal || entry.table.polls).then(|| entry.ticking.unwrap_or(self.now));
            entry.schedules = schedules.remove(&id).unwrap_or_default();
            (entry.ancestors, entry.reads) = (ancestors, reads);
        }
    }

    fn decide(&mut self, zone: &dyn Zone) -> Actions {
        let starts: BTreeMap<i32, Micros> =
            self.entries.iter().filter_map(|(id, entry)| Some((*id, self.start(entry, zone)?))).collect();
        let mut due: BTreeSet<i32> = BTreeSet::new();
        if starts.values().any(|start| *start <= self.now) {
            for (id, start) in &starts {
                if let Some(entry) = self.entries.get(id).filter(|entry| *start <= self.now + entry.gather()) {
                    due.insert(*id);
                    due.extend(entry.ancestors.iter().filter(|id| !self.polls(id)));
                }
            }
        }
        let wake = starts.iter().filter(|(id, _)| !due.contains(id)).map(|(_, start)| *start).min();
        let late = std::mem::take(&mut self.late);
        let groups = self.graph.components(&due).into_iter().map(|group| self.group(group, &starts));
        Actions { wake, late, ..self.place(groups.collect()) }
    }

    /// Whether a table is looked at by its own schedule alone: to recompute it for others would cost what they save.
    fn polls(&self, id: &i32) -> bool {
        self.entries.get(id).is_some_and(|entry| entry.table.polls)
    }

    fn group(&self, ids: BTreeSet<i32>, starts: &BTreeMap<i32, Micros>) -> Group {
        let entries = || ids.iter().filter_map(|id| self.entries.get(id));
        let cost = entries().map(Entry::cost).fold(0, Micros::saturating_add);
        let start = ids.iter().filter_map(|id| starts.get(id)).min().copied().unwrap_or(self.now);
        Group { ids: self.ordered(ids.into_iter().collect()), start, cost }
    }

    /// Each table after those that it reads, which have fewer ancestors than itself.
    fn ordered(&self, mut ids: Vec<i32>) -> Vec<i32> {
        ids.sort_by_key(|id| (self.entries.get(id).map_or(0, |entry| entry.ancestors.len()), *id));
        ids
    }

    /// How many of the ticks under way are slow: known to be, or by now.
    fn slow(&self) -> usize {
        let slow = |entry: &Entry| {
            let attempt = entry.running?;
            (entry.cost() > SLOW || self.now - attempt.began > SLOW).then_some(attempt.tick)
        };
        self.entries.values().filter_map(slow).collect::<BTreeSet<u64>>().len()
    }

    /// What the scheduler does itself, and what each free worker does.
    fn place(&self, mut groups: Vec<Group>) -> Actions {
        let Hands { free, busy } = self.hands;
        groups.sort_by_key(|group| (group.cost, group.start));
        let mut spent: Micros = 0;
        let mut is_large = |group: &Group| {
            spent = spent.saturating_add(group.cost);
            spent > SMALL
        };
        let small = groups.iter().position(&mut is_large).unwrap_or(groups.len());
        let alone = free + busy == 0;
        let mut waiting = alone && small < groups.len();
        let mut large = if alone { vec![] } else { groups.split_off(small) };
        large.sort_by_key(|group| (group.start, group.ids.first().copied()));
        let mut large = large.into_iter().peekable();
        let mut away = vec![];
        let mut slow = self.slow();
        // One worker alone takes what comes.
        let most_slow = (free + busy).saturating_sub(1).max(1);
        while away.len() < free {
            let Some(first) = large.next() else { break };
            let Group { mut ids, mut cost, .. } = first;
            if cost > SLOW && slow >= most_slow {
                waiting = true;
                continue;
            }
            slow += usize::from(cost > SLOW);
            while let Some(next) = large.next_if(|next| cost.saturating_add(next.cost) <= SMALL) {
                ids.extend(next.ids);
                cost += next.cost;
            }
            away.push(ids);
        }
        waiting |= large.peek().is_some();
        let tick = self.ordered(groups.into_iter().flat_map(|group| group.ids).collect());
        Actions { tick, away, waiting, ..Actions::default() }
    }

    /// When a tick with this table should start, if there is a reason and no obstacle.
    fn start(&self, entry: &Entry, zone: &dyn Zone) -> Option<Micros> {
        let ancestors = || entry.ancestors.iter().filter_map(|id| self.entries.get(id));
        let needed = || ancestors().chain([entry]).map(|it| it.took).sum();
        let wanted = match (entry.table.populated, entry.due(needed, zone), entry.tick(zone)) {
            (false, _, _) => Some(self.now),
            (true, Some(due), Some(tick)) => Some(due.min(tick)),
            (true, due, tick) => due.or(tick),
        }?;
        let blocked = std::iter::once(entry).chain(ancestors()).any(|it| !it.table.active || it.running.is_some());
        let pauses = std::iter::once(entry).chain(ancestors()).filter_map(|it| it.retry);
        let start = pauses.chain(entry.rest()).fold(wanted, Micros::max);
        (!blocked).then_some(start)
    }
}

impl Entry {
    fn new(table: Table, now: Micros) -> Entry {
        Entry {
            took: table.took.unwrap_or(0),
            table,
            schedules: vec![],
            ancestors: BTreeSet::new(),
            reads: BTreeSet::new(),
            dirty: Some(now),
            ticking: None,
            running: None,
            ended: Micros::MIN,
            rest: Micros::MIN,
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

    /// When a refresh should start so that the oldest change is visible in time; a tick with it takes as long as `needed`.
    fn due(&self, needed: impl FnOnce() -> Micros, zone: &dyn Zone) -> Option<Micros> {
        let (since, needed) = (self.dirty?, needed().max(MARGIN));
        self.schedules.iter().filter_map(|schedule| schedule.start(since, needed, zone)).min()
    }

    /// Until when the changes wait that came in during its last tick. Who has a target keeps to that.
    fn rest(&self) -> Option<Micros> {
        let at_once = self.schedules.contains(&Schedule::Every(0));
        self.dirty.filter(|since| at_once && *since < self.ended).map(|_| self.rest)
    }

    /// When to look again what time has done.
    fn tick(&self, zone: &dyn Zone) -> Option<Micros> {
        let since = self.ticking?;
        self.schedules.iter().filter_map(|schedule| schedule.tick(since, zone)).min()
    }

    fn taint(&mut self, since: Micros) {
        self.dirty = Some(self.dirty.map_or(since, |dirty| dirty.min(since)));
    }

    /// What a tick with it costs beside others: to fill a table may take any time.
    fn cost(&self) -> Micros {
        if self.table.populated { self.took } else { Micros::MAX }
    }

    /// Takes note of how it fared; true when a change became visible later than promised.
    fn finish(&mut self, at: Micros, outcome: Outcome, took: Micros) -> bool {
        let Some(attempt) = self.running.take() else { return false };
        self.ended = at;
        self.rest = at + (REST_TIMES * (at - attempt.began)).min(LONGEST_REST);
        match outcome {
            Outcome::Refreshed | Outcome::Unchanged => {
                self.failures = 0;
                self.retry = None;
                self.table.errors = 0;
                self.table.populated = true;
                self.ticking = self.ticking.map(|_| at);
                if outcome == Outcome::Refreshed {
                    self.learn(took);
                }
            }
            Outcome::Skipped => self.pause(at, attempt, FIRST_PAUSE, LONGEST_HELD_UP),
            Outcome::Postponed => self.pause(at, attempt, FIRST_PAUSE, LONGEST_PAUSE),
            Outcome::Failed | Outcome::Suspended => {
                self.pause(at, attempt, FIRST_PAUSE_COUNTED, LONGEST_PAUSE);
                self.table.errors += 1;
                self.table.active &= outcome == Outcome::Failed;
            }
        }
        let promised = self.promise().zip(attempt.dirty).map(|(promise, since)| since.saturating_add(promise));
        outcome == Outcome::Refreshed && promised.is_some_and(|promised| at > promised)
    }

    /// After what time a change should be visible, beyond doubt; `None` where that is not promised.
    fn promise(&self) -> Option<Micros> {
        let targets = self.schedules.iter().filter_map(|schedule| match schedule {
            Schedule::Every(0) => Some(PATIENCE),
            Schedule::Every(target) => Some(target.saturating_add((target / GATHER_PART).max(GATHER_MOST))),
            Schedule::Cron(_) | Schedule::Calculated => None,
        });
        targets.min()
    }

    /// A slower refresh counts at once, a faster one little by little: being late is worse than being early.
    fn learn(&mut self, took: Micros) {
        self.took = if took > self.took { took } else { (3 * self.took + took) / 4 };
    }

    fn pause(&mut self, at: Micros, attempt: Attempt, first: Micros, longest: Micros) {
        self.taint(attempt.dirty.unwrap_or(attempt.began));
        let doubled = first.checked_shl(self.failures).filter(|pause| (0..longest).contains(pause));
        self.retry = Some(at + doubled.unwrap_or(longest));
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
