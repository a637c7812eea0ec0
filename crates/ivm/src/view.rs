//! The result of compiling a query: the nodes of a view, and for each change mask the program of a refresh.

use std::collections::BTreeSet;

use crate::catalog::{ColumnType, Equality};
use crate::clock::CLOCK;
use crate::plan::{ColId, Ids, Plan, Relation};
use crate::recursion::RECURSION;
use crate::sql::ast::{Query, Statement};
use crate::sql::ident::{Ident, QName};
use crate::sql::index::Index;

/// A compiled view: its nodes in topological order. The last one is the stream table itself.
#[derive(Clone, Debug)]
pub struct View {
    pub nodes: Vec<Node>,
    /// Every source with the columns that the view reads of it, in source order.
    pub sources: Vec<Source>,
    /// The source of fresh column ids for delta programs.
    pub ids: Ids,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: QName,
    pub columns: Vec<Ident>,
}

/// A table that a refresh maintains.
#[derive(Clone, Debug)]
pub struct Node {
    /// The table of its rows: `pgtrickle_state.n_…` or the stream table.
    pub table: QName,
    pub columns: Vec<NodeColumn>,
    pub identity: Identity,
    /// Over sources and the tables of earlier nodes; its columns are `columns`, in order.
    pub plan: Plan,
    /// The relations its plan reads.
    pub inputs: BTreeSet<Relation>,
    /// For a node with an aggregate on top, how each of its calls is maintained; else empty.
    pub upkeep: Vec<Upkeep>,
    /// For a node with a fixpoint on top, the relations that its step joins its own rows with; else empty.
    pub parts: Vec<Part>,
    /// Columns of the plan by which programs look up rows of its table, other than its identity.
    pub lookup: Vec<ColId>,
    /// For a node with a limited top-k or a running window on top, whether an index of the source has the rows of each
    /// partition in its order.
    pub indexed: bool,
    /// For a node with a window on top of which all calls, in one order, run from the first row of a partition on or read only
    /// rows nearby, how each is followed; else empty.
    pub running: Vec<Running>,
}

impl Node {
    /// A node without upkeep, parts, lookups and indexes.
    pub fn new(table: QName, plan: Plan, columns: Vec<NodeColumn>, identity: Identity) -> Node {
        let mut inputs = BTreeSet::new();
        plan.scans(&mut |scan| {
            if !matches!(scan.relation, Relation::Recursion(_)) {
                inputs.insert(scan.relation.clone());
            }
        });
        Node {
            table,
            columns,
            identity,
            plan,
            inputs,
            upkeep: vec![],
            parts: vec![],
            lookup: vec![],
            indexed: false,
            running: vec![],
        }
    }

    /// The names of the columns of `lookup` in its table.
    pub fn lookup_names(&self) -> Vec<Ident> {
        let output = self.plan.columns();
        let place = |id: &ColId| output.iter().position(|column| column.id == *id);
        self.lookup.iter().filter_map(place).map(|at| self.columns[at].name.clone()).collect()
    }

    /// The name of the weight in this node's delta.
    pub fn weight(&self) -> Ident {
        weight_name(self.columns.iter().map(|column| &column.name))
    }

    /// Whether its table has at most one row.
    pub fn is_one_row(&self) -> bool {
        self.identity.is_one_row()
    }
}

/// An input of a recursive step, other than the recursion itself.
#[derive(Clone, Debug)]
pub struct Part {
    pub plan: Plan,
    pub columns: Vec<NodeColumn>,
    pub identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeColumn {
    pub name: Ident,
    pub ty: ColumnType,
    pub not_null: bool,
}

/// How a row of a node is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Not-null columns that are unique: a unique index, MERGE on equality. Empty: at most one row.
    Key(Vec<Ident>),
    /// Unique columns that may be null: an expression index on their hash, then `is not distinct from`.
    HashedKey(Vec<Ident>),
    /// Rows may repeat: found by the hash of all columns.
    Bag,
}

impl Identity {
    /// Whether a table with this identity has at most one row.
    pub fn is_one_row(&self) -> bool {
        matches!(self, Identity::Key(key) if key.is_empty())
    }
}

/// How one call of a state table's aggregate is maintained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// `count`: adds the weights.
    Count,
    /// `sum` over exact numbers: adds the weighted values; NULL where `count`, a column of the same state, is zero.
    Sum {
        count: ColId,
        scale: Scale,
    },
    /// `min` and `max`: least or greatest of the old value and those inserted, unless a deleted one reaches it.
    Min(Successor),
    Max(Successor),
    /// Anything else: recomputed for every touched group.
    Recompute,
}

/// How the values of a window call are followed: most go on from the value `v` at the last rows before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// `v` plus the number of rows since.
    Count,
    /// `rank`: as a count, from the last one of the rows that share it.
    Rank,
    /// `v` plus the sum since, either of which may be NULL.
    Sum,
    Min,
    Max,
    /// `first_value`: `v`, if there is a row before.
    First,
    /// Over exact numbers: by the sum and the number of the values before, which are read.
    Avg,
    /// A value depends on so many rows `before` its own in the order, and `after` it.
    Near {
        before: i64,
        after: i64,
    },
}

impl Running {
    pub fn is_near(self) -> bool {
        matches!(self, Running::Near { .. })
    }
}

/// How the next extremum is found when one is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// The group is recomputed.
    Recomputed,
    /// An index of the source has the rows of each group in the order of the value.
    Indexed,
}

/// How the display scale of a sum is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Integers: no scale, no NaN, no infinity.
    Integer,
    /// Every value has the same scale.
    Fixed,
    /// The counter of values by scale: see `nodes::scale`.
    Counted(ColId),
}

/// The inputs of a node that changed.
pub type Mask = BTreeSet<Relation>;

