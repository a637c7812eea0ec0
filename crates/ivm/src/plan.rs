//! Plans: a closed relational algebra over bags.
//!
//! Every column of every operator has an id of its own, unique in the plan, so expressions never need
//! re-numbering and a self join is two scans with different ids. A relation with weights is a plan
//! like any other: its weight is one of its columns, so the same evaluator and the same renderer
//! serve states and deltas.

use std::collections::BTreeSet;

use crate::expr;
use crate::sql::ident::{Ident, QName};

mod columns;
mod formed;

pub use columns::{equality, reads, replaced};

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
    Semi(Box<Semi>),
    UnionAll(UnionAll),
    Aggregate(Box<Aggregate>),
    Distinct(Box<Distinct>),
    Window(Box<Window>),
    TopK(Box<TopK>),
    Expand(Box<Expand>),
    Unnest(Box<Unnest>),
    Fixpoint(Box<Fixpoint>),
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
    /// The rows of the fixpoint with this number, inside of its own step.
    Recursion(u32),
    /// What time it is: one row, described in `clock`.
    Clock,
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
    /// The role of each input, as `rewrite::bounds` assigned it to a node's plan; before that, none.
    pub roles: Vec<Role>,
}

/// What the delta of a join can use of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    #[default]
    Rows,
    /// At most one row: its delta is an old and a new row at most.
    Row,
    /// At most one row, and only predicates of the join read it: it sets bounds for the other inputs.
    Bound,
    /// The clock: a bound of which the previous row can be read, too.
    Clock,
}

/// ⟕: every row of `left`, with its matches in `right` or with NULLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outer {
    pub left: Plan,
    pub right: Plan,
    pub on: Expr,
}

/// ⋉: the rows of `left` that have a match in `right`; with `anti`, ▷: those that have none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Semi {
    pub left: Plan,
    pub right: Plan,
    pub on: Expr,
    pub anti: bool,
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

/// ω: every row of `input` with the value of window calls that share their partition.
///
/// Each call is an `Expr::Call` with a window that is spelled out; partitions are columns of the input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub input: Plan,
    pub partition: Vec<ColId>,
    pub calls: Vec<(Column, Expr)>,
}

/// τ: of each partition, the rows from `offset` on, at most `limit` of them, in this order; with `ties`,
/// those too that are equal to the last one in the order. Without a partition all rows are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopK {
    pub input: Plan,
    pub partition: Vec<ColId>,
    pub order: Vec<Order>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub ties: bool,
}

/// A projection in which calls of set-returning functions make several rows of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expand {
    pub input: Plan,
    pub columns: Vec<(Column, Expr)>,
}

/// Every row of `input` with each row that a function returns for it; with `outer`, with NULLs when it
/// returns none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unnest {
    pub input: Plan,
    /// The function's call, over columns of the input.
    pub call: Expr,
    /// What it returns: the columns, the number of the row last where `ordinality` says so, and the types of those
    /// that the function does not itself declare.
    pub columns: Vec<(Column, Option<expr::TypeName>)>,
    pub ordinality: bool,
    pub outer: bool,
}

/// μ: the rows of `base` and, again and again, those that `step` makes of the ones found last.
///
/// Each column is fed by one of `base` and one of `step`, at the same place. Inside of `step` a scan of
/// [`Relation::Recursion`] reads the rows, by the columns' names, made unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fixpoint {
    pub number: u32,
    pub columns: Vec<Column>,
    pub base: (Plan, Vec<ColId>),
    pub step: (Plan, Vec<ColId>),
    /// UNION ALL: a row is there once for each of its derivations, else once.
    pub all: bool,
}

/// Gives out column ids. One per view, so that ids never meet again.
#[derive(Clone, Debug, Default)]
pub struct Ids(u32);

impl Ids {
    pub fn column(&mut self, name: impl Into<String>) -> Column {
        self.0 += 1;
        Column { id: ColId(self.0), name: Ident::new(name) }
    }

