//! Tables that show one moment are in one tick.

use super::*;

/// Connected tables of one pace are in one tick, whatever failed before.
pub fn check(tables: &[Table], tick: &[i32]) {
    for id in tick {
        let connected = connected(tables, *id);
        let mut mates = connected.into_iter().filter(|mate| tightest(tables, *mate) == tightest(tables, *id));
        assert!(mates.all(|mate| tick.contains(&mate)), "{id} without others in {tick:?} of {tables:?}");
    }
}

fn connected(tables: &[Table], id: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([id]);
    loop {
        let is_near = |table: &&Table| {
            found.contains(&table.id) && !table.upstream.iter().all(|up| found.contains(up))
                || !found.contains(&table.id) && table.upstream.iter().any(|up| found.contains(up))
        };
        let Some(near) = tables.iter().find(is_near) else { return found };
        found.extend(near.upstream.iter().chain([&near.id]));
    }
}

#[test]
fn a_sibling_without_a_change_is_in_the_tick() {
    let list = [table(1, "0s", &[10], &[]), table(2, "0s", &[11], &[1]), table(3, "0s", &[12], &[1])];
    let mut state = settled(&list);
    assert_eq!(state.step(S, vec![changed(S, 12)], &()).tick, [1, 2, 3]);
}

#[test]
fn a_group_is_due_with_its_first_and_stands_still_with_one_that_is_inactive() {
    let grouped = |id, schedule| Table { group: Some("g".to_owned()), ..table(id, schedule, &[id], &[]) };
    let list = [grouped(1, "0s"), grouped(2, "1h"), table(3, "0s", &[1], &[])];
    let mut state = settled(&list);
    assert_eq!(state.step(S, vec![changed(S, 1)], &()).tick, [1, 2, 3]);
    let paused = [list[0].clone(), Table { active: false, ..list[1].clone() }, list[2].clone()];
    assert_eq!(state.step(2 * S, vec![tables(&paused), changed(2 * S, 1)], &()).tick, [3]);
}

/// A table that fails holds those that show its moment until it is suspended.
#[test]
fn a_failure_pauses_the_others_too() {
    let list = [table(1, "0s", &[10], &[]), table(2, "0s", &[], &[1])];
    let mut state = settled(&list);
    assert_eq!(state.step(S, vec![changed(S, 10)], &()).tick, [1, 2]);
    let ended = |at, outcome| {
        vec![Event::Started { at, ids: vec![1, 2] }, finished(at, 1, Skipped, 0), finished(at, 2, outcome, 0)]
    };
    assert_eq!(state.step(S, ended(S, Failed), &()), actions(&[], 2 * S));
    assert_eq!(state.step(2 * S, vec![], &()).tick, [1, 2]);
    assert_eq!(
        state.step(2 * S, ended(2 * S, Suspended), &()),
        actions(&[], 2 * S + 200 * MS),
        "alone, after its own pause"
    );
}

/// A table whose sources only old transactions wrote shows the moment of the others as it is.
#[test]
fn tables_that_nothing_has_changed_are_known() {
    let list = [
        table(1, "0s", &[10], &[]),
        table(2, "0s", &[11], &[1]),
        table(3, "0s", &[12], &[1]),
        Table { group: Some("g".to_owned()), ..table(4, "0s", &[13], &[1]) },
    ];
    let mut state = settled(&list);
    let ids = [1, 2, 3, 4];
    let unchanged = |state: &State, newest: fn(i32) -> u64| Vec::from_iter(state.unchanged(&ids, newest));
    assert_eq!(unchanged(&state, |_| 0), [0; 0], "what they have seen is not known");
    let ended = ids.map(|id| Event::Finished { at: S, id, outcome: Unchanged, took: 0, seen: 100 });
    state.step(S, [Event::Started { at: S, ids: ids.to_vec() }].into_iter().chain(ended).collect(), &());
    assert_eq!(unchanged(&state, |_| 99), [1, 2, 3], "those of a group have one data timestamp");
    assert_eq!(unchanged(&state, |source| if source == 12 { 100 } else { 0 }), [1, 2]);
    assert_eq!(unchanged(&state, |source| if source == 10 { 100 } else { 0 }), [0; 0], "all read it");
    state.step(2 * S, vec![changed(2 * S, 11)], &());
    assert_eq!(unchanged(&state, |_| 99), [1, 3], "a change is known");
    state.step(2 * S, vec![changed(2 * S, 10)], &());
    assert_eq!(unchanged(&state, |_| 99), [0; 0]);
}
