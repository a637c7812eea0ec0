//! One tick: locks, one snapshot, deltas, apply. Everything in it is read under that snapshot.
//!
//! **Invariant:** source deltas, base tables and node tables are read under one snapshot S plus the
//! transaction's own writes, and S becomes the new frontier. The laws of `ivm::delta` hold for nothing else.

mod absence;
mod adaptive;
mod advice;
mod analyze;
mod behind;
mod beside;
mod build;
mod claim;
mod clock;
mod conclude;
mod cost;
mod freshness;
mod graph;
mod live;
mod loaded;
mod locks;
mod own_writes;
mod passes;
mod prepared;
mod program;
mod prune;
mod reattach;
mod recompute;
mod relink;
mod shared;
mod table;
mod tick;
mod trace;
mod verify;
mod watch;

pub use absence::Absence;
pub use advice::{Missing, missing_indexes};
pub use analyze::analyze;
pub use behind::{Wait, behind, with_lock_timeout};
pub use build::{
    build, define, delete, lock_out_writers, rebuild, recompute_from_now_on, release_unread, repair, set_mode,
};
pub use claim::require_free;
pub use conclude::{conclude, log_duration, record, record_failure};
pub use cost::estimate::plan_deltas;
pub use freshness::{immediate_tables, sees_all_refreshes};
pub use live::{Outlook, install as install_live_reads, outlook, reads as read_live};
pub use loaded::{Loaded, drop_compiled};
pub use locks::{end_background, end_long_background, lock_ending_refresh, lock_with_upstream};
pub use own_writes::{before_fixed_snapshot, before_reading};
pub use passes::{record_now, store_frontier};
pub use prepared::{Prepared, Ready, forget, load, retain};
pub use prune::{bound_buffers, prune};
pub use reattach::{Reattached, attach, has_detached, reattach, still_restoring};
pub use recompute::recompute;
pub use shared::Rebuilds;
pub use tick::{
    Extent, Locks, Unchanged, held, held_back, immediate_readers, is_scheduled, of_one_moment, refreshed_with, tick,
    torn, with_upstream,
};
pub use trace::Ran;
pub use verify::verify;

use crate::pg::invalidation::Invalidation;

/// Processes an invalidation in the caches of this module.
pub fn invalidate(what: Invalidation) {
    watch::invalidate(what);
    graph::invalidate(what);
    live::invalidate(what);
}
