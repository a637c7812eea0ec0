//! What compiling a query yields: the nodes of a view, and for each change mask the program of a refresh.

use std::collections::BTreeSet;

use crate::catalog::ColumnType;
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
    /// Where delta programs take fresh column ids from.
    pub ids: Ids,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: QName,
    pub columns: Vec<Ident>,
}

/// One table that a refresh maintains.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where its rows live: `pgtrickle_state.n_…` or the stream table.
    pub table: QName,
    pub columns: Vec<NodeColumn>,
    pub identity: Identity,
    /// Over sources and the tables of earlier nodes; its columns are `columns`, in order.
    pub plan: Plan,
    /// The relations its plan reads.
    pub inputs: BTreeSet<Relation>,
    /// For a node with an aggregate on top, how each of its calls follows a delta; else empty.
    pub upkeep: Vec<Upkeep>,
    /// For a node with a fixpoint on top, what its step joins its own rows with; else empty.
    pub parts: Vec<Part>,
    /// Columns by which programs look up rows of its table, beside its identity.
    pub lookup: Vec<Ident>,
}

impl Node {
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
    /// How a row of it is told from the others.
    pub identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeColumn {
    pub name: Ident,
    pub ty: ColumnType,
    pub not_null: bool,
}

/// How a row of a node is found again.
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

/// How one call of a state table's aggregate follows a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// `count`: adds the weights.
    Count,
    /// `sum` over exact numbers: adds the weighted values; NULL where `count`, a column of the same state, is zero.
    Sum {
        count: ColId,
        scale: Scale,
    },
    /// `min` and `max`: recomputed when a deleted value reaches the new extremum.
    Min,
    Max,
    /// Anything else: recomputed for every touched group.
    Recompute,
}

/// What is known of the display scale of a sum.
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

/// How one node follows one change mask.
///
/// Steps run in order. Each is materialised under its name and can be read by later steps, by `apply`
/// and, for the step named [`DELTA`], by the node's consumers as its delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub steps: Vec<Step>,
}

/// The name of the last step: the node's consolidated delta, its columns and its weight, no zero weights.
pub const DELTA: &str = "delta";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: Ident,
    /// The law that this step follows, for `explain`.
    pub law: String,
    pub query: Query,
    /// Skip this step, and leave its result empty, when that earlier step has no rows.
    pub needs: Option<Ident>,
    /// Its result is empty most of the time: what needs it is left out of estimates.
    pub seldom: bool,
    /// Rows that are alike come one after the other, down to their bytes: who runs the step adds their weights up.
    pub repeats: bool,
    /// Of its rows, the last column of which is a weight, many cancel: who runs the step adds up those that are alike. The
    /// last of its terms takes away what the others have too many.
    pub cancels: bool,
}

/// The parts of a delta that [`Apply`] reads, each with all its columns. A key that leaves and comes is in [`CHANGED`],
/// with its new row; what only leaves is in [`GONE`], what only comes in [`COME`]. Of a bag, rows only leave or come.
pub const CHANGED: &str = "changed";
pub const GONE: &str = "gone";
pub const COME: &str = "come";

/// Brings a delta into a node's table, in this order: update, delete, insert.
///
/// With `m` the sum of the negative weights and `p` that of the positive ones, the numbers of rows
/// touched must satisfy `deleted + updated = m` and `inserted + updated = p`: a mismatch means that the
/// table is not what the delta thinks it is, and is an error, never repaired. The statement of a part
/// without rows is not run. In this order it does no harm when a key that changed is in the two other parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apply {
    /// Keyed nodes only: rows of [`CHANGED`] change in place.
    pub update: Option<Statement>,
    pub delete: Statement,
    pub insert: Statement,
    /// First the one that `update` and `delete` look rows up by, which a node of one row does not have, then those
    /// that only programs need.
    pub indexes: Vec<Index>,
}

/// The name of the weight in a delta with these columns: `w`, lengthened where a column has that name.
pub fn weight_name<'a>(columns: impl IntoIterator<Item = &'a Ident>) -> Ident {
    let columns: BTreeSet<&str> = columns.into_iter().map(Ident::as_str).collect();
    let mut name = "w".to_owned();
    while columns.contains(name.as_str()) {
        name.push('_');
    }
    Ident::new(name)
}

impl View {
    /// Whether its rows come and go as time passes.
    pub fn reads_clock(&self) -> bool {
        self.nodes.iter().any(|node| node.inputs.contains(&Relation::Clock))
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

impl Node {
    /// The name of the weight in this node's delta.
    pub fn weight(&self) -> Ident {
        weight_name(self.columns.iter().map(|column| &column.name))
    }
}
