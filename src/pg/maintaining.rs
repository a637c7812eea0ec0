//! When a transaction maintains the stream tables that its changes concern: before a statement that may read them, at the end of one
//! that writes, and before the transaction ends. See `executor/execMain.c` and `access/transam/xact.c`.
//!
//! **Law:** maintenance reads the rows of sources as they are and the changes that were captured. It begins only where these agree: not
//! while a statement writes or a trigger runs, as rows are in their tables before the triggers have captured all of them. See [`dml`].

use std::sync::OnceLock;

use pgrx::pg_sys::SnapshotType::SNAPSHOT_MVCC;
use pgrx::{pg_guard, pg_sys};

use crate::error::Result;
use crate::pg::call::raise;
use crate::pg::xact::{Sub, Top};
use crate::pg::{dml, node, reading, session, trigger, xact};

/// What this module asks those above it.
pub struct Maintainer {
    /// Whether this transaction has changed something since it maintained stream tables.
    pub is_pending: fn() -> bool,
    /// Whether one of these relations is a stream table of which changes are pending.
    pub concerns: fn(&[pg_sys::Oid]) -> Result<bool>,
    /// Whether they are maintained at the end of a statement.
    pub at_statement: fn() -> bool,
    pub maintain: fn() -> Result<()>,
    /// A statement may have changed what queries mean.
    pub redefined: fn(),
    pub on_top: fn(Top),
    pub on_sub: fn(Sub),
}

/// How the names of our triggers begin.
const OURS: &str = "pgtrickle_";

static MAINTAINER: OnceLock<Maintainer> = OnceLock::new();

/// Installs it; once, when the library is loaded.
pub fn install(maintainer: Maintainer) {
    let maintainer = MAINTAINER.get_or_init(|| maintainer);
    xact::observe(maintainer.on_top, maintainer.on_sub);
}

/// Whether changes are pending that can be followed now.
fn is_pending() -> Option<&'static Maintainer> {
    let maintainer = MAINTAINER.get().filter(|it| (it.is_pending)())?;
    (!session::is_open() && !dml::is_writing() && !xact::is_parallel()).then_some(maintainer)
}

/// A statement is about to start.
pub(super) unsafe fn before_start(query: *mut pg_sys::QueryDesc) {
    if let Some(maintainer) = is_pending() {
        // SAFETY: by contract.
        unsafe { prepare(query, maintainer) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn prepare(query: *mut pg_sys::QueryDesc, maintainer: &'static Maintainer) {
    // SAFETY: a statement that is about to start has a plan, and a registered snapshot unless it reads nothing.
    unsafe {
        let plan = &*(*query).plannedstmt;
        let is_mvcc = !(*query).snapshot.is_null() && (*(*query).snapshot).snapshot_type == SNAPSHOT_MVCC;
        if !is_mvcc || !reading::is_alone(&*query) {
            return;
        }
        // Functions, and triggers of what it writes, may read anything.
        let relations: Vec<_> = node::oids(plan.relationOids).collect();
        let is_ours = |table: &pg_sys::Oid| !trigger::runs_code(*table, OURS);
        let calls = !plan.invalItems.is_null() || dml::writes(query) && !relations.iter().all(is_ours);
        if calls || (maintainer.concerns)(&relations).unwrap_or_else(|error| raise(error)) {
            maintain(maintainer);
            reading::replace(&mut *query);
        }
    }
}

fn maintain(maintainer: &Maintainer) {
    (maintainer.maintain)().unwrap_or_else(|error| raise(error));
}

/// A statement may have changed what queries mean, or rows without a change row.
pub(super) fn redefined() {
    MAINTAINER.get().into_iter().for_each(|maintainer| (maintainer.redefined)());
}

/// A statement that writes has ended, and its triggers have fired.
pub(super) fn after_statement() {
    if let Some(maintainer) = is_pending()
        && (maintainer.at_statement)()
    {
        // SAFETY: the guard makes an error one of the server.
        unsafe { at_end(maintainer) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_end(maintainer: &'static Maintainer) {
    maintain(maintainer);
}

/// A command is about to read a table without a plan; whether it got a later snapshot, which is to be popped.
pub(super) fn prepare_command(relation: pg_sys::Oid) -> bool {
    let Some(maintainer) = is_pending() else { return false };
    if !(maintainer.concerns)(&[relation]).unwrap_or_else(|error| raise(error)) {
        return false;
    }
    maintain(maintainer);
    reading::push_latest();
    true
}
