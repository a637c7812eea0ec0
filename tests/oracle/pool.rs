//! Slow refreshes next to quick ones: the workers of the pool run them, in parallel, and leave nothing behind when terminated.

use std::time::Duration;

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};

/// Each changed row of `slow` costs its stream table four tenths of a second, and as long as a test holds [`GATE`]; each one
/// of `quick` costs nothing.
const SETUP: &str = "
    create function slowly(int) returns int language plpgsql immutable as
      'begin perform pg_sleep(0.2); perform pg_advisory_xact_lock_shared(42); return $1; end';
    create table slow (id int primary key, value int);
    create table quick (id int primary key, value int);
    insert into slow values (1, 0);
    insert into quick values (1, 0);
    select pgtrickle.create_stream_table('slow_copy', 'select id, slowly(value) as value from slow', '0s', 'DIFFERENTIAL');
    select pgtrickle.create_stream_table('quick_copy', 'select id, value from quick', '0s', 'DIFFERENTIAL');
";

/// While a session has it, no slow refresh ends.
const GATE: &str = "select pg_advisory_lock(42)";
const OPEN: &str = "select pg_advisory_unlock(42)";

/// How many workers of the pool are refreshing stream tables of this name now.
fn busy(name: &str) -> String {
    format!(
        "(select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
             and application_name like 'pg\\_trickle\\_pool\\_%' and query like 'refreshing %{name}%')"
    )
}

/// A database in which the durations of refreshes are known.
async fn known(name: &str) -> (Database, Session) {
    let database = Database::fresh(name).await;
    let session = database.connect().await;
    session.run(SETUP).await;
    for value in 1..3 {
        session.run(&format!("update slow set value = {value}; update quick set value = {value}")).await;
        exact::wait_fresh(&session).await;
    }
    (database, session)
}

#[tokio::test]
async fn quick_refresh_overtakes_slow_one() {
    let (database, session) = known("quick").await;
    for value in 10..13 {
        session.run(GATE).await;
        session.run(&format!("update slow set value = {value}")).await;
        session.wait_until(&format!("select {} = 1", busy("slow_copy"))).await;
        session.run(&format!("update quick set value = {value}")).await;
        session.wait_until(&format!("select value = {value} from quick_copy")).await;
        assert!(session.number("select value from slow_copy").await < value);
        session.run(OPEN).await;
        exact::wait_fresh(&session).await;
        exact::check(&session, "slow_copy", Equality::Text).await;
    }
    database.close().await;
}

#[tokio::test]
async fn slow_refreshes_run_in_parallel() {
    let (database, session) = known("side_by_side").await;
    session
        .run(
            "create table slow2 as table slow;
             select pgtrickle.create_stream_table('slow_copy2', 'select id, slowly(value) as value from slow2', '0s', 'DIFFERENTIAL');
             update slow2 set value = 7",
        )
        .await;
    exact::wait_fresh(&session).await;
    for round in 0..5 {
        session.run(GATE).await;
        session.run(&format!("update slow set value = {round}; update slow2 set value = {round}")).await;
        session.wait_until(&format!("select {} = 2", busy("slow_copy"))).await;
        session.run(OPEN).await;
        exact::wait_fresh(&session).await;
    }
    exact::check(&session, "slow_copy", Equality::Text).await;
    exact::check(&session, "slow_copy2", Equality::Text).await;
    database.close().await;
}

#[tokio::test]
async fn terminated_worker_leaves_no_locks() {
    let (database, session) = known("cut_off").await;
    for (value, end) in [(20, "pg_terminate_backend"), (21, "pg_cancel_backend"), (22, "pg_terminate_backend")] {
        session.run(GATE).await;
        session.run(&format!("update slow set value = {value}")).await;
        session.wait_until(&format!("select {} = 1", busy("slow_copy"))).await;
        session
            .run(&format!(
                "select {end}(pid) from pg_stat_activity
                  where datname = current_database() and application_name like 'pg\\_trickle\\_pool\\_%'"
            ))
            .await;
        session.run(OPEN).await;
        exact::wait_fresh(&session).await;
        exact::check(&session, "slow_copy", Equality::Text).await;
        assert_eq!(session.number("select value from slow_copy").await, value);
    }
    let held = "select count(*) from pg_locks where locktype in ('relation', 'object', 'advisory')
                   and database = (select oid from pg_database where datname = current_database())
                   and pid in (select pid from pg_stat_activity where application_name like 'pg\\_trickle\\_%')
                   and pid <> pg_backend_pid() and relation = 'slow'::regclass";
    assert_eq!(session.number(held).await, 0);
    database.close().await;
}

