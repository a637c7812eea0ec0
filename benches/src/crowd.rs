//! Many small stream tables over many small tables: ten over each, half of them with schedule `'0s'`, half with `'1s'`.

use std::time::Instant;

use tokio::time::timeout;

use crate::Result;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::Session;
use crate::timing::milliseconds;
use crate::watch::PATIENCE;

const PER_SOURCE: u32 = 10;
/// Rows of each table.
const ROWS: u32 = 1_000;

/// The stream tables, and the session that creates them.
pub struct Crowd {
    pub session: Session,
    sources: u32,
    /// Stream tables were added that belong to no source of ours.
    extra: u32,
}

impl Crowd {
    pub async fn over(server: &Server) -> Result<Crowd> {
        Ok(Crowd { session: server.session("public").await?, sources: 0, extra: 0 })
    }

    /// How many stream tables there are.
    pub fn len(&self) -> u32 {
        self.sources * PER_SOURCE
    }

    pub fn sources(&self) -> u32 {
        self.sources
    }

    /// Has `tables` stream tables in all; how long each new one took.
    pub async fn grow(&mut self, tables: u32) -> Result<Sample> {
        let mut created = Sample::default();
        while self.len() < tables {
            let source = self.sources;
            self.session
                .batch(&format!(
                    "create table source_{source} (id integer primary key, part integer not null, amount integer not null);
                     insert into source_{source} select i, i % 50, i * 7 % 1000 from generate_series(1, {ROWS}) i;
                     analyze source_{source}"
                ))
                .await?;
            for number in 0..PER_SOURCE {
                created.push(self.create(&name(source, number), &query(source, number), schedule(number)).await?);
            }
            self.sources += 1;
        }
        Ok(created)
    }

    async fn create(&self, name: &str, query: &str, schedule: &str) -> Result<f64> {
        let call = "select pgtrickle.create_stream_table($1, $2, schedule => $3, refresh_mode => 'DIFFERENTIAL')";
        let began = Instant::now();
        self.session.client.execute(call, &[&name, &query, &schedule]).await?;
        Ok(milliseconds(began))
    }

    /// Adds a stream table and drops it again; how long each took.
    pub async fn come_and_go(&mut self) -> Result<(f64, f64)> {
        let source = self.extra % self.sources;
        self.extra += 1;
        let came = self.create("passing", &query(source, 1), "0s").await?;
        let began = Instant::now();
        self.session.batch("select pgtrickle.drop_stream_table('passing')").await?;
        Ok((came, milliseconds(began)))
    }

    /// Changes a row of a source; how long it then takes to be visible in a stream table.
    pub async fn change(&self, source: u32) -> Result<f64> {
        change(&self.session, source).await
    }

    /// An error unless every stream table equals its query, as soon as the workers are through.
    pub async fn verify(&self) -> Result<()> {
        for source in 0..self.sources {
            for number in 0..PER_SOURCE {
                let name = name(source, number);
                self.session.client.query_one("select pgtrickle.wait_for_stream_table($1)", &[&name]).await?;
                self.session.equal(&name, &query(source, number)).await?;
            }
        }
        Ok(())
    }
}

/// Commits one changed row of a source and reads until a stream table with schedule `'0s'` shows it: milliseconds
/// from the answer to the commit.
pub async fn change(session: &Session, source: u32) -> Result<f64> {
    let read = format!("select amount from {} where part = 7", name(source, 0));
    let before: i64 = session.one(&read).await?.get(0);
    session.batch(&format!("update source_{source} set amount = amount + 1 where id = 7")).await?;
    let committed = Instant::now();
    let seen = async {
        while session.one(&read).await?.get::<_, i64>(0) <= before {}
        Ok(milliseconds(committed))
    };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| Err("a commit did not become visible".into()))
}

fn name(source: u32, number: u32) -> String {
    format!("stream_{source}_{number}")
}

fn schedule(number: u32) -> &'static str {
    if number < PER_SOURCE / 2 { "0s" } else { "1s" }
}

fn query(source: u32, number: u32) -> String {
    let rows = format!("source_{source} where amount <> {number} - 100");
    match number % 5 {
        0 => format!("select part, count(*) as rows, sum(amount) as amount from {rows} group by part"),
        1 => format!("select id, amount from {rows} and amount > 500"),
        2 => format!("select part, max(amount) as most from {rows} group by part"),
        3 => format!(
            "select a.id, b.amount from source_{source} a join source_{source} b on b.id = a.part where a.id <> -{number}"
        ),
        _ => format!("select distinct amount from {rows}"),
    }
}
