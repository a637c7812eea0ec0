//! The status is true: a stream table that is ACTIVE without errors equals its query, whatever changed in the objects that it
//! depends on; otherwise the status names the problem. Only workers refresh here, and only the change itself notifies them.

use std::time::Duration;

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};

/// Waits until the workers have refreshed `table`, then compares.
async fn settle(session: &Session, table: &str) {
    assert!(
        session.holds(&format!("select pgtrickle.wait_for_stream_table('{table}', '1 hour')")).await,
        "{table} is late"
    );
    exact::check(session, table, Equality::Text).await;
}

/// Waits until the contents of `table` are those of its query: where no row changed there is nothing to wait for.
async fn reaches_query(session: &Session, table: &str) {
    let definition = exact::definition(session, table).await;
    let equal = format!("select not exists ({})", exact::differing(table, &definition, Equality::Text));
    session.wait_until(&equal).await;
}

async fn status(session: &Session, table: &str) -> (String, i64, String) {
    let row = session
        .rows(&format!(
            "select status, consecutive_errors, coalesce(last_error, '') from pgtrickle.pgt_status() where name like '%{table}'"
        ))
        .await
        .remove(0);
    let text = |at: usize| row[at].clone().unwrap_or_default();
    (text(0), text(1).parse().expect("a number"), text(2))
}

/// The operators of an extension that lives among the tables.
#[tokio::test]
async fn extensions_in_the_schema_of_the_tables() {
    let database = Database::fresh("believable").await;
    let session = database.connect().await;
    session
        .run(
            "create extension citext; create extension hstore;
             create table u (id int primary key, email citext, tags hstore);
             select pgtrickle.create_stream_table('s', 'select email, count(*) n from u group by email', '0s');
             select pgtrickle.create_stream_table('bag', 'select tags, email from u', '0s')",
        )
        .await;
    for step in [
        "insert into u values (1, 'a', 'k=>1'), (2, 'B', null)",
        "update u set email = 'b' where id = 1",
        "delete from u where id = 2",
    ] {
        session.run(step).await;
        settle(&session, "s").await;
        settle(&session, "bag").await;
    }
    database.close().await;
}

/// DDL alone makes the workers rebuild a table.
#[tokio::test]
async fn workers_rebuild_after_definition_change() {
    let database = Database::fresh("meaning").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int); insert into t select n, n from generate_series(1, 20) n;
             create type mood as enum ('sad', 'fine'); create table m (id int primary key, mood mood);
             insert into m values (1, 'sad');
             create function f(int) returns int language sql immutable as 'select $1 + 1';
             select pgtrickle.create_stream_table('calls', 'select f(v) as v, count(*) as n from t group by 1', '0s');
             select pgtrickle.create_stream_table('reads', 'select sum(v) as v from calls', '0s');
             select pgtrickle.create_stream_table('moods', 'select id, mood::text as mood from m', '0s')",
        )
        .await;
    session.run("create or replace function f(int) returns int language sql immutable as 'select $1 % 3'").await;
    reaches_query(&session, "calls").await;
    reaches_query(&session, "reads").await;
    session.run("delete from t where id < 5").await;
    settle(&session, "reads").await;
    session.run("alter type mood rename value 'sad' to 'blue'").await;
    reaches_query(&session, "moods").await;
    for table in ["calls", "reads", "moods"] {
        let (state, errors, error) = status(&session, table).await;
        assert_eq!((state.as_str(), errors, error.as_str()), ("ACTIVE", 0, ""), "{table}");
    }
    database.close().await;
}

/// A definition that became invalid is an error in the status, and its rebuild is not deferred for ever.
#[tokio::test]
async fn failed_rebuild_is_recorded() {
    let database = Database::fresh("rebuild").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int); insert into t select n, n from generate_series(1, 20) n;
             create view v3 as select id, v from t;
             select pgtrickle.create_stream_table('through', 'select id, v from v3', '0s', 'DIFFERENTIAL');
             create function f(int) returns int language sql immutable as 'select $1 + 1';
             select pgtrickle.create_stream_table('calls', 'select id, f(v) as v from t', '0s')",
        )
        .await;
    session
        .run(
            "create or replace view v3 as
               select id, count(*) over (order by v rows unbounded preceding exclude ties)::int as v from t;
             alter function f(int) volatile; insert into t values (21, 21)",
        )
        .await;
    for (table, said) in [("through", "incrementally"), ("calls", "f(integer) cannot be used")] {
        let recorded = format!(
            "select status = 'SUSPENDED' and last_error like '%{said}%' from pgtrickle.pgt_status() where name like '%{table}'"
        );
        session.wait_until(&recorded).await;
    }
    // What was wrong is put right.
    session.run("create or replace view v3 as select id, v + 1 as v from t; alter function f(int) immutable").await;
    for table in ["through", "calls"] {
        session.run(&format!("select pgtrickle.resume_stream_table('{table}')")).await;
        reaches_query(&session, table).await;
        let recovered = format!(
            "select status = 'ACTIVE' and last_error is null from pgtrickle.pgt_status() where name like '%{table}'"
        );
        session.wait_until(&recovered).await;
    }
    database.close().await;
}