/// The delta of an input that has one.
pub fn delta_of(input: &Relation) -> Option<Relation> {
    match input {
        Relation::Source(name) => Some(Relation::SourceDelta(name.clone())),
        Relation::Node(index) => Some(Relation::NodeDelta(*index)),
        _ => None,
    }
}

/// How one node is maintained under one change mask.
///
/// Steps run in order. Each is materialised under its name. Later steps can read it, and `apply` and the node's
/// consumers read the step named [`DELTA`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub steps: Vec<Step>,
}

/// The name of the last step: the node's consolidated delta, its columns and its weight, no zero weights.
pub const DELTA: &str = "delta";

/// A step of a program; before it is SQL, its query is a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<Q = Query> {
    pub name: Ident,
    /// The law of this step, for `explain`.
    pub law: String,
    pub query: Q,
    /// Skip this step, and leave its result empty, when that earlier step has no rows.
    pub needs: Option<Ident>,
    /// Its result is empty most of the time: steps that need it are left out of estimates.
    pub seldom: bool,
    /// Rows that are equal, down to their bytes, are neighbours: the caller adds up their weights.
    pub repeats: bool,
    /// Many of its rows cancel: the caller adds up the weights, the last column, of equal rows. The last term takes
    /// away the surplus of the others.
    pub cancels: bool,
}

impl<Q> Step<Q> {
    pub fn new(name: Ident, law: &str, query: Q) -> Step<Q> {
        Step { name, law: law.to_owned(), query, needs: None, seldom: false, repeats: false, cancels: false }
    }
}

/// The parts of a delta that [`Apply`] reads, each with all its columns: rows that change in place, under a key that has
/// both signs, with the new values; rows to delete; rows to insert. A bag has no updates.
pub const UPDATES: &str = "updates";
pub const DELETES: &str = "deletes";
pub const INSERTS: &str = "inserts";

/// Applies a delta to a node's table, in this order: update, delete, insert.
///
/// With `m` the sum of the negative weights and `p` that of the positive ones, the numbers of affected rows
/// must satisfy `deleted + updated = m` and `inserted + updated = p`: a mismatch means that the table does not have
/// the state from which the delta was computed, and is an error, never repaired. The statement of a part
/// without rows is not run. In this order a key may be in the first part and in the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apply {
    /// Keyed nodes only.
    pub update: Option<Statement>,
    pub delete: Statement,
    pub insert: Statement,
    /// First the one that serves `update` and `delete`, which a node of one row does not have, then those
    /// that only programs need.
    pub indexes: Vec<Index>,
}

/// The name of the weight in a delta with these columns: `w`, lengthened where a column has that name.
pub fn weight_name<'a>(columns: impl IntoIterator<Item = &'a Ident>) -> Ident {
    free_name("w", columns)
}

/// A name that none of these columns has.
pub fn free_name<'a>(name: &str, columns: impl IntoIterator<Item = &'a Ident>) -> Ident {
    let columns: BTreeSet<&str> = columns.into_iter().map(Ident::as_str).collect();
    let mut name = name.to_owned();
    while columns.contains(name.as_str()) {
        name.push('_');
    }
    Ident::new(name)
}

impl View {
    /// Whether its rows change as time passes.
    pub fn reads_clock(&self) -> bool {
        self.nodes.iter().any(|node| node.inputs.contains(&Relation::Clock))
    }

    /// Whether it groups by values that may be equal and look different, one of which the query shows: SQL leaves open which.
    pub fn chooses_looks(&self) -> bool {
        self.nodes.iter().any(|node| match &node.plan {
            Plan::Aggregate(aggregate) => {
                node.columns.iter().take(aggregate.keys.len()).any(|key| key.ty.equality != Equality::Image)
            }
            _ => false,
        })
    }

    /// The name of the weight in the delta of a source or a node, by [`weight_name`].
    pub fn weight(&self, relation: &Relation) -> Ident {
        match relation {
            Relation::Source(name) | Relation::SourceDelta(name) => {
                let source = self.sources.iter().find(|source| source.name == *name);
                weight_name(source.iter().flat_map(|source| &source.columns))
            }
            Relation::Node(index) | Relation::NodeDelta(index) => self.nodes[*index].weight(),
            Relation::Step(_) | Relation::Recursion(_) | Relation::Clock => weight_name([]),
        }
    }

    /// The inputs of node `node` that changed, and the deltas of those that have one, in the same order: time always
    /// passes.
    pub fn mask_of(&self, node: usize, changed: impl Fn(&Relation) -> bool) -> (Mask, Vec<Relation>) {
        let inputs = &self.nodes[node].inputs;
        let pairs = inputs.iter().filter_map(|input| Some((input.clone(), delta_of(input).filter(&changed)?)));
        let (mut mask, deltas): (Mask, Vec<Relation>) = pairs.unzip();
        mask.extend(inputs.get(&Relation::Clock).cloned());
        (mask, deltas)
    }

    /// The name that a relation of this view has in SQL: tables by their qualified names, deltas and
    /// steps as ephemeral relations.
    pub fn relation_name(&self, relation: &Relation) -> QName {
        match relation {
            Relation::Source(name) => name.clone(),
            Relation::Node(index) => self.nodes[*index].table.clone(),
            Relation::SourceDelta(name) => {
                let position =
                    self.sources.iter().position(|source| source.name == *name).unwrap_or(self.sources.len());
                QName::bare(format!("d{}_{}", position + 1, name.name.as_str()))
            }
            Relation::NodeDelta(index) => QName::bare(format!("dn{}", index + 1)),
            Relation::Step(name) => QName { schema: None, name: name.clone() },
            Relation::Recursion(_) => QName::bare(RECURSION),
            Relation::Clock => QName::bare(CLOCK),
        }
    }
}
