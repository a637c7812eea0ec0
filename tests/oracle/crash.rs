//! `kill -9` in the middle of everything: no change is lost, none counts twice.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pg_trickle_tests::bank::{self, Bank, STREAM_TABLES};
use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::traffic::{Traffic, Workload};
use pg_trickle_tests::{Database, Session};
use tokio::time::sleep;

const WRITERS: u64 = 4;
const CRASHES: u64 = 5;
/// Finished before each crash.
const TRANSACTIONS: u64 = 200;
const SCHEDULER: &str =
    "select pid from pg_stat_activity where application_name = 'pg_trickle_scheduler' and datname = current_database()";

/// Writers and readers that end with their connection.
fn start(database: &Arc<Database>, seed: u64) -> Workload {
    let mut workload = Workload::default();
    workload.add_writers(WRITERS, Bank, database, seed);
    // A broken invariant is a panic.
    workload.add(bank::reader(database.clone(), workload.traffic.clone(), seed ^ 99));
    workload
}

/// Prepared transactions outlive the crash: some are committed before the comparison and the others stay open.
async fn compare(session: &Session, traffic: &Traffic) {
    traffic.recover(session).await;
    traffic.decide(session, 0, true).await.expect("decided");
    bank::settle(session).await;
    for (name, ..) in STREAM_TABLES {
        exact::check(session, name, Equality::Text).await;
    }
    while traffic.decide(session, 0, false).await.expect("decided") {}
}

#[tokio::test]
async fn exact_after_five_crashes_of_the_server() {
    let seed = seed("crash");
    let mut server = PrivateServer::start(&["checkpoint_timeout = '30s'", "max_wal_size = '64MB'"]);
    let database = Arc::new(Database::on(&server.server(), "crash").await);
    bank::create(&database.connect().await).await;
    let mut finished = 0;
    for crash in 0..CRASHES {
        let work = start(&database, seed ^ (crash << 8));
        work.traffic.wait_for(TRANSACTIONS).await;
        sleep(Duration::from_millis(300 * crash)).await;
        server.kill_all();
        finished += work.traffic.finished.load(Relaxed);
        work.end().await;
        server.restart();
        let session = database.reconnect().await;
        session.wait_until(&format!("select exists ({SCHEDULER})")).await;
        compare(&session, &Traffic::default()).await;
    }
    println!("crash: {CRASHES} crashes, {finished} transactions, exact");
    Arc::into_inner(database).expect("all others ended").close().await;
}

#[tokio::test]
async fn exact_after_a_crash_of_the_scheduler() {
    let seed = seed("crash_scheduler");
    let server = PrivateServer::start(&[]);
    let database = Arc::new(Database::on(&server.server(), "crash_scheduler").await);
    bank::create(&database.connect().await).await;
    for crash in 0..3 {
        let work = start(&database, seed ^ (crash << 8));
        work.traffic.wait_for(TRANSACTIONS).await;
        let session = database.connect().await;
        let pid = session.number(SCHEDULER).await;
        server.kill(&[pid as u32]);
        // The server restarts all its processes, as it does for any of them.
        work.end().await;
        let session = database.reconnect().await;
        session.wait_until(&format!("select exists ({SCHEDULER} and pid <> {pid})")).await;
        compare(&session, &Traffic::default()).await;
    }
    println!("crash_scheduler: 3 crashes, exact");
    Arc::into_inner(database).expect("all others ended").close().await;
}
