//! Random plans over the tables of [`super`].
//!
//! A plan is drawn as a shape, a tree of operators with a seed at each, and then built bottom up with
//! choices that fit what the inputs offer. A numeric is never grouped, compared for equality or picked by
//! `min`: which of the equal values `1.5` and `1.50` represents them is undefined.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{TABLES, source};
use crate::expr::{Call, Case, Direction, IsTest, Over, Window};
use crate::plan::{
    self, AggregateCall, ColId, Column, Distinct, Expr, Ids, Order, Plan, Scan, Ties, TopK, UnionAll, Unnest,
};
use crate::sql::ident::{Ident, QName};

/// Random plans of at most this many operators on top of each other, over the scans.
pub fn arb_plan(depth: u32) -> impl Strategy<Value = Plan> {
    let leaf = any::<u64>().prop_map(Shape::Scan);
    let shape = leaf.prop_recursive(depth, 12, 3, |inner| {
        let one = || inner.clone().prop_map(Box::new);
        let some = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            2 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Filter(input, seed)),
            2 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Project(input, seed)),
            3 => (some(), any::<u64>()).prop_map(|(inputs, seed)| Shape::Join(inputs, seed)),
            1 => (some(), any::<u64>()).prop_map(|(inputs, seed)| Shape::UnionAll(inputs, seed)),
            2 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Aggregate(input, seed)),
            1 => one().prop_map(Shape::Distinct),
            1 => (one(), one(), any::<u64>()).prop_map(|(l, r, seed)| Shape::Outer(l, r, seed)),
            1 => (one(), one(), any::<u64>()).prop_map(|(l, r, seed)| Shape::Semi(l, r, seed)),
            1 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Window(input, seed)),
            1 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::TopK(input, seed)),
            1 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Expand(input, seed)),
            1 => (one(), any::<u64>()).prop_map(|(input, seed)| Shape::Unnest(input, seed)),
        ]
    });
    shape.prop_map(|shape| Builder::default().plan(&shape))
}

#[derive(Clone, Debug)]
enum Shape {
    Scan(u64),
    Filter(Box<Shape>, u64),
    Project(Box<Shape>, u64),
    Join(Vec<Shape>, u64),
    UnionAll(Vec<Shape>, u64),
    Aggregate(Box<Shape>, u64),
    Window(Box<Shape>, u64),
    TopK(Box<Shape>, u64),
    Distinct(Box<Shape>),
    Outer(Box<Shape>, Box<Shape>, u64),
    Semi(Box<Shape>, Box<Shape>, u64),
    Expand(Box<Shape>, u64),
    Unnest(Box<Shape>, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Numeric,
    /// A quotient: only passed on. The reference evaluator's numbers are too short for sums of its scales.
    Quotient,
}

#[derive(Default)]
struct Builder {
    ids: Ids,
    kinds: BTreeMap<ColId, Kind>,
}

/// Choices drawn from a seed (splitmix).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(items.len());
        items.get(at)
    }
}

impl Builder {
    fn plan(&mut self, shape: &Shape) -> Plan {
        match shape {
            Shape::Scan(seed) => self.scan(&mut Dice(*seed)),
            Shape::Filter(input, seed) => {
                let input = self.plan(input);
                let predicate = self.predicate(&input, &mut Dice(*seed), 2);
                input.filter(predicate)
            }
            Shape::Project(input, seed) => {
                let input = self.plan(input);
                self.project(input, &mut Dice(*seed))
            }
            Shape::Join(inputs, seed) => {
                let inputs = inputs.iter().map(|input| self.plan(input)).collect();
                self.join(inputs, &mut Dice(*seed))
            }
            Shape::UnionAll(inputs, seed) => {
                let inputs = inputs.iter().map(|input| self.plan(input)).collect();
                self.union(inputs, &mut Dice(*seed))
            }
            Shape::Aggregate(input, seed) => {
                let input = self.plan(input);
                self.aggregate(input, &mut Dice(*seed))
            }
            Shape::Window(input, seed) => {
                let input = self.plan(input);
                self.window(input, &mut Dice(*seed))
            }
            Shape::TopK(input, seed) => {
                let input = self.plan(input);
                self.top_k(input, &mut Dice(*seed))
            }
            Shape::Distinct(input) => {
                let input = self.plan(input);
                let input = self.groupable(input);
                Plan::Distinct(Box::new(Distinct { input }))
            }
            Shape::Outer(left, right, seed) => {
                let (left, right, dice) = (self.plan(left), self.plan(right), &mut Dice(*seed));
                let on = self.on(&left, &right, dice);
                left.left_join(right, on)
            }
            Shape::Semi(left, right, seed) => {
                let (left, right, dice) = (self.plan(left), self.plan(right), &mut Dice(*seed));
                let on = self.on(&left, &right, dice);
                left.semi_join(right, on, dice.below(2) == 0)
            }
            Shape::Expand(input, seed) => {
                let input = self.plan(input);
                self.expand(input, &mut Dice(*seed))
            }
            Shape::Unnest(input, seed) => {
                let input = self.plan(input);
                self.unnest(input, &mut Dice(*seed))
            }
        }
    }

