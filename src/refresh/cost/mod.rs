//! What refreshes cost, by the planner and by what they took.
//!
//! | file | |
//! |---|---|
//! | `plans` | prepared statements, each in the plans that were made for several sizes of its inputs |
//! | `keys`, `skew` | frequent values of the keys by which deltas find rows |
//! | `model` | rates, estimates and table sizes of one stream table |
//! | `estimate` | the planner's cost of applying changes and of recomputing |
//!
//! The choice between the two is `ivm::choice`; the planner is asked and informed in `pg::plan` and `pg::planner`.

pub mod estimate;
pub mod keys;
pub mod model;
pub mod plans;
pub mod skew;
