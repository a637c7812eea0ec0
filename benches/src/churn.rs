//! One per cent of a table changed: a differential refresh beside a full one and beside plain SQL.
//!
//! Each round changes the table once (70 % updates, 15 % inserts, 15 % deletes); then every query is
//! brought up to date in three ways, which take turns in going first.

use serde_json::json;

use crate::Result;
use crate::dataset::{Dataset, views};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{ratio, rounded};
use crate::server::Server;
use crate::session::{BY_HAND, Session, Table};
use crate::timing::{Commit, Timed, Timings};

const ROWS: u32 = 100_000;
const ROUNDS: u32 = 20;
const WARM_UP: u32 = 3;

/// One query, kept in three ways.
struct Case {
    differential: Table,
    full: Table,
    plain: &'static str,
    timings: [Timings; 3],
}

const fn differential(name: &'static str, query: &'static str) -> Table {
    Table { name, query, schedule: BY_HAND, mode: "DIFFERENTIAL" }
}

const fn full(name: &'static str, query: &'static str) -> Table {
    Table { name, query, schedule: BY_HAND, mode: "FULL" }
}

/// The stream tables, differential and full, and the name of the plain table.
const CASES: [(Table, Table, &str); 5] = [
    (differential("scan", views::SCAN), full("scan_full", views::SCAN), "scan_plain"),
    (differential("filter", views::FILTER), full("filter_full", views::FILTER), "filter_plain"),
    (differential("aggregate", views::FIVE_GROUPS), full("aggregate_full", views::FIVE_GROUPS), "aggregate_plain"),
    (differential("join2", views::JOIN2), full("join2_full", views::JOIN2), "join2_plain"),
    (
        differential("join2_aggregate", views::JOIN2_AGGREGATE),
        full("join2_aggregate_full", views::JOIN2_AGGREGATE),
        "join2_aggregate_plain",
    ),
];

impl Case {
    async fn create(session: &Session, (differential, full, plain): (Table, Table, &'static str)) -> Result<Case> {
        session.create(&differential).await?;
        session.create(&full).await?;
        Ok(Case { differential, full, plain, timings: Default::default() })
    }

    /// Brings all three up to date, beginning with another each round.
    async fn step(&mut self, timed: &Timed, round: u32) -> Result<()> {
        for offset in 0..3 {
            let way = (round as usize + offset) % 3;
            let timings = &mut self.timings[way];
            match way {
                0 => timed.refresh(self.differential.name, timings).await?,
                1 => timed.refresh(self.full.name, timings).await?,
                _ => {
                    let create = format!("create table {} as {}", self.plain, self.differential.query);
                    timed.run(&create, timings).await?;
                    timed.session.batch(&format!("drop table {}", self.plain)).await?;
                }
            }
        }
        Ok(())
    }

    async fn verify(&self, session: &Session, rounds: u32) -> Result<()> {
        for (table, action) in [(&self.differential, "DIFFERENTIAL"), (&self.full, "FULL")] {
            session.history(table, action, rounds).await?;
            session.exact(table).await?;
        }
        Ok(())
    }

    fn tell(&self, rows: u32, report: &mut Report) {
        let [differential, full, plain] = &self.timings;
        let beside = |other: &Timings| {
            json!({
                "client_p50": rounded(ratio(&differential.client_async, &other.client_async)),
                "cpu_p50": rounded(ratio(&differential.cpu, &other.cpu)),
            })
        };
        report.add(json!({
            "view": self.differential.name,
            "rows": rows,
            "changed_rows": rows / 100,
            "differential": differential.summary(),
            "full": full.summary(),
            "create_table_as": plain.summary(),
            "differential_to_full": beside(full),
            "differential_to_create_table_as": beside(plain),
        }));
    }
}

/// Changes one row in a hundred, other ones each round.
struct Churn {
    session: Session,
    rows: i64,
    round: i64,
}

impl Churn {
    async fn over(session: Session, dataset: Dataset) -> Result<Churn> {
        session.batch("set synchronous_commit = off").await?;
        Ok(Churn { session, rows: dataset.rows.into(), round: 0 })
    }

    /// Three statements in one transaction. Of every hundred rows a round touches one, each round another,
    /// and not the same one of each hundred: what the rows have in common with their neighbours is evened out.
    async fn apply(&mut self) -> Result<()> {
        let (hundreds, mark) = (self.rows / 100, self.round % 100);
        let (updated, deleted) = (hundreds * 70 / 100, hundreds * 85 / 100);
        let chosen = |from: i64, to: i64| {
            format!(
                r"any (array(select 1 + 100 * k + ({mark} + 7 * k) % 100 from generate_series({from}, {to} - 1) k))"
            )
        };
        let (update, delete, copy) = (chosen(0, updated), chosen(updated, deleted), chosen(deleted, hundreds));
        let fresh = self.rows * (10 + self.round);
        self.round += 1;
        self.session
            .batch(&format!(
                r"
begin;
update orders set amount = amount + 1, quantity = quantity + 1 where id = {update};
delete from orders where id = {delete};
insert into orders (id, customer_id, product_id, key, quantity, amount, status, placed_at)
select {fresh} + id, customer_id, product_id, key, quantity, amount, status, placed_at from orders where id = {copy};
commit"
            ))
            .await
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    if WARM_UP + rounds > 100 {
        return Err("after 100 rounds there is nothing left to delete".into());
    }
    dataset.load(server).await?;
    let session = server.session(dataset.schema).await?;
    let mut cases = vec![];
    for case in CASES {
        cases.push(Case::create(&session, case).await?);
    }
    let mut churn = Churn::over(server.session(dataset.schema).await?, dataset).await?;
    let mut timed = Timed::over(session).await?;
    timed.commit(Commit::Async).await?;
    server.outside.batch_execute("checkpoint").await?;
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            cases.iter_mut().for_each(|case| case.timings = Default::default());
        }
        churn.apply().await?;
        for case in &mut cases {
            case.step(&timed, round).await?;
        }
    }
    for case in &cases {
        case.verify(&timed.session, rounds).await?;
        case.tell(dataset.rows, report);
    }
    Ok(())
}
