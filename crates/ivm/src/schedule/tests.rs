//! Schedules as text, single decisions, and a simulated executor over random graphs, changes and durations.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Outcome::{Failed, Postponed, Refreshed, Skipped, Suspended, Unchanged};
use super::*;

mod moments;
mod outdated;
mod pool;
mod requested;

/// What a tick rests at most.
const REST: Micros = 100 * MILLISECOND;

const S: Micros = SECOND;
const MS: Micros = MILLISECOND;

fn table(id: i32, schedule: &str, sources: &[i32], upstream: &[i32]) -> Table {
    Table {
        id,
        schedule: Schedule::parse(schedule).unwrap(),
        active: true,
        populated: true,
        errors: 0,
        sources: sources.to_vec(),
        upstream: upstream.to_vec(),
        temporal: false,
        polls: false,
        group: None,
        took: None,
        outdated_since: None,
    }
}

fn tables(tables: &[Table]) -> Event {
    Event::Tables { tables: tables.to_vec(), default: Schedule::Every(S) }
}

fn changed(since: Micros, source: i32) -> Event {
    Event::Changed { since, sources: vec![source] }
}

fn done(at: Micros, ids: &[i32], outcome: Outcome) -> Vec<Event> {
    let started = Event::Started { at, ids: ids.to_vec() };
    std::iter::once(started).chain(ids.iter().map(|id| finished(at, *id, outcome, 0))).collect()
}

fn finished(at: Micros, id: i32, outcome: Outcome, took: Micros) -> Event {
    Event::Finished { at, id, outcome, took, seen: 0 }
}

/// A scheduler that knows these tables and has looked at all of them once, at time 0.
fn settled(list: &[Table]) -> State {
    let mut state = State::default();
    state.step(0, vec![tables(list)], &());
    let ids: Vec<i32> = list.iter().map(|table| table.id).collect();
    let actions = state.step(0, done(0, &ids, Unchanged), &());
    assert_eq!(actions, Actions::default());
    state
}

fn actions(tick: &[i32], wake: impl Into<Option<Micros>>) -> Actions {
    Actions { tick: tick.to_vec(), wake: wake.into(), ..Actions::default() }
}

