//! Random queries of operators that exist in SQL only: binding rewrites them onto others.

use ivm::expr::Expr as E;
use ivm::plan::{Column, Ids, Plan, Relation};
use ivm::render;
use ivm::rewrite::unnest;
use ivm::sql::ast::{Body, Distinct, Expr, From, Group, Item, Query, Select, SetOp, col};
use ivm::sql::ident::QName;
use ivm::{bind, canon};

use crate::catalog::catalog;
use crate::plans::{Generator, Ty};

/// Columns that LATERAL queries pass on, rows with NULL fields, comparisons across types, significant orders, divisions
/// that FILTER excludes, set-returning calls that only order or group.
const EDGE_CASES: [&str; 18] = [
    "SELECT r.a, r.b, v.p, v.n FROM (public.r LEFT JOIN LATERAL ( SELECT r.b AS p, s.y AS n FROM public.s WHERE (s.a = r.a)) v ON (true))",
    "SELECT r.a, r.b, v.p, v.n FROM (public.r LEFT JOIN LATERAL ( SELECT r.b AS p, count(s.y) AS n FROM public.s WHERE (s.a = r.a)) v ON (true))",
    "SELECT r.b, v.p, v.q FROM (public.r LEFT JOIN LATERAL ( SELECT r.b AS p, w.q FROM (public.s LEFT JOIN LATERAL ( SELECT s.y AS q FROM public.t WHERE (t.id = s.a)) w ON (true)) WHERE (s.a = r.a)) v ON ((v.p > 0)))",
    "SELECT s.y, count(ROW(s.a, s.y)) FILTER (WHERE (s.a > 0)) AS n, count(ROW(s.a, s.y)) AS m FROM public.s GROUP BY s.y",
    "SELECT DISTINCT (ROW(s.a, s.y))::public.pair AS k FROM public.s",
    "SELECT x.a, y.a AS b FROM (( SELECT s.a, (ROW(s.a, s.y))::public.pair AS k FROM public.s) x LEFT JOIN ( SELECT s_1.a, (ROW(s_1.a, s_1.y))::public.pair AS k FROM public.s s_1) y ON ((x.k = y.k)))",
    "SELECT x.a FROM ( SELECT s.a, (ROW(s.a, s.y))::public.pair AS k FROM public.s) x WHERE (NOT (x.k IN ( SELECT y.k FROM ( SELECT (ROW(r.a, 'a'::text))::public.pair AS k FROM public.r WHERE (r.b > 0)) y)))",
    "SELECT s.a FROM public.s WHERE (NOT (s.a IN ( SELECT r.x FROM public.r)))",
    "SELECT r.a, (r.x IN ( SELECT t.v FROM public.t)) AS i, ((r.x)::double precision IN ( SELECT t.v FROM public.t)) AS f FROM public.r",
    "SELECT s.a FROM public.s WHERE (s.a = ANY ( SELECT t.v FROM public.t))",
    "SELECT a, r.b, t.v FROM (public.r LEFT JOIN ( SELECT t_1.v AS a, t_1.v FROM public.t t_1) t USING (a))",
    "SELECT q.a, string_agg(q.y, ','::text) AS ys FROM ( SELECT s.a, s.y FROM public.s ORDER BY s.a, s.y) q GROUP BY q.a",
    "SELECT q.a, q.y FROM ( SELECT s.a, s.y FROM public.s ORDER BY s.y DESC, s.a) q LIMIT 2",
    "SELECT r.a, sum((r.b / (r.a)::bigint)) FILTER (WHERE (r.a <> 0)) AS s, count((r.b / (r.a)::bigint)) FILTER (WHERE (r.a > 0)) AS n, max((r.b / (r.a)::bigint)) FILTER (WHERE (r.a > 0)) AS m FROM public.r GROUP BY r.a",
    "SELECT s.y, q.a, q.b FROM (public.s FULL JOIN ( SELECT r.a, r.b FROM public.r WHERE (EXISTS ( SELECT 1 FROM public.t WHERE (t.id = r.a)))) q ON ((q.a = s.a)))",
    "SELECT q.a, q.n, t.v FROM (( SELECT r.a, ( SELECT max(s.y) FROM public.s WHERE (s.a = r.a)) AS n FROM public.r WHERE (NOT (r.b IN ( SELECT t_1.v FROM public.t t_1)))) q FULL JOIN public.t ON ((t.id = q.a)))",
    "SELECT s.y FROM public.s ORDER BY (generate_series(1, s.a))",
    "SELECT s.y, generate_series(1, s.a) AS g, count(*) AS n FROM public.s GROUP BY CUBE((s.y), (generate_series(1, s.a)))",
];

impl Generator<'_, '_> {
    pub fn edge_case(&mut self) -> (Plan, Ids) {
        let sql = self.tape.of(&EDGE_CASES);
        bound(canon::parse(sql).expect("a query as PostgreSQL prints it"))
    }

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
