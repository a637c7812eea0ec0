//! One tick: locks, one snapshot, deltas, apply. Everything in it is read at the same instant.
//!
//! **Invariant:** source deltas, base tables and node tables are read under one snapshot S plus the
//! transaction's own writes, and S becomes the new frontier. The laws of `ivm::delta` hold for nothing else.

mod build;
mod guarded;
mod loaded;
mod program;
mod table;
mod tick;

pub use build::{build, dismantle, rebuild};
pub use guarded::guard_trigger;
pub use loaded::{Ready, load};
pub use program::explain_programs;
pub use tick::{Outcome, behind, lock, record_failure, tick};
