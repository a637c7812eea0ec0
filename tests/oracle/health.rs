//! Each check of `health_check()` finds what it is for, and nothing where nothing is wrong.

use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};

/// What the check finds: its severity and the finding, empty where all is well.
async fn finding(session: &Session, check: &str) -> (String, String) {
    let row = session
        .rows(&format!(
            "select severity, coalesce(finding, '') || coalesce(' -> ' || action, '') from pgtrickle.health_check('1 second')
              where check_name = '{check}'"
        ))
        .await
        .remove(0);
    let text = |at: usize| row[at].clone().expect("a text");
    (text(0), text(1))
}

/// Waits until the check finds this.
async fn finds(session: &Session, check: &str, severity: &str, part: &str) {
    session
        .wait_until(&format!(
            "select exists (select from pgtrickle.health_check('1 second')
              where check_name = '{check}' and severity = '{severity}' and coalesce(finding, '') like '%{part}%')"
        ))
        .await;
}

async fn set(session: &Session, setting: &str) {
    session.run(&format!("alter system set {setting}")).await;
    session.run("select pg_reload_conf()").await;
}

#[tokio::test]
async fn every_check_finds_what_it_is_for() {
    let server = PrivateServer::start(&["max_worker_processes = 8", "pg_trickle.max_consecutive_errors = 1"]);
    let database = Database::on(&server.server(), "health").await;
    let (session, other) = (database.connect().await, database.connect().await);
    session
        .run(
            "create table t (id int primary key, v int);
             create table u (id int primary key, v int);
             create table w (id int primary key, v int);
             select pgtrickle.create_stream_table('ratios', 'select id, 100 / v as r from t', '0s');
             select pgtrickle.create_stream_table('paused', 'select v, count(*) as n from u group by v', '0s');
             select pgtrickle.create_stream_table('late', 'select sum(v) as v from w', '1s')",
        )
        .await;
    session.wait_until("select count(*) = 0 from pgtrickle.health_check() where severity <> 'ok'").await;
    assert_eq!(session.number("select count(*) from pgtrickle.health_check()").await, 10);
    assert_eq!(session.number("select count(*) from pgtrickle.health_check(null) where severity = 'ok'").await, 10);

    session.run("insert into t values (1, 0)").await;
    finds(&session, "suspended tables", "critical", "public.ratios").await;
    let (_, text) = finding(&session, "suspended tables").await;
    assert!(text.contains("resume_stream_table"), "{text}");
    session.run("delete from t; select pgtrickle.resume_stream_table('ratios')").await;
    finds(&session, "suspended tables", "ok", "").await;

    // Its refresh cannot have the lock.
    other.run("begin; lock table late in access exclusive mode").await;
    session.run("insert into w values (1, 1)").await;
    finds(&session, "missed targets", "warning", "public.late").await;
    other.run("rollback").await;
    finds(&session, "missed targets", "ok", "").await;

    session.run("select pgtrickle.alter_stream_table('paused', status => 'PAUSED')").await;
    set(&session, "pg_trickle.max_buffer_bytes = '64kB'").await;
    session.run("insert into u select n, n from generate_series(1, 8000) n").await;
    finds(&session, "change buffers", "warning", "public.u (not refreshed: public.paused)").await;

    session.run("alter table u disable trigger all").await;
    finds(&session, "capture", "critical", "public.u is off on public.u").await;
    assert_eq!(session.value("select capture from pgtrickle.source_status() where source = 'public.t'").await, "on");
    session.run("select pgtrickle.resume_stream_table('paused')").await;
    finds(&session, "capture", "ok", "").await;
    finds(&session, "change buffers", "ok", "").await;

    // A change of t is joined with all of the other table; the index that it lacks makes it fast.
    session
        .run(
            "create table facts (k int, v int); insert into facts select n, n from generate_series(1, 100000) n; analyze facts;
             select pgtrickle.create_stream_table('joined', 'select t.id, f.v from t join facts f on f.k = t.v', '0s');
             insert into t select n, n from generate_series(1, 5) n",
        )
        .await;
    finds(&session, "missing indexes", "warning", "public.joined").await;
    let (_, text) = finding(&session, "missing indexes").await;
    session.run(text.split_once(" -> ").expect("an action").1).await;
    finds(&session, "missing indexes", "ok", "").await;

    other.run("begin; insert into t values (7, 7)").await;
    finds(&session, "long transactions", "warning", "process").await;
    other.run("rollback").await;
    finds(&session, "long transactions", "ok", "").await;
    other.run("begin; insert into t values (8, 8); prepare transaction 'held'").await;
    finds(&session, "long transactions", "warning", "prepared transaction ''held''").await;
    other.run("rollback prepared 'held'").await;

    assert!(session.holds("select pgtrickle.drain()").await);
    finds(&session, "workers", "critical", "drained").await;
    session.run("select pgtrickle.undrain()").await;
    set(&session, "pg_trickle.enabled = off").await;
    finds(&session, "workers", "critical", "pg_trickle.enabled is off").await;
    set(&session, "pg_trickle.enabled = on").await;
    finds(&session, "workers", "ok", "").await;
    database.close().await;
}

#[tokio::test]
async fn exhausted_processes_are_found() {
    let server = PrivateServer::start(&["max_worker_processes = 3"]);
    let database = Database::on(&server.server(), "health_few").await;
    let session = database.connect().await;
    session.run("create table t (v int); select pgtrickle.create_stream_table('s', 'select v from t', '0s')").await;
    finds(&session, "worker processes", "warning", "3 of 3").await;
    database.close().await;
}

/// A fill of nine million rows is shown while it runs, with its rows, and no longer.
#[tokio::test]
async fn long_fills_show_their_progress() {
    let database = Database::fresh("progress").await;
    let (session, creator) = (database.connect().await, database.connect().await);
    session.run("create table n (v int primary key); insert into n select generate_series(1, 3000); analyze n").await;
    let pid = creator.number("select pg_backend_pid()").await;
    let create =
        "select pgtrickle.create_stream_table('pairs', 'select a.v as a, b.v as b from n a cross join n b', '1h')";
    let seen = async {
        session
            .wait_until(&format!(
                "select exists (select from pgtrickle.pg_stat_progress_stream_table
                  where pid = {pid} and phase = 'filling' and rows_done > 0 and rows_expected >= rows_done)"
            ))
            .await;
        session.run(&format!("select pg_cancel_backend({pid})")).await;
    };
    let (created, ()) = tokio::join!(creator.attempt(create), seen);
    assert_eq!(created.expect_err("it was cancelled").code, "57014");
    assert_eq!(session.number("select count(*) from pgtrickle.pg_stat_progress_stream_table").await, 0);
    // The same process may be terminated in the middle.
    let killed = async {
        session
            .wait_until(&format!(
                "select exists (select from pgtrickle.pg_stat_progress_stream_table where pid = {pid})"
            ))
            .await;
        session.run(&format!("select pg_terminate_backend({pid})")).await;
    };
    let (created, ()) = tokio::join!(creator.attempt(create), killed);
    assert!(created.is_err());
    session.wait_until("select not exists (select from pgtrickle.pg_stat_progress_stream_table)").await;
    database.close().await;
}
