//! The square commutes: `state ⊎ eval(Δ program) = eval(plan after)`, for every node, over rounds of changes.
//!
//! Plans, tables and changes are read from a tape of random numbers, so a failure shrinks to a short one.
//! Tables have many NULLs and duplicates; deltas have rows that cancel, and masks name inputs that did
//! not change.

mod beside;
mod bounds;
mod catalog;
mod plans;
mod queries;
mod recursive;
mod tape;
mod temporal;
mod windows;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use ivm::delta::PlanStep;
use ivm::expr::Expr;
use plans::{Generator, Shape};
use tape::Tape;
use world::World;

/// Compiles one plan of this shape and maintains it over several rounds. A recursion that does not end is no case:
/// another plan is drawn, and the test fails if that happens too often.
fn maintain(choices: &[u32], shape: Shape) -> Result<(), TestCaseError> {
    let mut tape = Tape::new(choices);
    let plan = Generator::new(&mut tape).plan(shape);
    let mut rounds = 0;
    if let Some(mut world) = World::new(plan, &mut tape).map_err(TestCaseError::fail)? {
        while rounds < 3 && world.round(&mut tape).map_err(TestCaseError::fail)? {
            rounds += 1;
        }
    }
    if rounds > 0 { Ok(()) } else { Err(TestCaseError::reject("the recursion does not end")) }
}

macro_rules! laws {
    ($($name:ident: $shape:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(choices in prop::collection::vec(any::<u32>(), 0..400)) {
                    maintain(&choices, $shape)?;
                }
            )*
        }
    };
}

laws! {
    law_scan: Shape::Scan;
    law_filter: Shape::Filter;
    law_project: Shape::Project;
    law_inner_join: Shape::Join(2);
    law_inner_join_of_many: Shape::Join(4);
    law_outer_join: Shape::Outer;
    law_semi_join: Shape::Semi;
    law_temporal: Shape::Temporal;
    law_moving_bounds: Shape::Bounds;
    law_union_all: Shape::Union;
    law_aggregate: Shape::Aggregate;
    law_extrema: Shape::Extrema;
    law_distinct: Shape::Distinct;
    law_window: Shape::Window;
    law_top_k: Shape::TopK;
    law_head: Shape::Head;
    law_running: Shape::Running;
    law_expand: Shape::Expand;
    law_unnest: Shape::Unnest;
    law_recursive: Shape::Fixpoint;
    law_intersect_except: Shape::SetOperation;
    law_grouping_sets: Shape::GroupingSets;
    law_edge_cases: Shape::EdgeCase;
    law_any_plan: Shape::Any(3);
}

/// Transactions that do not see each other, over plans of all shapes.
#[test]
fn law_beside() {
    let shapes = [
        Shape::Filter,
        Shape::Project,
        Shape::Join(2),
        Shape::Join(3),
        Shape::Outer,
        Shape::Semi,
        Shape::Union,
        Shape::Aggregate,
        Shape::Extrema,
        Shape::Distinct,
        Shape::Window,
        Shape::Running,
        Shape::Head,
        Shape::Unnest,
        Shape::SetOperation,
        Shape::Any(3),
    ];
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = prop::collection::vec(any::<u32>(), 300);
    let mut checked = 0;
    for shape in shapes.into_iter().cycle().take(1500) {
        let choices = strategy.new_tree(&mut runner).unwrap().current();
        let mut tape = Tape::new(&choices);
        let plan = Generator::new(&mut tape).plan(shape);
        if let Ok(Some(mut world)) = World::new(plan, &mut tape) {
            checked += world.check_beside(&mut tape).unwrap_or_else(|fault| panic!("{fault}"));
        }
    }
    println!("{checked} checked");
    assert!(checked > 100, "only {checked} had writers beside each other");
}

/// The laws detect faults: a join without its third term.
#[test]
fn dropped_join_term_is_detected() {
    assert_detected(Shape::Join(2), |step| world::drop_last_term(&mut step.query));
}

/// A recursion that deletes rows that may have lost a derivation, and rederives none.
#[test]
fn missing_rederivation_is_detected() {
    assert_detected(Shape::Fixpoint, |step| empty("rederived", step));
}

/// A temporal filter that inserts every row that crosses.
#[test]
fn missing_temporal_deletion_is_detected() {
    assert_detected(Shape::Temporal, |step| world::forget_deletions(&mut step.query));
}

/// Moving bounds without rows that cross, and a row without another that meets none.
#[test]
fn missing_crossed_rows_are_detected() {
    assert_detected(Shape::Bounds, |step| empty("crossed", step));
    assert_detected(Shape::Bounds, |step| empty("met", step));
}

/// First rows of partitions, and the values before a change, that are not found.
#[test]
fn missing_beginnings_are_detected() {
    assert_detected(Shape::Head, |step| world::forget_found(&mut step.query));
    assert_detected(Shape::Running, |step| world::forget_found(&mut step.query));
    assert_detected(Shape::Running, |step| {
        if step.name.as_str().starts_with("stretch") {
            world::forget_found(&mut step.query);
        }
    });
}

/// Empties the steps of this name.
fn empty(name: &str, step: &mut PlanStep) {
    if step.name.as_str().starts_with(name) {
        step.query = step.query.clone().filter(Expr::bool(false));
    }
}

fn assert_detected(shape: Shape, fault: fn(&mut PlanStep)) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(any::<u32>(), 200);
    let (mut cases, mut failures) = (0, 0);
    for _ in 0..200 {
        let choices = strategy.new_tree(&mut runner).unwrap().current();
        let mut tape = Tape::new(&choices);
        let plan = Generator::new(&mut tape).plan(shape);
        let Ok(Some(mut world)) = World::new(plan, &mut tape) else { continue };
        world.fault = Some(fault);
        cases += 1;
        failures += usize::from((0..3).any(|_| world.round(&mut tape).is_err()));
    }
    assert!(failures * 50 > cases, "{failures} of {cases} detected");
}
