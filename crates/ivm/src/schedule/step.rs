//! The scheduler as a pure function: from events and the time to the tables to refresh and the time to wake. A *tick* is
//! one refresh of several tables, each after those that it reads.
//!
//! **Freshness:** a change that becomes known at `t` is in a tick that starts at `t + target`, less the duration of the
//! refresh, or after the tick that runs at that moment and its idle time.
//! **Writers come first:** where changes arrive faster than ticks consume them, ticks use a small part of a processor, and
//! each consumes more. A change that arrives while no tick runs does not wait.
//! **Idle is free:** while no table is dirty there is no tick, and no time to wake; but to tables whose rows depend on the
//! clock, and to their consumers, the passing of time is a change.
//!
//! A table is dirty when a source that it reads changed, directly or through the stream tables that it reads. So the
//! changes that a tick itself makes are no events: their consumers were dirty already.
//!
//! **Slow refreshes leave a worker:** refreshes that take long, or have run for long, occupy at most all but one of the
//! workers, where there are several, so that pooled refreshes do not starve the rest of the database.
//!
//! **One moment:** tables that [show one moment](crate::moment) are due together, and in one tick.
//!
//! **Small groups do not wait for large ones:** tables that are due form groups that can be refreshed independently. The scheduler
//! itself refreshes groups of negligible cost, in one tick; other groups go to the pool, the longest waiting first, and
//! wait there for a free worker.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::table::{Attempt, Entry, Outcome, Table};
use super::{MILLISECOND, Micros, SECOND, Schedule, Zone};
use crate::dag::Dag;
use crate::moment::Moments;
use crate::target;

/// What the scheduler refreshes itself takes no longer than this in all, and so does what a worker is given at a time,
/// unless it is one group.
const SMALL: Micros = 10 * MILLISECOND;
/// A refresh that takes longer than this is slow.
const SLOW: Micros = SECOND;

/// The workers of the pool: those that are free for a tick, and those that run one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    pub free: usize,
    pub busy: usize,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The stream tables of the catalog, and the schedule of `'calculated'` tables that no other reads.
    Tables { tables: Vec<Table>, default: Schedule },
    /// Sources that changed, at `since` at the earliest.
    Changed { since: Micros, sources: Vec<i32> },
    /// A tick of these tables started: it sees every change that was known before.
    Started { at: Micros, ids: Vec<i32> },
    /// The refresh of one table of a tick ended; it took so long by itself. Unless it failed, the table shows what all transactions
    /// below `seen` have committed; zero is not known.
    Finished { at: Micros, id: i32, outcome: Outcome, took: Micros, seen: u64 },
    /// The workers of the pool changed.
    Workers(Workers),
    /// A session waits for what has changed in these tables: they are due now, if anything has.
    Requested { ids: Vec<i32> },
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Refresh these together, each after those that it reads.
    pub tick: Vec<i32>,
    /// Before that, give each of these ticks to a free worker of the pool.
    pub pooled: Vec<Vec<i32>>,
    /// More workers would have a tick to run.
    pub waiting: bool,
    /// Step again at this time, or only at an event.
    pub wake: Option<Micros>,
    /// Tables in which changes became visible after their deadline.
    pub missed: Vec<i32>,
}

/// The state of the scheduler of a database.
#[derive(Debug, Default)]
pub struct State {
    now: Micros,
    entries: BTreeMap<i32, Entry>,
    /// The edges between the tables.
    graph: Dag<i32>,
    moments: Moments,
    /// The schedule of `'calculated'` tables that no other reads.
    default: Option<Schedule>,
    workers: Workers,
    /// How many ticks were started.
    ticks: u64,
    /// For the next actions.
    missed: Vec<i32>,
    /// Changes that became visible, and how long after the commit of the oldest of them.
    shown: Vec<(i32, Micros)>,
    /// Groups that wait for a worker of the pool.
    queued: usize,
}

