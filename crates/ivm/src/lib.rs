//! Incremental view maintenance over Z-sets: plans, delta laws, and the SQL they become.
#![forbid(unsafe_code)]

pub mod apply;
pub mod beside;
pub mod bind;
mod bounds;
pub mod canon;
pub mod catalog;
pub mod choice;
pub mod clock;
pub mod compile;
pub mod dag;
pub mod delta;
pub mod error;
pub mod explain;
pub mod expr;
mod feasible;
pub mod frontier;
pub mod identity;
pub mod keys;
pub mod lookup;
pub mod moment;
pub mod nodes;
mod operands;
pub mod plan;
pub mod recursion;
pub mod refuse;
pub mod render;
pub mod rewrite;
pub mod schedule;
pub mod sql;
pub mod target;
pub mod types;
pub mod view;
mod words;

#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, Result};
