//! `kill -9` in the middle of everything: no change is lost, none counts twice.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pg_trickle_tests::bank::{self, STREAM_TABLES, Traffic};
use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Look};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const WRITERS: u64 = 4;
const CRASHES: u64 = 5;
const SCHEDULER: &str =
    "select pid from pg_stat_activity where application_name = 'pg_trickle_scheduler' and datname = current_database()";

struct Work {
    traffic: Arc<Traffic>,
    tasks: Vec<JoinHandle<()>>,
}

/// Writers and readers that end with their connection.
fn start(database: &Arc<Database>, seed: u64) -> Work {
    let traffic = Arc::new(Traffic::default());
    let mut tasks = vec![];
    for at in 0..WRITERS {
        let writer = bank::writer(database.clone(), traffic.clone(), seed ^ at);
        tasks.push(tokio::spawn(async {
            let _ = writer.await;
        }));
    }
    let reader = bank::reader(database.clone(), traffic.clone(), seed ^ 99);
    tasks.push(tokio::spawn(async {
        // The crash ends it; a broken invariant is a panic.
        let _ = reader.await;
    }));
    Work { traffic, tasks }
}

impl Work {
    async fn end(self) -> u64 {
        self.traffic.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.expect("no panic");
        }
        self.traffic.finished.load(Relaxed)
    }
}

async fn reconnect(database: &Database) -> Session {
    let started = Instant::now();
    loop {
        match database.try_connect().await {
            Ok(session) => return session,
            Err(failure) => assert!(started.elapsed() < Duration::from_secs(60), "{failure}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Prepared transactions outlive the crash: some are decided before the comparison and the rest stays open.
async fn compare(session: &Session, traffic: &Traffic) {
    traffic.recover(session).await;
    traffic.decide(session, 0, true).await.expect("decided");
    bank::settle(session).await;
    for (name, ..) in STREAM_TABLES {
        exact::check(session, name, Look::Text).await;
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
        sleep(Duration::from_millis(1500 + 300 * crash)).await;
        server.kill_all();
        finished += work.end().await;
        server.restart();
        let session = reconnect(&database).await;
        session.wait_until(&format!("select exists ({SCHEDULER})"), Duration::from_secs(20)).await;
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
        sleep(Duration::from_millis(700)).await;
        let session = database.connect().await;
        let pid = session.number(SCHEDULER).await;
        server.kill(&[pid as u32]);
        // The server restarts all its processes, as it does for any of them.
        work.end().await;
        let session = reconnect(&database).await;
        session.wait_until(&format!("select exists ({SCHEDULER} and pid <> {pid})"), Duration::from_secs(20)).await;
        compare(&session, &Traffic::default()).await;
    }
    println!("crash_scheduler: 3 crashes, exact");
    Arc::into_inner(database).expect("all others ended").close().await;
}
