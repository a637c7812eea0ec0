//! Runs the programs that `ivm` compiles: each step into a tuplestore that later steps read as an
//! ephemeral relation, the last one into the node's table.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ivm::choice::{STATEMENT, WRITE};
use ivm::plan::Relation;
use ivm::sql::ast::Statement as Sql;
use ivm::sql::print;
use ivm::view::{Mask, Node};

use crate::catalog::ddl;
use crate::error::{Error, Result};
use crate::pg::spi::{OwnerSession, Statement};
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{applying, relation};
use crate::refresh::loaded::Loaded;
use crate::refresh::planned::{Applied, Change, Compiled, NEAR, register_as, told};

/// What a refresh changed in the stream table.
pub struct Changes {
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    /// The consolidated delta: the table's columns and `w`.
    pub delta: Tuplestore,
    /// Whether any table was written, those of internal nodes included.
    pub moved: bool,
}

/// A refresh at work, and what it has taken: the planner's cost of what ran, and the time, planning left out.
pub struct Work<'a> {
    pub session: &'a OwnerSession,
    pub loaded: &'a Loaded,
    cost: Cell<f64>,
    time: Cell<Duration>,
    written: Cell<i64>,
}

impl<'a> Work<'a> {
    pub fn new(session: &'a OwnerSession, loaded: &'a Loaded) -> Work<'a> {
        Work { session, loaded, cost: Cell::new(0.0), time: Cell::new(Duration::ZERO), written: Cell::new(0) }
    }

    pub fn cost(&self) -> f64 {
        self.cost.get()
    }

    pub fn milliseconds(&self) -> f64 {
        self.time.get().as_secs_f64() * 1e3
    }

    fn timed<R>(&self, statement: &Statement, run: impl FnOnce() -> Result<R>) -> Result<R> {
        let planned = statement.planned(self.session)?;
        let began = Instant::now();
        let result = run();
        self.time.set(self.time.get() + began.elapsed());
        self.cost.set(self.cost.get() + STATEMENT + planned.cost);
        result
    }

    /// Runs a statement that writes a table of ours; the number of rows. Within [`applying::as_one`].
    fn write(&self, statement: &Statement) -> Result<i64> {
        let rows = self.timed(statement, || self.session.apply(statement))?;
        self.cost.set(self.cost.get() + WRITE * rows as f64);
        self.written.set(self.written.get() + rows as i64);
        Ok(rows as i64)
    }

    /// Makes the delta of a source or node readable under the name that the compiler gave it.
    fn register_delta(&self, relation: &Relation, store: &Tuplestore) -> Result<()> {
        register_delta(self.session, self.loaded, relation, store, told(store.rows() as f64))
    }
}

/// The same, for a delta that the planner is told has `rows` rows.
pub fn register_delta(
    session: &OwnerSession,
    loaded: &Loaded,
    relation: &Relation,
    store: &Tuplestore,
    rows: f64,
) -> Result<()> {
    let (name, weight) = (loaded.view.relation_name(relation).name, loaded.view.weight(relation));
    session.register(name.as_str(), store, weight.as_str(), rows)
}

