//! `refresh_stream_table`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{create, given, owned_id};
use crate::error::Result;
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

fn run(name: &str, recompute: bool) -> Result<()> {
    let id = owned_id(name)?;
    let tables = if recompute { refresh::recompute(id)? } else { refresh::with_upstream(id)? };
    create::refresh_now(&tables)
}
