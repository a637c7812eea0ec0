//! Part of a table changed: a differential refresh against a full one, against AUTO, and against
//! plain SQL.
//!
//! Each round changes one, ten, fifty or all of every hundred rows (70 % updates, 15 % inserts, 15 % deletes);
//! then every query is refreshed in four ways, whose order rotates.

use serde_json::json;

use crate::Result;
use crate::dataset::{Dataset, views};
use crate::options::Options;
use crate::report::Report;
use crate::sample::{ratio, rounded, within};
use crate::server::Server;
use crate::session::{BY_HAND, Session, Table};
use crate::timing::{Commit, Timed, Timings};

const ROWS: u32 = 100_000;
const ROUNDS: u32 = 20;
const WARM_UP: u32 = 3;
/// Changed rows of every hundred.
const SHARES: [u32; 4] = [1, 10, 50, 100];
/// AUTO against the better of the two modes that it chooses from.
const TARGET_RATIO: f64 = 1.1;

/// One query, refreshed in four ways.
struct Case {
    differential: Table,
    full: Table,
    auto: Table,
    plain: &'static str,
    timings: [Timings; 4],
    target_ms: f64,
}

const fn table(name: &'static str, query: &'static str, mode: &'static str) -> Table {
    Table { name, query, schedule: BY_HAND, mode }
}

/// The names of a case: differential, full, by choice, and plain; its query; and what AUTO may take, in milliseconds with
/// the commit, where the least share of [`ROWS`] changed.
const CASES: [([&str; 4], &str, f64); 5] = [
    (["scan", "scan_full", "scan_auto", "scan_plain"], views::SCAN, 6.0),
    (["filter", "filter_full", "filter_auto", "filter_plain"], views::FILTER, 4.0),
    (["aggregate", "aggregate_full", "aggregate_auto", "aggregate_plain"], views::FIVE_GROUPS, 2.0),
    (["join2", "join2_full", "join2_auto", "join2_plain"], views::JOIN2, 10.0),
    (
        ["join2_aggregate", "join2_aggregate_full", "join2_aggregate_auto", "join2_aggregate_plain"],
        views::JOIN2_AGGREGATE,
        5.0,
    ),
];

impl Case {
    async fn create(
        session: &Session,
        ([name, full, auto, plain], query, target_ms): ([&'static str; 4], &'static str, f64),
    ) -> Result<Case> {
        let case = Case {
            differential: table(name, query, "DIFFERENTIAL"),
            full: table(full, query, "FULL"),
            auto: table(auto, query, "AUTO"),
            plain,
            timings: Default::default(),
            target_ms,
        };
        for table in [&case.differential, &case.full, &case.auto] {
            session.create(table).await?;
        }
        Ok(case)
    }

    /// Brings all four up to date, beginning with another each round.
    async fn step(&mut self, timed: &Timed, round: u32) -> Result<()> {
        for offset in 0..4 {
            let way = (round as usize + offset) % 4;
            let timings = &mut self.timings[way];
            match way {
                0 => timed.refresh(self.differential.name, timings).await?,
                1 => timed.refresh(self.full.name, timings).await?,
                2 => timed.refresh(self.auto.name, timings).await?,
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
        }
        for table in [&self.differential, &self.full, &self.auto] {
            session.exact(table).await?;
        }
        Ok(())
    }

    /// How many of the last `rounds` refreshes by choice were differential.
    async fn chosen(&self, session: &Session, rounds: u32) -> Result<i64> {
        let query = "select count(*) from pgtrickle.get_refresh_history($1, $2) where action = 'DIFFERENTIAL'";
        Ok(session.client.query_one(query, &[&self.auto.name, &i32::try_from(rounds)?]).await?.get(0))
    }

    async fn tell(&self, session: &Session, (rows, share, rounds): (u32, u32, u32), report: &mut Report) -> Result<()> {
        let [differential, full, auto, plain] = &self.timings;
        let ratio_of = |one: &Timings, other: &Timings| {
            json!({
                "client_p50": rounded(ratio(&one.client_async, &other.client_async)),
                "cpu_p50": rounded(ratio(&one.cpu, &other.cpu)),
            })
        };
        let target = (rows == ROWS && share == SHARES[0]).then_some(self.target_ms);
        let better = if differential.cpu.median() < full.cpu.median() { differential } else { full };
        report.add(json!({
            "view": self.differential.name,
            "rows": rows,
            "changed_rows": rows / 100 * share,
            "differential": differential.summary(),
            "full": full.summary(),
            "auto": auto.summary(),
            "create_table_as": plain.summary(),
            "differential_to_full": ratio_of(differential, full),
            "differential_to_create_table_as": ratio_of(differential, plain),
            "auto_to_better": ratio_of(auto, better),
            "auto_chose_differential": self.chosen(session, rounds).await?,
            "of": rounds,
            "target": { "auto_to_better_cpu_p50": TARGET_RATIO, "auto_client_p50_ms": target },
            "met": within(ratio(&auto.cpu, &better.cpu), TARGET_RATIO)
                && target.is_none_or(|target| within(auto.client_async.median(), target)),
        }));
        Ok(())
    }
}

/// Changes some of every hundred rows, other ones each round.
struct Churn {
    session: Session,
    round: u32,
}

impl Churn {
    async fn over(session: Session) -> Result<Churn> {
        session.batch("set synchronous_commit = off").await?;
        Ok(Churn { session, round: 0 })
    }

    /// Three statements in one transaction. A row is chosen by its number, and the change of it by its
    /// hundred, so that rows which are neighbours fare differently and the table keeps its size.
    async fn apply(&mut self, share: u32) -> Result<()> {
        let round = self.round;
        let chosen = format!("(id * 37 + {round} * 61) % 100 < {share} and (id / 100 + id + {round} * 7) % 20");
        self.round += 1;
        self.session
            .batch(&format!(
                r"
begin;
update orders set amount = amount + 1, quantity = quantity + 1 where {chosen} < 14;
delete from orders where {chosen} between 14 and 16;
insert into orders (id, customer_id, product_id, key, quantity, amount, status, placed_at)
select (select max(id) from orders) + row_number() over (), customer_id, product_id, key, quantity, amount, status, placed_at
  from orders where {chosen} > 16;
commit"
            ))
            .await
    }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    dataset.load(server).await?;
    let session = server.session(dataset.schema).await?;
    let mut cases = vec![];
    for case in CASES {
        cases.push(Case::create(&session, case).await?);
    }
    let mut churn = Churn::over(server.session(dataset.schema).await?).await?;
    let mut timed = Timed::over(session).await?;
    timed.commit(Commit::Async).await?;
    for share in SHARES {
        server.outside.batch_execute("checkpoint").await?;
        for round in 0..WARM_UP + rounds {
            if round == WARM_UP {
                cases.iter_mut().for_each(|case| case.timings = Default::default());
            }
            churn.apply(share).await?;
            for case in &mut cases {
                case.step(&timed, round).await?;
            }
        }
        for case in &cases {
            case.verify(&timed.session, rounds).await?;
            case.tell(&timed.session, (dataset.rows, share, rounds), report).await?;
        }
    }
    Ok(())
}
