//! Runs the programs that `ivm` compiles: each step into a tuplestore that later steps read as an
//! ephemeral relation, the last one into the node's table.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ivm::plan::Relation;
use ivm::sql::ast::Statement as Sql;
use ivm::sql::print;
use ivm::view::{Mask, Program};

use crate::catalog::ddl;
use crate::error::{Error, Result};
use crate::pg::spi::{Session, Statement};
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::loaded::Loaded;

/// What a refresh changed in the stream table.
pub struct Changes {
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
    /// The consolidated delta: the table's columns and `w`.
    pub delta: Tuplestore,
}

/// The prepared programs of one stream table, by node, change mask and size class.
#[derive(Default)]
pub struct Programs {
    steps: RefCell<HashMap<(usize, Mask, Size), Rc<Prepared>>>,
    apply: RefCell<HashMap<(usize, Size), Rc<PreparedApply>>>,
}

/// A plan made for a handful of rows is wrong for a hundred thousand: each class has plans of its own,
/// and what is larger is planned for its true size every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Size {
    Few,
    Many,
    Bulk,
}

impl Size {
    fn of(rows: i64) -> Size {
        match rows {
            ..=64 => Size::Few,
            65..=4096 => Size::Many,
            _ => Size::Bulk,
        }
    }

    /// What the planner is told.
    fn rows(self, rows: i64) -> f64 {
        match self {
            Size::Few => 2.0,
            Size::Many => 500.0,
            Size::Bulk => rows as f64,
        }
    }
}

struct Prepared {
    program: Program,
    statements: RefCell<Vec<Rc<Statement>>>,
}

#[derive(Default)]
struct PreparedApply {
    update: RefCell<Option<Rc<Statement>>>,
    delete: RefCell<Option<Rc<Statement>>>,
    insert: RefCell<Option<Rc<Statement>>>,
}

/// Follows the given source deltas through all nodes.
pub fn differential(
    session: &Session,
    loaded: &Rc<Loaded>,
    mut changed: BTreeMap<Relation, Tuplestore>,
) -> Result<Changes> {
    for (relation, store) in &changed {
        register_delta(session, loaded, relation, store)?;
    }
    let last = loaded.view.nodes.len() - 1;
    for node in 0..=last {
        let mask: Mask = mask_of(loaded, node, &changed);
        if mask.is_empty() {
            continue;
        }
        let rows = mask.iter().filter_map(|relation| changed.get(relation)).map(Tuplestore::rows).max().unwrap_or(0);
        let Some(prepared) = prepared(loaded, node, mask, Size::of(rows))? else {
            continue;
        };
        let changes = run(session, loaded, node, &prepared)?;
        if node == last {
            return Ok(changes);
        }
        if changes.delta.rows() > 0 {
            let relation = Relation::NodeDelta(node);
            register_delta(session, loaded, &relation, &changes.delta)?;
            changed.insert(relation, changes.delta);
        }
    }
    unchanged(session, loaded)
}

/// The deltas that node `node` reads.
fn mask_of(loaded: &Loaded, node: usize, changed: &BTreeMap<Relation, Tuplestore>) -> Mask {
    let delta_of = |relation: &Relation| match relation {
        Relation::Source(name) => Some(Relation::SourceDelta(name.clone())),
        Relation::Node(index) => Some(Relation::NodeDelta(*index)),
        _ => None,
    };
    let inputs = loaded.view.nodes[node].inputs.iter();
    inputs.filter(|input| delta_of(input).is_some_and(|delta| changed.contains_key(&delta))).cloned().collect()
}

fn prepared(loaded: &Loaded, node: usize, mask: Mask, size: Size) -> Result<Option<Rc<Prepared>>> {
    let key = (node, mask, size);
    if let Some(found) = loaded.programs.steps.borrow().get(&key) {
        return Ok(Some(Rc::clone(found)));
    }
    let Some(program) = ivm::delta::program(&loaded.view, node, &key.1)? else {
        return Ok(None);
    };
    let prepared = Rc::new(Prepared { program, statements: RefCell::default() });
    if size != Size::Bulk {
        loaded.programs.steps.borrow_mut().insert(key, Rc::clone(&prepared));
    }
    Ok(Some(prepared))
}

/// Recomputes every node from its inputs and writes the differences.
pub fn full(session: &Session, loaded: &Rc<Loaded>) -> Result<Changes> {
    let last = loaded.view.nodes.len() - 1;
    for node in 0..=last {
        let program = ivm::compile::full_program(&loaded.view, node)?;
        let prepared = Prepared { program, statements: RefCell::default() };
        let changes = run(session, loaded, node, &prepared)?;
        if node == last {
            return Ok(changes);
        }
    }
    unchanged(session, loaded)
}

/// Fills empty tables: nothing to compare with, and nobody to tell.
pub fn fill(session: &Session, loaded: &Rc<Loaded>) -> Result<Changes> {
    let mut inserted = 0;
    for node in 0..loaded.view.nodes.len() {
        let target = &loaded.view.nodes[node];
        let columns = target.columns.iter().map(|column| column.name.clone()).collect();
        let query = ivm::compile::full_query(&loaded.view, node)?;
        let fill = Sql::Insert { table: target.table.clone(), columns, query };
        inserted = session.execute_once(&print::statement(&fill))? as i64;
        ddl::analyze(session, &target.table)?;
    }
    Ok(Changes { inserted, ..unchanged(session, loaded)? })
}

