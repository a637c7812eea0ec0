//! What status views show beyond the catalog: pending changes, schedules, and failures in shared memory. `sql/status.sql`
//! has the views.

// The columns of a set-returning function are read off its signature: an alias would hide them.
#![allow(clippy::type_complexity)]

use std::collections::BTreeMap;

use ivm::schedule::Micros;
use pgrx::datum::{Interval, TimestampWithTimeZone, clock_timestamp};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{name, pg_extern};

use crate::api::moment::{self, Bound, Tables};
use crate::api::{given, resolve};
use crate::capture;
use crate::catalog::{frontier, source, stream_table};
use crate::error::{Error, Result};
use crate::pg::{failures, guard, spi};
use crate::refresh;

pgrx::extension_sql_file!(
    "../../sql/status.sql",
    name = "status",
    requires = ["capture", create_refresh_group, stream_table_state, stream_table_id]
);

/// The id of a stream table in the catalog.
#[pg_extern]
fn stream_table_id(name: Option<&str>) -> std::result::Result<i32, ErrorReport> {
    Ok(resolve(given("name", name)?)?.1)
}

type State = (
    i32,
    TimestampWithTimeZone,
    bool,
    Option<TimestampWithTimeZone>,
    Option<Interval>,
    i32,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<f64>,
);

/// The state of each stream table that is not in the catalog: whether its sources have changes that it has not seen, and
/// since when; the greatest age of its data by its schedule; failures that were not written to the catalog; the stream table that
/// keeps it from being refreshed, and how long all take that are refreshed with it.
#[pg_extern]
fn stream_table_state() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(pgt_id, i32),
            name!(checked_at, TimestampWithTimeZone),
            name!(is_behind, bool),
            name!(behind_since, Option<TimestampWithTimeZone>),
            name!(target, Option<Interval>),
            name!(failures, i32),
            name!(sqlstate, Option<String>),
            name!(message, Option<String>),
            name!(waits_for, Option<String>),
            name!(together_ms, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(state()?))
}

fn state() -> Result<Vec<State>> {
    let (checked_at, role) = (clock_timestamp(), guard::current_role());
    let tables = stream_table::schedulable()?;
    let targets = stream_table::targets(&tables)?;
    let sources: Vec<i32> = spi::connect(None, source::all)?.into_iter().map(|source| source.id).collect();
    let mut behind: BTreeMap<i32, Option<TimestampWithTimeZone>> = BTreeMap::new();
    for (id, since) in refresh::behind(&sources)? {
        let oldest = behind.entry(id).or_insert(since);
        *oldest = oldest.zip(since).map(|(a, b)| a.min(b));
    }
    let mut failed: BTreeMap<i32, _> = failures::all().into_iter().map(|failed| (failed.table, failed)).collect();
    let tables: Tables = tables.into_iter().map(|(name, table)| (table.id, (name, table))).collect();
    let mut bound = moment::all(&tables)?;
    let state = tables.values().map(|(_, table)| {
        let Bound { waits_for, together_ms } = bound.remove(&table.id).unwrap_or_default();
        let together_ms = table.took.map(|_| together_ms);
        let target = targets.get(&table.id).copied().map(interval).transpose()?;
        let (failures, sqlstate, message) = match failed.remove(&table.id) {
            None => (0, None, None),
            Some(failed) => {
                let shown = spi::connect(None, |session| frontier::shows_messages(session, table.id, role))?;
                (failed.count, Some(failed.sqlstate), Some(failed.message).filter(|_| shown))
            }
        };
        let since = behind.get(&table.id).copied();
        let (is_behind, since) = (since.is_some(), since.flatten());
        Ok((table.id, checked_at, is_behind, since, target, failures, sqlstate, message, waits_for, together_ms))
    });
    state.collect()
}

/// With whole days as such, as in the difference of two times.
fn interval(micros: Micros) -> Result<Interval> {
    const DAY: Micros = 24 * 3600 * 1_000_000;
    let days = i32::try_from(micros / DAY).map_err(|_| Error::Bug("a schedule is shorter than the calendar"))?;
    Interval::new(0, days, micros % DAY).map_err(|_| Error::Bug("a duration is an interval"))
}

type BufferRow = (String, String, i64, i64, i64);

/// The change buffers: rows not yet pruned, and size on disk.
#[pg_extern]
fn change_buffer_sizes() -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(source, String),
            name!(buffer, String),
            name!(pending_rows, i64),
            name!(bytes, i64),
            name!(consumers, i64),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(buffers()?))
}

fn buffers() -> Result<Vec<BufferRow>> {
    let rows = capture::sizes()?.into_iter().map(|size| {
        let (name, consumers) = spi::connect(None, |session| source::name_and_consumers(session, size.source))?;
        Ok((name, source::buffer_name(size.source).to_string(), size.pending.rows, size.bytes_on_disk, consumers))
    });
    rows.collect()
}
