//! Tables that have to be filled or recomputed when the scheduler first sees them.

use super::*;

#[test]
fn outdated_tables_are_due_by_what_they_show() {
    let outdated = |id, schedule| Table { outdated_since: Some(0), ..table(id, schedule, &[10], &[]) };
    let list = [outdated(1, "2s"), outdated(2, "20s"), outdated(3, "0 0 * * *")];
    let mut state = State::default();
    let actions = state.step(4 * S, vec![tables(&list)], &());
    assert_eq!(actions.tick, [1]);
    // The second at its target, not twenty seconds after it became known.
    let actions = state.step(4 * S, done(4 * S, &[1], Refreshed), &());
    assert!(actions.tick.is_empty() && actions.wake.is_some_and(|at| at > 4 * S && at <= 20 * S), "{actions:?}");
    assert_eq!(state.step(20 * S, vec![], &()).tick, [2]);
}

#[test]
fn unfilled_tables_are_due_at_once() {
    let mut state = State::default();
    let empty = Table { populated: false, ..table(1, "@yearly", &[10], &[]) };
    assert_eq!(state.step(S, vec![tables(&[empty])], &()).tick, [1]);
    assert_eq!(state.step(2 * S, done(S, &[1], Refreshed), &()), Actions::default());
}
