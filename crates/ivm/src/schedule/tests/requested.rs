//! A session that waits for a table has it refreshed at once.

use super::*;

const HOUR: Micros = 3600 * S;

fn requested(ids: &[i32]) -> Event {
    Event::Requested { ids: ids.to_vec() }
}

#[test]
fn a_requested_table_is_due_with_what_it_reads() {
    let mut state = settled(&[table(1, "1h", &[10], &[]), table(2, "1h", &[11], &[1]), table(3, "1h", &[10], &[])]);
    let actions = state.step(S, vec![changed(S, 10)], &());
    assert_eq!((actions.tick, actions.wake), (vec![], Some(S + HOUR - 50 * MS)));
    let actions = state.step(2 * S, vec![requested(&[2])], &());
    assert!(actions.tick.starts_with(&[1]) && actions.tick.contains(&2), "{actions:?}");
}

#[test]
fn a_request_is_ignored_where_nothing_has_changed() {
    let mut state = settled(&[table(1, "1h", &[10], &[]), table(2, "1h", &[11], &[])]);
    assert_eq!(state.step(S, vec![requested(&[1, 77])], &()), Actions::default());
    // It was not kept for the next change.
    assert_eq!(state.step(2 * S, vec![changed(2 * S, 10)], &()).tick, []);
    // The request of one table is none of another.
    assert_eq!(state.step(3 * S, vec![requested(&[2])], &()).tick, []);
}

/// A change that arrives during a tick would rest after it.
#[test]
fn a_requested_table_does_not_rest() {
    for waits in [false, true] {
        let mut state = settled(&[table(1, "0s", &[10], &[])]);
        assert_eq!(state.step(S, vec![changed(S, 10)], &()).tick, [1]);
        let started = Event::Started { at: S, ids: vec![1] };
        let mut events = vec![started, changed(S + MS, 10), finished(S + 10 * MS, 1, Refreshed, 10 * MS)];
        events.extend(waits.then(|| requested(&[1])));
        assert_eq!(state.step(S + 10 * MS, events, &()).tick, if waits { vec![1] } else { vec![] });
    }
}

/// A request made while a tick runs that does not see the change counts after it; a failure takes its pause.
#[test]
fn a_request_does_not_shorten_the_pause_after_a_failure() {
    let mut state = settled(&[table(1, "1h", &[10], &[])]);
    assert_eq!(state.step(S, vec![changed(S, 10), requested(&[1])], &()).tick, [1]);
    let failed = vec![Event::Started { at: S, ids: vec![1] }, finished(S, 1, Postponed, 0), requested(&[1])];
    let actions = state.step(S, failed, &());
    assert_eq!((actions.tick, actions.wake), (vec![], Some(S + 100 * MS)));
    assert_eq!(state.step(S + 100 * MS, vec![], &()).tick, [1]);
}

#[test]
fn a_paused_table_stays_paused() {
    let paused = Table { active: false, ..table(1, "1h", &[10], &[]) };
    let mut state = State::default();
    state.step(0, vec![tables(&[paused])], &());
    assert_eq!(state.step(S, vec![changed(S, 10), requested(&[1])], &()), Actions::default());
}
