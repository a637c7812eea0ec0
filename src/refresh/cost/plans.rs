//! Prepared statements, each in the plans that were made for several sizes of its inputs.
//!
//! A plan made for a handful of rows is wrong for a hundred thousand. The planner is given the number of rows of each
//! delta; a plan is used again where every delta has about as many.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::rc::Rc;

use ivm::lookup::{self, Joined};
use ivm::sql::ast::Statement as Sql;
use ivm::sql::ident::{Ident, QName};
use ivm::sql::print;
use ivm::view::{Apply, DELETES, INSERTS, Identity, Mask, Node, Program, UPDATES, View};

use crate::error::{Error, Result};
use crate::pg::object;
use crate::pg::planner::Reads;
use crate::pg::spi::{OwnerSession, Statement};
use crate::pg::subxact::subtransaction;
use crate::pg::tuplestore::Tuplestore;

/// The least number of rows that the planner is given, so that one plan serves up to eight rows.
const FEW: f64 = 3.0;
/// The factor by which each size of a plan may be off.
pub const SIZE_TOLERANCE: f64 = 2.9;
/// Rows of a delta up to which the rows that it looks up are taken to be in memory.
const HOT: f64 = 10_000.0;
/// Plans of one statement; and programs of one stream table, of which there could be one for every set of its inputs.
const MAX_PLANS: usize = 16;
const MAX_PROGRAMS: usize = 256;

/// The size that the planner is given for a relation of so many rows.
pub fn assumed(rows: f64) -> f64 {
    rows.max(FEW)
}

/// Makes the result of a step, or a part of it, readable under a name.
pub fn register_as(session: &OwnerSession, name: &str, store: &Tuplestore, rows: f64) -> Result<()> {
    let last = store.row_type().names().pop().unwrap_or_default();
    session.register(name, store, &last, rows)
}

/// The largest factor between two sizes of the same relation; `None` when the relations are not the same.
pub fn distance(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let apart = |(a, b): (&f64, &f64)| (a / b).max(b / a);
    (ours.len() == theirs.len()).then(|| ours.iter().zip(theirs).map(apart).fold(1.0, f64::max))
}

/// One statement, prepared for several sizes of its inputs.
#[derive(Default)]
struct Variants(RefCell<Vec<(Vec<f64>, Rc<Statement>)>>);

impl Variants {
    /// The statement for sizes within the factor `tolerance` of these.
    fn get(&self, sizes: &[f64], tolerance: f64, prepare: impl FnOnce() -> Result<Statement>) -> Result<Rc<Statement>> {
        if let Some(found) = self.find(sizes, tolerance) {
            return Ok(found);
        }
        let statement = Rc::new(prepare()?);
        let mut variants = self.0.borrow_mut();
        variants.insert(0, (sizes.to_vec(), Rc::clone(&statement)));
        variants.truncate(MAX_PLANS);
        Ok(statement)
    }

    fn find(&self, sizes: &[f64], tolerance: f64) -> Option<Rc<Statement>> {
        let mut variants = self.0.borrow_mut();
        let apart = variants.iter().map(|(known, _)| distance(known, sizes)).enumerate();
        let near = apart.filter_map(|(at, apart)| Some((at, apart.filter(|apart| *apart <= tolerance)?)));
        let (at, _) = near.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        variants[..=at].rotate_right(1);
        Some(Rc::clone(&variants[0].1))
    }

    /// The same for a statement that applies changes, planned: an error of the server is a reason to recompute and not the
    /// user's.
    fn planned(
        &self,
        session: &OwnerSession,
        (sizes, tolerance): (&[f64], f64),
        prepare: impl FnOnce() -> Result<Statement>,
    ) -> Result<Rc<Statement>> {
        let prepare = || subtransaction(prepare).map_err(Error::while_planned);
        let statement = self.get(sizes, tolerance, prepare)?;
        if !statement.is_planned()? {
            subtransaction(|| statement.planned(session).map(|_| ())).map_err(Error::while_planned)?;
        }
        Ok(statement)
    }
}

