//! What is counted in shared memory, for SQL. `sql/stat.sql` has the views.

use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, name, pg_extern};

use crate::api::{given, resolve_owned};
use crate::catalog::stream_table;
use crate::error::{Error, Result};
use crate::pg::shmem::{my_database, shared};
use crate::pg::subxact::subtransaction;
use crate::pg::{bgworker, counted, counters, guard, progress};
use crate::refresh::{self, Missing, Ready};

pgrx::extension_sql_file!("../../sql/stat.sql", name = "stat", requires = ["status", counters_json]);
pgrx::extension_sql_file!(
    "../../sql/health.sql",
    name = "health",
    requires = ["stat", is_drained, change_buffer_sizes]
);

/// What is counted of this database, its refreshes that run, and the workers of the server. NULL where the library is not preloaded.
#[pg_extern(name = "counters")]
fn counters_json() -> std::result::Result<Option<JsonB>, ErrorReport> {
    Ok(read()?)
}

fn read() -> Result<Option<JsonB>> {
    let Some(shared) = shared() else { return Ok(None) };
    let snapshot = counted::snapshot(shared).of_database(my_database().to_u32());
    let json = serde_json::to_value(&snapshot).and_then(|mut json| {
        json["progress"] = serde_json::to_value(progress::all())?;
        Ok(json)
    });
    Ok(Some(JsonB(json.map_err(|_| Error::Bug("what is counted is a JSON object"))?)))
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

/// A refresh that takes less, for 19 of 20 times, lacks no index that matters.
const SLOW: f64 = 0.005;

/// A table that another transaction has locked is left out.
const NO_WAITING: (&str, &str) = ("lock_timeout", "10ms");

/// The indexes whose lack makes refreshes of stream tables slow. A stream table that cannot be loaded lacks none: its status
/// says what is wrong.
#[pg_extern(name = "missing_indexes")]
fn missing_index_statements()
-> std::result::Result<TableIterator<'static, (name!(pgt_id, i32), name!(statement, String))>, ErrorReport> {
    Ok(TableIterator::new(missing()?))
}

fn missing() -> Result<Vec<(i32, String)>> {
    let mut found = vec![];
    for (_, table) in stream_table::schedulable()?.into_iter().filter(|(_, table)| table.active && table.populated) {
        let recent = counters::table(table.id).and_then(|row| row.duration.quantiles(bgworker::now()));
        if recent.is_some_and(|duration| duration.p95 < SLOW) {
            continue;
        }
        let load = || match refresh::load(table.id)? {
            Ready::Yes(prepared) => refresh::missing_indexes(&prepared.loaded),
            Ready::Stale(..) => Ok(Missing::default()),
        };
        let missing = subtransaction(|| guard::with_settings(&[NO_WAITING], load));
        found.extend(missing.unwrap_or_default().indexes.iter().map(|index| (table.id, index.statement())));
    }
    Ok(found)
}
