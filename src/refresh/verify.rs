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
use pgrx::datum::TimestampWithTimeZone;

use crate::capture;
use crate::catalog::{ddl, difference, frontier, quietly};
use crate::error::{Error, Result};
use crate::frontend::{self, Path};
use crate::pg::relation;
use crate::pg::spi::{self, OwnerSession};
use crate::pg::subxact::{subtransaction, undone};
use crate::refresh::loaded::{self, Loaded, Ready};
use crate::refresh::planned::{register_as, told};
use crate::refresh::program::{self, Work};
use crate::refresh::table::{self, Input};
use crate::refresh::tick::{self, Tick};
use crate::refresh::{adaptive, clock};

/// What came of a comparison.
pub struct Verdict {
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

impl Verdict {
    fn none(why: &str) -> Verdict {
        Verdict { equal: None, compared: format!("nothing: {why}"), moment: None, found: None }
    }
}

/// Compares a stream table with its query; up to `sample` rows that differ are shown.
pub fn verify(id: i32, sample: i32) -> Result<Verdict> {
    capture::flush()?;
    undone(|| {
        quietly(|| {
            tick::lock(id);
            let relations = spi::connect(None, |session| loaded::relations(session, id))?;
            relations.into_iter().for_each(|oid| _ = relation::lock_for_reading(oid));
            let tick = Tick::new([id].into());
            let snapshot = Rc::clone(&tick.snapshot);
            snapshot.active(|| look(&tick, id, sample))
        })
    })
}

fn look(tick: &Tick, id: i32, sample: i32) -> Result<Verdict> {
    let mut seen = spi::connect(Some(&tick.snapshot), |session| frontier::get(session, &[id]))?;
    let seen = seen.remove(&id).unwrap_or_default();
    let loaded = match loaded::load(id)? {
        Ready::Yes(loaded) => loaded,
        Ready::Stale(_, reason) => return Ok(Verdict::none(&format!("the next refresh builds it anew: {reason}"))),
    };
    let Some(frontier) = seen.frontier else { return Ok(Verdict::none("it has not been filled yet")) };
    if let Some(reason) = seen.reinitialize {
        return Ok(Verdict::none(&format!("the next refresh computes it anew: {reason}")));
    }
    let input = table::pending(tick, &loaded, &frontier, i64::MAX)?;
    if input.truncated {
        return Ok(Verdict::none("the next refresh computes it anew: a source was truncated or altered"));
    }
    let (mut compared, mut moment) = ("the table as it is", seen.moment);
    if input.rows > 0 {
        match subtransaction(|| follow(tick, &loaded, input, moment)) {
            Err(error @ Error::Broken(..)) => {
                let compared = format!("the table cannot take the changes that are pending: {}", error.in_full());
                return Ok(Verdict { equal: Some(false), compared, moment, found: None });
            }
            result => result?,
        }
        (compared, moment) = ("the table with the changes that are pending", Some(tick.taken));
    } else if loaded.table.polls() {
        compared = "the table as it is: what it polls may have changed since";
    }
    let found = compare(tick, &loaded, moment, sample)?;
    let equal = Some(found.missing == 0 && found.surplus == 0);
    Ok(Verdict { equal, compared: compared.to_owned(), moment, found: Some(found) })
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

/// What table and query have that the other has not.
fn compare(tick: &Tick, loaded: &Loaded, moment: Option<TimestampWithTimeZone>, sample: i32) -> Result<Found> {
    let owner = loaded.table.owner;
    let (view, schemas) =
        spi::connect_as(owner, &loaded.table.evaluation(), Some(&tick.snapshot), |session| whole(session, loaded))?;
    let path = Path::widened(&loaded.table.search_path, schemas);
    let settings: Vec<(&str, &str)> =
        loaded.table.evaluation().into_iter().chain([("search_path", path.as_str())]).collect();
    let now = moment.unwrap_or(tick.taken);
    let clock = loaded.view.reads_clock().then(|| clock::at(now, now)).transpose()?;
    spi::connect_as(owner, &settings, Some(&tick.snapshot), |session| {
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
fn whole(session: &OwnerSession, loaded: &Loaded) -> Result<(View, BTreeSet<String>)> {
    let table = &loaded.table;
    let name = QName::qualified(&table.schema, &table.name);
    match loaded.view.reads_clock() {
        true => frontend::compile_whole(session, &frontend::reread(&table.canonical)?, &name),
        false => loaded::opaque(session, table, name),
    }
}
