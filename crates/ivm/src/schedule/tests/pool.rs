//! Who does what: the scheduler, the workers of the pool; and promises that were not kept.

use super::*;

/// Tables over sources of their own that are known to take so long, and changes of all of them at time S.
fn workers_with(takes: &[Micros], workers: Workers) -> (State, Vec<Event>) {
    let list: Vec<Table> = takes
        .iter()
        .zip(1..)
        .map(|(took, id)| Table { took: Some(*took), ..table(id, "0s", &[10 + id], &[]) })
        .collect();
    let mut state = settled(&list);
    state.step(0, vec![Event::Workers(workers)], &());
    (state, (1..=takes.len() as i32).map(|id| changed(S, 10 + id)).collect())
}

#[test]
fn the_large_goes_to_the_pool_and_the_small_is_done_at_once() {
    let takes = [300 * MS, 2 * MS, 3 * MS, 40 * MS];
    let (mut state, changes) = workers_with(&takes, Workers { free: 1, busy: 0 });
    let first = state.step(S, changes, &());
    assert_eq!((first.tick, first.pooled), (vec![2, 3], vec![vec![1]]));
    // The other large one waits for the worker, and no earlier wake-up is planned for it.
    let mut events = vec![Event::Workers(Workers { free: 0, busy: 1 }), Event::Started { at: S, ids: vec![1] }];
    events.extend(done(S, &[2, 3], Refreshed));
    let waiting = Actions { waiting: true, ..Actions::default() };
    assert_eq!(state.step(S, events, &()), waiting);
    // Meanwhile small ones do not wait.
    assert_eq!(state.step(S + 1, vec![changed(S + 1, 12)], &()), Actions { tick: vec![2], ..waiting });
    let end = vec![finished(2 * S, 1, Refreshed, S), Event::Workers(Workers { free: 1, busy: 0 })];
    let next = state.step(2 * S, [done(S + 1, &[2], Refreshed), end].concat(), &());
    assert_eq!((next.tick, next.pooled), (vec![], vec![vec![4]]));
}

#[test]
fn without_a_pool_the_scheduler_does_everything() {
    let (mut state, changes) = workers_with(&[300 * MS, 2 * MS, 40 * MS], Workers::default());
    assert_eq!(state.step(S, changes, &()), Actions { waiting: true, ..actions(&[1, 2, 3], None) });
}

#[test]
fn a_worker_takes_several_small_groups_and_one_large_one() {
    let takes = [4 * MS; 9];
    let (mut state, changes) = workers_with(&takes, Workers { free: 4, busy: 0 });
    let first = state.step(S, changes, &());
    assert_eq!((first.tick, first.pooled), (vec![1, 2], vec![vec![3, 4], vec![5, 6], vec![7, 8], vec![9]]));
}

#[test]
fn connected_tables_form_a_group() {
    let slow =
        |id, sources: &[i32], upstream: &[i32]| Table { took: Some(50 * MS), ..table(id, "0s", sources, upstream) };
    let list =
        [slow(1, &[10], &[]), slow(2, &[10], &[]), slow(3, &[], &[1]), slow(4, &[10], &[2, 3]), slow(5, &[10], &[])];
    let mut state = settled(&list);
    let workers = Event::Workers(Workers { free: 4, busy: 0 });
    assert_eq!(state.step(S, vec![workers, changed(S, 10)], &()).pooled, [vec![1, 2, 3, 4], vec![5]]);
}

#[test]
fn unfilled_tables_are_filled_by_the_pool() {
    let mut state = settled(&[table(1, "0s", &[10], &[])]);
    let empty = Table { populated: false, ..table(2, "1h", &[10], &[]) };
    let workers = Event::Workers(Workers { free: 1, busy: 0 });
    let both = tables(&[table(1, "0s", &[10], &[]), empty]);
    let first = state.step(S, vec![workers, both, changed(S, 10)], &());
    assert_eq!((first.tick, first.pooled), (vec![1], vec![vec![2]]));
}

