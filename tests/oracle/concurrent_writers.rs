//! Six writers, workers, refreshes by hand, readers: exact at every moment.
//!
//! Readers check invariants that hold in every snapshot, without stopping the writers. From time to time commits
//! (and nothing else: open and prepared transactions stay as they are) are held back for an exact comparison.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pg_trickle_tests::bank::{self, Bank, STREAM_TABLES};
use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::traffic::{self, Traffic};
use pg_trickle_tests::{Database, Dice, Session};
use tokio::time::sleep;

const WRITERS: u64 = 6;
const TRANSACTIONS: u64 = 20_000;
const READS: u64 = 10_000;

/// Refreshes by hand while the workers do the same: two refreshes of one table must take turns.
async fn refresher(database: Arc<Database>, traffic: Arc<Traffic>, seed: u64) {
    let session = database.connect().await;
    let mut dice = Dice::new(seed);
    while !traffic.stopped() {
        let name = dice.pick(&STREAM_TABLES).0;
        exact::refresh(&session, name).await;
        let pause = dice.pause(Duration::from_millis(80));
        sleep(pause).await;
    }
}

/// With commits blocked, a refresh and the comparison read the same committed state.
async fn check_still(session: &Session, traffic: &Traffic, by_hand: bool) {
    let _still = traffic.commits.write().await;
    if by_hand {
        for (name, ..) in STREAM_TABLES {
            exact::refresh(session, name).await;
        }
    } else {
        bank::settle(session).await;
    }
    for (name, ..) in STREAM_TABLES {
        let found = exact::differences(session, name, Equality::Text).await;
        if !found.is_empty() {
            let state = session.column(&format!("select s::text from pgtrickle.pgt_status() s where name::regclass = '{name}'::regclass union all select f::text from pgtrickle.pgt_frontiers f join pgtrickle.pgt_stream_tables t using (pgt_id) where pgt_relid = '{name}'::regclass union all select pg_current_snapshot()::text || clock_timestamp()::text")).await;
            sleep(Duration::from_secs(1)).await;
            let later = exact::differences(session, name, Equality::Text).await;
            let state2 = session.column(&format!("select f::text from pgtrickle.pgt_frontiers f join pgtrickle.pgt_stream_tables t using (pgt_id) where pgt_relid = '{name}'::regclass union all select h::text from pgtrickle.get_refresh_history('{name}', 4) h")).await;
            panic!(
                "by hand {by_hand}: {name} is not its query:\n{}\nstate {state:?}\na second later\n{}\n{}",
                found.join("\n"),
                later.join("\n"),
                state2.join("\n")
            );
        }
    }
}

/// `lock … in share mode` waits for in-flight writers and keeps new ones out until the comparison is done.
async fn check_locked(session: &Session, clerk: &Session, traffic: &Traffic) -> bool {
    session.run("begin; set local lock_timeout = '1s'").await;
    let lock = session.attempt("lock table banks, accounts, orders, lines, events in share mode");
    tokio::pin!(lock);
    // Prepared transactions hold their locks until they are committed or rolled back.
    let locked = loop {
        tokio::select! {
            locked = &mut lock => break locked,
            () = sleep(Duration::from_millis(2)) => drop(traffic.decide(clerk, 0, true).await.expect("decided")),
        }
    };
    if let Err(failure) = &locked {
        assert!(failure.is_contention(), "{failure}");
        session.run("rollback").await;
        return false;
    }
    session.run("set local lock_timeout = 0").await;
    for (name, ..) in STREAM_TABLES {
        exact::refresh_and_check(session, name).await;
    }
    session.run("commit").await;
    true
}

#[tokio::test]
async fn exact_under_six_writers() {
    let seed = seed("concurrent");
    let database = Arc::new(Database::fresh("concurrent").await);
    let (session, clerk) = (database.connect().await, database.connect().await);
    bank::create(&session).await;
    let traffic = Arc::new(Traffic::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|at| tokio::spawn(traffic::writer(Bank, database.clone(), traffic.clone(), seed ^ at)))
        .collect();
    let readers: Vec<_> =
        (0..2).map(|at| tokio::spawn(bank::reader(database.clone(), traffic.clone(), seed ^ (100 + at)))).collect();
    let refresher = tokio::spawn(refresher(database.clone(), traffic.clone(), seed ^ 200));

    let started = Instant::now();
    let (mut still, mut locked) = (0, 0);
    while traffic.finished.load(Relaxed) < TRANSACTIONS || traffic.compared.load(Relaxed) < READS {
        assert!(!writers.iter().any(|writer| writer.is_finished()), "a writer ended");
        assert!(!readers.iter().any(|reader| reader.is_finished()), "a reader ended: an invariant is broken");
        sleep(Duration::from_millis(60)).await;
        if check_locked(&session, &clerk, &traffic).await {
            locked += 1;
        }
        check_still(&session, &traffic, still % 2 == 0).await;
        still += 1;
    }
    traffic.stop.store(true, Relaxed);
    for writer in writers {
        writer.await.expect("no panic").expect("no lost connection");
    }
    refresher.await.expect("no panic");
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.expect("no panic").expect("no lost connection");
    }
    while traffic.decide(&session, 0, true).await.expect("decided") {}
    check_still(&session, &traffic, false).await;
    check_still(&session, &traffic, true).await;
    assert_eq!(exact::errors(&session).await, Vec::<String>::new());
    println!(
        "concurrent: {} transactions, {} committed, {} contended, {reads} reads, {still} + {locked} comparisons, {:?}, exact",
        traffic.finished.load(Relaxed),
        traffic.committed.load(Relaxed),
        traffic.contended.load(Relaxed),
        started.elapsed()
    );
    drop((session, clerk));
    Arc::into_inner(database).expect("all others ended").close().await;
}
