//! `create_refresh_group` and `drop_refresh_group`.

use pgrx::PgSqlErrorCode::{
    ERRCODE_DUPLICATE_OBJECT, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_NULL_VALUE_NOT_ALLOWED,
    ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_UNDEFINED_OBJECT,
};
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::api::refresh::refresh_now;
use crate::api::{given, must_own, owned, require_writable};
use crate::catalog::stream_table::{self, StreamTable};
use crate::error::{Error, Result};
use crate::pg::lock::Lock;
use crate::pg::{spi, wake};
use crate::refresh;

/// Makes stream tables show one moment, from now on: they are refreshed together, or not at all. A variant in SQL takes them one
/// by one.
#[pg_extern]
fn create_refresh_group(
    name: Option<&str>,
    tables: Option<Vec<Option<String>>>,
) -> std::result::Result<(), ErrorReport> {
    Ok(create(given("name", name)?, &given("tables", tables)?)?)
}

/// Ends a group. Its stream tables keep their rows and schedules.
#[pg_extern]
fn drop_refresh_group(name: Option<&str>) -> std::result::Result<(), ErrorReport> {
    Ok(drop(given("name", name)?)?)
}

fn create(group: &str, names: &[Option<String>]) -> Result<()> {
    require_writable("create_refresh_group")?;
    if group.trim().is_empty() {
        return Err(Error::new(ERRCODE_INVALID_PARAMETER_VALUE, "the name of a refresh group must not be empty"));
    }
    let null = || Error::new(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a refresh group has no stream table NULL");
    let tables =
        names.iter().map(|name| owned(name.as_deref().ok_or_else(null)?)).collect::<Result<Vec<StreamTable>>>()?;
    let mut ids: Vec<i32> = tables.iter().map(|table| table.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < 2 {
        let message = format!("refresh group \"{group}\" needs at least two stream tables");
        return Err(Error::new(ERRCODE_INVALID_PARAMETER_VALUE, message)
            .hint("Name all stream tables that are to show one moment."));
    }
    Lock::Groups.acquire();
    tables.iter().for_each(|table| refresh::end_background(table.id, table.relid));
    refresh::lock_with_upstream(&ids)?;
    spi::connect(None, |session| {
        if !stream_table::of_group(session, group)?.is_empty() {
            let message = format!("refresh group \"{group}\" already exists");
            return Err(Error::new(ERRCODE_DUPLICATE_OBJECT, message).hint(format!(
                "Choose another name, or run first: select pgtrickle.drop_refresh_group({}).",
                pgrx::spi::quote_literal(group)
            )));
        }
        for id in &ids {
            // As the last holder of its lock left it.
            let table = stream_table::get(session, *id)?;
            if table.is_immediate() {
                let message = format!("stream table {} cannot be in a refresh group", table.display());
                return Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                    .detail("In refresh mode IMMEDIATE it shows every transaction when that commits.")
                    .hint("Change its refresh mode first."));
            }
            if let Some(other) = &table.refresh_group {
                let message = format!("stream table {} is in refresh group \"{other}\"", table.display());
                return Err(Error::new(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                    .detail("A stream table can be in one group.")
                    .hint(format!(
                        "Drop that group first, and name its stream tables, too, when creating \"{group}\"."
                    )));
            }
        }
        stream_table::set_group(session, &ids, Some(group))
    })?;
    // From the moment on at which others see the group.
    refresh_now(&ids)?;
    wake::catalog_changed();
    Ok(())
}

fn drop(group: &str) -> Result<()> {
    require_writable("drop_refresh_group")?;
    Lock::Groups.acquire();
    let tables = spi::connect(None, |session| stream_table::of_group(session, group))?;
    if tables.is_empty() {
        let message = format!("refresh group \"{group}\" does not exist");
        return Err(Error::new(ERRCODE_UNDEFINED_OBJECT, message)
            .hint("Column refresh_group of pgtrickle.pgt_status() names the groups of this database."));
    }
    tables.iter().try_for_each(|table| must_own(&table.display(), table.relid))?;
    let ids: Vec<i32> = tables.iter().map(|table| table.id).collect();
    spi::connect(None, |session| stream_table::set_group(session, &ids, None))?;
    wake::catalog_changed();
    Ok(())
}
