//! A table that is refreshed at every commit beside one that is refreshed rarely: what does a refresh of the first cost when
//! the second has not read the last N commits?

use std::time::Instant;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::{BY_HAND, Session, Table};
use crate::slopes::slope::{Growth, Slope};
use crate::timing::{Timed, Timings, milliseconds};

/// Commits that the slow table has not read.
const COMMITS: [u32; 4] = [1_000, 10_000, 50_000, 100_000];
const ROUNDS: u32 = 100;
const WARM_UP: u32 = 10;
/// Milliseconds of a refresh, and from a commit to its effect in a table with schedule `'0s'`.
const TARGET_REFRESH: f64 = 1.0;
const TARGET_VISIBLE: f64 = 3.0;

const SET_UP: &str = "
create schema if not exists backlog;
create table t (id int primary key, g int not null, v int not null);
insert into t select n, n % 100, n from generate_series(1, 10000) n;
create procedure change(first int, last int) language plpgsql as $$
begin
  for i in first .. last loop
    update t set v = v + 1 where id = 1 + i % 10000;
    commit;
  end loop;
end
$$";

const QUERY: &str = "select g, sum(v) as total, count(*) as n from t group by g";
const FAST: Table = Table { name: "fast", query: QUERY, schedule: BY_HAND, mode: "DIFFERENTIAL" };
const LIVE: Table = Table { name: "live", query: QUERY, schedule: "0s", mode: "DIFFERENTIAL" };
const SLOW: Table = Table { name: "slow", query: QUERY, schedule: BY_HAND, mode: "DIFFERENTIAL" };

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let session = server.session("backlog").await?;
    session.batch(SET_UP).await?;
    session.batch("vacuum analyze t").await?;
    for table in [&FAST, &LIVE, &SLOW] {
        session.create(table).await?;
    }
    let writer = server.session("backlog").await?;
    writer.batch("set synchronous_commit = off").await?;
    let timed = Timed::over(session).await?;
    let mut refresh = Slope::new(("backlog", "refresh_ms"), "commits", Growth::Flat, TARGET_REFRESH);
    let mut visible = Slope::new(("backlog", "visible_ms"), "commits", Growth::Flat, TARGET_VISIBLE);
    let mut done = 0;
    for commits in COMMITS {
        writer.batch(&format!("call change({done}, {})", commits - 1)).await?;
        done = commits;
        timed.session.settled(&LIVE).await?;
        let mut timings = Timings::default();
        let mut seen = Sample::default();
        for round in 0..WARM_UP + options.rounds.unwrap_or(ROUNDS) {
            if round == WARM_UP {
                (timings, seen) = (Timings::default(), Sample::default());
            }
            seen.push(commit_until_visible(&writer, round).await?);
            timed.refresh(FAST.name, &mut timings).await?;
        }
        for table in [&FAST, &LIVE] {
            timed.session.exact(table).await?;
        }
        refresh.add(commits.into(), &timings.server);
        visible.add(commits.into(), &seen);
    }
    timed.session.client.execute("select pgtrickle.refresh_stream_table('slow')", &[]).await?;
    for table in [&FAST, &LIVE, &SLOW] {
        timed.session.exact(table).await?;
    }
    timed.session.history(&SLOW, "DIFFERENTIAL", 1).await?;
    refresh.tell(report);
    visible.tell(report);
    timed.session.batch("drop schema backlog cascade").await
}

/// Milliseconds from the commit of one change until a stream table shows it.
async fn commit_until_visible(writer: &Session, round: u32) -> Result<f64> {
    writer.batch(&format!("update t set v = v + 1 where id = {}", 1 + round % 10_000)).await?;
    let began = Instant::now();
    let row = writer.one("select pgtrickle.wait_for_stream_table('live')").await?;
    match row.get(0) {
        true => Ok(milliseconds(began)),
        false => Err("live is not refreshed".into()),
    }
}
