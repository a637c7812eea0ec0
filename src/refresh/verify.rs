//! Compares a stream table with its query, for users. It leaves nothing behind.
//!
//! Table and query are compared as multisets, under one snapshot. Changes that are pending are applied first, not recomputed,
//! so that a wrong row stays wrong; that is rolled back at the end.

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
use crate::pg::subxact::{rolled_back, subtransaction};
use crate::pg::{progress, relation, xact};
use crate::refresh::claim::Claim;
use crate::refresh::cost::plans::{assumed, register_as};
use crate::refresh::loaded::{self, Loaded};
use crate::refresh::locks;
use crate::refresh::prepared::{self, Prepared, Ready};
use crate::refresh::program::{self, Work};
use crate::refresh::shared::{Rebuilds, Tick};
use crate::refresh::table::{self, Input};
use crate::refresh::{adaptive, clock, graph, passes};

/// The result of a comparison.
pub struct Comparison {
    /// `None`: there is nothing to compare.
    pub equal: Option<bool>,
    /// The state that was compared with the query, or why none was.
    pub compared: String,
    /// The time of `now()` in the query.
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
    rolled_back(|| {
        quietly(|| {
            locks::lock(id);
            let _claim = Claim::on(&[id])?;
            let relations = spi::connect(None, |session| prepared::relations(session, id))?;
            relations.into_iter().for_each(|oid| _ = relation::lock_for_reading(oid));
            let mut tick = Tick::new([id].into(), Rebuilds::Within);
            tick.maintained.extend(graph::edges()?.is_immediate(id).then_some(id));
            let snapshot = Rc::clone(&tick.snapshot);
            snapshot.active(|| check(&tick, id, sample))
        })
    })
}

/// A stream table that is compared under the snapshot of a tick.
struct Compared<'a> {
    tick: &'a Tick,
    table: &'a StreamTable,
    /// Whether our plan of its query is evaluated, at a given time: PostgreSQL evaluates the text of the user, unless that
    /// reads the clock, which must have the time of the table.
    reads_clock: bool,
    /// Whether SQL leaves open which of several equal values the query shows.
    chooses_looks: bool,
    /// The time of its rows.
    moment: Option<TimestampWithTimeZone>,
    sample: i32,
}

fn check(tick: &Tick, id: i32, sample: i32) -> Result<Comparison> {
    let mut seen = spi::connect(Some(&tick.snapshot), |session| frontier::get(session, &[id]))?;
    let seen = seen.remove(&id).unwrap_or_default();
    let frontier = seen.frontier.map(|stored| match tick.maintained.contains(&id) {
        true => passes::shown(id, &tick.snapshot),
        false => stored,
    });
    let Some(frontier) = frontier else { return Ok(Comparison::none("it has not been filled yet")) };
    let moment = seen.moment;
    let prepared = match prepared::load(id)? {
        Ready::Yes(prepared) => prepared,
        Ready::Stale(table, _) if table.temporal => {
            return Ok(Comparison::none("the next refresh builds it anew, and its query reads the clock"));
        }
        Ready::Stale(table, reason) => {
            let table = &table;
            return Compared { tick, table, reads_clock: false, chooses_looks: false, moment, sample }
                .as_it_is(&reason);
        }
    };
    let loaded = &prepared.loaded;
    let (reads_clock, chooses_looks) = (loaded.view.reads_clock(), loaded.view.chooses_looks());
    let compared = Compared { tick, table: &loaded.table, reads_clock, chooses_looks, moment, sample };
    if let Some(reason) = seen.reinitialize {
        return compared.as_it_is(&reason);
    }
    let input = table::pending(tick, loaded, &frontier, i64::MAX)?;
    if input.truncated {
        return compared.as_it_is("a source was truncated or altered");
    }
    if input.rows > 0 {
        require_writable(loaded)?;
        let activity = format!("verifying {}, following {} changes", loaded.table.display(), input.rows);
        match progress::during(|| activity, || subtransaction(|| apply(tick, &prepared, input, moment))) {
            Err(error @ Error::Broken(..)) => {
                let compared = format!("the table cannot take the changes that are pending: {}", error.in_full());
                return Ok(Comparison { equal: Some(false), compared, moment, found: None });
            }
            result => result?,
        }
        let compared = Compared { moment: Some(tick.taken), ..compared };
        return compared.compare("the table with the changes that are pending");
    }
    // Whether these differ by now is unknown.
    let why = match (loaded.table.polls(), loaded.table.temporal && !compared.reads_clock) {
        (_, true) => "its query reads the clock, which went on since",
        (true, false) => "what it polls may have changed since",
        (false, false) => return compared.compare("the table as it is"),
    };
    let compared = compared.compare(&format!("the table as it is: {why}"))?;
    Ok(Comparison { equal: compared.equal.filter(|equal| *equal), ..compared })
}

