//! Prepared statements, each kept in the plans that were made for several sizes of what it reads.
//!
//! A plan made for a handful of rows is wrong for a hundred thousand. The planner is told how many rows
//! each delta has; a plan serves again where every one of them has about as many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use ivm::plan::Relation;
use ivm::sql::ast::Statement as Sql;
use ivm::sql::ident::Ident;
use ivm::sql::print;
use ivm::view::{Apply, DELETES, INSERTS, Identity, Mask, Node, Program, UPDATES};

use crate::error::{Error, Result};
use crate::pg::planner::Reads;
use crate::pg::spi::{OwnerSession, Statement};
use crate::pg::subxact::subtransaction;
use crate::pg::tuplestore::Tuplestore;
use crate::refresh::estimate::Estimates;
use crate::refresh::loaded::Loaded;

/// The least that the planner is told, so that one plan serves up to eight rows.
const FEW: f64 = 3.0;
/// How far a plan's sizes may be off, each.
pub const NEAR: f64 = 2.9;
/// Rows of a delta up to which what it looks up is taken to be in memory.
const HOT: f64 = 10_000.0;
/// Plans of one statement: those used last. And programs of one stream table, of which there could be one for
/// every set of its inputs.
const KEPT: usize = 16;
const PROGRAMS: usize = 256;

/// What the planner is told of a relation with so many rows.
pub fn told(rows: f64) -> f64 {
    rows.max(FEW)
}

/// Makes the result of a step, or a part of it, readable under a name.
pub fn register_as(session: &OwnerSession, name: &str, store: &Tuplestore, rows: f64) -> Result<()> {
    let last = store.row_type().names().pop().unwrap_or_default();
    session.register(name, store, &last, rows)
}

/// By what factor sizes are apart at most; `None` when they are not of the same relations.
pub fn distance(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let apart = |(a, b): (&f64, &f64)| (a / b).max(b / a);
    (ours.len() == theirs.len()).then(|| ours.iter().zip(theirs).map(apart).fold(1.0, f64::max))
}

/// A statement in the plans that were made for it.
#[derive(Default)]
pub struct Planned {
    plans: RefCell<Vec<(Vec<f64>, Rc<Statement>)>>,
}

impl Planned {
    /// The plan for these sizes, or one for sizes within the factor `near` of them.
    pub fn get(&self, told: &[f64], near: f64, prepare: impl FnOnce() -> Result<Statement>) -> Result<Rc<Statement>> {
        if let Some(found) = self.find(told, near) {
            return Ok(found);
        }
        let statement = Rc::new(prepare()?);
        let mut plans = self.plans.borrow_mut();
        plans.insert(0, (told.to_vec(), Rc::clone(&statement)));
        plans.truncate(KEPT);
        Ok(statement)
    }

    /// The plan for sizes within the factor `near` of these, if there is one.
    pub fn find(&self, told: &[f64], near: f64) -> Option<Rc<Statement>> {
        let mut plans = self.plans.borrow_mut();
        let apart = plans.iter().map(|(sizes, _)| distance(sizes, told)).enumerate();
        let near = apart.filter_map(|(at, apart)| Some((at, apart.filter(|apart| *apart <= near)?)));
        let (at, _) = near.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
        plans[..=at].rotate_right(1);
        Some(Rc::clone(&plans[0].1))
    }
}

/// Plans a statement that follows changes, unless it is: what the server says against it is a reason to recompute, not the
/// user's error.
fn plan(session: &OwnerSession, statement: &Statement) -> Result<()> {
    match statement.is_planned()? {
        true => Ok(()),
        false => subtransaction(|| statement.planned(session).map(|_| ())).map_err(Error::while_planned),
    }
}

/// A program and the statements of its steps. It follows deltas or recomputes.
pub struct Compiled {
    pub program: Program,
    follows: bool,
    steps: Vec<Planned>,
}

impl Compiled {
    fn new(program: Program, follows: bool) -> Rc<Compiled> {
        let steps = program.steps.iter().map(|_| Planned::default()).collect();
        Rc::new(Compiled { program, follows, steps })
    }

    /// The statement of a step that reads deltas of these sizes, or of sizes within the factor `near` of them.
    pub fn statement(&self, session: &OwnerSession, step: usize, sizes: &[f64], near: f64) -> Result<Rc<Statement>> {
        let query = &self.program.steps[step].query;
        let reads = Reads { hot: self.follows && sizes.iter().all(|rows| *rows <= HOT), in_order: false };
        let prepare = || Ok(session.prepare(&print::query(query), &[])?.that_reads(reads));
        if !self.follows {
            return self.steps[step].get(sizes, near, prepare);
        }
        let prepare = || subtransaction(prepare).map_err(Error::while_planned);
        let statement = self.steps[step].get(sizes, near, prepare)?;
        plan(session, &statement)?;
        Ok(statement)
    }

