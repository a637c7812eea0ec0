//! Random queries of operators that exist in SQL only: binding rewrites them onto others.

use ivm::bind;
use ivm::expr::Expr as E;
use ivm::plan::{Column, Ids, Plan, Relation};
use ivm::render;
use ivm::rewrite::unnest;
use ivm::sql::ast::{Body, Distinct, Expr, From, Group, Item, Query, Select, SetOp, col};
use ivm::sql::ident::QName;

use crate::catalog::catalog;
use crate::plans::{Generator, Ty};

impl Generator<'_, '_> {
    /// Two arms of random plans, counted against each other.
    pub fn set_operation(&mut self) -> (Plan, Ids) {
        let (left, right) = (self.arm(), self.arm());
        let op = self.tape.of(&[SetOp::Intersect, SetOp::Except]);
        let all = self.tape.flip();
        bound(plain(Body::SetOp { op, all, left: Box::new(left), right: Box::new(right) }))
    }

    fn arm(&mut self) -> Query {
        // SQL cannot name the clock.
        self.timed = false;
        let plan = self.any(1);
        let ints = self.of_type(&plan, Ty::Int);
        let value = |at: usize| ints.get(at % ints.len().max(1)).map_or(E::number(1), Column::expr);
        let picks = [self.tape.pick(4), self.tape.pick(4)];
        let columns = picks.map(|at| (self.column("v", Ty::Int), value(at)));
        rendered(&plan.project(columns.into()))
    }

    /// A random plan, grouped by sets of two of its columns.
    pub fn grouping_sets(&mut self) -> (Plan, Ids) {
        self.timed = false;
        let plan = self.any(1);
        let keys: Vec<Column> = [Ty::Int, Ty::Text].into_iter().flat_map(|ty| self.of_type(&plan, ty)).collect();
        let key = |at: usize| keys.get(at).map_or(E::number(1).cast("integer"), Column::expr);
        let (a, b) = (key(self.tape.pick(4)), key(self.tape.pick(4)));
        let keys = [("a", a), ("b", b)].map(|(name, e)| (self.column(name, Ty::Int), e));
        let input = rendered(&plan.project(keys.into()));
        let (a, b) = (col("x", "a"), col("x", "b"));
        let group_by = match self.tape.pick(5) {
            0 => vec![Group::Rollup(vec![vec![a.clone()], vec![b.clone()]])],
            1 => vec![Group::Cube(vec![vec![a.clone()], vec![b.clone()]])],
            2 => vec![Group::Sets(vec![vec![a.clone()], vec![], vec![b.clone()], vec![a.clone()]])],
            3 => vec![Group::Expr(a.clone()), Group::Rollup(vec![vec![b.clone()]])],
            _ => vec![Group::Rollup(vec![vec![a.clone(), b.clone()]])],
        };
        let call = |name: &str, args: Vec<Expr>| -> Expr { E::call(name, args) };
        let items = vec![
            Item { expr: a.clone(), alias: None },
            Item { expr: b.clone(), alias: None },
            Item::named(E::Grouping(vec![a.clone(), b.clone()]), "g"),
            Item::named(call("count", vec![b]), "n"),
            Item::named(call("max", vec![a.clone()]), "m"),
        ];
        let having = self.tape.flip().then(|| E::binary("<", call("count", vec![a]), E::number(3)));
        let from = vec![From::derived(input, "x")];
        let distinct = if self.tape.pick(4) == 3 { Distinct::Rows } else { Distinct::No };
        bound(Query::select(Select { distinct, items, from, group_by, having, ..Select::default() }))
    }
}

fn plain(body: Body) -> Query {
    Query { with: None, body, order_by: vec![], limit: None, offset: None }
}

fn rendered(plan: &Plan) -> Query {
    let name = |relation: &Relation| match relation {
        Relation::Source(name) => name.clone(),
        _ => QName::bare("none"),
    };
    render::query(plan, &name).expect("a random plan has a query")
}

fn bound(query: Query) -> (Plan, Ids) {
    let mut ids = Ids::default();
    let plan = bind::bind(&query, &catalog(), &mut ids).expect("a random query can be bound");
    let plan = unnest::unnest(plan, &catalog(), &mut ids).expect("a random query has no subquery that stays");
    (plan, ids)
}
