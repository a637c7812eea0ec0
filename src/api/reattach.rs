//! `reattach`, and the trigger that notices a restore.

use pgrx::pg_extern;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;

use crate::api::require_writable;
use crate::error::Result;
use crate::pg::call::{Call, V1};
use crate::pg::event;
use crate::pg::lock::Lock;
use crate::pg::trigger;
use crate::pg::wake;
use crate::refresh::{self, Reattached};

/// Attaches the stream tables that were restored from a dump, as the background workers do when the restoring session has
/// ended; returns how many. Their next refresh recomputes them.
#[pg_extern(sql = "
create function pgtrickle.reattach() returns integer
language c as 'MODULE_PATHNAME', 'reattach_wrapper';
revoke all on function pgtrickle.reattach() from public;
")]
fn reattach() -> std::result::Result<i32, ErrorReport> {
    Ok(attached()?)
}

fn attached() -> Result<i32> {
    require_writable("reattach")?;
    match refresh::reattach(false)? {
        Reattached::All(count) => Ok(count as i32),
        Reattached::NotYet => Err(refresh::still_restoring()),
    }
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_on_restore(call: Call) -> pg_sys::Datum {
    trigger::enter(&call, |_| {
        if !event::is_own() {
            Lock::Restore.hold_for_session();
            wake::catalog_changed();
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_on_restore() -> &'static pg_sys::Pg_finfo_record {
    &V1
}
