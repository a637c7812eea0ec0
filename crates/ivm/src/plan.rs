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
mod walk;

pub use columns::{equality, reads, replaced};

/// The id of one column, unique within a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColId(pub u32);

/// A column: its id, which is unique, and its name, which need not be.
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
    /// π*: a projection in which calls of set-returning functions make several rows of one.
    Expand(Box<Project>),
    Unnest(Box<Unnest>),
    /// In programs alone.
    Lateral(Box<Lateral>),
    Fixpoint(Box<Fixpoint>),
}

/// The relation of a scan.
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
    /// The clock: one row, described in `clock`.
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

/// τ: of each partition, the rows from `offset` on, `limit` of them, in this order; `ties` says what counts as one. Without
/// a partition all rows are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopK {
    pub input: Plan,
    pub partition: Vec<ColId>,
    pub order: Vec<Order>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub ties: Ties,
}

/// How a limit counts rows that are equal in the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ties {
    /// One by one: `row_number() <= limit`.
    #[default]
    Split,
    /// One by one, and those equal to the last one are shown as well: `rank() <= limit`.
    Follow,
    /// As one: `dense_rank() <= limit`.
    Together,
}

/// Every row of `left` with each row of `right`, a query that reads its columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lateral {
    pub left: Plan,
    pub right: Plan,
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

/// μ: the rows of `base` and, round by round, those that `step` makes of the rows of the round before.
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

/// Allocates column ids, one allocator per view, so that they are unique in it.
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
        let listed = self.listed().into_iter().cloned();
        match self {
            Plan::Filter(_) | Plan::Distinct(_) | Plan::TopK(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Lateral(_) => {
                self.inputs().into_iter().flat_map(Plan::columns).collect()
            }
            Plan::Semi(semi) => semi.left.columns(),
            Plan::Window(window) => window.input.columns().into_iter().chain(listed).collect(),
            Plan::Unnest(unnest) => unnest.input.columns().into_iter().chain(listed).collect(),
            _ => listed.collect(),
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
        Plan::TopK(Box::new(TopK { input: self, partition, order, limit, offset: None, ties: Ties::Split }))
    }

    pub fn project(self, columns: Vec<(Column, Expr)>) -> Plan {
        Plan::Project(Box::new(self.projection(columns)))
    }

    /// A projection with set-returning calls.
    pub fn expand(self, columns: Vec<(Column, Expr)>) -> Plan {
        Plan::Expand(Box::new(self.projection(columns)))
    }

    /// A projection of the same kind as this one.
    pub fn project_alike(&self, input: Plan, columns: Vec<(Column, Expr)>) -> Plan {
        if matches!(self, Plan::Expand(_)) { input.expand(columns) } else { input.project(columns) }
    }

    /// A row that is a column is one value: two of them are compared as such, not field by field as `ROW(a, b) = ROW(c, d)`
    /// would be where both are spelled out.
    fn projection(self, columns: Vec<(Column, Expr)>) -> Project {
        let columns = columns.into_iter().map(|(column, e)| (column, as_value(e))).collect();
        Project { input: self, columns }
    }

    /// With all its columns, in order: an input of a union or an arm of a fixpoint.
    pub fn arm(self) -> (Plan, Vec<ColId>) {
        let ids = self.columns().iter().map(|column| column.id).collect();
        (self, ids)
    }

    pub fn join(inputs: Vec<Plan>, predicates: Vec<Expr>) -> Plan {
        Plan::Join(Box::new(Join { inputs, predicates, roles: vec![] }))
    }

    pub fn left_join(self, right: Plan, on: Expr) -> Plan {
        Plan::Outer(Box::new(Outer { left: self, right, on }))
    }

    /// With the values of window calls over all rows.
    pub fn windowed(self, calls: Vec<(Column, Expr)>) -> Plan {
        Plan::Window(Box::new(Window { input: self, partition: vec![], calls }))
    }

    pub fn lateral(self, right: Plan) -> Plan {
        Plan::Lateral(Box::new(Lateral { left: self, right }))
    }

    pub fn semi_join(self, right: Plan, on: Expr, anti: bool) -> Plan {
        Plan::Semi(Box::new(Semi { left: self, right, on, anti }))
    }

    pub fn aggregate(self, keys: Vec<Column>, calls: Vec<AggregateCall>) -> Plan {
        Plan::Aggregate(Box::new(Aggregate { input: self, keys, calls }))
    }
}

/// The column of a projection that computes an expression: one that it has, or a `new` one.
pub fn computed(columns: &mut Vec<(Column, Expr)>, e: Expr, new: impl FnOnce() -> Column) -> Column {
    if let Some((column, _)) = columns.iter().find(|(_, known)| *known == e) {
        return column.clone();
    }
    let column = new();
    columns.push((column.clone(), e));
    column
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