/// Due tables with an edge between them, or with one to what all of them read.
struct Group {
    /// Each after those that it reads.
    ids: Vec<i32>,
    start: Micros,
    cost: Micros,
}

impl State {
    /// Applies events and decides. `now` is wall clock time in microseconds; where it steps back, all times of the state
    /// step back with it.
    pub fn step(&mut self, now: Micros, events: Vec<Event>, zone: &dyn Zone) -> Actions {
        if now < self.now {
            self.shift(now - self.now);
        }
        self.now = now;
        events.into_iter().for_each(|event| self.apply(event));
        self.decide(zone)
    }

    /// In which tables changes became visible since the last call, and how long after the commit of the oldest of them.
    pub fn take_shown(&mut self) -> Vec<(i32, Micros)> {
        std::mem::take(&mut self.shown)
    }

    /// The tables for which the time of the oldest change that they do not show is another than at the last call, with it.
    pub fn take_behind(&mut self) -> Vec<(i32, Option<Micros>)> {
        let moved = |(id, entry): (&i32, &mut Entry)| {
            let behind = entry.behind();
            (std::mem::replace(&mut entry.reported, behind) != behind).then_some((*id, behind))
        };
        self.entries.iter_mut().filter_map(moved).collect()
    }

    /// How many groups of due tables wait for a worker of the pool.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether no table is known yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every source that these tables read, directly or not.
    pub fn sources(&self, ids: &[i32]) -> BTreeSet<i32> {
        ids.iter().filter_map(|id| self.entries.get(id)).flat_map(|entry| entry.reads.iter().copied()).collect()
    }

    /// Those of these tables, which are to be refreshed together, that nothing has changed, whatever else a snapshot sees that was
    /// taken before this is called. `newest` is the newest transaction that wrote changes of a source.
    pub fn unchanged(&self, ids: &[i32], newest: impl Fn(i32) -> u64) -> BTreeSet<i32> {
        let is_unchanged = |id: &i32| {
            let Some(entry) = self.entries.get(id).filter(|entry| entry.is_settled()) else { return false };
            let seen = |id: &i32| self.entries.get(id).map_or(0, |entry| entry.seen);
            let least = entry.ancestors.iter().map(seen).chain([entry.seen]).min().unwrap_or(0);
            entry.reads.iter().all(|source| newest(*source) < least)
        };
        let unchanged: BTreeSet<i32> = ids.iter().copied().filter(is_unchanged).collect();
        let changed: BTreeSet<i32> = ids.iter().copied().filter(|id| !unchanged.contains(id)).collect();
        let reads_changed =
            |id: &i32| self.entries.get(id).is_some_and(|entry| entry.ancestors.iter().any(|id| changed.contains(id)));
        unchanged.iter().copied().filter(|id| !reads_changed(id)).collect()
    }

    /// Those of the sources whose changes are retained for a table that is refreshed rarely, or not at all, because it, one
    /// that it reads or one that shows its moment is inactive or fails.
    pub fn retained(&self, sources: &[i32]) -> BTreeSet<i32> {
        let waits = |entry: &Entry| !entry.table.active || entry.failures > 0;
        let waiting: BTreeSet<i32> = self.entries.iter().filter(|(_, it)| waits(it)).map(|(id, _)| *id).collect();
        let is_late = |entry: &&Entry| {
            entry.is_rare() || !entry.company.is_disjoint(&waiting) || !entry.ancestors.is_disjoint(&waiting)
        };
        let wanted: BTreeSet<i32> = sources.iter().copied().collect();
        let reads = |entry: &&Entry| entry.table.sources.iter().any(|source| wanted.contains(source));
        let late = self.entries.values().filter(reads).filter(is_late);
        late.flat_map(|entry| &entry.table.sources).filter(|source| wanted.contains(source)).copied().collect()
    }

