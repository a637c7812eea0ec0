//! Queries as stream tables, each refreshed and recomputed in turns.
//!
//! Law: after every round the stream table is compared with what the recomputation of the same round
//! answered, off the clock; where a LIMIT leaves several right answers it must be one of them (see `Query`).

use std::collections::BTreeMap;

use pg_trickle_workloads::Query;
use serde_json::{Value, json};

use crate::Result;
use crate::sample::{Sample, ratio, rounded};
use crate::session::{BY_HAND, Session};

/// One query, its stream table, and the measurements.
pub struct Measured {
    pub query: Query,
    /// Why it cannot be incremental.
    reason: Option<String>,
    /// The actions of its refreshes, as the history calls them.
    actions: BTreeMap<String, u32>,
    /// The most rows that it had at a comparison.
    rows: i64,
    pub refreshes: Sample,
    pub recomputations: Sample,
}

/// The history's name for a refresh that found nothing to do.
const NOTHING: &str = "NO_DATA";

impl Measured {
    /// Creates the stream table under the query's name, in mode AUTO.
    pub async fn create(session: &Session, query: Query) -> Result<Measured> {
        session
            .client
            .execute(
                "select pgtrickle.create_stream_table($1, $2, schedule => $3)",
                &[&query.name, &query.sql, &BY_HAND],
            )
            .await
            .map_err(|error| format!("{}: {}", query.name, crate::chain(&error)))?;
        session.batch(&format!("vacuum analyze {}", query.name)).await?;
        let reason: Option<String> = session
            .client
            .query_one(
                "select full_reason from pgtrickle.pgt_stream_tables where pgt_relid = $1::text::regclass",
                &[&query.name],
            )
            .await?
            .get(0);
        let measured = Measured {
            query,
            reason,
            actions: BTreeMap::new(),
            rows: 0,
            refreshes: Sample::default(),
            recomputations: Sample::default(),
        };
        session.batch(&format!("create temporary table {} as {}", measured.answer(), query.sql)).await?;
        measured.compare(session).await?;
        Ok(measured)
    }

    pub async fn create_all(session: &Session, queries: &[Query]) -> Result<Vec<Measured>> {
        let mut all = vec![];
        for query in queries {
            all.push(Measured::create(session, *query).await?);
        }
        Ok(all)
    }

    pub fn incremental(&self) -> bool {
        self.reason.is_none()
    }

    /// One round of all: they are refreshed one after the other, as in a tick, and recomputed one after the other, the two
    /// taking turns in going first; then each is compared.
    pub async fn round(all: &mut [Measured], session: &Session, round: u32) -> Result<()> {
        for turn in 0..2 {
            for measured in all.iter_mut() {
                match (round + turn).is_multiple_of(2) {
                    true => measured.refresh(session).await?,
                    false => measured.recompute(session).await?,
                }
            }
        }
        Measured::note_actions(all, session).await?;
        Measured::compare_all(all, session).await
    }

    /// A tick of all, with no refresh in between: what is materialised is not recomputed.
    pub async fn tick(all: &mut [Measured], session: &Session) -> Result<()> {
        for measured in all.iter_mut() {
            measured.refresh(session).await?;
        }
        Measured::note_actions(all, session).await
    }

    /// After ticks: each is recomputed, off the clock, and compared.
    pub async fn check(all: &mut [Measured], session: &Session) -> Result<()> {
        for measured in all.iter_mut() {
            measured.recompute(session).await?;
        }
        Measured::compare_all(all, session).await
    }

    async fn note_actions(all: &mut [Measured], session: &Session) -> Result<()> {
        for measured in all {
            *measured.actions.entry(measured.last_action(session).await?).or_default() += 1;
        }
        Ok(())
    }

    async fn compare_all(all: &mut [Measured], session: &Session) -> Result<()> {
        for measured in all {
            measured.rows = measured.rows.max(measured.compare(session).await?);
        }
        Ok(())
    }

