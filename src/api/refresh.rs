//! `refresh_stream_table`, and the trigger that guards stream tables.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgTrigger, pg_extern, pg_trigger};

use crate::api::{create, owned_id};
use crate::refresh;

/// Brings a stream table, and everything it reads, to this moment.
#[pg_extern]
fn refresh_stream_table(name: &str) -> std::result::Result<(), ErrorReport> {
    Ok(create::refresh_now(&refresh::with_upstream(owned_id(name)?)?)?)
}

/// Refuses changes of a stream table that do not come from its refresh.
#[pg_trigger]
fn guard<'a>(
    trigger: &'a PgTrigger<'a>,
) -> std::result::Result<Option<pgrx::heap_tuple::PgHeapTuple<'a, pgrx::AllocatedByPostgres>>, ErrorReport> {
    let name = trigger.table_name().unwrap_or_default();
    match refresh::guard_trigger(&name) {
        Ok(()) => Ok(None),
        // Raised here: a trigger's returned error would lose its SQLSTATE, detail and hint.
        Err(error) => {
            let report = ErrorReport::from(error);
            report.report(PgLogLevel::ERROR);
            Ok(None)
        }
    }
}