fn unchanged(session: &Session, loaded: &Loaded) -> Result<Changes> {
    let Some(node) = loaded.view.nodes.last() else {
        return Err(Error::Bug("a view has a last node"));
    };
    let delta = ddl::prepare_empty_delta(session, &node.table)?.store()?;
    Ok(Changes { inserted: 0, updated: 0, deleted: 0, delta })
}

/// Runs one program and applies its delta.
fn run(session: &Session, loaded: &Loaded, node: usize, prepared: &Prepared) -> Result<Changes> {
    let mut stores: Vec<Tuplestore> = vec![];
    for (index, step) in prepared.program.steps.iter().enumerate() {
        let statement = match prepared.statements.borrow().get(index) {
            Some(found) => Some(Rc::clone(found)),
            None => None,
        };
        let statement = match statement {
            Some(found) => found,
            None => {
                let made = Rc::new(session.prepare(&print::query(&step.query), &[])?);
                prepared.statements.borrow_mut().push(Rc::clone(&made));
                made
            }
        };
        let store = statement.store()?;
        let needed = step.needs.as_ref().and_then(|name| prepared.program.steps.iter().position(|s| s.name == *name));
        if needed.is_none_or(|earlier| stores[earlier].rows() > 0) {
            session.materialise(&statement, &store)?;
        }
        let (rows, last) = (store.rows(), store.row_type().names().pop().unwrap_or_default());
        session.register(step.name.as_str(), &store, &last, Size::of(rows).rows(rows))?;
        stores.push(store);
    }
    let delta = stores.pop().ok_or(Error::Bug("a program ends in its delta"))?;
    let changes = apply(session, loaded, node, delta)?;
    for step in &prepared.program.steps {
        session.unregister(step.name.as_str())?;
    }
    Ok(changes)
}

/// Writes a delta into the node's table and checks that the table agreed with it.
fn apply(session: &Session, loaded: &Loaded, node: usize, delta: Tuplestore) -> Result<Changes> {
    let (minus, plus) = delta.weights()?;
    let (mut inserted, mut updated, mut deleted) = (0, 0, 0);
    if minus + plus > 0 {
        let plan = ivm::apply::plan(&loaded.view.nodes[node]);
        let size = Size::of(delta.rows());
        let kept = match size {
            Size::Bulk => Rc::default(),
            _ => Rc::clone(loaded.programs.apply.borrow_mut().entry((node, size)).or_default()),
        };
        let execute = |slot: &RefCell<Option<Rc<Statement>>>, statement| -> Result<i64> {
            let known = slot.borrow().clone();
            let ready = match known {
                Some(found) => found,
                None => {
                    let made = Rc::new(session.prepare(&print::statement(statement), &[])?);
                    slot.borrow_mut().replace(Rc::clone(&made));
                    made
                }
            };
            Ok(session.run(&ready, &[])? as i64)
        };
        if let Some(update) = plan.update.as_ref().filter(|_| minus > 0 && plus > 0) {
            updated = execute(&kept.update, update)?;
        }
        if updated < minus {
            deleted = execute(&kept.delete, &plan.delete)?;
        }
        if updated < plus {
            inserted = execute(&kept.insert, &plan.insert)?;
        }
        if deleted + updated != minus || inserted + updated != plus {
            let table = &loaded.view.nodes[node].table;
            let done = format!("{deleted} rows were deleted, {updated} updated and {inserted} inserted");
            let figures = format!("Table {table}: the weights are -{minus} and +{plus}, but {done}.");
            return Err(Error::Broken("a delta does not fit the table it is for", figures));
        }
    }
    Ok(Changes { inserted, updated, deleted, delta })
}

/// Makes the delta of a source or node readable under the names that the compiler gave it.
fn register_delta(session: &Session, loaded: &Loaded, relation: &Relation, store: &Tuplestore) -> Result<()> {
    let (name, weight) = (loaded.view.relation_name(relation).name, loaded.view.weight(relation));
    session.register(name.as_str(), store, weight.as_str(), Size::of(store.rows()).rows(store.rows()))
}

/// The SQL of every program that one changed source needs, for `explain`.
pub fn explain_programs(loaded: &Loaded) -> Result<Vec<String>> {
    let mut texts = vec![];
    for (index, node) in loaded.view.nodes.iter().enumerate() {
        for input in &node.inputs {
            let mask: Mask = [input.clone()].into();
            if let Some(program) = ivm::delta::program(&loaded.view, index, &mask)? {
                let changed = loaded.view.relation_name(input);
                for step in &program.steps {
                    texts.push(format!(
                        "-- {}: {changed} changed: {}: {}\n{}",
                        node.table,
                        step.name,
                        step.law,
                        print::query(&step.query)
                    ));
                }
            }
        }
    }
    Ok(texts)
}
