//! Random plans over three small tables.

use std::collections::BTreeMap;

use ivm::expr::{Expr as E, IsTest};
use ivm::plan::{AggregateCall, ColId, Column, Distinct, Expr, Ids, Plan, Relation, Scan, UnionAll, Unnest};
use ivm::sql::ident::{Ident, QName};

use crate::tape::Tape;
use crate::windows;

/// What is on top of the plan.
#[derive(Clone, Copy)]
pub enum Shape {
    Scan,
    Filter,
    Project,
    Join(usize),
    Outer,
    Semi,
    /// Columns compared with the clock, over a join.
    Temporal,
    /// Columns compared with inputs of one row, over a join.
    Bounds,
    Union,
    Aggregate,
    /// Minima and maxima of groups of one table, of which an index may find the next one.
    Extrema,
    Distinct,
    Window,
    TopK,
    /// The first rows of partitions of one table, of which an index may have them.
    Head,
    /// Windows that run over the rows of one table.
    Running,
    Expand,
    Unnest,
    /// WITH RECURSIVE.
    Fixpoint,
    /// INTERSECT and EXCEPT, bound from SQL.
    SetOperation,
    /// ROLLUP, CUBE and GROUPING SETS, bound from SQL.
    GroupingSets,
    /// One of the queries of `queries::EDGE_CASES`, bound from SQL.
    EdgeCase,
    /// Anything, to this depth.
    Any(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ty {
    Int,
    Numeric,
    Text,
    Bool,
}

/// A table: its name, and its columns' names, kinds and types.
pub type Declared = (&'static str, &'static [(&'static str, Ty, &'static str)]);

/// The tables. `t.id` is a key, `t.k` is not null.
pub const TABLES: [Declared; 3] = [
    ("r", &[("a", Ty::Int, "integer"), ("b", Ty::Int, "bigint"), ("x", Ty::Numeric, "numeric")]),
    ("s", &[("a", Ty::Int, "integer"), ("y", Ty::Text, "text")]),
    ("t", &[("id", Ty::Int, "integer"), ("k", Ty::Int, "integer"), ("v", Ty::Numeric, "numeric(8,2)")]),
];

pub struct Generator<'a, 'b> {
    pub tape: &'a mut Tape<'b>,
    pub ids: Ids,
    types: BTreeMap<ColId, Ty>,
    /// Compares columns with the clock.
    pub timed: bool,
}

impl<'a, 'b> Generator<'a, 'b> {
    pub fn new(tape: &'a mut Tape<'b>) -> Self {
        Generator { tape, ids: Ids::default(), types: BTreeMap::new(), timed: true }
    }

    /// A plan, and the ids that are left.
    pub fn plan(mut self, shape: Shape) -> (Plan, Ids) {
        let plan = match shape {
            Shape::Scan => self.scan(),
            Shape::Filter => self.filter(0),
            Shape::Project => self.project(0),
            Shape::Join(n) => self.join(n, 0),
            Shape::Outer => self.outer(1),
            Shape::Semi => self.semi(1),
            Shape::Temporal => self.temporal_join(),
            Shape::Bounds => self.bounded_join(),
            Shape::Union => self.union(0),
            Shape::Aggregate => self.aggregate(1),
            Shape::Extrema => self.extrema(),
            Shape::Distinct => self.distinct(1),
            Shape::Window => windows::window(&mut self, 1),
            Shape::TopK => windows::top_k(&mut self, 1),
            Shape::Head => windows::head(&mut self),
            Shape::Running => windows::running(&mut self),
            Shape::Expand => self.expand(1),
            Shape::Unnest => self.unnest(1),
            Shape::Fixpoint => self.fixpoint(1),
            Shape::SetOperation => return self.set_operation(),
            Shape::GroupingSets => return self.grouping_sets(),
            Shape::EdgeCase => return self.edge_case(),
            Shape::Any(depth) => self.any(depth),
        };
        (plan, self.ids)
    }

    pub fn any(&mut self, depth: usize) -> Plan {
        if depth == 0 {
            return self.scan();
        }
        match self.tape.pick(16) {
            0 => self.scan(),
            1 => self.filter(depth - 1),
            2 => self.project(depth - 1),
            3 | 4 => self.join(2, depth - 1),
            5 => self.union(depth - 1),
            6 => self.aggregate(depth - 1),
            7 => self.outer(depth - 1),
            8 => self.semi(depth - 1),
            9 => self.expand(depth - 1),
            10 => self.unnest(depth - 1),
            11 => windows::window(self, depth - 1),
            12 => windows::top_k(self, depth - 1),
            13 => self.fixpoint(depth - 1),
            14 => self.temporal(depth - 1),
            _ => self.distinct(depth - 1),
        }
    }

    pub fn column(&mut self, name: &str, ty: Ty) -> Column {
        let column = self.ids.column(name);
        self.types.insert(column.id, ty);
        column
    }

    /// The type of a column of one of its plans.
    pub fn ty(&self, column: &Column) -> Ty {
        self.types[&column.id]
    }

    fn scan(&mut self) -> Plan {
        let (name, columns) = self.tape.of(&TABLES);
        let columns = columns.iter().map(|(name, ty, _)| (self.column(name, *ty), Ident::new(*name))).collect();
        Plan::Scan(Scan { relation: Relation::Source(QName::qualified("public", name)), columns })
    }

    pub fn of_type(&self, plan: &Plan, ty: Ty) -> Vec<Column> {
        plan.columns().into_iter().filter(|column| self.types[&column.id] == ty).collect()
    }

    /// A condition on a plan's columns.
    pub fn condition(&mut self, plan: &Plan) -> Expr {
        let ints = self.of_type(plan, Ty::Int);
        let column = self.tape.of(&plan.columns());
        match self.tape.pick(4) {
            0 if !ints.is_empty() => {
                let (l, r) = (self.tape.of(&ints).expr(), self.tape.pick(3));
                E::binary(self.tape.of(&["<", "=", ">="]), l, E::number(r as i64))
            }
            1 if ints.len() > 1 => E::binary(self.tape.of(&["<", "<>"]), ints[0].expr(), ints[1].expr()),
            2 => column.expr().is(IsTest::Null),
            _ => column.expr().is(IsTest::NotNull),
        }
    }

    fn filter(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        self.filtered(input)
    }

    pub fn filtered(&mut self, input: Plan) -> Plan {
        let condition = self.condition(&input);
        input.filter(condition)
    }

    fn project(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        let mut columns = vec![];
        for _ in 0..=self.tape.pick(3) {
            let of = self.tape.of(&input.columns());
            let ty = self.types[&of.id];
            let pass = columns.iter().all(|(c, _): &(Column, Expr)| c.id != of.id);
            columns.push(match (self.tape.pick(3), ty) {
                (0, _) if pass => of.pass(),
                (1, Ty::Int) => (self.column("sum", ty), E::binary("+", of.expr(), E::number(1))),
                (1, Ty::Numeric) => (self.column("twice", ty), E::binary("*", of.expr(), E::number(2).cast("numeric"))),
                (2, Ty::Int) => (self.column("or_zero", ty), E::call("coalesce", vec![of.expr(), E::number(0)])),
                _ => (self.column("copy", ty), of.expr()),
            });
        }
        input.project(columns)
    }

    fn join(&mut self, n: usize, depth: usize) -> Plan {
        let inputs: Vec<Plan> = (0..n).map(|_| if depth == 0 { self.scan() } else { self.any(depth) }).collect();
        let mut predicates = vec![];
        for pair in inputs.windows(2) {
            let (l, r) = (self.of_type(&pair[0], Ty::Int), self.of_type(&pair[1], Ty::Int));
            if l.is_empty() || r.is_empty() || self.tape.pick(8) == 7 {
                continue;
            }
            let (l, r) = (self.tape.of(&l).expr(), self.tape.of(&r).expr());
            predicates.push(E::binary(if self.tape.pick(4) == 3 { "<" } else { "=" }, l, r));
        }
        if self.tape.flip() {
            predicates.push(self.condition(&inputs[0]));
        }
        Plan::join(inputs, predicates)
    }

    /// A condition of a join: often equal keys, sometimes conditions on either side or on both.
    fn on(&mut self, left: &Plan, right: &Plan) -> Expr {
        let (l, r) = (self.of_type(left, Ty::Int), self.of_type(right, Ty::Int));
        let mut parts = vec![];
        for _ in 0..self.tape.pick(3) {
            if !l.is_empty() && !r.is_empty() {
                let operator = self.tape.of(&["=", "=", "=", "<", "<>"]);
                parts.push(E::binary(operator, self.tape.of(&l).expr(), self.tape.of(&r).expr()));
            }
        }
        if self.tape.pick(4) == 3 {
            parts.push(self.condition(left));
        }
        if self.tape.pick(4) == 3 {
            parts.push(self.condition(right));
        }
        E::all(parts)
    }

    fn outer(&mut self, depth: usize) -> Plan {
        let (left, right) = (self.any(depth), self.any(depth));
        let on = self.on(&left, &right);
        left.left_join(right, on)
    }

    fn semi(&mut self, depth: usize) -> Plan {
        let (left, right) = (self.any(depth), self.any(depth));
        let on = self.on(&left, &right);
        left.semi_join(right, on, self.tape.flip())
    }

    fn union(&mut self, depth: usize) -> Plan {
        let columns = vec![self.column("u", Ty::Int), self.column("v", Ty::Int)];
        let inputs = (0..2 + self.tape.pick(2)).map(|_| {
            let plan = self.any(depth);
            let mut values = vec![];
            for name in ["u", "v"] {
                let ints = self.of_type(&plan, Ty::Int);
                let value = if ints.is_empty() { E::number(1) } else { self.tape.of(&ints).expr() };
                values.push((self.column(name, Ty::Int), value));
            }
            let ids = values.iter().map(|(column, _)| column.id).collect();
            (plan.project(values), ids)
        });
        let inputs = inputs.collect();
        Plan::UnionAll(UnionAll { columns, inputs })
    }

    /// A call that returns a few numbers.
    fn numbers(&mut self, input: &Plan) -> Expr {
        let ints = self.of_type(input, Ty::Int);
        let number = if ints.is_empty() { E::number(2) } else { self.tape.of(&ints).expr() };
        match self.tape.pick(2) {
            0 => E::call(
                "generate_series",
                vec![E::number(1), E::call("least", vec![number, E::number(3)]).cast("integer")],
            ),
            _ => E::call("unnest", vec![E::Array(vec![number.clone(), E::number(1), number])]),
        }
    }

    fn expand(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        let mut columns = vec![self.tape.of(&input.columns()).pass()];
        for _ in 0..=self.tape.pick(2) {
            let set = self.numbers(&input);
            let e = if self.tape.flip() { set } else { E::binary("+", set, E::number(1)) };
            columns.push((self.column("g", Ty::Int), e));
        }
        input.expand(columns)
    }

    fn unnest(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        let call = self.numbers(&input);
        let (ordinality, outer) = (self.tape.flip(), self.tape.flip());
        let names = if ordinality { &["g", "place"][..] } else { &["g"] };
        let columns = names.iter().map(|name| (self.column(name, Ty::Int), None)).collect();
        Plan::Unnest(Box::new(Unnest { input, call, columns, ordinality, outer }))
    }

    fn distinct(&mut self, depth: usize) -> Plan {
        let input = self.project(depth);
        // Equal numerics may look different; which of them a DISTINCT shows is left open.
        let values = input.columns().into_iter().map(|column| match self.types[&column.id] {
            Ty::Numeric => (self.column("text", Ty::Text), column.expr().cast("text")),
            _ => column.pass(),
        });
        let values = values.collect();
        let input = input.project(values);
        Plan::Distinct(Box::new(Distinct { input }))
    }

    fn aggregate(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        let test = self.column("test", Ty::Bool);
        let condition = self.condition(&input);
        let columns = input.columns();
        let passed = columns.iter().map(Column::pass).chain([(test.clone(), condition)]).collect();
        let input = input.project(passed);
        let mut keys: Vec<Column> = vec![];
        for _ in 0..self.tape.pick(3) {
            let key = self.tape.of(&columns);
            // A numeric key has more than one text; which one a group shows is left open.
            if !keys.contains(&key) && self.types[&key.id] != Ty::Numeric {
                keys.push(key);
            }
        }
        let calls = (0..1 + self.tape.pick(3)).map(|_| self.call(&columns, &test)).collect();
        input.aggregate(keys, calls)
    }

    /// The rows of one table, all or some.
    pub fn rows(&mut self) -> Plan {
        let scan = self.scan();
        if self.tape.pick(3) == 2 { self.filtered(scan) } else { scan }
    }

    fn extrema(&mut self) -> Plan {
        let input = self.rows();
        let columns = input.columns();
        let keys: Vec<Column> = columns[..1 + self.tape.pick(2)].iter().take(self.tape.pick(3)).cloned().collect();
        let mut calls = vec![];
        for _ in 0..1 + self.tape.pick(3) {
            let arg = self.tape.of(&columns);
            let function = self.tape.of(&["min", "max"]);
            let function = if self.types[&arg.id] == Ty::Numeric { "sum" } else { function };
            calls.push(AggregateCall::new(self.column(function, self.types[&arg.id]), function, vec![arg.id]));
        }
        input.aggregate(keys, calls)
    }

    fn call(&mut self, columns: &[Column], test: &Column) -> AggregateCall {
        let arg = self.tape.of(columns);
        let (function, args, ty) = match (self.tape.pick(9), self.types[&arg.id]) {
            (0, _) => ("count", vec![], Ty::Int),
            (1, _) => ("count", vec![arg.id], Ty::Int),
            (2, ty) if ty != Ty::Numeric => ("min", vec![arg.id], ty),
            (3, ty) if ty != Ty::Numeric => ("max", vec![arg.id], ty),
            (4, ty) if ty != Ty::Numeric => ("any_value", vec![arg.id], ty),
            (8, _) => (self.tape.of(&["bool_and", "bool_or", "every"]), vec![test.id], Ty::Bool),
            (5, Ty::Int | Ty::Numeric) => ("avg", vec![arg.id], Ty::Text),
            (_, ty @ (Ty::Int | Ty::Numeric)) => ("sum", vec![arg.id], ty),
            _ => ("count", vec![], Ty::Int),
        };
        let mut call = AggregateCall::new(self.column(function, ty), function, args);
        if call.function.name.as_str() == "count" && !call.args.is_empty() {
            call.distinct = self.tape.pick(4) == 3;
        }
        if self.tape.pick(3) == 2 {
            call.filter = Some(test.id);
        }
        call
    }
}
