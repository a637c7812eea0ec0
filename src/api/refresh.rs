//! `refresh_stream_table`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{create, given, owned_id, resolve};
use crate::error::Result;
use crate::pg::database;
use crate::refresh;

/// Brings a stream table, and everything it reads, to this moment. With `recompute` it and all that reads it are computed
/// anew, whatever was done to their tables.
#[pg_extern]
fn refresh_stream_table(
    name: Option<&str>,
    recompute: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    Ok(run(given("name", name)?, recompute.unwrap_or(false))?)
}

/// Ends a refresh of a stream table that the background is at; whether there was one. It is tried again after a while:
/// pause the table to keep it from that.
#[pg_extern]
fn cancel_refresh(name: Option<&str>) -> std::result::Result<bool, ErrorReport> {
    let name = given("name", name)?;
    owned_id(name)?;
    Ok(database::end_refresh(resolve(name)?.0))
}

fn run(name: &str, recompute: bool) -> Result<()> {
    let id = owned_id(name)?;
    let tables = if recompute { refresh::recompute(id)? } else { refresh::with_upstream(id)? };
    create::refresh_now(&tables)
}
