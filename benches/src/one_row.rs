//! One changed row: what does a refresh cost, and does it grow with the table?
//!
//! Two sizes, ten times apart, take turns; each round changes one row in each of several ways and
//! refreshes every stream table that reads it, one by one.

use serde_json::{Value, json};

use crate::Result;
use crate::dataset::{Change, Changer, Dataset, views};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{ratio, rounded, within};
use crate::server::Server;
use crate::session::{BY_HAND, Table};
use crate::timing::{Commit, Timed, Timings};

const ROWS: u32 = 1_000_000;
/// A session's first refreshes plan; after five a plan is generic.
const WARM_UP: u32 = 10;

/// Growth from a tenth of the rows.
const TARGET_RATIO: f64 = 1.5;

const fn table(name: &'static str, query: &'static str) -> Table {
    Table { name, query, schedule: BY_HAND, mode: "DIFFERENTIAL" }
}

const TABLES: [Table; 4] = [
    table("filter", views::FILTER),
    table("join3", views::JOIN3),
    table("by_key", views::BY_KEY),
    table("join3_aggregate", views::JOIN3_AGGREGATE),
];

/// The queries.
pub struct Question {
    tables: Vec<Table>,
    /// Indexes that the queries need besides those of the data.
    indexes: &'static str,
    rounds: u32,
    /// Milliseconds that the refresh call may take.
    target_ms: f64,
}

/// Filter, joins, aggregates.
pub fn plain() -> Question {
    Question { tables: TABLES.to_vec(), indexes: "", rounds: 200, target_ms: 2.0 }
}

/// A query for every other operator. They are in one file, each after a line with its name.
pub fn operators() -> Question {
    let sections = include_str!("../sql/operators.sql").split("-- ").filter_map(|section| section.split_once('\n'));
    let tables = sections.map(|(name, query)| table(name, query.trim_end())).collect();
    let indexes = "create index on orders (amount); create index on orders (placed_at); create index on orders (key)";
    Question { tables, indexes, rounds: 50, target_ms: 3.0 }
}

/// Whether a change is one of something that the stream table reads.
fn reads(table: &Table, change: Change) -> bool {
    change != Change::Dimension || table.query.contains("customers")
}

/// One of the two sizes: the same tables, and the measurements.
struct Side {
    tables: Vec<Table>,
    dataset: Dataset,
    changer: Changer,
    timed: Timed,
    sizes: Value,
    /// By change, then by stream table.
    timings: Vec<Vec<Timings>>,
}

impl Side {
    async fn set_up(server: &Server, dataset: Dataset, question: &Question) -> Result<Side> {
        dataset.load(server).await?;
        let session = server.session(dataset.schema).await?;
        session.batch(question.indexes).await?;
        let tables = question.tables.clone();
        for table in &tables {
            session.create(table).await?;
        }
        let timings = Change::ALL.map(|_| tables.iter().map(|_| Timings::default()).collect()).into();
        let changer = Changer::over(server.session(dataset.schema).await?, dataset).await?;
        let sizes = session.sizes().await?;
        Ok(Side { tables, dataset, changer, sizes, timings, timed: Timed::over(session).await? })
    }

    /// One change and its refreshes; the stream tables take turns in going first.
    async fn step(&mut self, change: usize, round: u32) -> Result<()> {
        self.changer.apply(Change::ALL[change]).await?;
        for offset in 0..self.tables.len() {
            let at = (offset + round as usize) % self.tables.len();
            let table = &self.tables[at];
            if reads(table, Change::ALL[change]) {
                self.timed.refresh(table.name, &mut self.timings[change][at]).await?;
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.timings.iter_mut().flatten().for_each(|timings| *timings = Timings::default());
    }

    /// Every refresh was a differential one and every result is right.
    async fn verify(&self, rounds: u32) -> Result<()> {
        for table in &self.tables {
            let refreshes = Change::ALL.iter().filter(|change| reads(table, **change)).count() as u32;
            self.timed.session.history(table, "DIFFERENTIAL", rounds * refreshes).await?;
            self.timed.session.exact(table).await?;
        }
        Ok(())
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report, question: Question) -> Result<()> {
    let (rows, rounds) = (options.rows.unwrap_or(ROWS), options.rounds.unwrap_or(question.rounds));
    let mut sides = [
        Side::set_up(server, Dataset::new("small", rows / 10)?, &question).await?,
        Side::set_up(server, Dataset::new("large", rows)?, &question).await?,
    ];
    server.outside.batch_execute("checkpoint").await?;
    measure(&mut sides, WARM_UP).await?;
    sides.iter_mut().for_each(Side::forget);
    measure(&mut sides, rounds).await?;
    for side in &sides {
        side.verify(rounds).await?;
    }
    tell(&sides, &question, report);
    Ok(())
}

async fn measure(sides: &mut [Side; 2], rounds: u32) -> Result<()> {
    for round in 0..rounds {
        let commit = Commit::BOTH[round as usize % 2];
        for change in 0..Change::ALL.len() {
            for turn in 0..2 {
                let side = &mut sides[(turn + round as usize / 2) % 2];
                side.timed.commit(commit).await?;
                side.step(change, round).await?;
            }
        }
    }
    Ok(())
}

fn tell(sides: &[Side; 2], question: &Question, report: &mut Report) {
    let [small, large] = sides;
    for side in sides {
        report.add(json!({ "rows": side.dataset.rows, "bytes": side.sizes }));
    }
    for (at, table) in question.tables.iter().enumerate() {
        for (change, kind) in Change::ALL.iter().enumerate().filter(|(_, kind)| reads(table, **kind)) {
            let (few, many) = (&small.timings[change][at], &large.timings[change][at]);
            let growth = ratio(&many.server, &few.server);
            let median = many.client_async.median();
            let single = *kind != Change::Dimension;
            report.add(json!({
                "view": table.name,
                "change": kind.name(),
                "rows": [small.dataset.rows, large.dataset.rows],
                "small": few.summary(),
                "large": many.summary(),
                "ratio": { "server_p50": rounded(growth), "cpu_p50": rounded(ratio(&many.cpu, &few.cpu)) },
                "target": single.then(|| json!({ "client_async_p50_ms": question.target_ms, "server_p50_ratio": TARGET_RATIO })),
                "met": single.then(|| within(median, question.target_ms) && within(growth, TARGET_RATIO)),
            }));
        }
    }
}
