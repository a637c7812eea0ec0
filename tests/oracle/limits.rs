//! Runaway refreshes: who may cancel them, what ends them, and that other tables are refreshed meanwhile.

use std::time::Instant;

use pg_trickle_tests::{Database, Session};

/// Some 30 billion triples: it lasts an hour.
const RUNAWAY: &str = "select count(*) as n from big a, big b, big c where a.v + b.v + c.v = -1";

const SETUP: &str = "
    create table big as select g as v from generate_series(1, 3000) g; analyze big;
    create table t (id int primary key, v int); insert into t select g, g from generate_series(1, 1000) g; analyze t";

async fn runaway(session: &Session, watcher: &Session, name: &str) {
    let create = format!("select pgtrickle.create_stream_table('{name}', '{RUNAWAY}', '0s', 'FULL', false)");
    session.run(&create).await;
    watcher.wait_until(&at_work(name)).await;
}

fn at_work(name: &str) -> String {
    format!(
        "select exists (select from pg_stat_activity where datname = current_database() and state = 'active'
           and application_name ~ '^pg_trickle_(pool|scheduler)' and query ~ 'refreshing.*{name}')"
    )
}

/// Runs a statement that must not wait for a runaway refresh: as that lasts an hour, the statement would time out.
async fn without_waiting(session: &Session, sql: &str) {
    let started = Instant::now();
    session.run(sql).await;
    println!("{sql}: {:?}", started.elapsed());
}

#[tokio::test]
async fn owner_cancels_runaway_refresh() {
    let database = Database::fresh("runaway").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    // Others' queries are shown to superusers.
    let watcher = database.connect().await;
    let owner = format!("owner_{}", database.name);
    session.run(&format!("create role {owner}; grant create, usage on schema public to {owner}")).await;
    session.run(&format!("alter table big owner to {owner}; alter table t owner to {owner}; set role {owner}")).await;

    runaway(&session, &watcher, "r").await;
    session.wait_until("select pgtrickle.cancel_refresh('r')").await;
    let told = "select exists (select from pgtrickle.get_refresh_history('r') where error ~ 'cancel')";
    session.wait_until(told).await;
    // It is retried; paused, it is not refreshed.
    watcher.wait_until(&at_work("r")).await;
    without_waiting(&session, "select pgtrickle.alter_stream_table('r', status => 'PAUSED')").await;
    watcher.wait_until(&format!("select not ({})", at_work("r"))).await;
    assert!(!session.holds("select pgtrickle.cancel_refresh('r')").await);
    session.run("select pgtrickle.resume_stream_table('r')").await;
    watcher.wait_until(&at_work("r")).await;

    // A stranger does not end it.
    session.run("reset role").await;
    let stranger = format!("stranger_{}", database.name);
    session.run(&format!("create role {stranger}; set role {stranger}")).await;
    let failure = session.refuse("select pgtrickle.cancel_refresh('r')").await;
    assert_eq!(failure.code, "42501", "{failure}");
    assert!(session.try_rows("drop table r").await.is_err());
    session.run("reset role").await;
    assert!(watcher.holds(&at_work("r")).await);
    session.run(&format!("set role {owner}")).await;

    // What alters or drops it does not wait.
    without_waiting(&session, "select pgtrickle.alter_stream_table('r', schedule => '1s')").await;
    watcher.wait_until(&at_work("r")).await;
    // At any moment of the refresh.
    for delay in 0..20 {
        session.run("select pgtrickle.resume_stream_table('r')").await;
        session.run(&format!("select pg_sleep({delay} * 0.01)")).await;
        without_waiting(&session, "alter table r set (autovacuum_enabled = off)").await;
    }
    without_waiting(&session, "alter table r rename to renamed").await;
    session.run("select pgtrickle.resume_stream_table('renamed')").await;
    // A refresh that has just begun still shows the former name.
    watcher.wait_until(&at_work("r")).await;
    without_waiting(&session, "select pgtrickle.drop_stream_table('renamed')").await;
    runaway(&session, &watcher, "again").await;
    without_waiting(&session, "drop table again").await;
    session.run(&format!("reset role; drop owned by {owner}; drop role {owner}, {stranger}")).await;
    database.close().await;
}

