//! `wait_for_stream_table`: it returns when earlier commits are visible, and waits for nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};
use tokio::time::sleep;

const SETUP: &str = "
    create table t (id int primary key, g int not null, v int not null);
    insert into t select n, n % 5, n from generate_series(1, 50) n;
    select pgtrickle.create_stream_table('detail', 'select id, g, v from t where v > 0', '0s');
    select pgtrickle.create_stream_table('sums', 'select g, sum(v) as s, count(*) as n from detail group by g', '0s');
    select pgtrickle.create_stream_table('total', 'select sum(s) as s, sum(n) as n from sums', '0s');
";

fn wait(table: &str, timeout: &str) -> String {
    format!("select pgtrickle.wait_for_stream_table('{table}', '{timeout}')")
}

/// What each table shows of `t`, and `t` itself, in one snapshot.
fn shown(table: &str) -> String {
    let of = |table: &str| match table {
        "total" => "select coalesce(s, 0) || ' ' || coalesce(n, 0) from total".to_owned(),
        "sums" => "select coalesce(sum(s), 0) || ' ' || coalesce(sum(n), 0) from sums".to_owned(),
        other => format!("select coalesce(sum(v), 0) || ' ' || count(*) from {other}"),
    };
    format!("select (({}) = ({}))", of(table), of("t"))
}

async fn fill(database: &Database) -> Session {
    let session = database.connect().await;
    session.run(SETUP).await;
    session
}

#[tokio::test]
async fn waiter_reads_its_own_writes() {
    let database = Database::fresh("own_writes").await;
    let session = fill(&database).await;
    let started = Instant::now();
    for n in 0..200 {
        let table = ["detail", "sums", "total"][n % 3];
        let write = match n % 4 {
            0 => format!("insert into t values ({}, {}, 7)", 1000 + n, n % 5),
            1 => format!("update t set v = v + 1, g = (g + 1) % 5 where id = {}", 1 + n % 50),
            2 => format!("delete from t where id = {}", 1000 + n - 2),
            _ => format!(
                "begin; insert into t values ({}, 9, 1); update t set v = 2 where id = {}; commit",
                2000 + n,
                2000 + n
            ),
        };
        session.run(&write).await;
        assert!(session.holds(&wait(table, "1 h")).await, "{table} in time after {write}");
        assert!(session.holds(&shown(table)).await, "{table} after {write}");
    }
    // Nothing is under way: nothing is waited for.
    assert!(session.holds(&wait("total", "0")).await);
    println!("waiting: 200 writes, each waited for and read, in {:?}", started.elapsed());
    database.close().await;
}

/// Changes that an upstream table has passed on count like those that it has not: here the last table is refreshed alone,
/// much later than the tables that it reads.
#[tokio::test]
async fn wait_covers_all_upstream_tables() {
    let database = Database::fresh("way").await;
    let session = fill(&database).await;
    session.run("select pgtrickle.drop_stream_table('total')").await;
    session
        .run("select pgtrickle.create_stream_table('total', 'select sum(s) as s, sum(n) as n from sums', '1d')")
        .await;
    session.run("insert into t values (100, 1, 1)").await;
    assert!(session.holds(&wait("sums", "1 h")).await);
    assert!(!session.holds(&wait("total", "100 ms")).await, "the rows are in the change buffer of \"sums\"");
    let refresher = database.connect().await;
    let waiter = session.value("select pgtrickle.wait_for_stream_table('total', '1 hour')");
    let refresh = async {
        sleep(Duration::from_millis(100)).await;
        refresher.run("select pgtrickle.refresh_stream_table('total')").await;
    };
    let (waited, ()) = tokio::join!(waiter, refresh);
    assert_eq!(waited, "t");
    assert!(session.holds(&shown("total")).await);
    database.close().await;
}

