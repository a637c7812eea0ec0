//! From a commit to its effect at the far end of a graph of stream tables, all with schedule `'0s'`: one table, a
//! chain of ten, a diamond, and three layers of twenty.
//!
//! One commit at a time, paced; the clock runs from the answer to the commit until another session has read the raised
//! quantity in the last table. That session reads again and again in one call, each time in a new snapshot, and answers
//! when it has seen it: the answer's way is part of the time, but no client keeps a processor busy with asking.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::{sleep, sleep_until};

use crate::Result;
use crate::dataset::Dataset;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{Sample, within};
use crate::server::Server;
use crate::session::Session;
use crate::watch::PATIENCE;

const ROWS: u32 = 1_000_000;
const ROUNDS: u32 = 300;
const WARM_UP: u32 = 30;
const PACE: Duration = Duration::from_millis(30);

const CHAIN: usize = 10;
const LAYERS: usize = 3;
const WIDTH: usize = 20;

/// Stream tables by name, each after those that it reads. The last one shows an order's quantity by its id.
struct Graph {
    name: &'static str,
    tables: Vec<(String, String)>,
    target_p50_ms: f64,
}

fn graphs() -> [Graph; 4] {
    let open = "select id, quantity, amount from orders where status = 'open'";
    let named = |name: &str, query: &str| (name.to_owned(), query.to_owned());
    let chain = (0..CHAIN).map(|at| match at {
        0 => named("chain_0", open),
        _ => (format!("chain_{at}"), format!("select id, quantity, amount from chain_{} where id <> -{at}", at - 1)),
    });
    let layers = (0..LAYERS).flat_map(|layer| (0..WIDTH).map(move |at| (layer, at))).map(|(layer, at)| match layer {
        0 => (format!("layer_0_{at}"), format!("{open} and id <> -{at}")),
        _ => {
            let (below, next) = (layer - 1, (at + 1) % WIDTH);
            let query = format!(
                "select a.id, a.quantity, b.amount from layer_{below}_{at} a join layer_{below}_{next} b on b.id = a.id"
            );
            (format!("layer_{layer}_{at}"), query)
        }
    });
    [
        Graph { name: "one", tables: vec![named("open_orders", open)], target_p50_ms: 0.5 },
        Graph { name: "chain of 10", tables: chain.collect(), target_p50_ms: 2.0 },
        Graph {
            name: "diamond",
            tables: vec![
                named("details", open),
                named("sums", "select id, sum(quantity) as quantity from details group by id"),
                named("counts", "select id, count(*) as n from details group by id"),
                named("bottom", "select s.id, s.quantity, c.n from sums s join counts c on c.id = s.id"),
            ],
            target_p50_ms: 1.5,
        },
        Graph { name: "3 layers of 20", tables: layers.collect(), target_p50_ms: 20.0 },
    ]
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    dataset.load(server).await?;
    for graph in graphs() {
        let owner = server.session(dataset.schema).await?;
        for (name, query) in &graph.tables {
            owner.create_as(name, query, "0s", "DIFFERENTIAL").await?;
        }
        server.outside.batch_execute("checkpoint").await?;
        sleep(Duration::from_secs(1)).await;
        let (writer, reader) = (server.session(dataset.schema).await?, server.session(dataset.schema).await?);
        let mut visible = Sample::default();
        measure(&graph, dataset, (&writer, &reader), WARM_UP, &mut visible).await?;
        visible = Sample::default();
        measure(&graph, dataset, (&writer, &reader), rounds, &mut visible).await?;
        for (name, query) in &graph.tables {
            owner.equal(name, query).await?;
        }
        report.add(json!({
            "graph": graph.name,
            "stream_tables": graph.tables.len(),
            "rows": dataset.rows,
            "visible_ms": visible.summary(),
            "target": { "p50_ms": graph.target_p50_ms },
            "met": within(visible.median(), graph.target_p50_ms),
        }));
        for (name, _) in graph.tables.iter().rev() {
            owner.client.execute("select pgtrickle.drop_stream_table($1)", &[name]).await?;
        }
    }
    Ok(())
}

/// Commits one change after the other and waits for each to arrive.
async fn measure(
    graph: &Graph,
    dataset: Dataset,
    (writer, reader): (&Session, &Session),
    rounds: u32,
    visible: &mut Sample,
) -> Result<()> {
    writer.batch("set synchronous_commit = off").await?;
    let last = graph.tables.last().map_or("", |(name, _)| name);
    let raise = "update orders set quantity = quantity + 1 where id = $1 returning quantity";
    let raise = writer.client.prepare(raise).await?;
    reader
        .batch(&format!(
            r"
set statement_timeout = '{}s';
create or replace function await_quantity(bigint, bigint) returns void language plpgsql as $$
begin
  loop
    exit when (select quantity from {last} where id = $1) >= $2;
  end loop;
end
$$",
            PATIENCE.as_secs()
        ))
        .await?;
    let read = reader.client.prepare("select await_quantity($1, $2)").await?;
    let mut due = Instant::now();
    for round in 0..rounds {
        sleep_until(due.into()).await;
        due = due.max(Instant::now()) + PACE;
        let order = dataset.open_order(round);
        let raised: i32 = writer.client.query_one(&raise, &[&order]).await?.get(0);
        let committed = Instant::now();
        reader.client.execute(&read, &[&order, &i64::from(raised)]).await?;
        let seen = Instant::now();
        visible.push((seen - committed).as_secs_f64() * 1000.0);
    }
    Ok(())
}