    fn shift(&mut self, by: Micros) {
        for entry in self.entries.values_mut() {
            let attempt = entry.running.as_mut();
            let began = attempt.map(|attempt| [Some(&mut attempt.began), attempt.dirty.as_mut()]);
            let waiting = [entry.dirty.as_mut(), entry.polled.as_mut(), entry.retry.as_mut()];
            let idle = [Some(&mut entry.ended), Some(&mut entry.idle_until)];
            let all = began.into_iter().flatten().chain(waiting).chain(idle).flatten();
            all.for_each(|time| *time = time.saturating_add(by));
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Tables { tables, default } => self.replace(tables, default),
            Event::Changed { since, sources } => {
                let concerned = |entry: &&mut Entry| sources.iter().any(|source| entry.reads.contains(source));
                self.entries.values_mut().filter(concerned).for_each(|entry| entry.mark_dirty(since));
            }
            Event::Started { at, ids } => {
                self.ticks += 1;
                for id in ids {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.requested = false;
                        entry.running = Some(Attempt { tick: self.ticks, began: at, dirty: entry.dirty.take() });
                    }
                }
            }
            Event::Finished { at, id, outcome, took, seen } => {
                let entry = self.entries.get_mut(&id);
                if let Some(shown) = entry.and_then(|entry| entry.finish(at, outcome, took, seen)) {
                    self.missed.extend(shown.missed.then_some(id));
                    self.shown.extend(shown.lag.map(|lag| (id, lag)));
                }
                if outcome == Outcome::Suspended {
                    self.link();
                }
            }
            Event::Workers(workers) => self.workers = workers,
            Event::Requested { ids } => {
                for id in ids {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.requested = entry.dirty.is_some();
                    }
                }
            }
        }
    }

    /// Takes the tables over from the catalog. A table that is new or was resumed may have missed changes: it is dirty.
    fn replace(&mut self, tables: Vec<Table>, default: Schedule) {
        let mut known = std::mem::take(&mut self.entries);
        for table in tables {
            let id = table.id;
            let entry = match known.remove(&id) {
                Some(entry) if entry.is_valid_for(&table) => Entry { table, ..entry },
                Some(entry) => {
                    Entry { table, retry: None, failures: 0, dirty: entry.dirty.or(Some(self.now)), ..entry }
                }
                None => Entry::new(table, self.now),
            };
            self.entries.insert(id, entry);
        }
        self.default = Some(default);
        self.link();
    }

    /// Follows the edges: the ancestors of each table, the sources of all of them, its schedules, and what shares its moment.
    fn link(&mut self) {
        let Some(default) = &self.default else { return };
        self.graph = Dag::default();
        for (id, entry) in &self.entries {
            let known = entry.table.upstream.iter().copied().filter(|up| self.entries.contains_key(up));
            let known: Vec<i32> = known.collect();
            // A circle is the refresh's error to report.
            if self.graph.put(id, &known).is_err() {
                _ = self.graph.put(id, &[]);
            }
        }
        let own = self.entries.iter().map(|(id, entry)| (*id, &entry.table.schedule)).collect();
        let mut schedules = target::schedules(&self.graph, &own, default);
        let moving = self.entries.iter().map(|(id, entry)| (*id, entry.table.moving())).collect();
        self.moments = Moments::new(&self.graph, &moving, default);
        // It is the same for all tables of one moment.
        let mut companies: BTreeMap<usize, Rc<BTreeSet<i32>>> = BTreeMap::new();
        for id in self.entries.keys().copied().collect::<Vec<_>>() {
            let mut ancestors = self.graph.upstream(&[id].into());
            let with_itself = || ancestors.iter().filter_map(|id| self.entries.get(id));
            let reads = with_itself().flat_map(|entry| entry.table.sources.iter().copied()).collect();
            let temporal = with_itself().any(|entry| entry.table.temporal);
            let closed = || Rc::new(self.moments.closed(&self.graph, &[id].into()));
            let company = match self.moments.place(id) {
                Some(place) => Rc::clone(companies.entry(place).or_insert_with(closed)),
                None => closed(),
            };
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            ancestors.remove(&id);
            entry.polled = (temporal || entry.table.polls).then(|| entry.polled.unwrap_or(self.now));
            entry.schedules = schedules.remove(&id).unwrap_or_default();
            (entry.ancestors, entry.company, entry.reads) = (ancestors, company, reads);
        }
    }

    fn decide(&mut self, zone: &dyn Zone) -> Actions {
        let starts: BTreeMap<i32, Micros> =
            self.entries.iter().filter_map(|(id, entry)| Some((*id, self.start(entry, zone)?))).collect();
        let mut due: BTreeSet<i32> = BTreeSet::new();
        if starts.values().any(|start| *start <= self.now) {
            for (id, start) in &starts {
                let entry = self.entries.get(id).filter(|entry| *start <= self.now + entry.gather());
                // What is due with another has its company with it.
                if let Some(entry) = entry.filter(|_| !due.contains(id)) {
                    due.extend(entry.company.iter());
                }
            }
        }
        let wake = starts.iter().filter(|(id, _)| !due.contains(id)).map(|(_, start)| *start).min();
        let missed = std::mem::take(&mut self.missed);
        let groups = self.moments.groups(&self.graph, &due).into_iter().map(|group| self.group(group, &starts));
        let (placed, queued) = self.place(groups.collect());
        self.queued = queued;
        Actions { wake, missed, ..placed }
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

    /// How many of the ticks under way are slow: by their expected cost, or by now.
    fn slow(&self) -> usize {
        let slow = |entry: &Entry| {
            let attempt = entry.running?;
            (entry.cost() > SLOW || self.now - attempt.began > SLOW).then_some(attempt.tick)
        };
        self.entries.values().filter_map(slow).collect::<BTreeSet<u64>>().len()
    }

    /// Divides the groups between the scheduler and the free workers; and how many wait for one.
    fn place(&self, mut groups: Vec<Group>) -> (Actions, usize) {
        let Workers { free, busy } = self.workers;
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
        let (mut pooled, mut queued) = (vec![], 0);
        let mut slow = self.slow();
        // A single worker takes slow groups, too.
        let most_slow = (free + busy).saturating_sub(1).max(1);
        while pooled.len() < free {
            let Some(first) = large.next() else { break };
            let Group { mut ids, mut cost, .. } = first;
            if cost > SLOW && slow >= most_slow {
                (waiting, queued) = (true, queued + 1);
                continue;
            }
            slow += usize::from(cost > SLOW);
            while let Some(next) = large.next_if(|next| cost.saturating_add(next.cost) <= SMALL) {
                ids.extend(next.ids);
                cost += next.cost;
            }
            pooled.push(ids);
        }
        queued += large.count();
        waiting |= queued > 0;
        let tick = self.ordered(groups.into_iter().flat_map(|group| group.ids).collect());
        (Actions { tick, pooled, waiting, ..Actions::default() }, queued)
    }

    /// When a tick with this table should start; `None` where it has no reason, or cannot.
    fn start(&self, entry: &Entry, zone: &dyn Zone) -> Option<Micros> {
        let entries = |ids: &BTreeSet<i32>| ids.iter().filter_map(|id| self.entries.get(id)).collect::<Vec<&Entry>>();
        let needed = || {
            let all = entries(&entry.company).into_iter();
            all.filter(|it| !it.is_settled()).map(|it| it.took).sum()
        };
        let wanted = match (entry.table.populated, entry.due(needed, zone), entry.next_poll(zone)) {
            _ if entry.requested => Some(self.now),
            (false, _, _) => Some(self.now),
            (true, Some(due), Some(tick)) => Some(due.min(tick)),
            (true, due, tick) => due.or(tick),
        }?;
        let all = [entries(&entry.company), entries(&entry.ancestors)].concat();
        let blocked = all.iter().any(|it| !it.table.active || it.running.is_some());
        let pauses = all.iter().filter_map(|it| it.retry);
        let idle_until = entry.idle_until().filter(|_| !entry.requested);
        let start = pauses.chain(idle_until).fold(wanted, Micros::max);
        (!blocked).then_some(start)
    }
}
