//! A session, and operations on stream tables.

use serde_json::{Value, json};
use tokio_postgres::{Client, Row};

use crate::Result;
use crate::sample::Sample;

/// A connection that knows the process that serves it.
pub struct Session {
    pub client: Client,
    pub pid: i32,
}

/// A stream table: its name, its query, its schedule and mode.
#[derive(Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    pub query: &'static str,
    pub schedule: &'static str,
    pub mode: &'static str,
}

/// So rarely that the workers never refresh during a measurement.
pub const BY_HAND: &str = "1d";

impl Session {
    pub async fn over(client: Client) -> Result<Session> {
        let pid = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
        Ok(Session { client, pid })
    }

    pub async fn one(&self, query: &str) -> Result<Row> {
        Ok(self.client.query_one(query, &[]).await?)
    }

    pub async fn batch(&self, statements: &str) -> Result<()> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// Reads all tables and indexes of the database into the server's own cache, where those of a server that has run
    /// for a while are.
    pub async fn warm(&self) -> Result<()> {
        let all = "select pg_prewarm(oid) from pg_class where relkind in ('r', 'i') and relpersistence <> 't'";
        self.batch(&format!("create extension if not exists pg_prewarm; {all}")).await
    }

    /// Creates and fills a stream table, and sees that it is right.
    pub async fn create(&self, table: &Table) -> Result<()> {
        self.create_as(table.name, table.query, table.schedule, table.mode).await
    }

    pub async fn create_as(&self, name: &str, query: &str, schedule: &str, mode: &str) -> Result<()> {
        self.client
            .execute(
                "select pgtrickle.create_stream_table($1, $2, schedule => $3, refresh_mode => $4)",
                &[&name, &query, &schedule, &mode],
            )
            .await?;
        self.batch(&format!("vacuum analyze {name}")).await?;
        self.equal(name, query).await
    }

    /// An error unless the stream table equals its query, as a multiset, in one snapshot.
    pub async fn exact(&self, table: &Table) -> Result<()> {
        self.equal(table.name, table.query).await
    }

    /// The same as soon as the workers have refreshed it.
    pub async fn settled(&self, table: &Table) -> Result<()> {
        let row = self.client.query_one("select pgtrickle.wait_for_stream_table($1)", &[&table.name]).await?;
        match row.get(0) {
            true => self.exact(table).await,
            false => Err(format!("{} is not refreshed", table.name).into()),
        }
    }

    /// The same of a table and a query.
    pub async fn equal(&self, name: &str, query: &str) -> Result<()> {
        let comparison = format!(
            r"
with expected as materialized ({query}),
surplus as (table {name} except all table expected),
missing as (table expected except all table {name})
select (select count(*) from surplus), (select count(*) from missing), (select count(*) from expected)"
        );
        let row = self.one(&comparison).await?;
        let (surplus, missing, all): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if (surplus, missing) != (0, 0) {
            return Err(format!("{name} is wrong: {surplus} rows too many, {missing} of {all} missing").into());
        }
        if all == 0 {
            return Err(format!("{name} is empty: that proves nothing").into());
        }
        Ok(())
    }

    /// An error unless the last `count` refreshes were of this kind; what the server says they took.
    pub async fn history(&self, table: &Table, action: &str, count: u32) -> Result<Sample> {
        let limit = i32::try_from(count)?;
        let query = "select action, duration_ms, error from pgtrickle.get_refresh_history($1, $2)";
        let mut durations = Sample::default();
        for row in self.client.query(query, &[&table.name, &limit]).await? {
            let (seen, error): (&str, Option<&str>) = (row.get(0), row.get(2));
            if seen != action || error.is_some() {
                let error = error.unwrap_or("no error");
                return Err(format!("a refresh of {} was {seen}, not {action}; {error}", table.name).into());
            }
            durations.push(row.get(1));
        }
        Ok(durations)
    }

    /// How big everything is that the figures are about.
    pub async fn sizes(&self) -> Result<Value> {
        let rows = self
            .client
            .query(
                "select relname::text, pg_table_size(oid) from pg_class
                  where relkind = 'r' and relnamespace = current_schema()::regnamespace order by relname",
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| (row.get::<_, String>(0), json!(row.get::<_, i64>(1)))).collect())
    }
}