    fn on(&mut self, left: &Plan, right: &Plan, dice: &mut Dice) -> Expr {
        let product = Plan::join(vec![left.clone(), right.clone()], vec![]);
        Expr::And(vec![
            Expr::equals(self.integer(left, dice), self.integer(right, dice)),
            self.predicate(&product, dice, 1),
        ])
    }

    fn column(&mut self, name: &str, kind: Kind) -> Column {
        let column = self.ids.column(name);
        self.kinds.insert(column.id, kind);
        column
    }

    fn of_kind(&self, plan: &Plan, kind: Kind) -> Vec<Column> {
        plan.columns().into_iter().filter(|column| self.kinds.get(&column.id) == Some(&kind)).collect()
    }

    fn scan(&mut self, dice: &mut Dice) -> Plan {
        let (name, columns, _) = TABLES[dice.below(TABLES.len())];
        let column = |(name, ty, _): &(&str, &str, bool)| {
            let kind = match *ty {
                "integer" => Kind::Int,
                "text" => Kind::Text,
                _ => Kind::Numeric,
            };
            (self.column(name, kind), Ident::new(*name))
        };
        Plan::Scan(Scan { relation: source(name), columns: columns.iter().map(column).collect() })
    }

    fn integer(&mut self, plan: &Plan, dice: &mut Dice) -> Expr {
        let columns = self.of_kind(plan, Kind::Int);
        let literal = Expr::number(dice.below(4) as i64);
        let Some(column) = dice.pick(&columns).map(Column::expr) else { return literal };
        match dice.below(6) {
            0 => literal,
            1 => Expr::binary("+", column, literal),
            2 => Expr::call("coalesce", vec![column, literal]),
            3 => {
                let arms = vec![(Expr::equals(column.clone(), literal.clone()), Expr::number(7))];
                Expr::Case(Box::new(Case { operand: None, arms, otherwise: Some(column) }))
            }
            _ => column,
        }
    }

    fn predicate(&mut self, plan: &Plan, dice: &mut Dice, depth: u32) -> Expr {
        let left = self.integer(plan, dice);
        let right = self.integer(plan, dice);
        match dice.below(if depth == 0 { 6 } else { 9 }) {
            0 | 1 => Expr::equals(left, right),
            2 => Expr::binary("<", left, right),
            3 => Expr::binary("<>", left, right),
            4 => left.is(IsTest::NotNull),
            5 => Expr::not_distinct(left, right),
            6 => Expr::Not(Box::new(self.predicate(plan, dice, depth - 1))),
            7 => Expr::Or(vec![self.predicate(plan, dice, depth - 1), self.predicate(plan, dice, depth - 1)]),
            _ => Expr::And(vec![self.predicate(plan, dice, depth - 1), self.predicate(plan, dice, depth - 1)]),
        }
    }

    fn project(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let mut columns: Vec<(Column, Expr)> = vec![];
        for column in input.columns() {
            match dice.below(4) {
                0 => {}
                1 => columns.push((self.column("twin", self.kinds[&column.id]), column.expr())),
                _ => columns.push(column.pass()),
            }
        }
        if columns.is_empty() || dice.below(2) == 0 {
            let computed = self.integer(&input, dice);
            columns.push((self.column("n", Kind::Int), computed));
        }
        input.project(columns)
    }

