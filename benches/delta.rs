//! Micro-benchmarks of single steps: rewriting a plan, the delta SQL of single operators, and the graph of stream
//! tables. `scripts/bench-gate` compares them with those of another revision.

use std::collections::BTreeSet;
use std::fmt::Write;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ivm::bind;
use ivm::dag::Dag;
use ivm::plan::{Ids, Plan, Relation};
use ivm::rewrite::{restrict, simplify, unnest};
use ivm::sql::ident::QName;
use ivm::sql::print;
use ivm::testing::memory::MemoryCatalog;
use ivm::view::{Mask, View};
use ivm::{Result, canon, compile, delta};

/// The tables `public.t1` to `public.t16`.
const TABLES: usize = 16;

fn catalog() -> MemoryCatalog {
    let columns = [("id", "integer", true), ("next", "integer", false), ("v", "integer", false)];
    (1..=TABLES).fold(MemoryCatalog::default(), |catalog, n| {
        let name = table(n);
        catalog.table(name.clone(), &columns).key(name, &["id"])
    })
}

fn table(n: usize) -> QName {
    QName::qualified("public", format!("t{n}"))
}

/// The join of the first tables, each with the next.
fn chain(tables: usize) -> String {
    let mut from = "public.t1".to_owned();
    for n in 2..=tables {
        from = format!("({from} JOIN public.t{n} ON ((t{n}.id = t{}.next)))", n - 1);
    }
    format!("SELECT t1.id, t{tables}.v FROM {from}")
}

/// Subqueries in FROM, each with a filter and a computed column, and EXISTS above each.
fn nested(depth: usize) -> String {
    let mut query = "SELECT t1.id, t1.v FROM public.t1".to_owned();
    for n in 2..=depth {
        let mut outer = format!("SELECT q{n}.id, (q{n}.v + {n}) AS v FROM ({query}) q{n} WHERE (");
        write!(outer, "(q{n}.v > {n}) AND (EXISTS ( SELECT 1 FROM public.t{n} WHERE (t{n}.id = q{n}.id))))").unwrap();
        query = outer;
    }
    query
}

fn view(query: &str, catalog: &MemoryCatalog) -> View {
    let state = |k: usize| QName::qualified("pgtrickle_state", format!("n_1_{k}"));
    compile::compile(&canon::parse(query).unwrap(), catalog, &QName::qualified("public", "st"), &state).unwrap()
}

/// The length of the delta SQL of the first node after all its sources changed.
fn program(view: &View) -> Result<usize> {
    let mask: Mask = view.nodes[0].inputs.clone();
    let program = delta::program(view, 0, &mask)?;
    Ok(program.map_or(0, |program| program.steps.iter().map(|step| print::query(&step.query).len()).sum()))
}

fn rewritten(plan: Plan, catalog: &MemoryCatalog, mut ids: Ids) -> Result<Plan> {
    let plan = simplify(unnest::unnest(plan, catalog, &mut ids)?);
    Ok(simplify(restrict::restrict(plan, catalog, &mut ids)?))
}

fn deltas(c: &mut Criterion) {
    let catalog = catalog();
    let mut group = c.benchmark_group("delta");
    for (name, query) in [
        ("scan", "SELECT t1.id, t1.v FROM public.t1".to_owned()),
        ("filter", "SELECT t1.id, t1.v FROM public.t1 WHERE ((t1.v > 3) AND (t1.next = 1))".to_owned()),
        ("aggregate", "SELECT t1.v, count(*) AS n, sum(t1.next) AS s FROM public.t1 GROUP BY t1.v".to_owned()),
        ("min", "SELECT t1.v, min(t1.next) AS m FROM public.t1 GROUP BY t1.v".to_owned()),
        ("join/2", chain(2)),
        ("join/4", chain(4)),
        ("join/8", chain(8)),
        ("join/16", chain(TABLES)),
    ] {
        let view = view(&query, &catalog);
        assert!(program(&view).unwrap() > 0, "{query} has no delta");
        group.bench_function(name, |b| b.iter(|| program(&view).unwrap()));
    }
}

fn rewriting(c: &mut Criterion) {
    let catalog = catalog();
    let mut group = c.benchmark_group("rewrite");
    for depth in [2, 8] {
        let mut ids = Ids::default();
        let plan = bind::bind(&canon::parse(&nested(depth)).unwrap(), &catalog, &mut ids).unwrap();
        assert_ne!(rewritten(plan.clone(), &catalog, ids.clone()).unwrap(), plan);
        let input = || (plan.clone(), ids.clone());
        group.bench_function(BenchmarkId::new("nested", depth), |b| {
            b.iter_batched(input, |(plan, ids)| rewritten(plan, &catalog, ids).unwrap(), BatchSize::SmallInput);
        });
    }
    let mut ids = Ids::default();
    let plan = bind::bind(&canon::parse(&chain(TABLES)).unwrap(), &catalog, &mut ids).unwrap();
    assert_eq!(plan.relations().len(), TABLES);
    assert!(plan.relations().contains(&Relation::Source(table(TABLES))));
    group.bench_function("chain", |b| {
        b.iter_batched(
            || (plan.clone(), ids.clone()),
            |(plan, ids)| rewritten(plan, &catalog, ids).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

/// 1,000 stream tables in layers of 100; each reads three of the layer below.
fn reads(table: i32) -> Vec<i32> {
    let below = table / 100 * 100 - 100;
    if below < 0 { vec![] } else { [1, 7, 31].iter().map(|step| below + table * step % 100).collect() }
}

fn graph(c: &mut Criterion) {
    const STREAM_TABLES: i32 = 1000;
    let full = || {
        let mut graph = Dag::default();
        (0..STREAM_TABLES).for_each(|table| graph.put(&table, &reads(table)).unwrap());
        graph
    };
    let graph = full();
    assert_eq!(graph.all().len(), STREAM_TABLES as usize);
    let mut group = c.benchmark_group("graph");
    group.bench_function("full", |b| b.iter(full));
    // As the extension does when one stream table is created: the graph in use is not changed.
    group.bench_function("incremental", |b| {
        b.iter(|| {
            let mut changed = graph.clone();
            changed.put(&STREAM_TABLES, &[999, 500, 1]).unwrap();
            changed
        });
    });
    group.bench_function("order", |b| b.iter(|| (graph.all(), graph.downstream(&BTreeSet::from([3])))));
}

criterion_group!(benches, deltas, rewriting, graph);
criterion_main!(benches);
