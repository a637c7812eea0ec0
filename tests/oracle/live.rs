//! Live reads: a stream table shows its query under the snapshot of the statement that reads it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pg_trickle_tests::dag::Dag;
use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::operator::operator;
use pg_trickle_tests::oracle::{Oracle, Subject, make_world};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::queries::{CORRELATED, EXTENSIONS, FULL, MEANINGS, QUERIES, SETS, WINDOWS};
use pg_trickle_tests::traffic::Workload;
use pg_trickle_tests::world::{self, Shuffle};
use pg_trickle_tests::{Database, Dice, live};

/// Every construct over hard values: own writes, savepoints, refreshes, in every isolation level.
#[tokio::test]
async fn exact_in_every_transaction() {
    let mut dice = Dice::new(seed("live"));
    let mut oracle = Oracle::new("live", &mut dice).await;
    for query in
        QUERIES.iter().chain(SETS).chain(WINDOWS).chain(MEANINGS).chain(CORRELATED).chain(EXTENSIONS).chain(FULL)
    {
        let (name, sql) = (query.name.to_owned(), query.sql.to_owned());
        let (equality, incremental) = (query.equality, query.incremental);
        oracle.add(Subject { name, sql, equality, incremental, by_worker: false }).await;
    }
    oracle.session.run("set pg_trickle.reads = 'live'").await;
    let (started, budget, mut reads) = (std::time::Instant::now(), budget(40), 0);
    while reads == 0 || started.elapsed() < budget {
        reads += oracle.read_live(&mut dice).await;
    }
    println!("live: {} stream tables, {reads} reads", oracle.subjects.len());
    assert!(oracle.faults.is_empty(), "{} differ:\n{}", oracle.faults.len(), oracle.faults.join("\n"));
    oracle.database.close().await;
}

/// A standby that replays writers, refreshes and commands by hand: nothing tells its memory of them.
#[tokio::test]
async fn exact_on_a_standby() {
    const WRITERS: u64 = 2;
    let mut dice = Dice::new(seed("live_standby"));
    let primary = PrivateServer::start(&["wal_level = replica", "max_wal_senders = 3"]);
    let database = Arc::new(Database::on(&primary.server(), "live_standby").await);
    let session = database.connect().await;
    make_world(&session).await;
    for statement in world::fill(&mut dice) {
        session.run(&statement).await;
    }
    let dag = Arc::new(Dag::grow(&session, &mut dice).await);
    println!("{}", dag.script());
    let settings = ["hot_standby = on", "hot_standby_feedback = on", "max_standby_streaming_delay = -1"];
    let mut standby = primary.copy(&["-R", "-X", "stream"], &settings);
    standby.restart();
    let facts = Arc::new(live::facts(&session, &dag).await);
    let (mut workload, seed) = (Workload::default(), dice.between(0, i64::MAX) as u64);
    for at in 0..2 {
        let reader = standby.server().connect(&database.name).await;
        workload.add(live::reader((reader, "live"), workload.traffic.clone(), facts.clone(), seed ^ (100 + at)));
    }
    workload.add(operator(database.clone(), workload.traffic.clone(), dag, seed ^ 200));
    workload.add_writers(WRITERS, Shuffle, &database, seed);
    tokio::time::sleep(budget(15)).await;
    assert!(workload.is_complete(), "a task ended: {:?}", workload.end().await);
    let traffic = Arc::clone(&workload.traffic);
    workload.end().await;
    let reads = traffic.compared.load(Relaxed);
    println!("live_standby: {reads} reads, {} transactions, exact", traffic.finished.load(Relaxed));
    assert!(reads > 0);
}

/// A worker that skips a table which is being refreshed by hand ends nothing: what readers keep until then does not count after it.
#[tokio::test]
async fn a_skipped_table_is_still_being_refreshed() {
    const SKIPPED: &str = "from pgtrickle.pg_stat_stream_tables where relid = 'sums'::regclass";
    let database = Database::fresh("live_skipped").await;
    let (refresher, reader, other) = (database.connect().await, database.connect().await, database.connect().await);
    refresher.run("create table t (k int, v int); insert into t values (1, 1), (2, 2)").await;
    let create = "select pgtrickle.create_stream_table('sums', 'select k, sum(v) as s from t group by k', '300ms')";
    refresher.run(create).await;
    reader.run("set pg_trickle.reads = 'live'").await;
    for _ in 0..5 {
        // The refresh does not see all transactions before that of the insert, so that it does not say that nothing is pending.
        other.run("begin; select pg_current_xact_id()").await;
        // Once in a while a worker is faster.
        reader.run("insert into t values (1, 5)").await;
        refresher.run("begin; select pgtrickle.refresh_stream_table('sums')").await;
        other.run("commit").await;
        let skipped = reader.number(&format!("select skipped_count {SKIPPED}")).await;
        reader.wait_until(&format!("select skipped_count > {skipped} {SKIPPED}")).await;
        exact::check(&reader, "sums", Equality::Text).await;
        refresher.run("commit").await;
        exact::check(&reader, "sums", Equality::Text).await;
    }
    database.close().await;
}
