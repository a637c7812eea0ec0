//! Large values: what does it cost a writer to replace one?

use std::time::Instant;

use crate::Result;
use crate::report::Report;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::{BY_HAND, Table};
use crate::slopes::slope::{Growth, Slope};
use crate::timing::milliseconds;

/// Megabytes of the old and the new value together.
const MEGABYTES: [u32; 4] = [2, 8, 32, 128];
const ROUNDS: u32 = 3;
/// Milliseconds for the largest.
const TARGET: f64 = 4_000.0;

const SET_UP: &str = "
create schema if not exists documents;
create table t (id int primary key, body text);
alter table t alter body set storage external;
insert into t values (1, 'short')";

const COPY: Table = Table { name: "copy", query: "select id, body from t", schedule: BY_HAND, mode: "DIFFERENTIAL" };

pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let session = server.session("documents").await?;
    session.batch(SET_UP).await?;
    session.create(&COPY).await?;
    let mut slope = Slope::new(("values", "update_ms"), "megabytes", Growth::Linear, TARGET);
    for megabytes in MEGABYTES {
        let mut times = Sample::default();
        for round in 0..=ROUNDS {
            let letter = char::from(b'a' + (round % 26) as u8);
            let began = Instant::now();
            session.batch(&format!("update t set body = repeat('{letter}', {})", megabytes << 19)).await?;
            // Before the first, the value had another size.
            if round > 0 {
                times.push(milliseconds(began));
            }
            session.client.execute("select pgtrickle.refresh_stream_table('copy')", &[]).await?;
            session.exact(&COPY).await?;
            session.history(&COPY, "DIFFERENTIAL", 1).await?;
        }
        slope.add(megabytes.into(), &times);
    }
    slope.tell(report);
    session.batch("drop schema documents cascade").await
}