/// A program and the statements of its steps.
pub struct Compiled {
    pub program: Program,
    /// The columns of deltas by which it finds rows of tables.
    pub joined: BTreeSet<Joined>,
    /// It reads deltas; the other kind recomputes.
    reads_deltas: bool,
    /// The tables fit into memory.
    in_memory: bool,
    hashed_key: Option<QName>,
    steps: Vec<Variants>,
}

/// The table of a node, where it has at most one row of each hashed key.
fn hashed_key(node: &Node) -> Option<QName> {
    matches!(node.identity, Identity::HashedKey(_)).then(|| node.table.clone())
}

/// The same for a program that reads deltas: that of groups finds its own rows by their key alone, every other one finds rows by
/// other hashes, too, of which many rows may have the same one.
fn hashed_key_of_groups(node: &Node) -> Option<QName> {
    hashed_key(node).filter(|_| !node.upkeep.is_empty())
}

fn prepare(session: &OwnerSession, sql: &str, reads: Reads, hashed_key: Option<&QName>) -> Result<Statement> {
    let table = hashed_key.map(object::oid).transpose()?;
    Ok(session.prepare(sql, &[])?.that_reads(reads).with_hashed_key(table))
}

impl Compiled {
    fn new(
        (program, joined): (Program, BTreeSet<Joined>),
        (reads_deltas, in_memory): (bool, bool),
        hashed_key: Option<QName>,
    ) -> Rc<Compiled> {
        let steps = program.steps.iter().map(|_| Variants::default()).collect();
        Rc::new(Compiled { program, joined, reads_deltas, in_memory, hashed_key, steps })
    }

    /// The statement of a step that reads deltas of these sizes and this class of skew, or within the factor `tolerance` of them.
    pub fn statement(
        &self,
        session: &OwnerSession,
        step: usize,
        sizes: &[f64],
        tolerance: f64,
    ) -> Result<Rc<Statement>> {
        let is_hot = self.in_memory || sizes.iter().all(|rows| *rows <= HOT);
        let reads = Reads { hot: self.reads_deltas && is_hot, in_order: false };
        let sql = || print::query(&self.program.steps[step].query);
        let prepare = || prepare(session, &sql(), reads, self.hashed_key.as_ref());
        match self.reads_deltas {
            true => self.steps[step].planned(session, (sizes, tolerance), prepare),
            false => self.steps[step].get(sizes, tolerance, prepare),
        }
    }