#[test]
fn durations() {
    let every = |text: &str| match Schedule::parse(text) {
        Ok(Schedule::Every(span)) => span,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(every("0s"), 0);
    assert_eq!(every(" 500ms "), 500 * MS);
    assert_eq!(every("1s500ms"), 1500 * MS);
    assert_eq!(every("1h30m"), 5400 * S);
    assert_eq!(every("2D"), 172_800 * S);
    assert_eq!(every("1w2d"), 9 * 86_400 * S);
    assert_eq!(Schedule::parse("Calculated"), Ok(Schedule::Calculated));
    assert!(matches!(Schedule::parse("*/5 * * * *"), Ok(Schedule::Cron(_))));
}

#[test]
fn refused_schedules_say_why() {
    let reason = |text: &str| match Schedule::parse(text) {
        Err(Error::Schedule { reason, .. }) => reason,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(reason(""), "it is empty");
    assert_eq!(reason("5"), "5 has no unit");
    assert_eq!(reason("s"), "there is no number before \"s\"");
    assert_eq!(reason("-1s"), "there is no number before \"-1s\"");
    assert_eq!(reason("1m1h"), "larger units come first, each once");
    assert_eq!(reason("1s1s"), "larger units come first, each once");
    assert_eq!(reason("1µs"), "\"µs\" is not one of the units w, d, h, m, s, ms");
    assert_eq!(reason("1234567890s"), "1234567890 is too large");
    assert_eq!(reason("999999999w"), "it is too long");
    assert_eq!(reason("0 0 31 2 *"), "no time matches it");
    assert!(Schedule::parse_default("calculated").is_err());
}

#[test]
fn nothing_dirty_means_no_next_time() {
    let mut state = settled(&[table(1, "1s", &[10], &[]), table(2, "@hourly", &[10], &[])]);
    assert_eq!(state.step(3600 * S, vec![changed(3600 * S, 11)], &()), Actions::default());
}

#[test]
fn a_change_is_visible_in_time_and_zero_means_at_once() {
    let mut state = settled(&[table(1, "1s", &[10], &[]), table(2, "0s", &[11], &[])]);
    assert_eq!(state.step(5 * S, vec![changed(5 * S, 10)], &()), actions(&[], 6 * S - 50 * MS));
    assert_eq!(state.step(5 * S + 1, vec![changed(5 * S + 1, 11)], &()), actions(&[2], 6 * S - 50 * MS));
    state.step(5 * S + 1, done(5 * S + 1, &[2], Refreshed), &());
    assert_eq!(state.step(6 * S - 50 * MS, vec![], &()), actions(&[1], None));
}

#[test]
fn a_slow_refresh_starts_earlier() {
    let mut state = settled(&[table(1, "1s", &[10], &[])]);
    state.step(S, vec![changed(S, 10), Event::Started { at: S, ids: vec![1] }], &());
    let end = finished(S + 400 * MS, 1, Refreshed, 400 * MS);
    assert_eq!(state.step(S + 400 * MS, vec![end], &()), Actions::default());
    assert_eq!(state.step(9 * S, vec![changed(9 * S, 10)], &()).wake, Some(10 * S - 400 * MS));
}

#[test]
fn a_change_during_a_tick_is_not_lost() {
    let mut state = settled(&[table(1, "0s", &[10], &[])]);
    assert_eq!(state.step(S, vec![changed(S, 10)], &()).tick, [1]);
    let events = vec![Event::Started { at: S, ids: vec![1] }, finished(2 * S, 1, Refreshed, S), changed(S, 10)];
    assert_eq!(state.step(2 * S, events, &()), actions(&[], 2 * S + REST));
    assert_eq!(state.step(2 * S + REST, vec![], &()).tick, [1]);
    let mut running = settled(&[table(1, "0s", &[10], &[])]);
    running.step(S, vec![changed(S, 10), Event::Started { at: S, ids: vec![1] }], &());
    assert_eq!(running.step(S + 1, vec![changed(S + 1, 10)], &()), Actions::default());
    let end = finished(2 * S, 1, Refreshed, S);
    assert_eq!(running.step(2 * S, vec![end], &()), actions(&[], 2 * S + REST));
}

/// Under a load that never ends ticks take a fifth of a processor; a change while nothing runs never waits.
#[test]
fn a_tick_rests_only_if_changes_came_in_meanwhile() {
    let mut state = settled(&[table(1, "0s", &[10], &[]), table(2, "0s", &[11], &[])]);
    let tick = |at| vec![Event::Started { at, ids: vec![1] }, finished(at + MS, 1, Refreshed, MS)];
    assert_eq!(state.step(S, vec![changed(S, 10)], &()).tick, [1]);
    assert_eq!(state.step(S + MS, tick(S), &()), actions(&[], None));
    assert_eq!(state.step(S + MS, vec![changed(S + MS, 10)], &()), actions(&[1], None), "no tick was running");
    let loaded = tick(S + MS).into_iter().chain([changed(S + MS, 10)]).collect();
    assert_eq!(state.step(S + 2 * MS, loaded, &()), actions(&[], S + 6 * MS));
    assert_eq!(state.step(S + 3 * MS, vec![changed(S + 3 * MS, 11)], &()), actions(&[2], S + 6 * MS), "not its rest");
    assert_eq!(state.step(S + 6 * MS, vec![], &()).tick, [1, 2]);
}

/// Time is a change to tables with temporal filters and their consumers, and to no other table.
#[test]
fn time_is_due_by_the_schedule_of_temporal_tables() {
    let temporal = |id, schedule| Table { temporal: true, ..table(id, schedule, &[10], &[]) };
    let list = [temporal(1, "0s"), temporal(2, "5s"), table(3, "2s", &[], &[2]), table(4, "0s", &[10], &[])];
    let mut state = State::default();
    state.step(0, vec![tables(&list)], &());
    assert_eq!(state.step(0, done(0, &[1, 2, 3, 4], Unchanged), &()), actions(&[], S));
    assert_eq!(state.step(S, vec![], &()), actions(&[1], 2 * S));
    // A tick that ended late is followed by a pause.
    let events = vec![Event::Started { at: S, ids: vec![1] }, finished(S + 900 * MS, 1, Refreshed, 900 * MS)];
    assert_eq!(state.step(S + 900 * MS, events, &()), actions(&[], 2 * S));
    assert_eq!(state.step(2 * S, vec![], &()), actions(&[2, 3], 2 * S + 900 * MS));
    // A change does not wait for that.
    assert_eq!(state.step(2 * S, vec![changed(2 * S, 10)], &()).tick, [1, 2, 4, 3]);
}

/// A table that polls is due by its own schedule. A consumer does not make it poll, and is due when it found a change.
#[test]
fn polling_is_nobody_elses_business() {
    let copy = Table { polls: true, ..table(1, "5s", &[], &[]) };
    let list = [copy, table(2, "0s", &[10, 11], &[1])];
    let mut state = State::default();
    state.step(0, vec![tables(&list)], &());
    assert_eq!(state.step(0, done(0, &[1, 2], Unchanged), &()), actions(&[], 5 * S));
    assert_eq!(state.step(S, vec![changed(S, 11)], &()), actions(&[2], 5 * S));
    state.step(S, done(S, &[2], Refreshed), &());
    assert_eq!(state.step(5 * S, vec![], &()).tick, [1]);
    assert_eq!(state.step(5 * S, done(5 * S, &[1], Refreshed), &()), actions(&[], 10 * S));
    assert_eq!(state.step(5 * S, vec![changed(5 * S, 10)], &()), actions(&[2], 10 * S));
}

#[test]
fn a_due_table_is_refreshed_with_its_upstream() {
    let mut state = settled(&[
        table(4, "1s", &[10], &[]),
        table(3, "1h", &[11, 10], &[4]),
        table(2, "0s", &[12], &[3]),
        table(1, "1h", &[10], &[]),
    ]);
    assert_eq!(state.step(S, vec![changed(S, 10)], &()).tick, [4, 3, 2]);
}

#[test]
fn calculated_is_the_tightest_consumer_or_the_default() {
    let mut state = settled(&[
        table(1, "calculated", &[10], &[]),
        table(2, "calculated", &[11], &[1]),
        table(3, "1h", &[11], &[2]),
        table(4, "5s", &[11], &[2]),
        table(5, "calculated", &[13], &[]),
    ]);
    assert_eq!(state.step(9 * S, vec![changed(9 * S, 10)], &()), actions(&[], 14 * S - 50 * MS));
    assert_eq!(state.step(14 * S, vec![], &()).tick, [1, 2, 4]);
    let mut state = settled(&[table(5, "calculated", &[13], &[])]);
    assert_eq!(state.step(9 * S, vec![changed(9 * S, 13)], &()).wake, Some(10 * S - 50 * MS));
}

#[test]
fn cron_fires_at_its_times_if_something_changed() {
    let mut state = settled(&[table(1, "*/5 * * * *", &[10], &[])]);
    assert_eq!(state.step(299 * S, vec![changed(299 * S, 10)], &()), actions(&[], 300 * S));
    assert_eq!(state.step(300 * S, vec![], &()).tick, [1]);
    assert_eq!(state.step(301 * S, done(300 * S, &[1], Refreshed), &()), Actions::default());
}

#[test]
fn failures_pause_longer_and_longer() {
    let mut state = settled(&[table(1, "0s", &[10], &[])]);
    state.step(S, vec![changed(S, 10)], &());
    let mut at = S;
    for pause in [100 * MS, 200 * MS, 400 * MS] {
        let again = state.step(at, done(at, &[1], Postponed), &());
        assert_eq!(again, actions(&[], at + pause));
        assert_eq!(state.step(at + 1, vec![changed(at + 1, 10)], &()), actions(&[], at + pause), "no early retry");
        at += pause;
        assert_eq!(state.step(at, vec![], &()).tick, [1]);
    }
    for _ in 0..40 {
        at = state.step(at, done(at, &[1], Postponed), &()).wake.unwrap();
    }
    assert_eq!(state.step(at, done(at, &[1], Postponed), &()).wake, Some(at + 60 * S));
    let last = state.step(at, done(at, &[1], Refreshed), &());
    assert_eq!(last, Actions { missed: vec![1], ..Actions::default() });
}

#[test]
fn delayed_tables_are_retried_every_second() {
    let mut state = settled(&[table(1, "0s", &[10], &[])]);
    state.step(S, vec![changed(S, 10)], &());
    let mut at = S;
    for pause in [100 * MS, 200 * MS, 400 * MS, 800 * MS, S, S] {
        assert_eq!(state.step(at, done(at, &[1], Skipped), &()), actions(&[], at + pause));
        at += pause;
    }
    assert_eq!(state.step(at, vec![], &()).tick, [1]);
}

#[test]
fn a_failing_table_holds_up_its_consumers_and_nobody_else() {
    let list = [table(1, "0s", &[10], &[]), table(2, "0s", &[11], &[1]), table(3, "0s", &[11], &[])];
    let mut state = settled(&list);
    state.step(S, [vec![changed(S, 10)], done(S, &[1], Failed)].concat(), &());
    assert_eq!(state.step(S + 1, vec![changed(S + 1, 11)], &()), actions(&[3], 2 * S));
    state.step(S + 1, done(S + 1, &[3], Refreshed), &());
    assert_eq!(state.step(2 * S, vec![], &()).tick, [1, 2]);
    state.step(2 * S, done(2 * S, &[1], Suspended), &());
    assert_eq!(state.step(900 * S, vec![changed(900 * S, 11)], &()).tick, [3]);
    state.step(900 * S, done(900 * S, &[3], Refreshed), &());

    let held = Table { active: false, errors: 2, ..list[0].clone() };
    let rest = [held, list[1].clone(), list[2].clone()];
    assert_eq!(state.step(901 * S, vec![tables(&rest)], &()), Actions::default());
    assert_eq!(state.step(902 * S, vec![tables(&list)], &()).tick, [1, 2], "resumed");
}

#[test]
fn inactive_and_rare_tables_retain_changes() {
    let resting = Table { active: false, ..table(1, "0s", &[10], &[]) };
    let list = [resting, table(2, "0s", &[11], &[1]), table(3, "0s", &[10, 11, 12], &[])];
    let state = settled(&list);
    assert_eq!(state.retained(&[10, 11, 12, 13]), BTreeSet::from([10, 11]));
    assert_eq!(settled(&list[2..]).retained(&[10, 11]), BTreeSet::new());
    let rare = [table(4, "1h", &[13], &[]), table(5, "@daily", &[14], &[]), table(6, "9s", &[15], &[])];
    assert_eq!(settled(&rare).retained(&[13, 14, 15]), BTreeSet::from([13, 14]));
}

#[test]
fn new_tables_are_looked_at_and_known_ones_are_left_alone() {
    let mut state = settled(&[table(1, "0s", &[10], &[])]);
    let both = [table(1, "0s", &[10], &[]), table(2, "0s", &[10], &[])];
    assert_eq!(state.step(S, vec![tables(&both)], &()).tick, [2]);
    assert_eq!(state.step(S, vec![tables(&both[..1])], &()), Actions::default());
}

#[test]
fn a_clock_that_steps_back_delays_nothing() {
    let mut state = settled(&[table(1, "1s", &[10], &[])]);
    state.step(5000 * S, vec![changed(5000 * S, 10)], &());
    assert_eq!(state.step(1400 * S, vec![], &()), actions(&[], 1401 * S - 50 * MS));
}

/// What a random run is made of.
#[derive(Clone, Debug)]
struct Run {
    tables: Vec<Table>,
    /// Pause before it, source.
    changes: Vec<(Micros, i32)>,
    /// How long the ticks take, one after the other, again and again.
    takes: Vec<Micros>,
    /// How the first refreshes end; later ones do not fail.
    outcomes: Vec<Outcome>,
}

fn run() -> impl Strategy<Value = Run> {
    let schedule = prop::sample::select(vec!["0s", "200ms", "1s", "3s", "1m", "calculated"]);
    let one = (
        schedule,
        prop::collection::btree_set(1..5i32, 0..3),
        prop::collection::btree_set(1..8i32, 0..3),
        any::<bool>(),
    );
    let outcome = prop::sample::select(vec![Refreshed, Refreshed, Refreshed, Postponed, Failed]);
    let changes = prop::collection::vec((0..3 * S, 1..5i32), 1..40);
    let takes = prop::collection::vec(0..300 * MS, 1..6);
    (prop::collection::vec(one, 1..8), changes, takes, prop::collection::vec(outcome, 0..60)).prop_map(
        |(list, changes, takes, outcomes)| {
            let tables = list.into_iter().enumerate().map(|(at, (schedule, sources, upstream, populated))| {
                let id = at as i32 + 1;
                let sources: Vec<i32> = sources.into_iter().collect();
                let upstream: Vec<i32> = upstream.into_iter().filter(|up| *up < id).collect();
                Table { populated, ..table(id, schedule, &sources, &upstream) }
            });
            Run { tables: tables.collect(), changes, takes, outcomes }
        },
    )
}

/// An executor as the worker is one: look, decide, tick, look again, sleep to the next time or change.
struct Simulation<'a> {
    run: &'a Run,
    failing: bool,
    state: State,
    now: Micros,
    events: Vec<Event>,
    /// Start of the tick that ran since the last look.
    busy_since: Micros,
    /// Changes that happen later, and those that a table does not show.
    coming: Vec<(Micros, i32)>,
    invisible: Vec<(i32, Micros)>,
    /// Every table is looked at once in the beginning.
    unknown: BTreeSet<i32>,
    /// How long after its target each change was visible in each table.
    delays: Vec<Micros>,
    ticks: usize,
    refreshes: usize,
}

impl Simulation<'_> {
    fn new(run: &Run, failing: bool) -> Simulation<'_> {
        let mut at = 0;
        let changes = run.changes.iter().map(|(gap, source)| {
            at += gap;
            (at, *source)
        });
        Simulation {
            run,
            failing,
            state: State::default(),
            now: 0,
            events: vec![tables(&run.tables)],
            busy_since: Micros::MAX,
            coming: changes.collect(),
            invisible: vec![],
            unknown: run.tables.iter().map(|table| table.id).collect(),
            delays: vec![],
            ticks: 0,
            refreshes: 0,
        }
    }

    /// Runs until nothing will happen any more; `None` if that never is, or if something stays invisible.
    fn complete(mut self) -> Option<Vec<Micros>> {
        for _ in 0..10_000 {
            self.look();
            let actions = self.state.step(self.now, std::mem::take(&mut self.events), &());
            self.check(&actions);
            if !actions.tick.is_empty() {
                self.tick(actions.tick);
                continue;
            }
            let next = actions.wake.into_iter().chain(self.coming.first().map(|(at, _)| *at)).min();
            match next {
                Some(next) => self.now = next,
                None => return (self.invisible.is_empty() && self.unknown.is_empty()).then_some(self.delays),
            }
        }
        None
    }

    fn look(&mut self) {
        let arrived = self.coming.partition_point(|(at, _)| *at <= self.now);
        for (at, source) in self.coming.drain(..arrived) {
            // What came during a tick is taken to have come at its start.
            self.events.push(changed(at.min(self.busy_since), source));
            let tables = &self.run.tables;
            let readers = tables.iter().filter(|table| reads(tables, table.id).contains(&source));
            self.invisible.extend(readers.map(|table| (table.id, at)));
        }
        self.busy_since = Micros::MAX;
    }

    /// Idling is free: no next time while nothing is dirty, no tick without a reason.
    fn check(&self, actions: &Actions) {
        if self.failing || self.now == 0 {
            return;
        }
        let at_rest = self.invisible.is_empty() && self.unknown.is_empty();
        assert!(!at_rest || actions.wake.is_none(), "a wake-up with nothing dirty at {}", self.now);
        let reason = |id: &i32| self.unknown.contains(id) || self.invisible.iter().any(|(waiting, _)| waiting == id);
        assert!(actions.tick.is_empty() || actions.tick.iter().any(reason), "a tick for nothing at {}", self.now);
    }

    fn tick(&mut self, ids: Vec<i32>) {
        moments::check(&self.run.tables, &ids);
        let began = self.now;
        self.events.push(Event::Started { at: began, ids: ids.clone() });
        self.busy_since = began;
        self.now += self.run.takes[self.ticks % self.run.takes.len()];
        self.ticks += 1;
        let mut broken = BTreeSet::new();
        for id in ids {
            let planned = self.run.outcomes.get(self.refreshes).filter(|_| self.failing).unwrap_or(&Refreshed);
            self.refreshes += 1;
            let upstream = ancestors(&self.run.tables, id);
            let outcome = if upstream.is_disjoint(&broken) { *planned } else { Skipped };
            self.events.push(finished(self.now, id, outcome, self.now - began));
            match outcome {
                Refreshed => self.show(id, began),
                _ => _ = broken.insert(id),
            }
        }
    }

    fn show(&mut self, id: i32, began: Micros) {
        self.unknown.remove(&id);
        let target = target(&self.run.tables, id);
        let shown = self.invisible.extract_if(.., |(waiting, at)| *waiting == id && *at <= began);
        self.delays.extend(shown.map(|(_, at)| self.now - at - target));
    }
}

