//! One tick: locks, one snapshot, deltas, apply. Everything in it is read at the same instant.
//!
//! **Invariant:** source deltas, base tables and node tables are read under one snapshot S plus the
//! transaction's own writes, and S becomes the new frontier. The laws of `ivm::delta` hold for nothing else.

mod adaptive;
mod advice;
mod behind;
mod bound;
mod build;
mod claim;
mod clock;
mod conclude;
mod estimate;
mod loaded;
mod planned;
mod program;
mod prune;
mod recompute;
mod table;
mod tick;
mod verify;

pub use advice::missing_indexes;
pub use behind::{Wait, behind};
pub use bound::bound_buffers;
pub use build::{build, define, dismantle, give_up, rebuild};
pub use claim::require_free;
pub use conclude::{conclude, record_failure};
pub use estimate::plan_deltas;
pub use loaded::{Loaded, Ready, forget, invalidate, load};
pub use planned::explain as explain_programs;
pub use prune::prune;
pub use recompute::recompute;
pub use tick::{Locks, end_background, lock_ending_refresh, lock_with_upstream, tick, with_upstream};
pub use verify::verify;
