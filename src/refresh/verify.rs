//! Whether a stream table is what its query says: proof for users. Nothing of it remains.
//!
//! Table and query are compared as multisets, under one snapshot. Where the sources have changes that the table has not
//! seen they are applied first, by following them, so that what was wrong before stays wrong; that is undone at the end.

use std::collections::BTreeSet;
use std::rc::Rc;

use ivm::sql::ident::QName;
use ivm::sql::print;
use ivm::view::View;
use pgrx::JsonB;
use pgrx::PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION;
use pgrx::datum::TimestampWithTimeZone;

use crate::capture;
use crate::catalog::stream_table::StreamTable;
use crate::catalog::{ddl, difference, frontier, quietly};
use crate::error::{Error, Result};
use crate::frontend::{self, Path};
use crate::pg::spi::{self, OwnerSession};
use crate::pg::subxact::{subtransaction, undone};
use crate::pg::{progress, relation, xact};
use crate::refresh::claim::Claim;
use crate::refresh::loaded::{self, Loaded, Ready};
use crate::refresh::planned::{register_as, told};
use crate::refresh::program::{self, Work};
use crate::refresh::table::{self, Input};
use crate::refresh::tick::{self, Tick};
use crate::refresh::{adaptive, clock};

/// What came of a comparison.
pub struct Comparison {
    /// `None`: there is nothing to compare.
    pub equal: Option<bool>,
    /// What was compared with the query, or why nothing was.
    pub compared: String,
    /// The time that it was to the query.
    pub moment: Option<TimestampWithTimeZone>,
    pub found: Option<Found>,
}

/// Rows, each copy counted.
pub struct Found {
    pub table_rows: i64,
    pub query_rows: i64,
    /// Of the query and not in the table.
    pub missing: i64,
    /// In the table and not of the query.
    pub surplus: i64,
    pub sample: Option<JsonB>,
}

impl Comparison {
    fn none(why: &str) -> Comparison {
        Comparison { equal: None, compared: format!("nothing: {why}"), moment: None, found: None }
    }
}

/// Compares a stream table with its query; up to `sample` rows that differ are shown.
pub fn verify(id: i32, sample: i32) -> Result<Comparison> {
    capture::flush()?;
    undone(|| {
        quietly(|| {
            tick::lock(id);
            let _claim = Claim::on(&[id])?;
            let relations = spi::connect(None, |session| loaded::relations(session, id))?;
            relations.into_iter().for_each(|oid| _ = relation::lock_for_reading(oid));
            let tick = Tick::new([id].into());
            let snapshot = Rc::clone(&tick.snapshot);
            snapshot.active(|| look(&tick, id, sample))
        })
    })
}

fn look(tick: &Tick, id: i32, sample: i32) -> Result<Comparison> {
    let mut seen = spi::connect(Some(&tick.snapshot), |session| frontier::get(session, &[id]))?;
    let seen = seen.remove(&id).unwrap_or_default();
    let Some(frontier) = seen.frontier else { return Ok(Comparison::none("it has not been filled yet")) };
    let loaded = match loaded::load(id)? {
        Ready::Yes(loaded) => loaded,
        Ready::Stale(table, _) if table.temporal => {
            return Ok(Comparison::none("the next refresh builds it anew, and its query reads the clock"));
        }
        Ready::Stale(table, reason) => return as_it_is(tick, (&table, false), (seen.moment, &reason), sample),
    };
    let reading = (&loaded.table, loaded.view.reads_clock());
    if let Some(reason) = seen.reinitialize {
        return as_it_is(tick, reading, (seen.moment, &reason), sample);
    }
    let input = table::pending(tick, &loaded, &frontier, i64::MAX)?;
    if input.truncated {
        return as_it_is(tick, reading, (seen.moment, "a source was truncated or altered"), sample);
    }
    let (compared, moment) = ("the table as it is", seen.moment);
    if input.rows > 0 {
        require_writable(&loaded)?;
        let activity = format!("verifying {}, following {} changes", loaded.table.display(), input.rows);
        match progress::during(|| activity, || subtransaction(|| follow(tick, &loaded, input, moment))) {
            Err(error @ Error::Broken(..)) => {
                let compared = format!("the table cannot take the changes that are pending: {}", error.in_full());
                return Ok(Comparison { equal: Some(false), compared, moment, found: None });
            }
            result => result?,
        }
        let (compared, moment) = ("the table with the changes that are pending", Some(tick.taken));
        return compare(tick, reading, (moment, compared), sample);
    }
    // Nothing tells whether these may differ by now.
    let drifts = match (loaded.table.polls(), loaded.table.temporal && !loaded.view.reads_clock()) {
        (_, true) => Some("its query reads the clock, which went on since"),
        (true, false) => Some("what it polls may have changed since"),
        (false, false) => None,
    };
    let Some(why) = drifts else { return compare(tick, reading, (moment, compared), sample) };
    let compared = compare(tick, reading, (moment, &format!("the table as it is: {why}")), sample)?;
    Ok(Comparison { equal: compared.equal.filter(|equal| *equal), ..compared })
}

