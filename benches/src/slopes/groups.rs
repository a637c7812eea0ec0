//! Groups and partitions of N members: what does it cost when one changes?

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::server::Server;
use crate::session::{BY_HAND, Table};
use crate::slopes::slope::{Growth, Slope};
use crate::timing::{Timed, Timings};

const MEMBERS: [u32; 3] = [10_000, 100_000, 1_000_000];
const ROUNDS: u32 = 20;
const WARM_UP: u32 = 3;
/// Milliseconds of a refresh.
const TARGET: f64 = 5.0;

const SET_UP: &str = "
create schema if not exists groups;
create table t (id int primary key, g int not null, v int not null);
create index on t (g, v)";

/// The greatest value leaves its group.
const GREATEST: Table = Table {
    name: "greatest",
    query: "select g, max(v) as greatest, count(*) as n from t group by g",
    schedule: BY_HAND,
    mode: "DIFFERENTIAL",
};

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let session = server.session("groups").await?;
    session.batch(SET_UP).await?;
    let timed = Timed::over(session).await?;
    let mut slope = Slope::new(("groups", "max_ms"), "members", Growth::Flat, TARGET);
    for members in MEMBERS {
        let fill = format!("truncate t; insert into t select n, n % 2, n from generate_series(1, {}) n", 2 * members);
        timed.session.batch(&fill).await?;
        timed.session.batch("vacuum analyze t").await?;
        timed.session.create(&GREATEST).await?;
        let rounds = options.rounds.unwrap_or(ROUNDS);
        let mut timings = Timings::default();
        for round in 0..WARM_UP + rounds {
            if round == WARM_UP {
                timings = Timings::default();
            }
            timed.session.batch("delete from t where id = (select max(id) from t)").await?;
            timed.refresh(GREATEST.name, &mut timings).await?;
        }
        timed.session.exact(&GREATEST).await?;
        timed.session.history(&GREATEST, "DIFFERENTIAL", rounds).await?;
        timed.session.batch("select pgtrickle.drop_stream_table('greatest')").await?;
        slope.add(members.into(), &timings.server);
    }
    slope.tell(report);
    timed.session.batch("drop schema groups cascade").await
}