    /// The number of a new fixpoint.
    pub fn recursion(&mut self) -> u32 {
        self.0 += 1;
        self.0
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
            Plan::Semi(semi) => semi.left.columns(),
            Plan::Window(window) => {
                let calls = window.calls.iter().map(|(column, _)| column.clone());
                window.input.columns().into_iter().chain(calls).collect()
            }
            Plan::TopK(top) => top.input.columns(),
            Plan::Expand(expand) => expand.columns.iter().map(|(column, _)| column.clone()).collect(),
            Plan::Unnest(unnest) => {
                let returned = unnest.columns.iter().map(|(column, _)| column.clone());
                unnest.input.columns().into_iter().chain(returned).collect()
            }
            Plan::Fixpoint(fixpoint) => fixpoint.columns.clone(),
        }
    }

    /// The ids of the output columns.
    pub fn ids(&self) -> BTreeSet<ColId> {
        self.columns().iter().map(|column| column.id).collect()
    }

    /// The output columns, passed through a projection.
    pub fn pass(&self) -> Vec<(Column, Expr)> {
        self.columns().iter().map(Column::pass).collect()
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
            Plan::Semi(semi) => vec![&semi.left, &semi.right],
            Plan::Window(window) => vec![&window.input],
            Plan::TopK(top) => vec![&top.input],
            Plan::Expand(expand) => vec![&expand.input],
            Plan::Unnest(unnest) => vec![&unnest.input],
            Plan::Fixpoint(fixpoint) => vec![&fixpoint.base.0, &fixpoint.step.0],
        }
    }

    /// The same operator over other inputs, each made from the one it replaces, left to right.
    pub fn try_map_inputs<E>(self, f: &mut impl FnMut(Plan) -> Result<Plan, E>) -> Result<Plan, E> {
        Ok(match self {
            Plan::Scan(_) | Plan::Values(_) => self,
            Plan::Filter(x) => Plan::Filter(Box::new(Filter { input: f(x.input)?, ..*x })),
            Plan::Project(x) => Plan::Project(Box::new(Project { input: f(x.input)?, ..*x })),
            Plan::Join(x) => {
                let inputs = x.inputs.into_iter().map(f).collect::<Result<_, E>>()?;
                Plan::Join(Box::new(Join { inputs, ..*x }))
            }
            Plan::Outer(x) => Plan::Outer(Box::new(Outer { left: f(x.left)?, right: f(x.right)?, ..*x })),
            Plan::Semi(x) => Plan::Semi(Box::new(Semi { left: f(x.left)?, right: f(x.right)?, ..*x })),
            Plan::UnionAll(x) => {
                let inputs = x.inputs.into_iter().map(|(input, ids)| Ok((f(input)?, ids)));
                Plan::UnionAll(UnionAll { columns: x.columns, inputs: inputs.collect::<Result<_, E>>()? })
            }
            Plan::Aggregate(x) => Plan::Aggregate(Box::new(Aggregate { input: f(x.input)?, ..*x })),
            Plan::Distinct(x) => Plan::Distinct(Box::new(Distinct { input: f(x.input)? })),
            Plan::Window(x) => Plan::Window(Box::new(Window { input: f(x.input)?, ..*x })),
            Plan::TopK(x) => Plan::TopK(Box::new(TopK { input: f(x.input)?, ..*x })),
            Plan::Expand(x) => Plan::Expand(Box::new(Expand { input: f(x.input)?, ..*x })),
            Plan::Unnest(x) => Plan::Unnest(Box::new(Unnest { input: f(x.input)?, ..*x })),
            Plan::Fixpoint(x) => {
                let Fixpoint { base, step, .. } = *x;
                let (base, step) = ((f(base.0)?, base.1), (f(step.0)?, step.1));
                Plan::Fixpoint(Box::new(Fixpoint { base, step, ..*x }))
            }
        })
    }

    /// As [`Plan::try_map_inputs`], where nothing can go wrong.
    pub fn map_inputs(self, f: &mut impl FnMut(Plan) -> Plan) -> Plan {
        let Ok(plan) = self.try_map_inputs(&mut |input| Ok::<Plan, std::convert::Infallible>(f(input)));
        plan
    }

    /// The expressions of this operator, in reading order, without those of its inputs.
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Plan::Scan(_) | Plan::UnionAll(_) | Plan::Distinct(_) | Plan::Fixpoint(_) => vec![],
            Plan::Values(values) => values.rows.iter().flatten().collect(),
            Plan::Filter(filter) => vec![&filter.predicate],
            Plan::Project(project) => project.columns.iter().map(|(_, e)| e).collect(),
            Plan::Join(join) => join.predicates.iter().collect(),
            Plan::Outer(outer) => vec![&outer.on],
            Plan::Semi(semi) => vec![&semi.on],
            Plan::Aggregate(aggregate) => {
                let orders = aggregate.calls.iter().flat_map(|call| call.order_by.iter().chain(&call.within_group));
                orders.map(|order| &order.expr).collect()
            }
            Plan::Window(window) => window.calls.iter().map(|(_, e)| e).collect(),
            Plan::TopK(top) => top.order.iter().map(|order| &order.expr).chain(&top.limit).chain(&top.offset).collect(),
            Plan::Expand(expand) => expand.columns.iter().map(|(_, e)| e).collect(),
            Plan::Unnest(unnest) => vec![&unnest.call],
        }
    }

    /// Calls `f` for every scan, left to right.
    pub fn scans<'a>(&'a self, f: &mut impl FnMut(&'a Scan)) {
        match self {
            Plan::Scan(scan) => f(scan),
            other => other.inputs().into_iter().for_each(|input| input.scans(f)),
        }
    }

    /// Whether a scan of the plan or of a subquery in its expressions reads this relation.
    pub fn reads(&self, relation: &Relation) -> bool {
        let subqueries = || self.expressions().into_iter().flat_map(|e| e.subqueries());
        matches!(self, Plan::Scan(scan) if scan.relation == *relation)
            || self.inputs().into_iter().any(|input| input.reads(relation))
            || subqueries().any(|query| query.reads(relation))
    }

    pub fn filter(self, predicate: Expr) -> Plan {
        Plan::Filter(Box::new(Filter { input: self, predicate }))
    }

    /// The rows for which all conditions are true; all rows for none.
    pub fn filter_all(self, conditions: Vec<Expr>) -> Plan {
        if conditions.is_empty() { self } else { self.filter(Expr::all(conditions)) }
    }

    /// At most so many rows, whichever.
    pub fn limited(self, limit: Expr) -> Plan {
        let (partition, order, limit) = (vec![], vec![], Some(limit));
        Plan::TopK(Box::new(TopK { input: self, partition, order, limit, offset: None, ties: false }))
    }

    /// A row that is a column is one value: two of them are compared as such, not field by field as `ROW(a, b) = ROW(c, d)`
    /// would be where both are spelled out.
    pub fn project(self, columns: Vec<(Column, Expr)>) -> Plan {
        let columns = columns.into_iter().map(|(column, e)| (column, as_value(e))).collect();
        Plan::Project(Box::new(Project { input: self, columns }))
    }

    pub fn join(inputs: Vec<Plan>, predicates: Vec<Expr>) -> Plan {
        Plan::Join(Box::new(Join { inputs, predicates, roles: vec![] }))
    }

    pub fn left_join(self, right: Plan, on: Expr) -> Plan {
        Plan::Outer(Box::new(Outer { left: self, right, on }))
    }

    pub fn semi_join(self, right: Plan, on: Expr, anti: bool) -> Plan {
        Plan::Semi(Box::new(Semi { left: self, right, on, anti }))
    }

    pub fn aggregate(self, keys: Vec<Column>, calls: Vec<AggregateCall>) -> Plan {
        Plan::Aggregate(Box::new(Aggregate { input: self, keys, calls }))
    }
}

/// The expression of a column.
pub fn as_value(e: Expr) -> Expr {
    if matches!(e, expr::Expr::Row(_)) { e.cast("record") } else { e }
}

impl Semi {
    /// The condition on a row of `left` that the join is.
    pub fn condition(&self) -> Expr {
        let matches = expr::Expr::Exists(Box::new(self.right.clone().filter(self.on.clone())));
        if self.anti { expr::Expr::Not(Box::new(matches)) } else { matches }
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