#[tokio::test]
async fn refresh_timeout_counts_as_failure() {
    let database = Database::fresh("limit").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    runaway(&session, &session, "r").await;
    session.run("select pgtrickle.alter_stream_table('r', refresh_timeout => '200ms')").await;
    session.wait_until("select pgtrickle.cancel_refresh('r')").await;
    let suspended = "select status = 'SUSPENDED' and last_error ~ 'took longer than its limit of 200ms' from pgtrickle.pgt_status()";
    session.wait_until(suspended).await;
    // By hand it is the same limit; without one it is the session's business.
    let failure = session.refuse("select pgtrickle.refresh_stream_table('r')").await;
    assert_eq!((failure.code.as_str(), failure.hint.is_some()), ("54000", true), "{failure}");
    session
        .run("select pgtrickle.alter_stream_table('r', refresh_timeout => '0s'); set statement_timeout = '300ms'")
        .await;
    let failure = session.refuse("select pgtrickle.refresh_stream_table('r')").await;
    assert_eq!(failure.code, "57014", "{failure}");
    session.run("reset statement_timeout").await;
    let failure = session.refuse("select pgtrickle.alter_stream_table('r', refresh_timeout => 'soon')").await;
    assert_eq!(failure.code, "22023", "{failure}");
    // What ends in time is not cancelled afterwards.
    session
        .run(
            "select pgtrickle.create_stream_table('quick', 'select id, v from t', '0s');
             select pgtrickle.alter_stream_table('quick', refresh_timeout => '100ms')",
        )
        .await;
    for round in 0..20 {
        session.run(&format!("update t set v = {round}; select pgtrickle.refresh_stream_table('quick')")).await;
    }
    database.close().await;
}

#[tokio::test]
async fn runaway_refreshes_leave_workers_for_others() {
    let database = Database::fresh("starve").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    // Long enough that the scheduler does not do it itself.
    let slow = "select count(*) as n from big a, big b, t where t.id = 1 and t.v <> a.v - b.v and a.v % 40 = 0";
    session.run(&format!("select pgtrickle.create_stream_table('other', '{slow}', '0s', 'FULL')")).await;
    for name in ["r1", "r2", "r3", "r4", "r5"] {
        let create = format!("select pgtrickle.create_stream_table('{name}', '{RUNAWAY}', '0s', 'FULL', false)");
        session.run(&create).await;
    }
    let running = "select count(*) >= 1 from pg_stat_activity where datname = current_database() and state = 'active'
                    and application_name ~ '^pg_trickle_pool' and query ~ 'refreshing.*r[1-5]'";
    session.wait_until(running).await;
    for round in 0..5 {
        session.run(&format!("update t set v = {round} where id = 1")).await;
        assert!(session.holds("select pgtrickle.wait_for_stream_table('other', '1 hour')").await, "round {round}");
    }
    for name in ["r1", "r2", "r3", "r4", "r5"] {
        without_waiting(&session, &format!("select pgtrickle.drop_stream_table('{name}')")).await;
    }
    database.close().await;
}

/// Verifying and recomputing show their activity, end when they are cancelled, and change nothing then.
#[tokio::test]
async fn verify_and_recompute_can_be_cancelled() {
    let database = Database::fresh("stopped").await;
    let session = database.connect().await;
    let watcher = database.connect().await;
    session.run("create table big (v int); insert into big select g from generate_series(1, 10) g").await;
    session.run(&format!("select pgtrickle.create_stream_table('r', '{RUNAWAY}', '1d', 'FULL')")).await;
    session.run("insert into big select g from generate_series(1, 3000) g; analyze big").await;
    let history = "select count(*) from pgtrickle.get_refresh_history('r')";
    let before = session.number(history).await;
    for (call, activity) in [
        ("select pgtrickle.verify_stream_table('r')", "verifying.*r"),
        ("select pgtrickle.refresh_stream_table('r', recompute => true)", "refreshing.*r"),
    ] {
        let stop = async {
            let busy = format!(
                "from pg_stat_activity where datname = current_database() and state = 'active'
                    and pid <> pg_backend_pid() and query ~ '{activity}'"
            );
            watcher.wait_until(&format!("select exists (select {busy})")).await;
            watcher.run(&format!("select pg_cancel_backend(pid) {busy}")).await;
        };
        let (ended, ()) = tokio::join!(session.attempt(call), stop);
        let failure = ended.expect_err("it goes on for an hour");
        assert_eq!(failure.code, "57014", "{call}: {failure}");
    }
    assert_eq!(session.number(history).await, before);
    assert!(session.holds("select n = 0 from r").await);
    database.close().await;
}