/// Transactions that commit after the call do not prolong the wait.
#[tokio::test]
async fn wait_ignores_later_writes() {
    let database = Arc::new(Database::fresh("steady").await);
    let session = fill(&database).await;
    // Most of the time at another frontier than its source.
    session.run("select pgtrickle.alter_stream_table('total', schedule => '200ms')").await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..2)
        .map(|at| {
            let (database, stop, written) = (database.clone(), stop.clone(), written.clone());
            tokio::spawn(async move {
                let session = database.connect().await;
                while !stop.load(Relaxed) {
                    let count = written.fetch_add(1, Relaxed);
                    session.run(&format!("update t set v = v + 1 where id = {}", 1 + at + 2 * (count % 25))).await;
                }
            })
        })
        .collect();
    session.run("create table marks (id int); select pgtrickle.create_stream_table('marked', 'select m.id, t.s from marks m cross join total t', '300ms')").await;
    let mut n = 0;
    while n < 12 || written.load(Relaxed) < 500 {
        session.run(&format!("insert into marks values ({n})")).await;
        let before = session.number("select sum(v) from t").await;
        assert!(session.holds(&wait("marked", "1 h")).await, "after {n} writes");
        assert!(session.number(&format!("select s from marked where id = {n}")).await >= before);
        n += 1;
    }
    stop.store(true, Relaxed);
    for writer in writers {
        writer.await.expect("no panic");
    }
    drop(session);
    Arc::into_inner(database).expect("all others ended").close().await;
}

#[tokio::test]
async fn timeouts_are_honoured() {
    let database = Database::fresh("time").await;
    let session = fill(&database).await;
    session
        .run("select pgtrickle.create_stream_table('yearly', 'select g, max(v) as v from t group by g', '0 0 1 1 *')")
        .await;
    assert!(session.holds(&wait("yearly", "0")).await, "nothing to wait for");
    session.run("insert into t values (100, 1, 1)").await;
    assert!(!session.holds(&wait("yearly", "0")).await);
    let asked = Instant::now();
    assert!(!session.holds(&wait("yearly", "300 ms")).await);
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    // A lock is waited for no longer either: a new session reads the table itself, and would wait until it times out.
    let truncating = database.connect().await;
    truncating.run("begin; truncate t").await;
    assert!(!database.connect().await.holds(&wait("yearly", "300 ms")).await);
    truncating.run("rollback").await;
    // The wait can be cancelled.
    session.run("set statement_timeout = '200ms'").await;
    assert_eq!(session.refuse(&wait("yearly", "1 h")).await.code, "57014");
    database.close().await;
}

/// Waits for a table that is dropped meanwhile: an error.
async fn wait_until_gone(waiter: &Session, table: &str, others: impl Future<Output = ()>) {
    let asked = wait(table, "1 h");
    let (outcome, ()) = tokio::join!(waiter.attempt(&asked), others);
    let failure = outcome.expect_err("the table is gone");
    assert!(["42P01", "42809"].contains(&failure.code.as_str()), "{failure}");
}

/// A waiting session holds no locks: its sources can be altered, truncated and dropped.
#[tokio::test]
async fn waiter_holds_no_locks() {
    let database = Database::fresh("holds_nothing").await;
    let (session, waiter) = (fill(&database).await, database.connect().await);
    session.run("select pgtrickle.create_stream_table('daily', 'select g, s from sums', '1d')").await;
    session.run("insert into t values (100, 1, 1)").await;
    let others = async {
        let asleep = format!("select wait_event_type = 'Extension' from pg_stat_activity where pid = {}", waiter.pid);
        session.wait_until(&asleep).await;
        let locks = format!(
            "select count(*) from pg_locks where pid = {} and (locktype = 'advisory' or relation in ('t'::regclass, 'sums'::regclass, 'daily'::regclass))",
            waiter.pid
        );
        // It holds some for a moment while it polls.
        session.wait_until(&format!("select ({locks}) = 0")).await;
        session.run("alter table t add column extra int; update t set extra = 1").await;
        session.run("truncate t; insert into t (id, g, v) values (1, 1, 1)").await;
        session.run("drop table t cascade").await;
    };
    wait_until_gone(&waiter, "daily", others).await;
    database.close().await;
}

/// The wait reads several tables, and locks them in another order than DROP: neither is the victim of a deadlock.
#[tokio::test]
async fn waiting_and_dropping_do_not_deadlock() {
    let database = Database::fresh("no_deadlock").await;
    let (session, waiter) = (database.connect().await, database.connect().await);
    session.run("create table a (id int primary key); create table b (id int primary key)").await;
    session.run("select pgtrickle.create_stream_table('both', 'select id from a join b using (id)', '1d')").await;
    session.run("insert into a values (1)").await;
    let dropping = async {
        // With one buffer locked it waits there, and has the other.
        session.run("begin; lock pgtrickle_changes.changes_2").await;
        let stopped = format!("select exists (select from pg_locks where pid = {} and not granted)", waiter.pid);
        session.wait_until(&stopped).await;
        session.run("drop table a cascade; commit").await;
    };
    wait_until_gone(&waiter, "both", dropping).await;
    database.close().await;
}

