//! TPC-H: all 22 queries in the specification's text, incremental, and exact after every batch of changes.

use pg_trickle_tests::{Database, Session, exact};
use pg_trickle_workloads::Query;
use pg_trickle_workloads::tpch::{self, Changes};

const SCALE: f64 = 0.1;
const ROWS: u64 = 1_000;
const ROUNDS: usize = 3;

#[tokio::test]
async fn tpch_queries_stay_exact() {
    let database = Database::fresh("tpch").await;
    let session = database.connect().await;
    tpch::load(session.client(), SCALE).await.expect("the data");
    session.run("set client_min_messages = warning; analyze").await;
    for Query { name, sql, .. } in tpch::QUERIES {
        session
            .run(&format!("select pgtrickle.create_stream_table('{name}', $q${sql}$q$, '1d', 'DIFFERENTIAL')"))
            .await;
    }
    let mut changes = Changes::new(SCALE);
    for round in 0..ROUNDS {
        assert_eq!(changes.orders(session.client(), ROWS).await.expect("orders"), ROWS);
        // The last one moves every table at once.
        if round + 1 == ROUNDS {
            changes.catalogue(session.client()).await.expect("parts, suppliers, customers");
        }
        for query in tpch::QUERIES {
            follow(&session, query).await;
        }
    }
    database.close().await;
}

async fn follow(session: &Session, query: Query) {
    exact::refresh(session, query.name).await;
    let differences = session.column(&query.differences(query.name, query.sql)).await;
    assert!(differences.is_empty(), "{}: {}", query.name, differences.join("\n"));
}
