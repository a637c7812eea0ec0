//! Joins with a condition besides equality, as in q21 of TPC-H: what do N changed rows cost?

use crate::Result;
use crate::report::Report;
use crate::server::Server;
use crate::session::{BY_HAND, Table};
use crate::slopes::slope::{Growth, Slope};
use crate::timing::{Timed, Timings};

/// Rows that change, of [`ROWS`].
const CHANGED: [u32; 4] = [2_500, 5_000, 10_000, 20_000];
const ROWS: u32 = 400_000;
const ROUNDS: u32 = 3;
/// Milliseconds for the most rows.
const TARGET: f64 = 3_000.0;

const SET_UP: &str = "
create schema if not exists matches;
create table t (id int primary key, k int not null, s int not null, late boolean not null);
insert into t select n, n / 4, n % 1000, n % 3 = 0 from generate_series(1, 400000) n;
create index on t (k)";

const TABLES: [Table; 3] = [
    Table {
        name: "semi",
        query: "select id, s from t a where exists (select from t b where b.k = a.k and b.s <> a.s and b.late)",
        schedule: BY_HAND,
        mode: "DIFFERENTIAL",
    },
    Table {
        name: "anti",
        query: "select id, s from t a where not exists (select from t b where b.k = a.k and b.s <> a.s and b.late)",
        schedule: BY_HAND,
        mode: "DIFFERENTIAL",
    },
    Table {
        name: "outer_join",
        query: "select a.id, a.s, b.id as other from t a left join t b on b.k = a.k and b.s > a.s and b.late",
        schedule: BY_HAND,
        mode: "DIFFERENTIAL",
    },
];

pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let session = server.session("matches").await?;
    session.batch(SET_UP).await?;
    session.batch("vacuum analyze t").await?;
    for table in &TABLES {
        session.create(table).await?;
    }
    let timed = Timed::over(session).await?;
    let mut slopes = TABLES.map(|table| Slope::new(("matches", table.name), "changed_rows", Growth::Linear, TARGET));
    for changed in CHANGED {
        let mut timings = TABLES.map(|_| Timings::default());
        for round in 0..ROUNDS {
            let change = format!("update t set s = s + 1, late = not late where id % {} = {round}", ROWS / changed);
            timed.session.batch(&change).await?;
            for (table, timings) in TABLES.iter().zip(&mut timings) {
                timed.refresh(table.name, timings).await?;
            }
        }
        for ((table, timings), slope) in TABLES.iter().zip(&timings).zip(&mut slopes) {
            timed.session.exact(table).await?;
            timed.session.history(table, "DIFFERENTIAL", ROUNDS).await?;
            slope.add(changed.into(), &timings.server);
        }
    }
    slopes.iter().for_each(|slope| slope.tell(report));
    timed.session.batch("drop schema matches cascade").await
}
