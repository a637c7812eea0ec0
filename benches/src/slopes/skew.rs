//! Keys with many partners, trees of which much moves, and changes of a tenth of a table: does mode AUTO take about as long as
//! the better of the two ways?

use serde_json::json;

use crate::Result;
use crate::options::Options;
use crate::report::Report;
use crate::sample::{ratio, rounded, within};
use crate::server::Server;
use crate::session::{BY_HAND, Session, Table};
use crate::timing::{Timed, Timings};

const ROUNDS: u32 = 5;
const WARM_UP: u32 = 2;
/// AUTO against the better way, and milliseconds that do not count.
const TARGET_RATIO: f64 = 1.2;
const NEGLIGIBLE: f64 = 1.0;

/// One query in the three modes, and changes that follow each other in every round.
struct Case {
    name: &'static str,
    query: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

/// A hub has half of all spokes. `$n` is a setting.
const HUBS: &str = "
create schema if not exists skew;
create table hub (id int primary key, name text not null);
create table spoke (id int primary key, hub int not null, v int not null);
insert into hub select n, 'hub ' || n from generate_series(1, 10000) n;
insert into spoke
  select n, case when n % 2 = 0 then 1 else 1 + n % 9999 end, n
    from generate_series(1, 2 * current_setting('bench.rows')::int) n;
create index on spoke (hub)";

const PARTNERS: [u32; 3] = [10_000, 100_000, 1_000_000];

const OF_HUBS: [Case; 1] = [Case {
    name: "hot_key",
    query: "select h.name, sum(s.v) as v, count(*) as n from hub h join spoke s on s.hub = h.id group by h.name",
    changes: &[
        ("one_partner_in_ten_thousand", "update hub set name = name || '.' where id = 100 + $round"),
        ("half_of_all_partners", "update hub set name = name || '.' where id = 1"),
    ],
}];

const NODES: [u32; 3] = [10_000, 30_000, 100_000];

const OF_TREES: [Case; 2] = [
    Case { name: "tree", query: include_str!("../../sql/views/tree.sql"), changes: &MOVES },
    Case { name: "below", query: include_str!("../../sql/views/below.sql"), changes: &MOVES },
];

const MOVES: [(&str, &str); 5] = [
    ("leaf", "update nodes set parent = 3 + $round where id = current_setting('bench.rows')::int"),
    ("subtree", "update nodes set parent = case parent when 3 then 4 else 3 end where id = 15"),
    ("again_a_leaf", "update nodes set parent = 5 + $round where id = current_setting('bench.rows')::int"),
    (
        "root",
        "update nodes set name = name || '.' where id = 1; update nodes set parent = 11 - parent where id in (50, 51)",
    ),
    (
        "tenth",
        "update nodes set parent = 2 + (parent + 7) % (current_setting('bench.rows')::int / 11)
          where id > current_setting('bench.rows')::int * 9 / 10",
    ),
];

const TABLE: &str = "
create schema if not exists skew;
create table groups (id int primary key, name text not null);
create table t (id int primary key, g int not null, k int not null, v int not null);
insert into groups select n, 'group ' || n from generate_series(0, 999) n;
insert into t select n, n % 1000, n / 4, n % 977 from generate_series(1, current_setting('bench.rows')::int) n;
create index on t (g, v);
create index on t (k)";

const ROWS: u32 = 100_000;

/// Rows of a thousand are chosen by their number, others in each round.
const SHARES: [(&str, &str); 3] = [
    ("0.1 %", "update t set v = (v + 7) % 977, k = k + 1 where (id * 37 + $round * 61) % 1000 < 1"),
    ("1 %", "update t set v = (v + 7) % 977, k = k + 1 where (id * 37 + $round * 61) % 1000 < 10"),
    ("10 %", "update t set v = (v + 7) % 977, k = k + 1 where (id * 37 + $round * 61) % 1000 < 100"),
];

const fn operator(name: &'static str, query: &'static str) -> Case {
    Case { name, query, changes: &SHARES }
}

const OPERATORS: [Case; 10] = [
    operator("filter", "select id, v from t where v > 100"),
    operator("join", "select t.id, t.v, groups.name from t join groups on groups.id = t.g"),
    operator("aggregate", "select g, sum(v) as v, count(*) as n from t group by g"),
    operator(
        "join_aggregate",
        "select groups.name, sum(t.v) as v from t join groups on groups.id = t.g group by groups.name",
    ),
    operator("max", "select g, max(v) as v from t group by g"),
    operator("distinct", "select distinct g, v from t"),
    operator("outer_join", "select groups.id, t.id as other from groups left join t on t.g = groups.id and t.v > 900"),
    operator("semi_join", "select id, v from t a where exists (select from t b where b.k = a.k + 1 and b.v > a.v)"),
    operator("anti_join", "select id, v from t a where not exists (select from t b where b.k = a.k + 1 and b.v > a.v)"),
    operator("window", "select id, rank() over (partition by g order by v) as place from t"),
];

const fn table(name: &'static str, query: &'static str, mode: &'static str) -> Table {
    Table { name, query, schedule: BY_HAND, mode }
}

pub async fn run(server: &Server, options: &Options, report: &mut Report) -> Result<()> {
    for partners in PARTNERS {
        contest(server, (HUBS, partners), &OF_HUBS, options, report).await?;
    }
    for nodes in NODES {
        let tree = concat!("create schema if not exists skew;", include_str!("../../sql/tree.sql"));
        contest(server, (tree, nodes), &OF_TREES, options, report).await?;
    }
    contest(server, (TABLE, ROWS), &OPERATORS, options, report).await
}

/// Runs cases over the same tables, one after the other.
async fn contest(
    server: &Server,
    (set_up, rows): (&str, u32),
    cases: &[Case],
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let session = server.session("skew").await?;
    session.batch(&format!("set synchronous_commit = off; set bench.rows = {rows}; {set_up}")).await?;
    session.batch("vacuum analyze").await?;
    let mut timed = Timed::over(session).await?;
    for case in cases {
        run_case(&mut timed, case, (rows, options.rounds.unwrap_or(ROUNDS)), report).await?;
    }
    timed.session.batch("drop schema skew cascade").await
}

async fn run_case(timed: &mut Timed, case: &Case, (rows, rounds): (u32, u32), report: &mut Report) -> Result<()> {
    let tables = [
        table("auto", case.query, "AUTO"),
        table("differential", case.query, "DIFFERENTIAL"),
        table("recomputed", case.query, "FULL"),
    ];
    for table in &tables {
        timed.session.create(table).await?;
    }
    let mut timings: Vec<[Timings; 3]> = case.changes.iter().map(|_| Default::default()).collect();
    let mut chosen = vec![0; case.changes.len()];
    for round in 0..WARM_UP + rounds {
        for (at, (_, change)) in case.changes.iter().enumerate() {
            if round == WARM_UP {
                (timings[at], chosen[at]) = Default::default();
            }
            timed.session.batch(&change.replace("$round", &round.to_string())).await?;
            for offset in 0..3 {
                let way = (round as usize + offset) % 3;
                timed.refresh(tables[way].name, &mut timings[at][way]).await?;
            }
            chosen[at] += u32::from(followed(&timed.session).await?);
        }
    }
    for table in &tables {
        timed.session.exact(table).await?;
    }
    timed
        .session
        .batch("select pgtrickle.drop_stream_table(name) from unnest(array['auto', 'differential', 'recomputed']) name")
        .await?;
    for (((change, _), timings), chosen) in case.changes.iter().zip(&timings).zip(chosen) {
        let [auto, differential, full] = timings;
        let better = if differential.server.median() < full.server.median() { differential } else { full };
        let surplus = auto.server.median().zip(better.server.median()).map(|(auto, better)| auto - better);
        report.add(json!({
            "section": "skew",
            "what": case.name,
            "change": change,
            "rows": rows,
            "auto_ms": auto.server.summary(),
            "differential_ms": differential.server.summary(),
            "full_ms": full.server.summary(),
            "auto_to_better": rounded(ratio(&auto.server, &better.server)),
            "auto_followed_changes": chosen,
            "of": rounds,
            "target": { "auto_to_better": TARGET_RATIO, "or_ms_more": NEGLIGIBLE },
            "met": within(ratio(&auto.server, &better.server), TARGET_RATIO) || within(surplus, NEGLIGIBLE),
        }));
    }
    Ok(())
}

/// Whether the last refresh in mode AUTO followed the changes.
async fn followed(session: &Session) -> Result<bool> {
    let query = "select action = 'DIFFERENTIAL' from pgtrickle.get_refresh_history('auto', 1)";
    Ok(session.one(query).await?.get(0))
}
