//! `refresh_stream_table` and `cancel_refresh`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{given, immediate, require_writable, resolve_owned, succeeded};
use crate::catalog::history::Unwritten;
use crate::catalog::stream_table;
use crate::error::Result;
use crate::pg::{counters, database, failures};
use crate::refresh::{self, Extent, Locks, Rebuilds};

/// Refreshes a stream table, everything it reads and what shows the same moment. With `recompute` it and all that read it are
/// computed anew, even if their tables were tampered with.
#[pg_extern(name = "refresh_stream_table")]
fn refresh_or_recompute(
    name: Option<&str>,
    recompute: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    Ok(run(given("name", name)?, recompute.unwrap_or(false))?)
}

/// Cancels a background refresh of a stream table; whether there was one. The scheduler retries it after a while, unless the
/// table is paused.
#[pg_extern]
fn cancel_refresh(name: Option<&str>) -> std::result::Result<bool, ErrorReport> {
    let (relid, _) = resolve_owned(given("name", name)?)?;
    Ok(database::cancel_refresh(relid))
}

fn run(name: &str, recompute: bool) -> Result<()> {
    require_writable("refresh_stream_table")?;
    let (_, id) = resolve_owned(name)?;
    let tables = if recompute { refresh::recompute(id)? } else { refresh::with_upstream(id)? };
    refresh_now(&tables)
}

/// Refreshes in the caller's transaction, which fails with the first refresh that does. The caller may not own every table
/// that is refreshed, and then does not see the message.
pub fn refresh_now(ids: &[i32]) -> Result<()> {
    // What it reads may be a stream table that this transaction has yet to maintain.
    immediate::maintain()?;
    let refreshes = succeeded(refresh::tick(ids, Extent::Moments, Locks::Wait, Rebuilds::Within)?)?;
    for refresh in &refreshes {
        failures::forget(refresh.id);
        counters::refreshed_at_commit(refresh.id, refresh.counted());
        refresh::log_duration(refresh, || stream_table::display(refresh.id));
    }
    refresh::conclude(refreshes, &mut Unwritten::default())
}