/// Follows the given source deltas through all nodes.
pub fn differential(work: &Work, mut changed: BTreeMap<Relation, Tuplestore>) -> Result<Changes> {
    for (relation, store) in &changed {
        work.register_delta(relation, store)?;
    }
    let nodes = &work.loaded.view.nodes;
    let last = nodes.len() - 1;
    // One-row nodes that were followed and stayed as they are, with their empty deltas.
    let mut same: BTreeMap<Relation, Tuplestore> = BTreeMap::new();
    for node in 0..=last {
        // Of m one-row inputs now these change, now those. Where several do, one program serves for all 2^m cases.
        let is_changed = |input: &Relation| delta_of(input).is_some_and(|delta| changed.contains_key(&delta));
        let one_row = nodes[node].inputs.iter().filter(|input| is_one_row(nodes, input));
        if one_row.filter(|input| is_changed(input)).count() > 1 {
            for delta in nodes[node].inputs.iter().filter_map(delta_of) {
                changed.extend(same.remove_entry(&delta));
            }
        }
        let (mask, deltas) = mask_of(work.loaded, node, |delta| changed.contains_key(delta));
        if mask.is_empty() {
            continue;
        }
        let sizes =
            deltas.iter().filter_map(|delta| changed.get(delta)).map(|store| told(store.rows() as f64)).collect();
        let Some(compiled) = work.loaded.programs.delta(work.loaded, node, mask)? else { continue };
        let applied = work.loaded.programs.apply(work.loaded, node);
        let changes = run(work, node, (&compiled, &applied), sizes)?;
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

/// The inputs of node `node` that changed, and the deltas of those that have one, in the same order: time always
/// passes.
pub fn mask_of(loaded: &Loaded, node: usize, changed: impl Fn(&Relation) -> bool) -> (Mask, Vec<Relation>) {
    let inputs = &loaded.view.nodes[node].inputs;
    let pairs = inputs.iter().filter_map(|input| Some((input.clone(), delta_of(input).filter(&changed)?)));
    let (mut mask, deltas): (Mask, Vec<Relation>) = pairs.unzip();
    mask.extend(inputs.get(&Relation::Clock).cloned());
    (mask, deltas)
}

fn delta_of(input: &Relation) -> Option<Relation> {
    match input {
        Relation::Source(name) => Some(Relation::SourceDelta(name.clone())),
        Relation::Node(index) => Some(Relation::NodeDelta(*index)),
        _ => None,
    }
}

fn is_one_row(nodes: &[Node], input: &Relation) -> bool {
    matches!(input, Relation::Node(index) if nodes[*index].is_one_row())
}

/// Recomputes every node from its inputs and writes the differences. `replaces`: what the tables hold are rows of another
/// definition, or whatever was done to them.
pub fn full(work: &Work, replaces: bool) -> Result<Changes> {
    let last = work.loaded.view.nodes.len() - 1;
    for node in 0..=last {
        let compiled = work.loaded.programs.full(work.loaded, node)?;
        let applied = match replaces {
            true => Rc::new(Applied::replacing(&work.loaded.view.nodes[node])),
            false => work.loaded.programs.apply(work.loaded, node),
        };
        let changes = run(work, node, (&compiled, &applied), vec![])?;
        if node == last {
            return Ok(changes);
        }
    }
    unchanged(work)
}

/// Fills empty tables: nothing to compare with, and nobody to tell.
pub fn fill(work: &Work) -> Result<Changes> {
    let mut inserted = 0;
    for node in 0..work.loaded.view.nodes.len() {
        let target = &work.loaded.view.nodes[node];
        let columns = target.columns.iter().map(|column| column.name.clone()).collect();
        let query = ivm::compile::full_query(&work.loaded.view, node)?;
        let fill = Sql::Insert { table: target.table.clone(), columns, query };
        let statement = work.session.prepare(&print::statement(&fill), &[])?;
        inserted = applying::as_one(|| work.write(&statement))?;
        ddl::analyze(work.session, &target.table)?;
    }
    // Plans that were made while the tables were empty are of no use any more.
    work.loaded.programs.forget();
    Ok(Changes { inserted, ..unchanged(work)? })
}

/// The delta of a node that does not change.
fn empty_delta(session: &OwnerSession, loaded: &Loaded, node: usize) -> Result<Tuplestore> {
    let node = &loaded.view.nodes[node];
    ddl::prepare_empty_delta(session, &node.table, &node.weight())?.store()
}

fn unchanged(work: &Work) -> Result<Changes> {
    let last = work.loaded.view.nodes.len() - 1;
    let delta = empty_delta(work.session, work.loaded, last)?;
    Ok(Changes { inserted: 0, updated: 0, deleted: 0, delta, moved: work.written.get() > 0 })
}

/// Runs one program, which reads deltas of these sizes, and applies its delta.
fn run(work: &Work, node: usize, (compiled, applied): (&Compiled, &Applied), mut sizes: Vec<f64>) -> Result<Changes> {
    let steps = &compiled.program.steps;
    let mut stores: Vec<Tuplestore> = vec![];
    for (at, step) in steps.iter().enumerate() {
        let statement = compiled.statement(work.session, at, &sizes, NEAR)?;
        let store = statement.store()?;
        let needed = step.needs.as_ref().and_then(|name| steps.iter().position(|s| s.name == *name));
        if needed.is_none_or(|earlier| stores[earlier].rows() > 0) {
            work.timed(&statement, || work.session.materialise(&statement, &store))?;
        }
        let store = if step.cancels { store.added_up()? } else { store };
        let rows = told(store.rows() as f64);
        register_as(work.session, step.name.as_str(), &store, rows)?;
        sizes.push(rows);
        stores.push(store);
    }
    let delta = stores.pop().ok_or(Error::Bug("a program ends in its delta"))?;
    let delta = if steps.last().is_some_and(|last| last.repeats) { delta.summed() } else { delta };
    steps.iter().try_for_each(|step| work.session.unregister(step.name.as_str()))?;
    apply(work, node, applied, delta)
}

/// The places of the columns that unique indexes of users tell the rows of a stream table by: two rows that trade their
/// values cannot do so one after the other. Where an index is over an expression, or over some rows, all columns.
fn unique(work: &Work, node: usize) -> Vec<usize> {
    let columns = &work.loaded.view.nodes[node].columns;
    if node + 1 < work.loaded.view.nodes.len() {
        return vec![];
    }
    let numbers = relation::unique_columns(work.loaded.table.relid);
    if numbers.contains(&0) {
        return (0..columns.len()).collect();
    }
    let attributes = relation::attributes(work.loaded.table.relid).unwrap_or_default();
    let named = attributes.into_iter().filter(|attribute| numbers.contains(&attribute.number));
    let place = |name: &str| columns.iter().position(|column| column.name.as_str() == name);
    named.filter_map(|attribute| place(&attribute.name)).collect()
}

/// Writes a delta into the node's table and checks that the table agreed with it.
fn apply(work: &Work, node: usize, applied: &Applied, delta: Tuplestore) -> Result<Changes> {
    let (minus, plus) = delta.weights()?;
    let parts = (minus > 0 && plus > 0).then(|| delta.parts(applied.key.as_deref(), &unique(work, node)));
    let (changed, gone, come) = match &parts {
        Some(parts) => (Some(&parts.changed), &parts.gone, &parts.come),
        None => (None, &delta, &delta),
    };
    let write = |change: &Change, part: &Tuplestore| {
        if part.rows() == 0 {
            return Ok(0);
        }
        let rows = told(part.rows() as f64);
        change.with(work.session, (part, rows), NEAR, |statement| work.write(statement))
    };
    let update = applied.update.as_ref().zip(changed);
    let (updated, deleted, inserted) = applying::as_one(|| {
        let updated = update.map_or(Ok(0), |(update, changed)| write(update, changed))?;
        let deleted = if minus > 0 { write(&applied.delete, gone)? } else { 0 };
        let inserted = if plus > 0 { write(&applied.insert, come)? } else { 0 };
        Ok((updated, deleted, inserted))
    })?;
    if deleted + updated != minus || inserted + updated != plus {
        let table = &work.loaded.view.nodes[node].table;
        let done = format!("{deleted} rows were deleted, {updated} updated and {inserted} inserted");
        let figures = format!("Table {table}: the weights are -{minus} and +{plus}, but {done}.");
        return Err(Error::Broken("a delta does not fit the table it is for", figures));
    }
    Ok(Changes { inserted, updated, deleted, delta, moved: work.written.get() > 0 })
}
