//! What is counted in shared memory, for SQL. `sql/stat.sql` has the views.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, pg_extern};

use crate::api::{given, resolve_owned};
use crate::error::{Error, Result};
use crate::pg::shmem::{my_database, shared};
use crate::pg::{counted, counters};

pgrx::extension_sql_file!("../../sql/stat.sql", name = "stat", requires = ["status", counters_json]);

/// What is counted of this database, and the workers of the server. NULL where the library is not preloaded.
#[pg_extern(name = "counters")]
fn counters_json() -> std::result::Result<Option<JsonB>, ErrorReport> {
    Ok(read()?)
}

fn read() -> Result<Option<JsonB>> {
    let Some(shared) = shared() else { return Ok(None) };
    let snapshot = counted::snapshot(shared).of_database(my_database().to_u32());
    let json = serde_json::to_value(&snapshot).map_err(|_| Error::Bug("what is counted is a JSON object"))?;
    Ok(Some(JsonB(json)))
}

/// Sets what is counted of a stream table to zero.
#[pg_extern]
fn pg_stat_reset_stream_table(name: Option<&str>) -> std::result::Result<(), ErrorReport> {
    Ok(reset(given("name", name)?)?)
}

fn reset(name: &str) -> Result<()> {
    let (_, id) = resolve_owned(name)?;
    counters::table(id).into_iter().for_each(|row| row.reset());
    Ok(())
}
