//! Runs the programs that `ivm` compiles: each step into a tuplestore that later steps read as an
//! ephemeral relation, the last one into the node's table.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use ivm::choice::{STATEMENT, WRITE};
use ivm::plan::Relation;
use ivm::sql::ast::Statement as Sql;
use ivm::sql::print;
use ivm::view::{Mask, Node, View, delta_of};
use monitor::progress::Phase;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;

use crate::catalog::ddl;
use crate::error::{Error, Result};
use crate::pg::limit::{self, Limited};
use crate::pg::overlay::{self, Gone, Overlay};
use crate::pg::spi::{OwnerSession, Statement};
use crate::pg::subxact::subtransaction;
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{applying, object, progress, relation};
use crate::refresh::build;
use crate::refresh::cost::plans::{Applied, Change, Compiled, Plans, SIZE_TOLERANCE, assumed, register_as};
use crate::refresh::cost::{keys, skew};
use crate::refresh::prepared::Prepared;
use crate::refresh::trace::{self, Ran};

/// The changes that a program made to the stream table.
pub struct Changes {
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    /// The consolidated delta: the table's columns and `w`.
    pub delta: Tuplestore,
    /// Whether any row was written, in internal nodes too.
    pub wrote: bool,
}

/// A running refresh: the planner's cost of the statements that ran, and their time without planning.
pub struct Work<'a> {
    session: &'a OwnerSession<'a>,
    prepared: &'a Prepared,
    view: &'a View,
    cost: Cell<f64>,
    time: Cell<Duration>,
    /// The part of it in which tables were written.
    writing: Cell<Duration>,
    written: Cell<i64>,
    /// The time that following the changes may take; zero means no limit.
    limit: Cell<Duration>,
    /// Of a live read: where changes are kept instead of being applied.
    overlay: Option<Rc<Overlay>>,
}

/// The rows that the two recursions of a delta may have together, as a share of the table: measured, more take longer than
/// recomputing.
const AFFECTED: f64 = 0.8;
/// A table with fewer rows is not worth a limit.
const LEAST_AFFECTED: f64 = 10_000.0;

