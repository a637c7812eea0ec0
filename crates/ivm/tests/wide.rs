//! Many inputs of one join change at once: the rows that a refresh writes down grow as the changes do, not as 3^m.

use std::collections::BTreeMap;

use ivm::plan::Relation;
use ivm::sql::ident::{Ident, QName};
use ivm::testing::eval::{Table, Tables, eval};
use ivm::testing::explain as shown;
use ivm::testing::memory::MemoryCatalog;
use ivm::testing::value::{Row, Value};
use ivm::testing::zset::Zset;
use ivm::view::{DELTA, Mask, View};
use ivm::{canon, compile, delta, explain};

/// The rows of a source before and after the change.
type Change = (&'static str, Vec<Row>, Vec<Row>);

/// A table of two integers.
fn columns() -> Vec<Ident> {
    ["id", "v"].map(Ident::new).into()
}

fn compiled(query: &str, sources: &[Change]) -> View {
    let declare = |catalog: MemoryCatalog, (name, ..): &Change| {
        let name = QName::qualified("public", *name);
        catalog.table(name.clone(), &[("id", "integer", true), ("v", "integer", true)]).key(name, &["id"])
    };
    let catalog = sources.iter().fold(MemoryCatalog::default(), declare);
    let state = |k: usize| QName::qualified("pgtrickle_state", format!("n_1_{k}"));
    compile::compile(&canon::parse(query).unwrap(), &catalog, &QName::qualified("public", "view"), &state).unwrap()
}

fn stored(view: &View, node: usize, rows: &Zset) -> Table {
    let columns = view.nodes[node].columns.iter().map(|column| column.name.clone()).collect();
    Table { columns, rows: rows.rows().unwrap() }
}

fn with_weights(mut columns: Vec<Ident>, weight: Ident, rows: &Zset) -> Table {
    columns.push(weight);
    let weighted = |(row, w): (&Row, i64)| row.iter().cloned().chain([Value::Int(w.into())]).collect();
    Table { columns, rows: rows.iter().map(weighted).collect() }
}

/// Follows the change and checks the result; the most rows that any step had before they were added up.
fn largest(query: &str, sources: &[Change]) -> usize {
    let view = compiled(query, sources);
    let mut tables: Tables = BTreeMap::new();
    let mut changed = Mask::new();
    let source = |name: &str| Relation::Source(QName::qualified("public", name));
    for (name, before, _) in sources {
        tables.insert(source(name), Table { columns: columns(), rows: before.clone() });
    }
    let mut nodes: Vec<Zset> = vec![];
    for (k, node) in view.nodes.iter().enumerate() {
        nodes.push(eval(&node.plan, &tables).unwrap());
        tables.insert(Relation::Node(k), stored(&view, k, &nodes[k]));
    }
    for (name, before, after) in sources {
        let zset = |rows: &[Row]| rows.iter().cloned().collect::<Zset>();
        let change = zset(after).plus(zset(before).negated());
        let weight = view.weight(&source(name));
        let delta = Relation::SourceDelta(QName::qualified("public", *name));
        tables.insert(delta, with_weights(columns(), weight, &change));
        tables.insert(source(name), Table { columns: columns(), rows: after.clone() });
        changed.insert(source(name));
    }
    let mut most = 0;
    for (k, node) in view.nodes.iter().enumerate() {
        let mask = node.inputs.intersection(&changed).cloned().collect();
        for step in delta::steps(&view, k, &mask).unwrap().into_iter().flatten() {
            let result = eval(&step.query, &tables).unwrap();
            most = most.max(result.rows().unwrap().len());
            let names: Vec<Ident> = step.query.columns().into_iter().map(|column| column.name).collect();
            let (weight, others) = names.split_last().unwrap();
            let table = match step.cancels || step.name.as_str() == DELTA {
                true => with_weights(others.to_vec(), weight.clone(), &result.weighted(others.len()).unwrap()),
                false => Table { columns: names.clone(), rows: result.rows().unwrap() },
            };
            if step.name.as_str() == DELTA {
                let delta = result.weighted(others.len()).unwrap();
                nodes[k] = nodes[k].clone().plus(delta);
                tables.insert(Relation::NodeDelta(k), table.clone());
            }
            tables.insert(Relation::Step(step.name), table);
        }
        assert_eq!(nodes[k], eval(&node.plan, &tables).unwrap(), "{}", explain::view(&view).unwrap());
        tables.insert(Relation::Node(k), stored(&view, k, &nodes[k]));
        changed.insert(Relation::Node(k));
    }
    most
}

fn rows(pairs: &[(i128, i128)]) -> Vec<Row> {
    pairs.iter().map(|(id, v)| vec![Value::Int(*id), Value::Int(*v)]).collect()
}

const NAMES: [&str; 8] = ["d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"];

/// Facts of one dimension's row each, in which everything changes.
fn star(join: &str, m: usize) -> usize {
    let shown: Vec<String> = NAMES[..m].iter().map(|d| format!("{d}.v AS {d}")).collect();
    let joined = NAMES[..m]
        .iter()
        .fold("public.f f".to_owned(), |from, d| format!("({from} {join} public.{d} {d} ON (({d}.id = f.v)))"));
    let query = format!("SELECT f.id, {} FROM {joined}", shown.join(", "));
    let facts = rows(&[(1, 1), (2, 1), (3, 1)]);
    let dimensions = NAMES[..m].iter().map(|d| (*d, rows(&[(1, 10)]), rows(&[(1, 11)])));
    largest(&query, &dimensions.chain([("f", facts.clone(), facts)]).collect::<Vec<_>>())
}

#[test]
fn dimensions_of_a_star() {
    // Three facts, each with an old and a new row, of which every term makes as many.
    assert!(star("JOIN", 8) <= 8 * star("JOIN", 1), "{} rows", star("JOIN", 8));
    assert!(star("LEFT JOIN", 6) <= 8 * star("LEFT JOIN", 1), "{} rows", star("LEFT JOIN", 6));
}

#[test]
fn key_figures() {
    let figures = |m: i128| {
        let all = (1..=m).map(|k| format!("( SELECT count(*) AS count FROM public.d1 WHERE (d1.v > {k})) AS f{k}"));
        let query = format!("SELECT {}", all.collect::<Vec<_>>().join(", "));
        largest(&query, &[("d1", rows(&[(1, 100)]), rows(&[(1, 100), (2, 100)]))])
    };
    assert_eq!(figures(8), figures(2));
}

#[test]
fn conditions_on_a_side() {
    let exists = |m: usize| {
        let each = |d: &&str| format!("(EXISTS ( SELECT 1 FROM public.{d} {d} WHERE ({d}.id = f.v)))");
        let all: Vec<String> = NAMES[..m].iter().map(each).collect();
        let query = format!("SELECT f.id FROM public.f f WHERE ({})", all.join(" AND "));
        let facts = rows(&[(1, 1), (2, 1), (3, 2)]);
        let sources = NAMES[..m].iter().map(|d| (*d, rows(&[(1, 10)]), rows(&[(1, 10), (2, 10)])));
        largest(&query, &sources.chain([("f", facts.clone(), facts)]).collect::<Vec<_>>())
    };
    assert!(exists(6) <= 4 * exists(1), "{} rows", exists(6));
}

/// How many times as long as the query is the longest program of a refresh in which one input of a node changed, and of one
/// in which all did.
fn growth(query: &str, sources: &[&'static str]) -> [usize; 2] {
    let sources: Vec<Change> = sources.iter().map(|name| (*name, vec![], vec![])).collect();
    let view = compiled(query, &sources);
    let length = |k: usize, mask: Mask| {
        let program = delta::program(&view, k, &mask).unwrap();
        program.map_or(0, |program| shown::program(&program).len()) / query.len()
    };
    let nodes = view.nodes.iter().enumerate();
    let one = nodes.clone().flat_map(|(k, node)| node.inputs.iter().map(move |input| (k, Mask::from([input.clone()]))));
    let all = nodes.map(|(k, node)| (k, node.inputs.iter().cloned().collect()));
    [one.map(|(k, mask)| length(k, mask)).max().unwrap(), all.map(|(k, mask)| length(k, mask)).max().unwrap()]
}

#[test]
fn programs_are_as_long_as_queries() {
    let each = |range: std::ops::RangeInclusive<u32>, text: &dyn Fn(u32) -> String| -> String {
        range.map(text).collect::<Vec<_>>().join(", ")
    };
    let sum = |k| format!("sum(CASE WHEN (d1.v = {k}) THEN (f.v * f.id) ELSE 0 END) AS s{k}");
    let figure = |k| format!("( SELECT count(*) AS count FROM public.d1 WHERE (d1.v > {k})) AS f{k}");
    let joined = NAMES
        .iter()
        .fold("public.f f".to_owned(), |from, d| format!("({from} JOIN public.{d} {d} ON (({d}.id = f.v)))"));
    let shown = NAMES.map(|d| format!("{d}.v AS {d}")).join(", ");
    let months = format!("SELECT d2.v, {} FROM {joined} GROUP BY d2.v", each(1..=24, &sum));
    let key_figures = format!("SELECT {}", each(1..=15, &figure));
    let star = format!("SELECT f.id, {shown} FROM {joined}");
    let all: Vec<&str> = NAMES.into_iter().chain(["f"]).collect();
    for (query, sources) in [(months, &all[..]), (key_figures, &all[..1]), (star, &all[..])] {
        let grown = growth(&query, sources);
        assert!(grown.iter().all(|times| (1..=30).contains(times)), "{grown:?} times as long as {query}");
    }
}