/// Pending changes are applied and rolled back, which the server refuses in a read-only transaction.
fn require_writable(loaded: &Loaded) -> Result<()> {
    if !xact::is_read_only() {
        return Ok(());
    }
    let what = format!("cannot verify stream table {} in a read-only transaction", loaded.table.display());
    Err(Error::new(ERRCODE_READ_ONLY_SQL_TRANSACTION, what)
        .detail("It has pending changes, which are followed before it is compared, and then undone.")
        .hint("Refresh it first, or verify it in a transaction that may write."))
}

/// Applies pending changes as a refresh of mode DIFFERENTIAL does, where the table can be refreshed so.
fn apply(tick: &Tick, prepared: &Prepared, input: Input, before: Option<TimestampWithTimeZone>) -> Result<()> {
    let changes = table::as_owner(tick, &prepared.loaded, before, |session| match prepared.loaded.recomputes() {
        true => adaptive::full(session, prepared, false),
        false => program::differential(&Work::new(session, prepared), adaptive::stores(input.deltas)),
    });
    changes.map(drop)
}

impl Compared<'_> {
    /// Compares a table that the next refresh recomputes: its changes are not applied any more.
    fn as_it_is(&self, reason: &str) -> Result<Comparison> {
        self.compare(&format!("the table as it is, which the next refresh computes anew: {reason}"))
    }

    /// Compares the table, in this state, with its query.
    fn compare(&self, state: &str) -> Result<Comparison> {
        let activity = || format!("verifying {}, comparing", self.table.display());
        let found = progress::during(activity, || self.differences())?;
        let equal = Some(found.missing == 0 && found.surplus == 0);
        Ok(Comparison { equal, compared: state.to_owned(), moment: self.moment, found: Some(found) })
    }

    /// The rows that only the table or only the query has.
    fn differences(&self) -> Result<Found> {
        let Compared { tick, table, .. } = self;
        let (owner, snapshot) = (table.owner, Some(&*tick.snapshot));
        let (view, schemas) = spi::connect_as(owner, &table.evaluation(), snapshot, |session| self.whole(session))?;
        let path = Path::widened(&table.search_path, schemas);
        let settings: Vec<(&str, &str)> =
            table.evaluation().into_iter().chain([("search_path", path.as_str())]).collect();
        let now = self.moment.unwrap_or(tick.taken);
        let clock = self.reads_clock.then(|| clock::at(now, now)).transpose()?;
        spi::connect_as(owner, &settings, snapshot, |session| {
            clock.iter().try_for_each(|clock| clock::register(session, clock))?;
            let program = ivm::compile::full_program(&view, 0)?;
            let step = program.steps.last().ok_or(Error::Bug("a program ends in its delta"))?;
            let statement = session.prepare(&print::query(&step.query), &[])?;
            let mut store = statement.store()?;
            session.materialise(&statement, &store, 0)?;
            let weight = store.row_type().names().pop().unwrap_or_default();
            if self.chooses_looks && store.rows() > 0 {
                register_as(session, difference::NAME, &store, assumed(store.rows() as f64))?;
                let rest = difference::without_looks(session, &view.nodes[0].columns, &weight)?;
                session.unregister(difference::NAME)?;
                store = rest;
            }
            let (surplus, missing) = store.weights()?;
            let table_rows = ddl::count(session, &view.nodes[0].table)?;
            register_as(session, difference::NAME, &store, assumed(store.rows() as f64))?;
            let sample = difference::sample(session, &weight, self.sample)?;
            session.unregister(difference::NAME)?;
            Ok(Found { table_rows, query_rows: table_rows - surplus + missing, missing, surplus, sample })
        })
    }

    /// The query as one node.
    fn whole(&self, session: &OwnerSession) -> Result<(View, BTreeSet<String>)> {
        let name = QName::qualified(&self.table.schema, &self.table.name);
        match self.reads_clock {
            true => frontend::compile_whole(session, &frontend::reread(&self.table.canonical)?, &name),
            false => loaded::opaque(session, self.table, name),
        }
    }
}