    /// Whether every step of a program that recomputes has a valid plan.
    pub fn is_planned(&self) -> Result<bool> {
        for step in &self.steps {
            if !step.find(&[], SIZE_TOLERANCE).map_or(Ok(false), |statement| statement.is_planned())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How a delta is written into the table of a node.
pub struct Applied {
    /// The places of the columns by which a changed row is found; `None` where no row is updated.
    pub key: Option<Vec<usize>>,
    /// The table may hold the rows of another definition.
    pub replaces: bool,
    pub update: Option<Change>,
    pub delete: Change,
    pub insert: Change,
    /// Finds the rows that `delete` would delete.
    pub places: Change,
}

/// The statement that writes one part of a delta.
pub struct Change {
    part: &'static str,
    in_memory: bool,
    hashed_key: Option<QName>,
    sql: String,
    variants: Variants,
}

impl Applied {
    /// For a table that may hold the rows of another definition.
    pub fn replacing(node: &Node) -> Applied {
        Applied::new(node, ivm::apply::replacing(node), false, true)
    }

    fn new(node: &Node, apply: Apply, in_memory: bool, replaces: bool) -> Applied {
        let Apply { update, delete, insert, .. } = apply;
        // Rows of another definition need not be unique.
        let hashed_key = hashed_key(node).filter(|_| !replaces);
        let change =
            |part, sql| Change { part, in_memory, hashed_key: hashed_key.clone(), sql, variants: Variants::default() };
        let writing = |part, sql: &Sql| change(part, print::statement(sql));
        let place = |name: &Ident| node.columns.iter().position(|column| column.name == *name);
        let key = match &node.identity {
            Identity::Key(names) | Identity::HashedKey(names) => names.iter().map(place).collect(),
            Identity::Bag => None,
        };
        Applied {
            key: key.filter(|_| update.is_some()),
            replaces,
            update: update.map(|update| writing(UPDATES, &update)),
            delete: writing(DELETES, &delete),
            insert: writing(INSERTS, &insert),
            places: change(DELETES, print::query(&ivm::apply::places(node))),
        }
    }
}

impl Change {
    /// Calls `f` with the statement, planned for a part of so many rows, which it may read.
    pub fn with<R>(
        &self,
        session: &OwnerSession,
        (part, rows): (&Tuplestore, f64),
        tolerance: f64,
        f: impl FnOnce(&Statement) -> Result<R>,
    ) -> Result<R> {
        register_as(session, self.part, part, rows)?;
        let reads = Reads { hot: self.in_memory || rows <= HOT, in_order: true };
        let prepare = || prepare(session, &self.sql, reads, self.hashed_key.as_ref());
        let result = f(&*self.variants.planned(session, (&[rows], tolerance), prepare)?)?;
        session.unregister(self.part)?;
        Ok(result)
    }
}

type Memo<K, V> = RefCell<HashMap<K, V>>;

/// The programs of one stream table, compiled as they are needed, with their statements.
#[derive(Default)]
pub struct Plans {
    /// By node and change mask; `None` where the node does not change.
    deltas: Memo<(usize, Mask), Option<Rc<Compiled>>>,
    full: Memo<usize, Rc<Compiled>>,
    apply: Memo<usize, Rc<Applied>>,
    /// The tables fit into memory.
    pub in_memory: Cell<bool>,
}

impl Plans {
    /// The program by which a node follows a change mask; `None` where the node does not change.
    pub fn delta(&self, view: &View, node: usize, mask: Mask) -> Result<Option<Rc<Compiled>>> {
        memoized(&self.deltas, (node, mask), |(node, mask)| {
            Ok(lookup::program(view, *node, mask)?.map(|program| {
                Compiled::new(program, (true, self.in_memory.get()), hashed_key_of_groups(&view.nodes[*node]))
            }))
        })
    }

    /// The program that recomputes a node.
    pub fn full(&self, view: &View, node: usize) -> Result<Rc<Compiled>> {
        memoized(&self.full, node, |node| {
            // A table that is recomputed may hold the rows of another definition, which need not be unique.
            Ok(Compiled::new((ivm::compile::full_program(view, *node)?, BTreeSet::new()), (false, false), None))
        })
    }

    pub fn apply(&self, view: &View, node: usize) -> Result<Rc<Applied>> {
        memoized(&self.apply, node, |node| {
            let node = &view.nodes[*node];
            Ok(Rc::new(Applied::new(node, ivm::apply::plan(node), self.in_memory.get(), false)))
        })
    }

    pub fn clear(&self) {
        self.deltas.borrow_mut().clear();
        self.full.borrow_mut().clear();
        self.apply.borrow_mut().clear();
    }
}

fn memoized<K: Eq + Hash, V: Clone>(memo: &Memo<K, V>, key: K, make: impl FnOnce(&K) -> Result<V>) -> Result<V> {
    if let Some(found) = memo.borrow().get(&key) {
        return Ok(found.clone());
    }
    let made = make(&key)?;
    let mut memo = memo.borrow_mut();
    if memo.len() == MAX_PROGRAMS {
        memo.clear();
    }
    memo.insert(key, made.clone());
    Ok(made)
}