/// What reads the clock otherwise than by comparing a column with it is recomputed on its schedule.
#[tokio::test]
async fn unfollowed_clock_is_recomputed_on_schedule() {
    let database = Database::fresh("clock").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, at timestamptz); insert into t values (1, clock_timestamp());
             select pgtrickle.create_stream_table('ages', 'select id, now() - at as age from t', '1s');
             select pgtrickle.create_stream_table('reads', 'select max(age) as age from ages', '1s')",
        )
        .await;
    let first = session.value("select age from ages").await;
    session.wait_until(&format!("select age > '{first}'::interval + '2s' from ages")).await;
    session.wait_until(&format!("select age > '{first}'::interval + '2s' from reads")).await;
    // All rows show one time, its `data_timestamp`.
    let exact = "select a.age = f.data_timestamp - t.at
                   from ages a join t using (id), pgtrickle.pgt_seen f join pgtrickle.pgt_stream_tables s using (pgt_id)
                  where s.pgt_relid = 'ages'::regclass";
    assert!(session.holds(exact).await);
    database.close().await;
}

/// Staleness is the age of the oldest change that is not shown, not that of the last refresh.
#[tokio::test]
async fn staleness_counts_from_the_oldest_change() {
    let database = Database::fresh("staleness").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key); insert into t values (1);
             select pgtrickle.create_stream_table('s', 'select id from t', '1d');
             select pgtrickle.create_stream_table('reads', 'select count(*) as n from s', '1d')",
        )
        .await;
    // Staleness of at least `low`, and at most the time since `since`.
    let between = |low: &str, since: &str| {
        format!(
            "select bool_and(staleness >= '{low}' and staleness <= clock_timestamp() - '{since}'::timestamptz) and count(*) = 2
               from pgtrickle.pgt_status() where name ~ 's$'"
        )
    };
    const NOW: &str = "select clock_timestamp()";
    let refreshed = session.value(NOW).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let idle = session.value(NOW).await;
    assert!(session.holds(&between("0", &idle)).await, "nothing is pending since {refreshed}");
    let changed = session.value(NOW).await;
    session.run("insert into t values (2)").await;
    assert!(session.holds(&between("0", &changed)).await, "the change is new, the refresh is not");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    session.run("insert into t values (3)").await;
    assert!(session.holds(&between("1100ms", &changed)).await, "the oldest change counts");
    database.close().await;
}