    /// Without the columns that cannot be grouped; with one column at least.
    fn groupable(&mut self, input: Plan) -> Plan {
        let all = input.columns();
        let mut kept: Vec<(Column, Expr)> = all
            .iter()
            .filter(|column| matches!(self.kinds[&column.id], Kind::Int | Kind::Text))
            .map(Column::pass)
            .collect();
        if kept.is_empty() {
            kept.push((self.column("one", Kind::Int), Expr::number(1)));
        }
        if kept.len() == all.len() { input } else { input.project(kept) }
    }

    fn join(&mut self, inputs: Vec<Plan>, dice: &mut Dice) -> Plan {
        let mut predicates = vec![];
        for pair in inputs.windows(2) {
            let (left, right) = (self.of_kind(&pair[0], Kind::Int), self.of_kind(&pair[1], Kind::Int));
            if let (Some(left), Some(right)) = (dice.pick(&left), dice.pick(&right)) {
                predicates.push(Expr::equals(left.expr(), right.expr()));
            }
        }
        let join = Plan::join(inputs, predicates);
        if dice.below(4) > 0 {
            return join;
        }
        let Plan::Join(mut join) = join else { return join };
        let product = Plan::Join(join.clone());
        join.predicates.push(self.predicate(&product, dice, 1));
        Plan::Join(join)
    }

    /// A call that returns a few integers.
    fn numbers(&mut self, input: &Plan, dice: &mut Dice) -> Expr {
        let integer = self.integer(input, dice);
        match dice.below(2) {
            0 => Expr::call(
                "generate_series",
                vec![Expr::number(1), Expr::call("least", vec![integer, Expr::number(3)]).cast("integer")],
            ),
            _ => Expr::call("unnest", vec![Expr::Array(vec![integer, Expr::number(1)])]),
        }
    }

    fn expand(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let mut columns: Vec<(Column, Expr)> = input.columns().iter().map(Column::pass).take(2).collect();
        for _ in 0..=dice.below(2) {
            let set = self.numbers(&input, dice);
            let e = if dice.below(3) == 0 { Expr::binary("+", set, Expr::number(1)) } else { set };
            columns.push((self.column("g", Kind::Int), e));
        }
        input.expand(columns)
    }

    fn unnest(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let call = self.numbers(&input, dice);
        let (ordinality, outer) = (dice.below(3) == 0, dice.below(3) == 0);
        let names = if ordinality { &["g", "place"][..] } else { &["g"] };
        let columns = names.iter().map(|name| (self.column(name, Kind::Int), None)).collect();
        Plan::Unnest(Box::new(Unnest { input, call, columns, ordinality, outer }))
    }

    /// Arms of two columns each: a bigint and a text.
    fn union(&mut self, inputs: Vec<Plan>, dice: &mut Dice) -> Plan {
        let columns = vec![self.column("i", Kind::Int), self.column("s", Kind::Text)];
        let arm = |input: Plan| {
            let texts = self.of_kind(&input, Kind::Text);
            let text = dice.pick(&texts).map_or(Expr::string("z").cast("text"), Column::expr);
            let integer = self.integer(&input, dice).cast("bigint");
            let fed = vec![(self.column("i", Kind::Int), integer), (self.column("s", Kind::Text), text)];
            let ids = fed.iter().map(|(column, _)| column.id).collect();
            (input.project(fed), ids)
        };
        Plan::UnionAll(UnionAll { columns, inputs: inputs.into_iter().map(arm).collect() })
    }

    /// An order in which no two different rows are equal, and the columns that it sorts by.
    fn total_order(&mut self, input: Plan, dice: &mut Dice) -> (Plan, Vec<Column>, Vec<Order>) {
        let input = self.groupable(input);
        let columns = input.columns();
        let by = |column: &Column| {
            let direction = if dice.below(2) == 0 { Direction::Descending } else { Direction::Ascending };
            Order { direction, ..Order::ascending(column.expr()) }
        };
        let order = columns.iter().map(by).collect();
        (input, columns, order)
    }

