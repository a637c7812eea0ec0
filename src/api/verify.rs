//! `verify_stream_table`.

// The columns of a set-returning function are read off its signature: an alias would hide them.
#![allow(clippy::type_complexity)]

use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{JsonB, default, name, pg_extern};

use crate::api::{given, resolve_owned};
use crate::refresh;

/// How many differing rows are shown by default.
const DEFAULT_SAMPLE: i32 = 10;

/// Compares a stream table with its query, as multisets, under one snapshot, and changes nothing: it first applies pending
/// changes, and rolls that back afterwards. Counts the rows that only one side has, and shows some of them.
#[pg_extern]
fn verify_stream_table(
    name: Option<&str>,
    sample: default!(Option<i32>, 10),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(is_equal, Option<bool>),
            name!(compared, String),
            name!(data_timestamp, Option<TimestampWithTimeZone>),
            name!(table_rows, Option<i64>),
            name!(query_rows, Option<i64>),
            name!(missing, Option<i64>),
            name!(surplus, Option<i64>),
            name!(sample, Option<JsonB>),
        ),
    >,
    ErrorReport,
> {
    let found = refresh::verify(resolve_owned(given("name", name)?)?.1, sample.unwrap_or(DEFAULT_SAMPLE))?;
    let (equal, compared, moment) = (found.equal, found.compared, found.moment);
    Ok(TableIterator::once(match found.found {
        Some(found) => (
            equal,
            compared,
            moment,
            Some(found.table_rows),
            Some(found.query_rows),
            Some(found.missing),
            Some(found.surplus),
            found.sample,
        ),
        None => (equal, compared, moment, None, None, None, None, None),
    }))
}