/// A failure that cannot be written to our own tables is reported all the same, to roles that may read it.
#[tokio::test]
async fn unrecordable_failures_are_reported() {
    let database = Database::fresh("unwritten").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int); insert into t values (1, 1);
             select pgtrickle.create_stream_table('s', 'select id, 100 / v as v from t', '0s');
             select pgtrickle.create_stream_table('sums', 'select sum(v) as v from t', '0s');
             create function deny() returns trigger language plpgsql as $$
               begin raise exception 'could not extend file: no space left on device' using errcode = tg_argv[0]; end $$",
        )
        .await;
    settle(&session, "s").await;
    settle(&session, "sums").await;
    let told = |table: &str, error: &str| {
        format!(
            "select consecutive_errors > 0 and last_error ~ '{error}' from pgtrickle.pgt_status() where name like '%.{table}'"
        )
    };
    let quiet = "select bool_and(consecutive_errors = 0 and last_error is null) from pgtrickle.pgt_status()";

    // A transient error and a permanent one, of the tick as a whole.
    for code in ["53100", "22012"] {
        session
            .run(&format!(
                "create trigger deny before update on pgtrickle.pgt_frontiers for each row execute function deny('{code}');
                 create trigger deny before insert or update on pgtrickle.pgt_ticks for each row execute function deny('{code}');
                 insert into t select count(*) + 1, 1 from t"
            ))
            .await;
        session.wait_until(&told("s", "no space left")).await;
        session.wait_until(&told("sums", "no space left")).await;
        session.run("drop trigger deny on pgtrickle.pgt_frontiers; drop trigger deny on pgtrickle.pgt_ticks").await;
        settle(&session, "s").await;
        settle(&session, "sums").await;
        session.wait_until(quiet).await;
    }

    // The refresh fails, and only its recording does.
    session
        .run(
            "create trigger deny before insert on pgtrickle.pgt_refresh_history for each row execute function deny('53100');
             insert into t values (10, 0)",
        )
        .await;
    session.wait_until(&told("s", "division by zero")).await;
    let role = format!("reader_{}", database.name);
    session.run(&format!("create role {role}; set role {role}")).await;
    session.wait_until(&told("s", "^SQLSTATE 22012 in ")).await;
    session.run("reset role").await;
    session.run(&format!("drop role {role}; drop trigger deny on pgtrickle.pgt_refresh_history")).await;
    // It is written down as soon as that can be done, and forgotten with its cause.
    let recorded = "select last_error ~ 'division by zero' from pgtrickle.pgt_frontiers join pgtrickle.pgt_stream_tables using (pgt_id)
                     where pgt_relid = 's'::regclass";
    session.wait_until(recorded).await;
    session.run("delete from t where id = 10; select pgtrickle.resume_stream_table('s')").await;
    settle(&session, "s").await;
    session.wait_until(quiet).await;
    database.close().await;
}

/// Refreshes that follow each other have one row a second in the history, with the sums of their figures.
#[tokio::test]
async fn refreshes_of_a_second_share_a_row_of_the_history() {
    const COMMITS: i64 = 300;
    let database = Database::fresh("history").await;
    let session = database.connect().await;
    session.run("create table t (id int primary key); select pgtrickle.create_stream_table('s', 'select id from t', '0s', 'DIFFERENTIAL')").await;
    for id in 0..COMMITS {
        session.run(&format!("insert into t values ({id})")).await;
        session.wait_until(&format!("select exists (select from s where id = {id})")).await;
    }
    let history = "pgtrickle.get_refresh_history('s', 10000) where action = 'DIFFERENTIAL'";
    session.wait_until(&format!("select sum(rows_inserted) = {COMMITS} from {history}")).await;
    let sums = format!(
        "select concat_ws(' ', sum(delta_rows), sum(rows_updated + rows_deleted), sum(refreshes)) from {history}"
    );
    assert_eq!(session.value(&sums).await, format!("{COMMITS} 0 {COMMITS}"));
    assert!(
        session
            .holds(&format!(
                "select sum(refreshes) + 1 = (select refreshes from pgtrickle.pgt_status()) from {history}"
            ))
            .await
    );
    // The scheduler and a worker of the pool may each write one in a second.
    let few =
        "count(*) <= 2 * (2 + extract(epoch from max(started_at) - min(started_at))) and count(*) < sum(refreshes)";
    assert!(session.holds(&format!("select {few} from {history}")).await);
    assert!(
        session.holds(&format!("select bool_and(duration_ms > 0 and duration_ms < 1000 * 300) from {history}")).await
    );
    database.close().await;
}

/// Rows of the history that are older than a week are deleted, but the last one of a stream table is not.
#[tokio::test]
async fn the_history_forgets_what_is_old() {
    let mut server = PrivateServer::start(&[]);
    let database = Database::on(&server.server(), "old").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int);
             select pgtrickle.create_stream_table(name, 'select id from t', '1d') from unnest(array['busy', 'idle']) name;
             insert into t values (1); select pgtrickle.refresh_stream_table(name) from unnest(array['busy', 'idle']) name;
             insert into t values (2); select pgtrickle.refresh_stream_table('busy')",
        )
        .await;
    session.run("update pgtrickle.pgt_refresh_history set started_at = started_at - interval '8 days'").await;
    drop(session);
    server.stop();
    server.restart();
    let session = database.reconnect().await;
    session.run("insert into t values (3); select pgtrickle.refresh_stream_table('busy')").await;
    let left = "select concat_ws(' ', t.pgt_relid, h.rows_inserted, h.started_at < now() - interval '7 days')
                  from pgtrickle.refresh_history h join pgtrickle.pgt_stream_tables t using (pgt_id) order by refresh_id";
    assert_eq!(session.column(left).await, ["idle 1 t", "busy 1 f"]);
    database.close().await;
}
