//! Plans: a closed relational algebra over bags.
//!
//! Every column of every operator has an id of its own, unique in the plan, so expressions never need
//! re-numbering and a self join is two scans with different ids. A relation with weights is a plan
//! like any other: its weight is one of its columns, so the same evaluator and the same renderer
//! serve states and deltas.

use crate::expr;
use crate::sql::ident::{Ident, QName};

/// The id of one column, unique within a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColId(pub u32);

/// A column: its id and the name a reader knows it by. Names need not be unique, ids are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    pub id: ColId,
    pub name: Ident,
}

pub type Expr = expr::Expr<ColId, Plan>;
pub type Order = expr::Order<ColId, Plan>;

/// A relational operator with its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    Scan(Scan),
    /// Constant rows; one row without columns is a SELECT without FROM.
    Values(Values),
    Filter(Box<Filter>),
    Project(Box<Project>),
    Join(Box<Join>),
    Outer(Box<Outer>),
    UnionAll(UnionAll),
    Aggregate(Box<Aggregate>),
    Distinct(Box<Distinct>),
}

/// What a scan reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// A table of the user, or another stream table.
    Source(QName),
    /// The table of an internal node of the same view, by its index.
    Node(usize),
    /// The pending changes of a source: its captured columns and `w`.
    SourceDelta(QName),
    /// The changes that this refresh applied to an internal node: its columns and `w`.
    NodeDelta(usize),
    /// The result of an earlier step of the same program.
    Step(Ident),
}

/// Reads columns of a relation: each output column and the name it has there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    pub relation: Relation,
    pub columns: Vec<(Column, Ident)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Values {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Expr>>,
}

/// σ: the rows for which the predicate is true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    pub input: Plan,
    pub predicate: Expr,
}

/// π: one output column per expression. A column passed through keeps its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Project {
    pub input: Plan,
    pub columns: Vec<(Column, Expr)>,
}

/// ⋈: the product of two or more inputs, restricted by the conjunction of `predicates`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    pub inputs: Vec<Plan>,
    pub predicates: Vec<Expr>,
}

/// ⟕: every row of `left`, with its matches in `right` or with NULLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outer {
    pub left: Plan,
    pub right: Plan,
    pub on: Expr,
}

/// ⊎: `columns[i]` is fed by `inputs[k].1[i]` of each input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnionAll {
    pub columns: Vec<Column>,
    pub inputs: Vec<(Plan, Vec<ColId>)>,
}

/// γ: one row per distinct value of `keys`; exactly one row when there are no keys.
///
/// Keys, arguments and filters are columns of the input: a projection below computes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Aggregate {
    pub input: Plan,
    /// Columns of the input; they keep their ids in the output.
    pub keys: Vec<Column>,
    pub calls: Vec<AggregateCall>,
}

/// One aggregate of a γ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    pub column: Column,
    pub function: QName,
    /// Columns of the input; empty for `count(*)`.
    pub args: Vec<ColId>,
    pub variadic: bool,
    pub distinct: bool,
    pub order_by: Vec<Order>,
    pub within_group: Vec<Order>,
    /// A boolean column of the input.
    pub filter: Option<ColId>,
}

/// δ: each row once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Distinct {
    pub input: Plan,
}

/// Gives out column ids. One per view, so that ids never meet again.
#[derive(Clone, Debug, Default)]
pub struct Ids(u32);

impl Ids {
    pub fn column(&mut self, name: impl Into<String>) -> Column {
        self.0 += 1;
        Column { id: ColId(self.0), name: Ident::new(name) }
    }
}

impl Plan {
    /// The output columns, in order.
    pub fn columns(&self) -> Vec<Column> {
        match self {
            Plan::Scan(scan) => scan.columns.iter().map(|(column, _)| column.clone()).collect(),
            Plan::Values(values) => values.columns.clone(),
            Plan::Filter(filter) => filter.input.columns(),
            Plan::Project(project) => project.columns.iter().map(|(column, _)| column.clone()).collect(),
            Plan::Join(join) => join.inputs.iter().flat_map(Plan::columns).collect(),
            Plan::Outer(outer) => [outer.left.columns(), outer.right.columns()].concat(),
            Plan::UnionAll(union) => union.columns.clone(),
            Plan::Aggregate(aggregate) => {
                let calls = aggregate.calls.iter().map(|call| call.column.clone());
                aggregate.keys.iter().cloned().chain(calls).collect()
            }
            Plan::Distinct(distinct) => distinct.input.columns(),
        }
    }

    /// The inputs, left to right.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::Scan(_) | Plan::Values(_) => vec![],
            Plan::Filter(filter) => vec![&filter.input],
            Plan::Project(project) => vec![&project.input],
            Plan::Join(join) => join.inputs.iter().collect(),
            Plan::Outer(outer) => vec![&outer.left, &outer.right],
            Plan::UnionAll(union) => union.inputs.iter().map(|(input, _)| input).collect(),
            Plan::Aggregate(aggregate) => vec![&aggregate.input],
            Plan::Distinct(distinct) => vec![&distinct.input],
        }
    }

    /// Calls `f` for every scan, left to right.
    pub fn scans<'a>(&'a self, f: &mut impl FnMut(&'a Scan)) {
        match self {
            Plan::Scan(scan) => f(scan),
            other => other.inputs().into_iter().for_each(|input| input.scans(f)),
        }
    }

    pub fn filter(self, predicate: Expr) -> Plan {
        Plan::Filter(Box::new(Filter { input: self, predicate }))
    }

    pub fn project(self, columns: Vec<(Column, Expr)>) -> Plan {
        Plan::Project(Box::new(Project { input: self, columns }))
    }

    pub fn join(inputs: Vec<Plan>, predicates: Vec<Expr>) -> Plan {
        Plan::Join(Box::new(Join { inputs, predicates }))
    }

    pub fn left_join(self, right: Plan, on: Expr) -> Plan {
        Plan::Outer(Box::new(Outer { left: self, right, on }))
    }

    pub fn aggregate(self, keys: Vec<Column>, calls: Vec<AggregateCall>) -> Plan {
        Plan::Aggregate(Box::new(Aggregate { input: self, keys, calls }))
    }
}

impl Column {
    /// A reference to this column.
    pub fn expr(&self) -> Expr {
        expr::Expr::Column(self.id)
    }

    /// This column passed through a projection.
    pub fn pass(&self) -> (Column, Expr) {
        (self.clone(), self.expr())
    }
}

impl AggregateCall {
    /// A plain call of a `pg_catalog` aggregate over columns.
    pub fn new(column: Column, function: &str, args: Vec<ColId>) -> AggregateCall {
        AggregateCall {
            column,
            function: QName::bare(function),
            args,
            variadic: false,
            distinct: false,
            order_by: vec![],
            within_group: vec![],
            filter: None,
        }
    }
}