fn ancestors(tables: &[Table], id: i32) -> BTreeSet<i32> {
    let table = tables.iter().find(|table| table.id == id).unwrap();
    let above = table.upstream.iter().flat_map(|up| ancestors(tables, *up));
    above.chain(table.upstream.iter().copied()).collect()
}

fn reads(tables: &[Table], id: i32) -> BTreeSet<i32> {
    let table = tables.iter().find(|table| table.id == id).unwrap();
    let above = table.upstream.iter().flat_map(|up| reads(tables, *up));
    above.chain(table.sources.iter().copied()).collect()
}

/// The tightest target of a table and, where it is calculated, of whatever reads it; written unlike the
/// implementation: from the table down to its consumers.
fn target(tables: &[Table], id: i32) -> Micros {
    let table = tables.iter().find(|table| table.id == id).unwrap();
    match table.schedule {
        Schedule::Every(target) => target,
        _ => {
            let readers = tables.iter().filter(|reader| reader.upstream.contains(&id));
            readers.map(|reader| tightest(tables, reader.id)).min().unwrap_or(S)
        }
    }
}

fn tightest(tables: &[Table], id: i32) -> Micros {
    let readers =
        tables.iter().filter(|reader| reader.upstream.contains(&id)).map(|reader| tightest(tables, reader.id));
    readers.chain([target(tables, id)]).min().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Never staler than the target plus the tick that was running, its rest, a tick of others that began in this, and the
    /// tick that brings it; and never
    /// awake or at work while nothing is dirty (asserted in the simulation).
    #[test]
    fn law_fresh(run in run()) {
        let longest = *run.takes.iter().max().unwrap();
        let late = Simulation::new(&run, false).complete();
        prop_assert!(late.is_some(), "no end");
        let worst = late.into_iter().flatten().max().unwrap_or(0);
        prop_assert!(worst <= 3 * longest + REST, "late by {worst}, ticks take up to {longest}");
    }

    /// Whatever fails in between, everything becomes visible in the end, and then there is rest.
    #[test]
    fn law_failures_heal(run in run()) {
        prop_assert!(Simulation::new(&run, true).complete().is_some());
    }
}
