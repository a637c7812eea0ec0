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

/// What a stream table shows of the groups, and the change of a member.
struct Case {
    what: &'static str,
    query: &'static str,
    change: &'static str,
}

const CASES: [Case; 8] = [
    Case {
        what: "max_ms",
        query: "select g, max(v) as greatest, count(*) as n from t group by g",
        change: "delete from t where id = (select max(id) from t)",
    },
    Case {
        what: "far_from_first_ms",
        query: "select * from (select id, g, v, row_number() over (partition by g order by v) as n from t) q where n <= 10",
        change: "update t set v = v + 1 where id = (select max(id) / 2 from t)",
    },
    Case {
        what: "among_first_ms",
        query: "select * from (select id, g, v, rank() over (partition by g order by v desc) as n from t) q where n <= 10",
        change: "delete from t where id = (select max(id) from t)",
    },
    Case {
        what: "first_values_ms",
        query: "select * from (select id, g, v, dense_rank() over (partition by g order by v) as n from t) q where n <= 10",
        change: "delete from t where id = (select min(id) from t)",
    },
    Case {
        what: "lateral_ms",
        query: "select h.g, x.id, x.v from h cross join lateral (select id, v from t where t.g = h.g order by v desc limit 3) x",
        change: "delete from t where id = (select max(id) from t)",
    },
    Case {
        what: "limit_ms",
        query: "select id, g from t order by id desc limit 10",
        change: "delete from t where id = (select max(id) from t)",
    },
    Case {
        what: "running_append_ms",
        query: RUNNING,
        change: "insert into t select max(id) + 1, (max(id) + 1) % 2, max(id) + 1 from t",
    },
    Case {
        what: "running_rest_of_50_ms",
        query: RUNNING,
        change: "update t set v = v + 1 where id = (select max(id) - 100 from t)",
    },
];

const RUNNING: &str = "select id, g, v, sum(v) over w as total, row_number() over w as n from t window w as (partition by g order by v, id)";

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    let session = server.session("groups").await?;
    session.batch(SET_UP).await?;
    session.batch("create table h (g int primary key); insert into h values (0), (1)").await?;
    let timed = Timed::over(session).await?;
    let mut slopes = CASES.map(|case| Slope::new(("groups", case.what), "members", Growth::Flat, TARGET));
    for members in MEMBERS {
        let fill = format!("truncate t; insert into t select n, n % 2, n from generate_series(1, {}) n", 2 * members);
        timed.session.batch(&fill).await?;
        timed.session.batch("vacuum analyze t").await?;
        for (case, slope) in CASES.iter().zip(&mut slopes) {
            slope.add(members.into(), &times(&timed, case, options).await?.server);
        }
    }
    slopes.iter().for_each(|slope| slope.tell(report));
    timed.session.batch("drop schema groups cascade").await
}

async fn times(timed: &Timed, case: &Case, options: &Options) -> Result<Timings> {
    let table = Table { name: "shown", query: case.query, schedule: BY_HAND, mode: "DIFFERENTIAL" };
    timed.session.create(&table).await?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut timings = Timings::default();
    for round in 0..WARM_UP + rounds {
        if round == WARM_UP {
            timings = Timings::default();
        }
        timed.session.batch(case.change).await?;
        timed.refresh(table.name, &mut timings).await?;
    }
    timed.session.exact(&table).await?;
    timed.session.history(&table, "DIFFERENTIAL", rounds).await?;
    timed.session.batch("select pgtrickle.drop_stream_table('shown')").await?;
    Ok(timings)
}
