//! The start of a statement that reads tables: what it must see first, and a later snapshot for it. See `executor/execMain.c` and
//! `utils/time/snapmgr.c`.
//!
//! **Law:** the snapshot of a statement is replaced only before it has read anything under it, and only where nothing else reads
//! under it. In READ COMMITTED a statement takes a snapshot of its own, which is registered once for it, and once more for the portal
//! of EXECUTE. A statement that runs has registered its snapshot twice: a third registration is that of a statement under its
//! caller's snapshot, as in a STABLE function.

use std::sync::OnceLock;

use pgrx::pg_sys::SnapshotType::SNAPSHOT_MVCC;
use pgrx::{pg_guard, pg_sys};

use crate::error::Result;
use crate::pg::call::raise;
use crate::pg::snapshot::Snapshot;
use crate::pg::writes::{self, Needs};
use crate::pg::{node, xact};

/// What is about to be read.
pub struct Reading {
    pub relations: Vec<pg_sys::Oid>,
    /// Functions may read more in processes that cannot wait.
    pub spreads: bool,
    pub snapshot: Snapshot,
    /// Whether the snapshot can be replaced.
    pub can_move: bool,
}

/// Returns whether to take a later snapshot.
type Before = fn(&Reading, Needs) -> Result<bool>;

/// Of a snapshot under which no statement runs, once the one that is about to start has registered it.
const OWN_REGISTRATIONS: u32 = 2;

static BEFORE: OnceLock<Before> = OnceLock::new();
/// Has `before` called ahead of statements that must see the changes of some transaction; once, when the library is loaded.
pub fn install(before: Before) {
    let _ = BEFORE.set(before);
}

/// A statement is about to start.
pub(super) unsafe fn before_start(query: *mut pg_sys::QueryDesc) {
    if let Some(needs) = writes::needs() {
        // SAFETY: by contract.
        unsafe { prepare(query, needs) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn prepare(query: *mut pg_sys::QueryDesc, needs: Needs) {
    // SAFETY: a statement that is about to start has a plan and a registered snapshot, unless it reads nothing.
    unsafe {
        let (query, plan) = (&mut *query, &*(*query).plannedstmt);
        let is_mvcc = !query.snapshot.is_null() && (*query.snapshot).snapshot_type == SNAPSHOT_MVCC;
        if !is_mvcc || plan.relationOids.is_null() && plan.invalItems.is_null() {
            return;
        }
        // Before the snapshot is registered once more.
        let can_move = is_alone(query) && !xact::keeps_its_snapshot() && !xact::is_parallel();
        let reading = Reading {
            relations: node::oids(plan.relationOids).collect(),
            spreads: plan.parallelModeNeeded && !plan.invalItems.is_null(),
            snapshot: Snapshot::of_statement(query.snapshot),
            can_move,
        };
        if before(&reading, needs) {
            replace(query);
        }
    }
}

fn before(reading: &Reading, needs: Needs) -> bool {
    BEFORE.get().is_some_and(|before| before(reading, needs).unwrap_or_else(|error| raise(error)))
}

/// Whether nothing but a statement that is about to start reads under its snapshot, which is not null.
pub(super) unsafe fn is_alone(query: &pg_sys::QueryDesc) -> bool {
    // SAFETY: by contract.
    unsafe { (*query.snapshot).regd_count <= OWN_REGISTRATIONS && query.crosscheck_snapshot.is_null() }
}

/// Gives a statement a new snapshot, which is the active one as the old was. In a transaction that keeps its snapshot it is the same,
/// which sees what was written since.
pub(super) unsafe fn replace(query: &mut pg_sys::QueryDesc) {
    // SAFETY: the statement's own registration; the snapshot that the server pushed for it, which the server pops.
    unsafe {
        let was_active = pg_sys::GetActiveSnapshot() == query.snapshot;
        // A command that starts the statement, such as DECLARE, goes on under the one of its portal.
        let portal = pg_sys::ActivePortal.as_ref();
        let is_portals = portal.is_some_and(|portal| portal.portalSnapshot == query.snapshot);
        let mut latest = pg_sys::GetTransactionSnapshot();
        if was_active && (!is_portals || (*query.snapshot).active_count > 1) {
            pg_sys::UnregisterSnapshot(query.snapshot);
            pg_sys::PopActiveSnapshot();
            pg_sys::PushCopiedSnapshot(latest);
            pg_sys::UpdateActiveSnapshotCommandId();
            latest = pg_sys::GetActiveSnapshot();
        } else {
            pg_sys::UnregisterSnapshot(query.snapshot);
        }
        query.snapshot = pg_sys::RegisterSnapshot(latest);
    }
}

/// Waits for what a command must see that reads a table under the active snapshot without a plan, and makes a later one active
/// where that is needed; true if so.
pub(super) fn prepare_command(relation: pg_sys::Oid, needs: Needs) -> bool {
    let snapshot = Snapshot::of_caller();
    let can_move = !xact::keeps_its_snapshot() && !xact::is_parallel();
    let moves = before(&Reading { relations: vec![relation], spreads: false, snapshot, can_move }, needs);
    if moves {
        push_latest();
    }
    moves
}

/// Makes a later snapshot the active one, for a command; to be popped.
pub(super) fn push_latest() {
    // SAFETY: inside a transaction, whose commands take such snapshots.
    unsafe {
        pg_sys::PushCopiedSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::UpdateActiveSnapshotCommandId();
    }
}