impl<'a> Work<'a> {
    pub fn new(session: &'a OwnerSession<'a>, prepared: &'a Prepared) -> Work<'a> {
        let view = &prepared.loaded.view;
        trace::begin(prepared.loaded.table.id);
        Work {
            session,
            prepared,
            view,
            cost: Cell::default(),
            time: Cell::default(),
            writing: Cell::default(),
            written: Cell::default(),
            limit: Cell::default(),
            overlay: None,
        }
    }

    /// The same for a live read: nothing is written. Changes of a table are kept in `overlay`, and programs read the tables of
    /// changed inputs with what it has.
    pub fn live(session: &'a OwnerSession<'a>, prepared: &'a Prepared, overlay: &Rc<Overlay>) -> Work<'a> {
        Work { overlay: Some(Rc::clone(overlay)), ..Work::new(session, prepared) }
    }

    /// The statements: those of a live read are planned for other tables.
    fn plans(&self) -> &Plans {
        if self.overlay.is_some() { &self.prepared.live_plans } else { &self.prepared.plans }
    }

    /// Sets a limit for [`differential`], which ends in [`Error::Abandoned`] where it takes longer. What was written until
    /// then are the deltas of inner nodes, which are right: [`full`] finds no difference in them.
    pub fn limit(&self, limit: Duration) {
        self.limit.set(limit);
    }

    pub fn cost(&self) -> f64 {
        self.cost.get()
    }

    pub fn milliseconds(&self) -> f64 {
        self.time.get().as_secs_f64() * 1e3
    }

    /// The part of them in which tables were written.
    pub fn writing_milliseconds(&self) -> f64 {
        self.writing.get().as_secs_f64() * 1e3
    }

    /// Runs a statement for a node's table, which returns the number of its rows. `what` it is: a step with its law, or what
    /// is done to the table.
    fn timed(
        &self,
        node: usize,
        what: (&str, Option<&str>),
        statement: &Statement,
        run: impl FnOnce() -> Result<u64>,
    ) -> Result<u64> {
        let planned = statement.planned(self.session)?;
        let began = Instant::now();
        let result = progress::statement(planned.cost, planned.rows, run);
        let took = began.elapsed();
        self.time.set(self.time.get() + took);
        self.cost.set(self.cost.get() + STATEMENT + planned.cost);
        let rows = result?;
        trace::ran(self.prepared.loaded.table.id, || Ran {
            table: self.view.nodes[node].table.clone(),
            what: what.0.to_owned(),
            law: what.1.map(str::to_owned),
            rows: rows as i64,
            took,
        });
        Ok(rows)
    }

    /// Runs a statement that writes a node's table; the number of rows. Within [`applying::as_one`].
    fn write(&self, node: usize, what: &str, statement: &Statement) -> Result<i64> {
        let before = self.time.get();
        let rows = self.timed(node, (what, None), statement, || self.session.apply(statement))?;
        self.writing.set(self.writing.get() + self.time.get() - before);
        self.cost.set(self.cost.get() + WRITE * rows as f64);
        self.written.set(self.written.get() + rows as i64);
        Ok(rows as i64)
    }

    fn register_delta(&self, relation: &Relation, store: &Tuplestore) -> Result<()> {
        register_delta(self.session, self.view, relation, store, assumed(store.rows() as f64))
    }
}

/// Makes the delta of a source or node readable under the name that the compiler gave it; `rows` is the size that the
/// planner is given.
pub fn register_delta(
    session: &OwnerSession,
    view: &View,
    relation: &Relation,
    store: &Tuplestore,
    rows: f64,
) -> Result<()> {
    let (name, weight) = (view.relation_name(relation).name, view.weight(relation));
    session.register(name.as_str(), store, weight.as_str(), rows)
}

/// Follows the given source deltas through all nodes.
pub fn differential(work: &Work, mut changed: BTreeMap<Relation, Tuplestore>) -> Result<Changes> {
    progress::enter(Phase::ApplyingChanges);
    for (relation, store) in &changed {
        work.register_delta(relation, store)?;
    }
    let keys = keys::of(work.prepared, &changed.keys().collect::<Vec<_>>())?;
    let class = skew::class(&keys, |delta| changed.get(delta));
    skew::announce(work.view, &keys, class);
    let nodes = &work.view.nodes;
    let last = nodes.len() - 1;
    // One-row nodes that did not change, with their empty deltas.
    let mut same: BTreeMap<Relation, Tuplestore> = BTreeMap::new();
    for node in 0..=last {
        // Any of m one-row inputs may change. Where several do, one program serves for all 2^m cases.
        let is_changed = |input: &Relation| delta_of(input).is_some_and(|delta| changed.contains_key(&delta));
        let one_row = nodes[node].inputs.iter().filter(|input| is_one_row(nodes, input));
        if one_row.filter(|input| is_changed(input)).count() > 1 {
            for delta in nodes[node].inputs.iter().filter_map(delta_of) {
                changed.extend(same.remove_entry(&delta));
            }
        }
        let (mask, deltas) = work.view.mask_of(node, |delta| changed.contains_key(delta));
        if mask.is_empty() {
            continue;
        }
        let stores = deltas.iter().filter_map(|delta| changed.get(delta));
        let sizes = stores.map(|store| assumed(store.rows() as f64)).chain([class]).collect();
        let overlaid = overlaid(work, &mask)?;
        let Some(compiled) = work.plans().delta(work.view, node, mask)? else { continue };
        let applied = work.plans().apply(work.view, node)?;
        let changes = match &work.overlay {
            None => run(work, node, (&compiled, &applied), sizes)?,
            Some(overlay) => {
                let delta = overlay::in_program(overlay, overlaid, || computed(work, node, &compiled, sizes))?;
                keep(work, node, &applied, delta, overlay)?
            }
        };
        if node == last {
            return Ok(changes);
        }
        let relation = Relation::NodeDelta(node);
        if changes.delta.rows() > 0 || nodes[node].is_one_row() {
            work.register_delta(&relation, &changes.delta)?;
            let kept = if changes.delta.rows() > 0 { &mut changed } else { &mut same };
            kept.insert(relation, changes.delta);
        }
    }
    unchanged(work)
}

/// The tables of changed inputs that are not sources of rows by themselves: nodes and stream tables. For a live read.
fn overlaid(work: &Work, mask: &Mask) -> Result<HashSet<Oid>> {
    let Some(overlay) = &work.overlay else { return Ok(HashSet::new()) };
    let mut tables = HashSet::new();
    for input in mask {
        let table = match input {
            Relation::Node(node) => object::oid(&work.view.nodes[*node].table)?,
            Relation::Source(name) => match work.prepared.loaded.stream_table(name) {
                Some(relid) => relid,
                None => continue,
            },
            _ => continue,
        };
        if overlay.get(table).is_none() {
            overlay.put(table, overlay::Changes::none());
        }
        tables.insert(table);
    }
    Ok(tables)
}

/// Keeps a delta as changes of the node's table.
fn keep(work: &Work, node: usize, applied: &Applied, delta: Tuplestore, overlay: &Overlay) -> Result<Changes> {
    let (minus, plus) = delta.weights()?;
    let parts = (minus > 0).then(|| delta.parts(None, &[]));
    let mut places = vec![];
    if let Some(parts) = &parts {
        let rows = assumed(parts.deletes.rows() as f64);
        applied.places.with(work.session, (&parts.deletes, rows), SIZE_TOLERANCE, |statement| {
            places = work.session.rows(statement, &[], |row| row.require(1))?;
            Ok(())
        })?;
        if places.len() as i64 != minus {
            let table = &work.view.nodes[node].table;
            let figures = format!("Table {table}: {minus} rows leave, and {} were found.", places.len());
            return Err(Error::Broken("a delta does not match its table", figures));
        }
    }
    let come = match parts {
        _ if plus == 0 => None,
        Some(parts) => Some(parts.inserts),
        None => Some(delta.shared()),
    };
    let relid = object::oid(&work.view.nodes[node].table)?;
    overlay.put(relid, Rc::new(overlay::Changes::new(Gone::rows(places), come)?));
    Ok(Changes { inserted: plus, updated: 0, deleted: minus, delta, wrote: minus + plus > 0 })
}

fn is_one_row(nodes: &[Node], input: &Relation) -> bool {
    matches!(input, Relation::Node(index) if nodes[*index].is_one_row())
}

/// Recomputes every node from its inputs and writes the differences. `replaces`: the tables may hold any rows, such as those
/// of another definition.
pub fn full(work: &Work, replaces: bool) -> Result<Changes> {
    progress::enter(Phase::Recomputing);
    let last = work.view.nodes.len() - 1;
    for node in 0..=last {
        let compiled = work.prepared.plans.full(work.view, node)?;
        let applied = match replaces {
            true => Rc::new(Applied::replacing(&work.view.nodes[node])),
            false => work.prepared.plans.apply(work.view, node)?,
        };
        let changes = run(work, node, (&compiled, &applied), vec![])?;
        if node == last {
            return Ok(changes);
        }
    }
    unchanged(work)
}

/// Fills empty tables: there are no rows to compare with, and no consumers.
pub fn fill(work: &Work) -> Result<Changes> {
    progress::enter(Phase::Filling);
    let mut inserted = 0;
    for node in 0..work.view.nodes.len() {
        let target = &work.view.nodes[node];
        let columns = target.columns.iter().map(|column| column.name.clone()).collect();
        let query = ivm::compile::full_query(work.view, node)?;
        let fill = Sql::Insert { table: target.table.clone(), columns, query };
        let statement = work.session.prepare(&print::statement(&fill), &[])?;
        inserted = applying::as_one(|| work.write(node, "insert", &statement))?;
        ddl::analyze(work.session, &target.table)?;
    }
    // Plans that were made while the tables were empty are outdated.
    work.prepared.drop_plans();
    Ok(Changes { inserted, ..unchanged(work)? })
}

fn unchanged(work: &Work) -> Result<Changes> {
    let last = work.view.nodes.last().ok_or(Error::Bug("a view has a last node"))?;
    let delta = ddl::prepare_empty_delta(work.session, &last.table, &last.weight())?.store()?;
    Ok(Changes { inserted: 0, updated: 0, deleted: 0, delta, wrote: work.written.get() > 0 })
}

/// Runs one program, which reads deltas of these sizes, and applies its delta.
fn run(work: &Work, node: usize, (compiled, applied): (&Compiled, &Applied), sizes: Vec<f64>) -> Result<Changes> {
    let delta = computed(work, node, compiled, sizes)?;
    apply(work, node, applied, delta)
}

/// The delta of one program.
fn computed(work: &Work, node: usize, compiled: &Compiled, sizes: Vec<f64>) -> Result<Tuplestore> {
    let registered = Cell::new(0);
    let computed = match work.limit.get() {
        Duration::ZERO => compute(work, node, compiled, sizes, &registered),
        limit => limited(limit.saturating_sub(work.time.get()), || compute(work, node, compiled, sizes, &registered)),
    };
    let steps = &compiled.program.steps;
    steps[..registered.get()].iter().try_for_each(|step| work.session.unregister(step.name.as_str()))?;
    computed
}

/// Computes a delta, which writes nothing, in a subtransaction that is rolled back after this time.
fn limited(left: Duration, compute: impl FnOnce() -> Result<Tuplestore>) -> Result<Tuplestore> {
    let left = left.max(Duration::from_millis(1));
    let result = subtransaction(|| limit::within(Limited::Delta, left, compute));
    match (result, limit::exceeded(Limited::Delta)) {
        (Err(error), Some(_))
            if error.code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED && !limit::is_over(Limited::Refresh) =>
        {
            Err(Error::Abandoned)
        }
        (result, _) => result,
    }
}

/// The rows that the next recursion of a delta may have, of which there are at most two; zero means no limit.
fn most_affected(work: &Work, node: usize, before: Option<i64>) -> Result<u64> {
    if work.limit.get().is_zero() {
        return Ok(0);
    }
    let rows = relation::estimated_rows(object::oid(&work.view.nodes[node].table)?).max(LEAST_AFFECTED);
    Ok(match before {
        None => (AFFECTED / 2.0 * rows) as u64,
        Some(before) => (AFFECTED * rows) as u64 - (before as u64).min((AFFECTED / 2.0 * rows) as u64),
    })
}

/// Runs the steps of a program; counts those that it has registered.
fn compute(
    work: &Work,
    node: usize,
    compiled: &Compiled,
    mut sizes: Vec<f64>,
    registered: &Cell<usize>,
) -> Result<Tuplestore> {
    let steps = &compiled.program.steps;
    let mut stores: Vec<Tuplestore> = vec![];
    let mut affected = None;
    for (at, step) in steps.iter().enumerate() {
        let statement = compiled.statement(work.session, at, &sizes, SIZE_TOLERANCE)?;
        let store = statement.store()?;
        let needed = step.needs.as_ref().and_then(|name| steps.iter().position(|s| s.name == *name));
        if needed.is_none_or(|earlier| stores[earlier].rows() > 0) {
            let most = if step.query.is_recursive() { most_affected(work, node, affected)? } else { 0 };
            let what = (step.name.as_str(), Some(step.law.as_str()));
            let rows = work.timed(node, what, &statement, || work.session.materialise(&statement, &store, most))?;
            if most > 0 {
                if rows >= most {
                    return Err(Error::Abandoned);
                }
                affected = Some(rows as i64);
            }
        }
        let store = if step.cancels { store.added_up()? } else { store };
        let rows = assumed(store.rows() as f64);
        register_as(work.session, step.name.as_str(), &store, rows)?;
        registered.set(at + 1);
        sizes.push(rows);
        stores.push(store);
    }
    let delta = stores.pop().ok_or(Error::Bug("a program ends in its delta"))?;
    Ok(if steps.last().is_some_and(|last| last.repeats) { delta.summed() } else { delta })
}

/// The places of the columns in unique indexes of users on a stream table: two rows that swap such values cannot be updated
/// one after the other. All columns, where an index is partial or over an expression.
fn unique(work: &Work, node: usize) -> Vec<usize> {
    let columns = &work.view.nodes[node].columns;
    if node + 1 < work.view.nodes.len() {
        return vec![];
    }
    let numbers = relation::unique_columns(work.prepared.loaded.table.relid);
    if numbers.contains(&0) {
        return (0..columns.len()).collect();
    }
    let attributes = relation::attributes(work.prepared.loaded.table.relid).unwrap_or_default();
    let named = attributes.into_iter().filter(|attribute| numbers.contains(&attribute.number));
    let place = |name: &str| columns.iter().position(|column| column.name.as_str() == name);
    named.filter_map(|attribute| place(&attribute.name)).collect()
}

/// Writes a delta into the node's table and checks that as many rows were changed as it says.
fn apply(work: &Work, node: usize, applied: &Applied, delta: Tuplestore) -> Result<Changes> {
    let (minus, plus) = delta.weights()?;
    let parts = (minus > 0 && plus > 0).then(|| delta.parts(applied.key.as_deref(), &unique(work, node)));
    let (updates, deletes, inserts) = match &parts {
        Some(parts) => (Some(&parts.updates), &parts.deletes, &parts.inserts),
        None => (None, &delta, &delta),
    };
    if applied.replaces {
        work.session.catalog(|session| build::drop_old_indexes(session, &work.view.nodes[node]))?;
    }
    let write = |what: &str, change: &Change, part: &Tuplestore| {
        if part.rows() == 0 {
            return Ok(0);
        }
        let rows = assumed(part.rows() as f64);
        change.with(work.session, (part, rows), SIZE_TOLERANCE, |statement| work.write(node, what, statement))
    };
    let update = applied.update.as_ref().zip(updates);
    let (updated, deleted, inserted) = applying::as_one(|| {
        let updated = update.map_or(Ok(0), |(update, part)| write("update", update, part))?;
        let deleted = if minus > 0 { write("delete", &applied.delete, deletes)? } else { 0 };
        let inserted = if plus > 0 { write("insert", &applied.insert, inserts)? } else { 0 };
        Ok((updated, deleted, inserted))
    })?;
    if deleted + updated != minus || inserted + updated != plus {
        let table = &work.view.nodes[node].table;
        let done = format!("{deleted} rows were deleted, {updated} updated and {inserted} inserted");
        let figures = format!("Table {table}: the weights are -{minus} and +{plus}, but {done}.");
        return Err(Error::Broken("a delta does not match its table", figures));
    }
    Ok(Changes { inserted, updated, deleted, delta, wrote: work.written.get() > 0 })
}