    fn window(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let (input, columns, order_by) = self.total_order(input, dice);
        let partition: Vec<ColId> = columns.iter().filter(|_| dice.below(3) == 0).map(|column| column.id).collect();
        let spec = |order_by| Window {
            base: None,
            partition_by: partition.iter().map(|id| Expr::Column(*id)).collect(),
            order_by,
            frame: None,
        };
        let argument = self.integer(&input, dice);
        let (name, args, ordered) = match dice.below(4) {
            0 => ("row_number", vec![], true),
            1 => ("lag", vec![argument], true),
            2 => ("sum", vec![argument], dice.below(2) == 0),
            _ => ("rank", vec![], true),
        };
        let mut call = Call::new(QName::bare(name), args);
        call.over = Some(Over::Window(spec(if ordered { order_by } else { vec![] })));
        let column = self.column(name, Kind::Int);
        let calls = vec![(column.clone(), Expr::Call(Box::new(call)))];
        let plan = Plan::Window(Box::new(plan::Window { input, partition, calls }));
        match dice.below(6) {
            0 => plan.filter(Expr::binary("<=", column.expr(), Expr::number(dice.below(3) as i64))),
            1 => plan.filter(Expr::equals(Expr::number(1), column.expr())),
            _ => plan,
        }
    }

    fn top_k(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let (input, columns, order) = self.total_order(input, dice);
        let partition = columns.iter().filter(|_| dice.below(4) == 0).map(|column| column.id).collect();
        let limit = (dice.below(4) > 0).then(|| Expr::number(1 + dice.below(3) as i64));
        let offset = (limit.is_none() || dice.below(3) == 0).then(|| Expr::number(1));
        let follow = limit.is_some() && dice.below(3) == 0;
        let ties = if follow { Ties::Follow } else { Ties::Split };
        Plan::TopK(Box::new(TopK { input, partition, order, limit, offset, ties }))
    }

    fn aggregate(&mut self, input: Plan, dice: &mut Dice) -> Plan {
        let filter = self.ids.column("f");
        let predicate = self.predicate(&input, dice, 1);
        let columns = input.columns().iter().map(Column::pass).chain([(filter.clone(), predicate)]).collect();
        let input = input.project(columns);
        let groupable: Vec<Column> =
            [Kind::Int, Kind::Text].iter().flat_map(|kind| self.of_kind(&input, *kind)).collect();
        let keys: Vec<Column> = groupable.into_iter().filter(|_| dice.below(3) == 0).take(2).collect();
        let calls = (0..=dice.below(3)).map(|_| {
            let mut call = self.call(&input, dice);
            if dice.below(4) == 0 {
                call.filter = Some(filter.id);
            }
            call
        });
        let calls = calls.collect();
        input.aggregate(keys, calls)
    }

    fn call(&mut self, input: &Plan, dice: &mut Dice) -> AggregateCall {
        let pick = |columns: Vec<Column>, dice: &mut Dice| dice.pick(&columns).map(|column| column.id);
        let integer = pick(self.of_kind(input, Kind::Int), dice);
        let text = pick(self.of_kind(input, Kind::Text), dice);
        let numeric = pick(self.of_kind(input, Kind::Numeric), dice);
        let (name, arg, kind) = match (dice.below(9), integer, text, numeric) {
            (0, Some(arg), ..) => ("count", Some(arg), Kind::Int),
            (1 | 2, Some(arg), ..) => ("sum", Some(arg), Kind::Int),
            (3, Some(arg), ..) => ("min", Some(arg), Kind::Int),
            (4, Some(arg), ..) => ("max", Some(arg), Kind::Int),
            (5, Some(arg), ..) => ("avg", Some(arg), Kind::Quotient),
            (6, _, Some(arg), _) => ("max", Some(arg), Kind::Text),
            (7, _, _, Some(arg)) => ("sum", Some(arg), Kind::Numeric),
            (8, _, _, Some(arg)) => ("avg", Some(arg), Kind::Quotient),
            _ => ("count", None, Kind::Int),
        };
        let mut call = AggregateCall::new(self.column(name, kind), name, arg.into_iter().collect());
        call.distinct = arg.is_some() && dice.below(6) == 0 && matches!(kind, Kind::Int | Kind::Text);
        call
    }
}