    async fn refresh(&mut self, session: &Session) -> Result<()> {
        let row = session.client.query_one("select bench_refresh($1)", &[&self.query.name]).await?;
        self.refreshes.push(row.get(0));
        Ok(())
    }

    async fn recompute(&mut self, session: &Session) -> Result<()> {
        let row =
            session.client.query_one("select bench_recompute($1, $2)", &[&self.query.sql, &self.answer()]).await?;
        self.recomputations.push(row.get(0));
        Ok(())
    }

    /// The table with the last result of the query.
    fn answer(&self) -> String {
        format!("recomputed_{}", self.query.name)
    }

    /// Discards the measurements, as after a warm-up.
    pub fn forget(&mut self) {
        self.actions.clear();
        self.refreshes = Sample::default();
        self.recomputations = Sample::default();
    }

    /// An error unless the stream table equals the last result of the query, which is dropped; the number of rows.
    async fn compare(&self, session: &Session) -> Result<i64> {
        let (name, answer) = (self.query.name, self.answer());
        let differences = self.query.differences(name, &format!("table {answer}"));
        let differences = session.client.query(&differences, &[]).await?;
        if !differences.is_empty() {
            let lines: Vec<&str> = differences.iter().map(|row| row.get(0)).collect();
            return Err(format!("{name} is not its query:\n{}", lines.join("\n")).into());
        }
        let rows = session.one(&format!("select count(*) from {answer}")).await?.get(0);
        session.batch(&format!("drop table {answer}")).await?;
        Ok(rows)
    }

    async fn last_action(&self, session: &Session) -> Result<String> {
        let query = "select action, error from pgtrickle.get_refresh_history($1, 1)";
        let row = session.client.query_one(query, &[&self.query.name]).await?;
        match row.get::<_, Option<&str>>(1) {
            None => Ok(row.get(0)),
            Some(error) => Err(format!("a refresh of {} failed: {error}", self.query.name).into()),
        }
    }

    /// Whether some refresh found changes.
    pub fn was_changed(&self) -> bool {
        self.actions.keys().any(|action| action != NOTHING)
    }

    /// Whether recomputing would have been cheaper.
    fn is_slower(&self) -> bool {
        ratio(&self.refreshes, &self.recomputations).is_some_and(|ratio| ratio > 1.0)
    }

    pub fn summary(&self) -> Value {
        json!({
            "query": self.query.name,
            "incremental": self.incremental(),
            "reason": self.reason,
            "actions": self.actions,
            "rows": self.rows,
            "ties": self.query.ties,
            "refresh_ms": { "p50": rounded(self.refreshes.median()), "max": rounded(self.refreshes.max()) },
            "recompute_ms": { "p50": rounded(self.recomputations.median()), "max": rounded(self.recomputations.max()) },
            "ratio": rounded(ratio(&self.refreshes, &self.recomputations)),
        })
    }
}

/// The totals of some queries.
pub fn totals<'a>(all: impl Iterator<Item = &'a Measured>) -> Value {
    let all: Vec<&Measured> = all.collect();
    let (mut medians, mut worst) = (Sample::default(), Sample::default());
    for measured in &all {
        measured.refreshes.median().into_iter().for_each(|value| medians.push(value));
        measured.refreshes.max().into_iter().for_each(|value| worst.push(value));
    }
    let names = |test: fn(&Measured) -> bool| -> Vec<&str> {
        all.iter().filter(|measured| test(measured)).map(|measured| measured.query.name).collect()
    };
    json!({
        "queries": all.len(),
        "median_ms": rounded(medians.median()),
        "worst_median_ms": rounded(medians.max()),
        "worst_ms": rounded(worst.max()),
        "slower_than_recomputing": names(Measured::is_slower),
        "recomputed_as_a_whole": names(|measured| !measured.incremental()),
        "always_empty": names(|measured| measured.rows == 0),
    })
}