#[tokio::test]
async fn hopeless_wait_is_an_error() {
    let database = Database::fresh("in_vain").await;
    let session = fill(&database).await;
    session.run("create table other (id int); create table plain (id int)").await;
    session.run("select pgtrickle.create_stream_table('later', 'select count(*) as n from other', '1d', initialize => false)").await;
    let refused = async |statement: &str, code: &str, hint: &str| {
        let failure = session.refuse(statement).await;
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.hint.as_deref().is_some_and(|text| text.contains(hint)), "{failure}");
        assert!(failure.detail.is_some() || code == "22023" || code.starts_with("42"), "{failure}");
        session.run("rollback").await;
    };
    refused(&wait("nowhere", "1 s"), "42P01", "pgt_status").await;
    refused(&wait("plain", "1 s"), "42809", "pgt_status").await;
    refused(&wait("total", "-1 s"), "22023", "0").await;
    for level in ["repeatable read", "serializable"] {
        refused(&format!("begin isolation level {level}; {}", wait("total", "1 s")), "25000", "READ COMMITTED").await;
    }
    // What this transaction wrote itself, in memory or in the buffer, for the table or on the way to it.
    for (write, table) in [
        ("insert into t values (200, 1, 1)", "detail"),
        ("update t set v = v + 1 where id = 1", "total"),
        ("insert into t select n, 1, 1 from generate_series(10000, 30000) n", "total"),
        ("truncate t", "sums"),
        ("savepoint s; insert into t values (200, 1, 1); release s", "sums"),
    ] {
        refused(&format!("begin; {write}; {}", wait(table, "1 s")), "25001", "Commit first").await;
    }
    // Undone, not read by the table, or already shown: none of these is waited for.
    for allowed in [
        "savepoint s; insert into t values (200, 1, 1); rollback to s",
        "insert into other values (1)",
        "insert into t values (200, 1, 1); select pgtrickle.refresh_stream_table('total')",
    ] {
        session.run(&format!("begin; {allowed}")).await;
        assert!(session.holds(&wait("total", "1 h")).await, "{allowed}");
        session.run("rollback").await;
    }
    session.run("select pgtrickle.alter_stream_table('sums', status => 'PAUSED')").await;
    refused(&wait("total", "1 s"), "55000", "resume_stream_table('public.sums')").await;
    let failure = session.refuse(&wait("total", "1 s")).await;
    assert_eq!(
        (failure.message.as_str(), failure.detail.as_deref()),
        ("stream table public.sums is paused", Some("Stream table public.total reads it."))
    );
    assert!(session.holds(&wait("detail", "1 h")).await, "it does not read \"sums\"");
    session.run("select pgtrickle.resume_stream_table('sums')").await;
    assert!(session.holds(&wait("total", "1 h")).await);
    session.run("select pgtrickle.alter_stream_table('total', status => 'SUSPENDED')").await;
    assert_eq!(session.refuse(&wait("total", "1 s")).await.message, "stream table public.total is suspended");
    database.close().await;
}

#[tokio::test]
async fn wait_without_workers_is_an_error() {
    let server = PrivateServer::start(&["pg_trickle.enabled = off"]);
    let database = Database::on(&server.server(), "disabled").await;
    let session = fill(&database).await;
    let failure = session.refuse(&wait("total", "1 s")).await;
    assert_eq!(failure.code, "55000", "{failure}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("refresh_stream_table()")), "{failure}");
    database.close().await;

    let server = PrivateServer::start(&["shared_preload_libraries = ''"]);
    let database = Database::on(&server.server(), "not_loaded").await;
    let session = fill(&database).await;
    let failure = session.refuse(&wait("total", "1 s")).await;
    assert_eq!(failure.code, "55000", "{failure}");
    assert!(failure.detail.as_deref().is_some_and(|detail| detail.contains("shared_preload_libraries")), "{failure}");
    database.close().await;
}