/// Compares a table that the next refresh computes anew: changes are not followed any more.
fn as_it_is(
    tick: &Tick,
    reading: (&StreamTable, bool),
    (moment, reason): (Option<TimestampWithTimeZone>, &str),
    sample: i32,
) -> Result<Comparison> {
    let compared = format!("the table as it is, which the next refresh computes anew: {reason}");
    compare(tick, reading, (moment, &compared), sample)
}

/// Pending changes are followed and that is undone: the server lets nobody do it who may only read.
fn require_writable(loaded: &Loaded) -> Result<()> {
    if !xact::is_read_only() {
        return Ok(());
    }
    let what = format!("cannot verify stream table {} in a read-only transaction", loaded.table.display());
    Err(Error::new(ERRCODE_READ_ONLY_SQL_TRANSACTION, what)
        .detail("It has pending changes, which are followed before it is compared, and then undone.")
        .hint("Refresh it first, or verify it in a transaction that may write."))
}

/// Brings pending changes in as a refresh of mode DIFFERENTIAL does, where the table can be refreshed so.
fn follow(tick: &Tick, loaded: &Loaded, input: Input, before: Option<TimestampWithTimeZone>) -> Result<()> {
    table::as_owner(tick, loaded, before, |session| {
        let changes = match adaptive::recomputes(loaded) {
            true => adaptive::full(session, loaded, false)?,
            false => program::differential(&Work::new(session, loaded), adaptive::stores(input.deltas))?,
        };
        drop(changes);
        Ok(())
    })
}

/// Compares the table with its query; `reading`: the table, and whether its query is our own reading of it.
fn compare(
    tick: &Tick,
    reading: (&StreamTable, bool),
    (moment, compared): (Option<TimestampWithTimeZone>, &str),
    sample: i32,
) -> Result<Comparison> {
    let activity = || format!("verifying {}, comparing", reading.0.display());
    let found = progress::during(activity, || differences(tick, reading, moment, sample))?;
    let equal = Some(found.missing == 0 && found.surplus == 0);
    Ok(Comparison { equal, compared: compared.to_owned(), moment, found: Some(found) })
}

/// What table and query have that the other has not.
fn differences(
    tick: &Tick,
    (table, reads_clock): (&StreamTable, bool),
    moment: Option<TimestampWithTimeZone>,
    sample: i32,
) -> Result<Found> {
    let (view, schemas) = spi::connect_as(table.owner, &table.evaluation(), Some(&tick.snapshot), |session| {
        whole(session, table, reads_clock)
    })?;
    let path = Path::widened(&table.search_path, schemas);
    let settings: Vec<(&str, &str)> = table.evaluation().into_iter().chain([("search_path", path.as_str())]).collect();
    let now = moment.unwrap_or(tick.taken);
    let clock = reads_clock.then(|| clock::at(now, now)).transpose()?;
    spi::connect_as(table.owner, &settings, Some(&tick.snapshot), |session| {
        clock.iter().try_for_each(|clock| clock::register(session, clock))?;
        let program = ivm::compile::full_program(&view, 0)?;
        let step = program.steps.last().ok_or(Error::Bug("a program ends in its delta"))?;
        let statement = session.prepare(&print::query(&step.query), &[])?;
        let store = statement.store()?;
        session.materialise(&statement, &store)?;
        let (surplus, missing) = store.weights()?;
        let table_rows = ddl::count(session, &view.nodes[0].table)?;
        let weight = store.row_type().names().pop().unwrap_or_default();
        register_as(session, difference::NAME, &store, told(store.rows() as f64))?;
        let sample = difference::sample(session, &weight, sample)?;
        session.unregister(difference::NAME)?;
        Ok(Found { table_rows, query_rows: table_rows - surplus + missing, missing, surplus, sample })
    })
}

/// The query as a whole. It is PostgreSQL that evaluates what the user wrote; only where it reads the clock, which must
/// stand still for it, it is our own reading of it, without the nodes that the table is kept by.
fn whole(session: &OwnerSession, table: &StreamTable, reads_clock: bool) -> Result<(View, BTreeSet<String>)> {
    let name = QName::qualified(&table.schema, &table.name);
    match reads_clock {
        true => frontend::compile_whole(session, &frontend::reread(&table.canonical)?, &name),
        false => loaded::opaque(session, table, name),
    }
}