#[test]
fn a_broken_promise_is_told_once() {
    let mut state = settled(&[table(1, "1s", &[10], &[]), table(2, "0s", &[11], &[])]);
    let tick = |id: i32, at: Micros| [Event::Started { at, ids: vec![id] }, finished(at, id, Refreshed, 0)];
    let late = |state: &mut State, source: i32, events: [Event; 2], at: Micros| {
        state.step(at, [vec![changed(S, source)], events.to_vec()].concat(), &()).missed
    };
    assert_eq!(late(&mut state, 10, tick(1, S + 1090 * MS), S + 1090 * MS), [0; 0]);
    assert_eq!(late(&mut state, 10, tick(1, S + 1200 * MS), S + 1200 * MS), [1]);
    assert_eq!(state.step(3 * S, vec![], &()).missed, [0; 0]);
    assert_eq!(late(&mut state, 11, tick(2, S + 900 * MS), 3 * S), [0; 0]);
    assert_eq!(late(&mut state, 11, tick(2, S + 1100 * MS), 3 * S), [2]);
}

#[test]
fn the_slow_leave_a_place_of_the_pool() {
    let takes = [5 * S, 5 * S, 5 * S, 5 * S, 20 * MS];
    let (mut state, changes) = workers_with(&takes, Workers { free: 4, busy: 0 });
    let first = state.step(S, changes, &());
    assert_eq!(first.pooled, vec![vec![1], vec![2], vec![3], vec![5]]);
    assert!(first.waiting);
    let started = |at, id: i32| Event::Started { at, ids: vec![id] };
    let mut events: Vec<Event> = [1, 2, 3, 5].map(|id| started(S, id)).to_vec();
    events.push(Event::Workers(Workers { free: 0, busy: 4 }));
    state.step(S, events, &());
    // The place that is free again is not for a slow one, and is for what comes.
    let quick = vec![finished(S + 20 * MS, 5, Refreshed, 20 * MS), Event::Workers(Workers { free: 1, busy: 3 })];
    assert_eq!(state.step(S + 20 * MS, quick, &()).pooled, Vec::<Vec<i32>>::new());
    assert_eq!(state.step(2 * S, vec![changed(2 * S, 15)], &()).pooled, vec![vec![5]]);
    let end = vec![finished(6 * S, 1, Refreshed, 5 * S), Event::Workers(Workers { free: 2, busy: 2 })];
    assert_eq!(state.step(6 * S, end, &()).pooled[0], vec![4]);
}

#[test]
fn runaway_refreshes_count_as_slow() {
    let takes = [20 * MS; 5];
    let (mut state, changes) = workers_with(&takes, Workers { free: 3, busy: 0 });
    assert_eq!(state.step(S, changes[..2].to_vec(), &()).pooled, vec![vec![1], vec![2]]);
    let running = vec![
        Event::Started { at: S, ids: vec![1] },
        Event::Started { at: S, ids: vec![2] },
        Event::Workers(Workers { free: 1, busy: 2 }),
    ];
    state.step(S, running, &());
    let empty = Table { populated: false, ..table(9, "1h", &[19], &[]) };
    let list: Vec<Table> = takes
        .iter()
        .zip(1..)
        .map(|(took, id)| Table { took: Some(*took), ..table(id, "0s", &[10 + id], &[]) })
        .collect();
    let all = tables(&[list, vec![empty]].concat());
    // Two of three went on for long: a fill, which may take any time, waits; what is quick does not.
    let later = state.step(9 * S, vec![all, changed(9 * S, 13)], &());
    assert_eq!((later.pooled, later.waiting), (vec![vec![3]], true));
}

#[test]
fn a_pool_of_one_keeps_no_place_free() {
    let (mut state, changes) = workers_with(&[5 * S, 5 * S], Workers { free: 1, busy: 0 });
    assert_eq!(state.step(S, changes, &()).pooled, vec![vec![1]]);
}
