//! How long the mathematics takes to think: from canonical SQL to a view, and from a view to the SQL of a
//! refresh, for a join of six tables with an aggregate (TPC-H Q5). No server.

use std::collections::BTreeSet;

use criterion::{Criterion, criterion_group, criterion_main};
use ivm::plan::Relation;
use ivm::sql::ident::QName;
use ivm::sql::print;
use ivm::testing::memory::MemoryCatalog;
use ivm::view::{Mask, View};
use ivm::{Result, apply, canon, compile, delta};

/// As PostgreSQL prints the query.
const Q5: &str = " SELECT nation.n_name,
    sum((lineitem.l_extendedprice * ((1)::numeric - lineitem.l_discount))) AS revenue
   FROM (((((tpch.customer
     JOIN tpch.orders ON ((orders.o_custkey = customer.c_custkey)))
     JOIN tpch.lineitem ON ((lineitem.l_orderkey = orders.o_orderkey)))
     JOIN tpch.supplier ON (((supplier.s_suppkey = lineitem.l_suppkey) AND (supplier.s_nationkey = customer.c_nationkey))))
     JOIN tpch.nation ON ((nation.n_nationkey = supplier.s_nationkey)))
     JOIN tpch.region ON ((region.r_regionkey = nation.n_regionkey)))
  WHERE ((region.r_name = 'ASIA'::bpchar) AND (orders.o_orderdate >= '1994-01-01'::date) AND (orders.o_orderdate < ('1994-01-01'::date + '1 year'::interval year)))
  GROUP BY nation.n_name;";

type Table = (&'static str, &'static [(&'static str, &'static str, bool)], &'static [&'static str]);

/// The tables with the columns that the query reads, and their keys.
const TABLES: &[Table] = &[
    ("customer", &[("c_custkey", "bigint", true), ("c_nationkey", "bigint", true)], &["c_custkey"]),
    (
        "orders",
        &[("o_orderkey", "bigint", true), ("o_custkey", "bigint", true), ("o_orderdate", "date", true)],
        &["o_orderkey"],
    ),
    (
        "lineitem",
        &[
            ("l_orderkey", "bigint", true),
            ("l_linenumber", "integer", true),
            ("l_suppkey", "bigint", true),
            ("l_extendedprice", "numeric(15,2)", true),
            ("l_discount", "numeric(15,2)", true),
        ],
        &["l_orderkey", "l_linenumber"],
    ),
    ("supplier", &[("s_suppkey", "bigint", true), ("s_nationkey", "bigint", true)], &["s_suppkey"]),
    (
        "nation",
        &[("n_nationkey", "bigint", true), ("n_name", "character(25)", true), ("n_regionkey", "bigint", true)],
        &["n_nationkey"],
    ),
    ("region", &[("r_regionkey", "bigint", true), ("r_name", "character(25)", true)], &["r_regionkey"]),
];

fn catalog() -> MemoryCatalog {
    TABLES.iter().fold(MemoryCatalog::default(), |catalog, (name, columns, key)| {
        let name = QName::qualified("tpch", *name);
        catalog.table(name.clone(), columns).key(name, key)
    })
}

fn view(catalog: &MemoryCatalog) -> Result<View> {
    let state = |k: usize| QName::qualified("pgtrickle_state", format!("n_1_{k}"));
    compile::compile(&canon::parse(Q5)?, catalog, &QName::qualified("public", "q5"), &state)
}

/// The SQL of a refresh after these tables changed, of every node; its length.
fn program(view: &View, changed: &[&str]) -> Result<usize> {
    let mut mask: Mask = changed.iter().map(|name| Relation::Source(QName::qualified("tpch", *name))).collect();
    let mut length = 0;
    for (index, node) in view.nodes.iter().enumerate() {
        let touched: Mask = mask.intersection(&node.inputs).cloned().collect();
        if let Some(program) = delta::program(view, index, &touched)? {
            length += program.steps.iter().map(|step| print::query(&step.query).len()).sum::<usize>();
            mask.insert(Relation::Node(index));
        }
    }
    Ok(length)
}

/// Every source must have a program, and no two of them the same.
fn check(view: &View) -> Result<()> {
    let lengths: BTreeSet<usize> = TABLES.iter().map(|(name, ..)| program(view, &[name])).collect::<Result<_>>()?;
    assert!(!lengths.contains(&0) && lengths.len() > 1, "programs of lengths {lengths:?}");
    Ok(())
}

fn bench(c: &mut Criterion) {
    let catalog = catalog();
    let view = self::view(&catalog).unwrap();
    check(&view).unwrap();
    c.bench_function("q5/parse", |b| b.iter(|| canon::parse(Q5).unwrap()));
    c.bench_function("q5/compile", |b| b.iter(|| self::view(&catalog).unwrap()));
    c.bench_function("q5/apply", |b| b.iter(|| view.nodes.iter().map(apply::plan).count()));
    let all: Vec<&str> = TABLES.iter().map(|(name, ..)| *name).collect();
    for changed in [&["lineitem"][..], &["orders", "lineitem"], &all] {
        c.bench_function(&format!("q5/program of {} changed", changed.len()), |b| {
            b.iter(|| program(&view, changed).unwrap());
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