#[tokio::test]
async fn drained_database_stays_idle_until_undrained() {
    let (database, session) = known("drained").await;
    assert_eq!(session.value("select pgtrickle.is_drained()").await, "f");
    session.run(GATE).await;
    session.run("update slow set value = 30").await;
    session.wait_until(&format!("select {} = 1", busy("slow_copy"))).await;
    // The running refresh continues, and no other one starts.
    assert_eq!(session.value("select pgtrickle.drain('0s')").await, "f");
    session.run(OPEN).await;
    assert_eq!(session.value("select pgtrickle.drain('1 hour')").await, "t");
    assert_eq!(session.value("select pgtrickle.is_drained()").await, "t");
    assert_eq!(session.number("select value from slow_copy").await, 30);
    session.run("update quick set value = 31; update slow set value = 31").await;
    assert!(!session.reaches("select value = 31 from quick_copy", Duration::from_millis(500)).await);
    session.run("select pgtrickle.refresh_stream_table('quick_copy')").await;
    assert_eq!(session.number("select value from quick_copy").await, 31);
    assert_eq!(session.value("select pgtrickle.is_drained()").await, "t");
    session.run("select pgtrickle.undrain()").await;
    exact::wait_fresh(&session).await;
    assert_eq!(session.number("select value from slow_copy").await, 31);
    assert_eq!(session.value("select pgtrickle.is_drained()").await, "f");

    let negative = session.refuse("select pgtrickle.drain('-1s')").await;
    assert_eq!((negative.code.as_str(), negative.hint.is_some()), ("22023", true));
    session.run("create role drainer; set role drainer").await;
    let stranger = session.refuse("select pgtrickle.drain()").await;
    session.run("reset role; drop role drainer").await;
    assert_eq!(stranger.code, "42501");
    database.close().await;
}

#[tokio::test]
async fn missed_deadlines_are_counted() {
    let (database, session) = known("missed").await;
    session.run("select pgtrickle.alter_stream_table('slow_copy', schedule => '50ms')").await;
    let missed = "select missed from pgtrickle.pgt_status() where name = 'public.slow_copy'";
    let before = session.number(missed).await;
    session.run("update slow set value = 40").await;
    session.wait_until(&format!("select ({missed}) > {before}")).await;
    database.close().await;
}

/// Slow changes in several databases, and one pool worker that they share.
#[tokio::test]
async fn databases_share_a_pool_of_one() {
    let server = PrivateServer::start(&["pg_trickle.max_parallel_workers = 1"]);
    let first = Database::on(&server.server(), "shared").await;
    let mut sessions = vec![first.connect().await];
    for number in 1..3 {
        let name = format!("{}_{number}", first.name);
        sessions[0].run(&format!("create database {name}")).await;
        sessions.push(first.connect_to(&name).await);
        sessions[number].run("create extension pg_trickle").await;
    }
    for session in &sessions {
        session.run(SETUP).await;
    }
    for round in 1..9 {
        for session in sessions.iter().skip(round % 2) {
            session.run(&format!("update slow set value = {round}; update quick set value = {round}")).await;
        }
        for session in &sessions {
            exact::wait_fresh(session).await;
            exact::check(session, "slow_copy", Equality::Text).await;
            exact::check(session, "quick_copy", Equality::Text).await;
        }
    }
    for number in 1..3 {
        sessions.pop();
        sessions[0].run(&format!("drop database {}_{} with (force)", first.name, 3 - number)).await;
    }
    first.close().await;
}

/// DDL of a table ends the background refreshes that read it, as it ends an automatic VACUUM: writers would wait for both.
#[tokio::test]
async fn ddl_of_a_source_waits_for_no_refresh() {
    let (database, session) = known("ddl_of_source").await;
    session.run(GATE).await;
    session.run("update slow set value = 7").await;
    session.wait_until(&format!("select {} = 1", busy("slow_copy"))).await;
    let other = database.connect().await;
    // As long as this session has the gate the refresh does not end by itself.
    other.run("set lock_timeout = '20s'; alter table slow add column more int").await;
    other.run("update slow set value = 8, more = 1").await;
    session.run(OPEN).await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "slow_copy", Equality::Text).await;
    assert!(session.holds("select consecutive_errors = 0 and last_error is null from pgtrickle.pgt_status() where name = 'public.slow_copy'").await);
    drop((session, other));
    database.close().await;
}
