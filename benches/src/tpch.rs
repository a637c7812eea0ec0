//! TPC-H: 22 stream tables under batches of changed orders and line items, each against its recomputation.
//!
//! A round is one batch of 1,000 changed rows; then every query is refreshed alone, one after the other. Afterwards the
//! same for batches that change everything but orders and line items, so that the queries over parts and suppliers have
//! something to do. All data is in the server's cache.
//!
//! With `--growth` a tenth of the scale takes turns with the whole. How a refresh grows is then measured tick after tick,
//! and all is compared at the end: a recomputation in between reads everything, and leaves to the refresh after it neither
//! scale's rows in the processor's caches.

use pg_trickle_workloads::tpch::{self, Changes};
use serde_json::{Value, json};

use crate::Result;
use crate::comparison::{Measured, totals};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{ratio, rounded, within};
use crate::server::Server;
use crate::session::Session;

const SCALE: f64 = 0.1;
const ROUNDS: u32 = 9;
const WARM_UP: u32 = 1;
/// Ticks for each round, and before the first that counts.
const TICKS: u32 = 3;
const CHANGED_ROWS: u64 = 1_000;

/// Milliseconds of a refresh: in the median over the queries, and of the slowest; growth from a tenth.
const TARGET_MEDIAN_MS: f64 = 20.0;
const TARGET_WORST_MS: f64 = 250.0;
const TARGET_RATIO: f64 = 1.5;

/// What a batch changes.
#[derive(Clone, Copy, PartialEq)]
enum Batch {
    Orders,
    Catalogue,
}

impl Batch {
    const ALL: [Batch; 2] = [Batch::Orders, Batch::Catalogue];

    fn name(self) -> &'static str {
        match self {
            Batch::Orders => "orders and line items",
            Batch::Catalogue => "parts, suppliers, customers",
        }
    }
}

/// A loaded scale and its 22 stream tables.
struct Side {
    scale: f64,
    session: Session,
    writer: Session,
    changes: Changes,
    measured: Vec<Measured>,
}

impl Side {
    async fn set_up(server: &Server, schema: &str, scale: f64, report: &mut Report) -> Result<Side> {
        let session = server.session(schema).await?;
        session.batch(&format!("create schema {schema}")).await?;
        let rows = tpch::load(&session.client, scale).await?;
        session.batch("vacuum analyze").await?;
        report.add(json!({ "scale": scale, "rows": rows, "bytes": session.sizes().await? }));
        let measured = Measured::create_all(&session, &tpch::QUERIES).await?;
        let writer = server.session(schema).await?;
        writer.batch("set synchronous_commit = off").await?;
        session.batch("set synchronous_commit = off").await?;
        Ok(Side { scale, session, writer, changes: Changes::new(scale), measured })
    }

    async fn change(&mut self, batch: Batch) -> Result<()> {
        match batch {
            Batch::Orders => {
                let changed = self.changes.orders(&self.writer.client, CHANGED_ROWS).await?;
                if changed != CHANGED_ROWS {
                    return Err(format!("a batch changed {changed} rows instead of {CHANGED_ROWS}").into());
                }
            }
            Batch::Catalogue => self.changes.catalogue(&self.writer.client).await?,
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.measured.iter_mut().for_each(Measured::forget);
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let scale = options.scale.unwrap_or(SCALE);
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut sides = vec![Side::set_up(server, "large", scale, report).await?];
    if options.growth {
        sides.push(Side::set_up(server, "small", scale / 10.0, report).await?);
    }
    sides[0].session.warm().await?;
    server.outside.batch_execute("checkpoint").await?;
    for batch in Batch::ALL {
        for round in 0..WARM_UP + rounds {
            for side in &mut sides {
                if round == WARM_UP {
                    side.forget();
                }
                side.change(batch).await?;
                Measured::round(&mut side.measured, &side.session, round).await?;
            }
        }
        tell(&sides, batch, report);
        sides.iter_mut().for_each(Side::forget);
    }
    grow(&mut sides, rounds, report).await
}

async fn grow(sides: &mut [Side], rounds: u32, report: &mut Report) -> Result<()> {
    let [large, small] = sides else { return Ok(()) };
    for tick in 0..TICKS * (WARM_UP + rounds) {
        for side in [&mut *large, &mut *small] {
            if tick == TICKS * WARM_UP {
                side.forget();
            }
            side.change(Batch::Orders).await?;
            Measured::tick(&mut side.measured, &side.session).await?;
        }
    }
    for side in [&mut *large, &mut *small] {
        Measured::check(&mut side.measured, &side.session).await?;
    }
    for (many, few) in large.measured.iter().zip(&small.measured).filter(|(many, _)| many.was_changed()) {
        let growth = ratio(&many.refreshes, &few.refreshes);
        report.add(json!({
            "query": many.query.name,
            "changed": Batch::Orders.name(),
            "scale": [small.scale, large.scale],
            "refresh_p50_ms": [rounded(few.refreshes.median()), rounded(many.refreshes.median())],
            "growth": rounded(growth),
            "target": TARGET_RATIO,
            "met": within(growth, TARGET_RATIO),
        }));
    }
    Ok(())
}

fn tell(sides: &[Side], batch: Batch, report: &mut Report) {
    for side in sides {
        let mut add = |mut result: Value| {
            result["scale"] = json!(side.scale);
            result["changed"] = json!(batch.name());
            report.add(result);
        };
        side.measured.iter().map(Measured::summary).for_each(&mut add);
        let mut all = totals(side.measured.iter());
        all["of"] = json!("all queries");
        if batch == Batch::Orders {
            all["target"] = json!({ "median_ms": TARGET_MEDIAN_MS, "worst_median_ms": TARGET_WORST_MS, "slower": 0 });
        }
        let mut changed = totals(side.measured.iter().filter(|measured| measured.was_changed()));
        changed["of"] = json!("queries that read what changed");
        add(all);
        add(changed);
    }
}