    /// Whether every step of a program that reads no deltas has a plan that nothing has put in doubt.
    pub fn is_planned(&self) -> Result<bool> {
        for step in &self.steps {
            if !step.find(&[], NEAR).map_or(Ok(false), |statement| statement.is_planned())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// How a node takes its delta.
pub struct Applied {
    /// The places of the columns by which a changed row is found; `None` where no row changes.
    pub key: Option<Vec<usize>>,
    pub update: Option<Change>,
    pub delete: Change,
    pub insert: Change,
}

/// What is done with a part of a delta.
pub struct Change {
    part: &'static str,
    sql: Sql,
    planned: Planned,
}

impl Applied {
    /// For a table whose rows are those of another definition.
    pub fn replacing(node: &Node) -> Applied {
        Applied::new(node, ivm::apply::replacing(node))
    }

    fn new(node: &Node, apply: Apply) -> Applied {
        let Apply { update, delete, insert, .. } = apply;
        let change = |part, sql| Change { part, sql, planned: Planned::default() };
        let place = |name: &Ident| node.columns.iter().position(|column| column.name == *name);
        let key = match &node.identity {
            Identity::Key(names) | Identity::HashedKey(names) => names.iter().map(place).collect(),
            Identity::Bag => None,
        };
        Applied {
            key: key.filter(|_| update.is_some()),
            update: update.map(|update| change(UPDATES, update)),
            delete: change(DELETES, delete),
            insert: change(INSERTS, insert),
        }
    }
}

impl Change {
    /// Calls `f` with the statement, ready to change what a part of so many rows says; the factor as for
    /// [`Planned::get`].
    pub fn with<R>(
        &self,
        session: &OwnerSession,
        (part, rows): (&Tuplestore, f64),
        near: f64,
        f: impl FnOnce(&Statement) -> Result<R>,
    ) -> Result<R> {
        register_as(session, self.part, part, rows)?;
        let reads = Reads { hot: rows <= HOT, in_order: true };
        let prepare = || Ok(session.prepare(&print::statement(&self.sql), &[])?.that_reads(reads));
        let prepare = || subtransaction(prepare).map_err(Error::while_planned);
        let statement = self.planned.get(&[rows], near, prepare)?;
        plan(session, &statement)?;
        let result = f(&statement)?;
        session.unregister(self.part)?;
        Ok(result)
    }
}

/// The program of a node and a change mask; `None` where there is nothing to follow.
type Deltas = HashMap<(usize, Mask), Option<Rc<Compiled>>>;

/// Everything prepared for one stream table.
#[derive(Default)]
pub struct Programs {
    deltas: RefCell<Deltas>,
    full: RefCell<HashMap<usize, Rc<Compiled>>>,
    apply: RefCell<HashMap<usize, Rc<Applied>>>,
    pub estimates: Estimates,
}

impl Programs {
    /// How a node follows a change mask; `None` if it need not.
    pub fn delta(&self, loaded: &Loaded, node: usize, mask: Mask) -> Result<Option<Rc<Compiled>>> {
        let key = (node, mask);
        if let Some(found) = self.deltas.borrow().get(&key) {
            return Ok(found.clone());
        }
        let compiled = ivm::delta::program(&loaded.view, node, &key.1)?.map(|program| Compiled::new(program, true));
        let mut deltas = self.deltas.borrow_mut();
        if deltas.len() == PROGRAMS {
            deltas.clear();
        }
        deltas.insert(key, compiled.clone());
        Ok(compiled)
    }

    /// How a node is recomputed.
    pub fn full(&self, loaded: &Loaded, node: usize) -> Result<Rc<Compiled>> {
        if let Some(found) = self.full.borrow().get(&node) {
            return Ok(Rc::clone(found));
        }
        let compiled = Compiled::new(ivm::compile::full_program(&loaded.view, node)?, false);
        self.full.borrow_mut().insert(node, Rc::clone(&compiled));
        Ok(compiled)
    }

    pub fn apply(&self, loaded: &Loaded, node: usize) -> Rc<Applied> {
        let make = || {
            let node = &loaded.view.nodes[node];
            Rc::new(Applied::new(node, ivm::apply::plan(node)))
        };
        Rc::clone(self.apply.borrow_mut().entry(node).or_insert_with(make))
    }

    /// Forgets every plan: what they were made for is not there any more.
    pub fn forget(&self) {
        self.deltas.borrow_mut().clear();
        self.full.borrow_mut().clear();
        self.apply.borrow_mut().clear();
        self.estimates.forget();
    }
}

/// The SQL of every program that one changed source needs, for `explain`. Time has passed in each of them.
pub fn explain(loaded: &Loaded) -> Result<Vec<String>> {
    let mut texts = vec![];
    for (index, node) in loaded.view.nodes.iter().enumerate() {
        for input in &node.inputs {
            let clock = node.inputs.get(&Relation::Clock).cloned();
            let mask = clock.into_iter().chain([input.clone()]).collect();
            let Some(compiled) = loaded.programs.delta(loaded, index, mask)? else { continue };
            let changed = loaded.view.relation_name(input);
            for step in &compiled.program.steps {
                let query = print::query(&step.query);
                texts.push(format!("-- {}: {changed} changed: {}: {}\n{query}", node.table, step.name, step.law));
            }
        }
    }
    Ok(texts)
}
