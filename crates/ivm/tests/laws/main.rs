//! The square commutes: `state ⊎ eval(Δ program) = eval(plan after)`, for every node, over rounds of changes.
//!
//! Plans, tables and changes are read off a tape of random numbers, so a failure shrinks to a short one.
//! Tables are full of NULLs and duplicates; deltas hold rows that cancel, and masks name inputs that did
//! not change.

mod catalog;
mod plans;
mod queries;
mod recursive;
mod tape;
mod temporal;
mod threshold;
mod windows;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use ivm::delta::PlanStep;
use ivm::expr::Expr;
use plans::{Generator, Shape};
use tape::Tape;
use world::World;

/// Compiles one plan of this shape and follows it over several rounds. A plan that could not be followed at all is no
/// case: another one is drawn, and the test fails if that happens too often.
fn follow(choices: &[u32], shape: Shape) -> Result<(), TestCaseError> {
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
                    follow(&choices, $shape)?;
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
    law_threshold: Shape::Threshold;
    law_union_all: Shape::Union;
    law_aggregate: Shape::Aggregate;
    law_distinct: Shape::Distinct;
    law_window: Shape::Window;
    law_top_k: Shape::TopK;
    law_expand: Shape::Expand;
    law_unnest: Shape::Unnest;
    law_recursive: Shape::Fixpoint;
    law_intersect_except: Shape::SetOperation;
    law_grouping_sets: Shape::GroupingSets;
    law_meanings: Shape::Meaning;
    law_any_plan: Shape::Any(3);
}

/// A check that cannot fail proves nothing: a join without its third term is found out.
#[test]
fn a_dropped_term_is_found_out() {
    is_found_out(Shape::Join(2), |step| world::drop_last_term(&mut step.plan));
}

/// So is a recursion that takes away what may have lost its derivations, and looks for no others.
#[test]
fn a_recursion_that_derives_nothing_again_is_found_out() {
    is_found_out(Shape::Fixpoint, |step| forget("rederived", step));
}

/// So is a filter whose rows cross in one direction only.
#[test]
fn rows_that_never_leave_are_found_out() {
    is_found_out(Shape::Temporal, |step| world::forget_leaving(&mut step.plan));
}

/// So are bounds that move and take no row across, and a row that comes or goes alone and takes none along.
#[test]
fn a_threshold_that_nothing_crosses_is_found_out() {
    is_found_out(Shape::Threshold, |step| forget("crossed", step));
    is_found_out(Shape::Threshold, |step| forget("met", step));
}

/// Empties the steps of this name.
fn forget(name: &str, step: &mut PlanStep) {
    if step.name.as_str().starts_with(name) {
        step.plan = step.plan.clone().filter(Expr::bool(false));
    }
}

fn is_found_out(shape: Shape, broken: fn(&mut PlanStep)) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(any::<u32>(), 200);
    let (mut cases, mut failures) = (0, 0);
    for _ in 0..200 {
        let choices = strategy.new_tree(&mut runner).unwrap().current();
        let mut tape = Tape::new(&choices);
        let plan = Generator::new(&mut tape).plan(shape);
        let Ok(Some(mut world)) = World::new(plan, &mut tape) else { continue };
        world.broken = Some(broken);
        cases += 1;
        failures += usize::from((0..3).any(|_| world.round(&mut tape).is_err()));
    }
    assert!(failures * 50 > cases, "{failures} of {cases} found out");
}
