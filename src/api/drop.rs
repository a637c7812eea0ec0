//! `drop_stream_table`, and what follows however a stream table is dropped.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{as_caller, given, owned, require_writable};
use crate::catalog::ddl;
use crate::catalog::stream_table::{self, StreamTable};
use crate::error::Result;
use crate::pg::{object, spi, wake};
use crate::refresh;

/// Drops a stream table; with `cascade` also what depends on it.
#[pg_extern]
fn drop_stream_table(
    name: Option<&str>,
    cascade: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    require_writable("drop_stream_table")?;
    Ok(drop_table(&owned(given("name", name)?)?, cascade.unwrap_or(false))?)
}

pub fn drop_table(table: &StreamTable, cascade: bool) -> Result<()> {
    refresh::require_free(table.id)?;
    refresh::lock_ending_refresh(table.id, table.relid);
    as_caller(|caller| ddl::drop_table(caller, &object::name(table.relid), cascade))?;
    delete_dropped_tables()
}

/// Deletes stream tables whose relation was dropped from the catalog, and releases sources that have no readers left.
fn delete_dropped_tables() -> Result<()> {
    spi::connect(None, |session| {
        for id in stream_table::dropped(session)? {
            refresh::delete(session, id)?;
            wake::catalog_changed();
        }
        Ok(())
    })
}

/// Called by the event trigger on `sql_drop`, see `sql/table.sql`.
#[pg_extern(sql = "
create function pgtrickle.forget_dropped_tables() returns void
security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'forget_dropped_wrapper';
revoke all on function pgtrickle.forget_dropped_tables() from public;
")]
fn forget_dropped() -> std::result::Result<(), ErrorReport> {
    Ok(delete_dropped_tables()?)
}
