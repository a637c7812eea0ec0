//! The workers' life: start, names, schedules, idleness, stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

const SETUP: &str = "
    create table readings (id int generated always as identity, sensor int, value int);
    insert into readings (sensor, value) select g % 10, g from generate_series(1, 500) g;
    select pgtrickle.create_stream_table('totals', 'select sensor, count(*) as n, sum(value) as s from readings group by sensor', '0s');
    select pgtrickle.create_stream_table('pairs', 'select a.id, b.s from readings a join totals b on b.sensor = a.sensor where a.value < 50', '0s');
";

fn workers(database: &str) -> String {
    format!(
        "select count(*) from pg_stat_activity
          where datname = '{database}' and application_name ~ '^pg_trickle_(scheduler|pool_[0-9]+)$'"
    )
}

/// Single-row transactions, one after the other, until `stop`. None may fail.
fn write_load(session: Session, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let mut count = 0;
        while !stop.load(Relaxed) {
            session.run("insert into readings (sensor, value) values ((random() * 9)::int, 1)").await;
            session.run("update readings set value = value + 1 where id = (random() * 400)::int").await;
            count += 2;
        }
        count
    })
}

#[tokio::test]
async fn workers_start_by_themselves_and_identify_themselves() {
    let database = Database::fresh("roles").await;
    let session = database.connect().await;
    let scheduler = format!(
        "select count(*) = 1 from pg_stat_activity where datname = '{}' and application_name = 'pg_trickle_scheduler'",
        database.name
    );
    // Database and extension are younger than the server.
    session.wait_until(&scheduler).await;
    assert_eq!(
        session.number("select count(*) from pg_stat_activity where application_name = 'pg_trickle_launcher'").await,
        1
    );
    session.run(SETUP).await;
    session.run("insert into readings (sensor, value) values (1, 1)").await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "pairs", Equality::Text).await;
    let names =
        "select string_agg(distinct regexp_replace(application_name, '[0-9]+$', 'N'), ' ') from pg_stat_activity
                  where application_name like 'pg\\_trickle\\_%' and application_name <> 'pg_trickle_tests'";
    let names = session.value(names).await;
    for name in names.split(' ') {
        assert!(["pg_trickle_launcher", "pg_trickle_scheduler", "pg_trickle_pool_N"].contains(&name), "{names}");
    }
    database.close().await;
}

#[tokio::test]
async fn terminated_scheduler_is_replaced() {
    let database = Database::fresh("terminated").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    exact::wait_fresh(&session).await;
    for _ in 0..3 {
        let ended = session
            .number("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name = 'pg_trickle_scheduler'")
            .await;
        assert_eq!(ended, 1);
        session.run("insert into readings (sensor, value) values (1, 1)").await;
        exact::wait_fresh(&session).await;
        exact::check(&session, "totals", Equality::Text).await;
        exact::check(&session, "pairs", Equality::Text).await;
    }
    database.close().await;
}

#[tokio::test]
async fn dropping_the_extension_is_never_blocked() {
    let database = Database::fresh("dropping").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = write_load(database.connect().await, stop.clone());
    for drop in ["drop extension pg_trickle cascade", "drop schema pgtrickle cascade"].repeat(2) {
        sleep(Duration::from_millis(500)).await;
        session.run(drop).await;
        // DROP EXTENSION leaves its schema, which was made by CREATE EXTENSION.
        let left = "select (select count(*) from pg_trigger where not tgisinternal)
                         + (select count(*) from pg_namespace where nspname like 'pgtrickle\\_%')
                         + (select count(*) from pg_proc where pronamespace = to_regnamespace('pgtrickle'))
                         + (select count(*) from pg_event_trigger)";
        assert_eq!(session.number(left).await, 0, "left behind by: {drop}");
        session.run("drop table if exists totals, pairs cascade; create extension pg_trickle").await;
        let creation = SETUP.lines().filter(|line| line.contains("create_stream_table")).collect::<Vec<_>>().join("\n");
        session.run(&creation).await;
    }
    stop.store(true, Relaxed);
    let count = load.await.expect("no write failed");
    exact::wait_fresh(&session).await;
    exact::check(&session, "pairs", Equality::Text).await;
    println!("dropping: {count} writes meanwhile");
    database.close().await;
}

#[tokio::test]
async fn dropping_the_database_is_never_blocked() {
    let database = Database::fresh("gone").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = write_load(database.connect().await, stop.clone());
    sleep(SECOND).await;
    stop.store(true, Relaxed);
    load.await.expect("no write failed");
    drop(session);
    let admin = database.admin().await;
    let ours = format!(
        "select count(*) = 0 from pg_stat_activity where datname = '{}' and application_name = 'pg_trickle_tests'",
        database.name
    );
    admin.wait_until(&ours).await;
    admin.run(&format!("drop database {}", database.name)).await;
}

#[tokio::test]
async fn disabling_stops_a_long_refresh_and_loses_nothing() {
    let server = PrivateServer::start(&[]);
    let database = Database::on(&server.server(), "off").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session.run("create table big as select g as v from generate_series(1, 3000) g; analyze big").await;
    // Some 30 billion triples: this fill lasts an hour.
    session
        .run("select pgtrickle.create_stream_table('slow', 'select count(*) as n from big x, big y, big z where x.v + y.v + z.v = -1', '0s', 'AUTO', false)")
        .await;
    let busy = format!(
        "select exists (select from pg_stat_activity where datname = '{}' and state = 'active' and pid <> pg_backend_pid() and application_name like 'pg\\_trickle\\_%')",
        database.name
    );
    let busy_long = format!(
        "{busy} and clock_timestamp() > '{}'::timestamptz + interval '1.5 s'",
        session.value("select clock_timestamp()::text").await
    );
    session.wait_until(&busy_long).await;

    session.run("alter system set pg_trickle.enabled = off").await;
    session.run("select pg_reload_conf()").await;
    session.wait_until(&format!("select ({}) = 0", workers(&database.name))).await;

    let before = session.value("select s::text from (select * from totals order by sensor limit 1) s").await;
    session.run("insert into readings (sensor, value) select g % 10, 7 from generate_series(1, 100) g; delete from readings where id < 20").await;
    sleep(SECOND).await;
    assert_eq!(session.number(&workers(&database.name)).await, 0);
    assert_eq!(session.value("select s::text from (select * from totals order by sensor limit 1) s").await, before);
    // By hand it works all the same.
    exact::refresh_and_check(&session, "totals").await;
    session.run("update readings set value = 0 where sensor = 3").await;

    session.run("select pgtrickle.drop_stream_table('slow')").await;
    session.run("alter system reset pg_trickle.enabled").await;
    session.run("select pg_reload_conf()").await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "totals", Equality::Text).await;
    exact::check(&session, "pairs", Equality::Text).await;
    database.close().await;
}

#[tokio::test]
async fn failing_table_is_suspended_alone_and_resumes() {
    let database = Database::fresh("suspended").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session
        .run(
            "select pgtrickle.create_stream_table('ratio', 'select id, 100 / value as q from readings', '0s');
              select pgtrickle.create_stream_table('above', 'select count(*) as n from ratio', '0s')",
        )
        .await;
    session.run("insert into readings (sensor, value) values (1, 0)").await;
    let status = |name: &str, column: &str| {
        format!("select {column} from pgtrickle.pgt_status() where name::regclass = '{name}'::regclass")
    };
    session.wait_until(&status("ratio", "status = 'SUSPENDED'")).await;
    assert_eq!(session.number(&status("ratio", "consecutive_errors")).await, 3);
    assert!(session.value(&status("ratio", "last_error")).await.contains("division by zero"));
    assert_eq!(session.value(&status("totals", "status")).await, "ACTIVE");

    session.run("insert into readings (sensor, value) values (4, 4)").await;
    let fresh = "select bool_and(n.n = t.n) from totals t join (select sensor, count(*) as n from readings group by sensor) n using (sensor)";
    session.wait_until(fresh).await;
    exact::check(&session, "totals", Equality::Text).await;
    exact::check(&session, "pairs", Equality::Text).await;
    assert_eq!(session.number("select count(*) from ratio").await, 500, "a failed refresh changed the table");

    let failure = session.refuse("select pgtrickle.refresh_stream_table('ratio')").await;
    assert_eq!(failure.code, "22012");
    session.run("update readings set value = 5 where value = 0; select pgtrickle.resume_stream_table('ratio')").await;
    session.run("select pgtrickle.resume_stream_table('above')").await;
    exact::wait_fresh(&session).await;
    for name in ["ratio", "above", "totals", "pairs"] {
        exact::check(&session, name, Equality::Text).await;
    }
    assert_eq!(session.number(&status("ratio", "consecutive_errors")).await, 0);
    database.close().await;
}

/// The longest time, seen by another session, from a commit until its row is visible.
async fn staleness(schedule: &str, seconds: u64) -> Duration {
    let database = Database::fresh("fresh").await;
    let session = database.connect().await;
    session
        .run(&format!(
            "create table ticks (id int, at timestamptz default clock_timestamp());
             select pgtrickle.create_stream_table('seen', 'select max(id) as id, count(*) as n from ticks', '{schedule}')"
        ))
        .await;
    let writer = database.connect().await;
    let mut committed: Vec<Instant> = vec![];
    let mut worst = Duration::ZERO;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        writer.run(&format!("insert into ticks (id) values ({})", committed.len() + 1)).await;
        committed.push(Instant::now());
        for _ in 0..5 {
            let asked = Instant::now();
            let seen = session.number("select coalesce(max(id), 0) from seen").await as usize;
            if let Some(oldest) = committed.get(seen) {
                worst = worst.max(asked.saturating_duration_since(*oldest));
            }
            sleep(Duration::from_millis(8)).await;
        }
    }
    database.close().await;
    worst
}

#[tokio::test]
async fn schedules_are_met() {
    for (schedule, limit) in [("1s", 1100), ("* * * * * *", 1100), ("0s", 300)] {
        let limit = Duration::from_millis(limit);
        let mut worst = Duration::MAX;
        // Other processes may delay some stretches, on any machine.
        for _ in 0..20 {
            worst = worst.min(staleness(schedule, 3).await);
            if worst <= limit {
                break;
            }
        }
        println!("staleness with '{schedule}': at most {worst:?}");
        assert!(worst <= limit, "'{schedule}': {worst:?} in the best of 20 stretches");
    }
}

#[tokio::test]
async fn schedules_are_inherited_and_pauses_persist() {
    let database = Database::fresh("calculated").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (a int);
              select pgtrickle.create_stream_table('below', 'select a, count(*) as n from t group by a');
              select pgtrickle.create_stream_table('top', 'select sum(n) as n from below', '0s');
              select pgtrickle.create_stream_table('paused', 'select a + 1 as b from t', '0s');
              select pgtrickle.alter_stream_table('paused', status => 'PAUSED')",
        )
        .await;
    session.run("insert into t select g % 5 from generate_series(1, 50) g").await;
    session.wait_until("select n = 50 from top").await;
    exact::check(&session, "below", Equality::Text).await;
    // Not initialised at creation: the workers do it at once, whatever the schedule.
    session.run("select pgtrickle.create_stream_table('later', 'select a from t', '1h', 'AUTO', false)").await;
    session.wait_until("select count(*) = 50 from later").await;
    sleep(SECOND).await;
    assert_eq!(session.number("select count(*) from paused").await, 0);
    session.run("select pgtrickle.alter_stream_table('paused', schedule => '1s')").await;
    session.run("insert into t values (1)").await;
    sleep(2 * SECOND).await;
    assert_eq!(session.number("select count(*) from paused").await, 0, "another schedule ended the pause");
    session.run("select pgtrickle.resume_stream_table('paused')").await;
    session.wait_until("select count(*) = 51 from paused").await;
    database.close().await;
}

/// A source without change capture is polled on the schedule of its copy alone; consumers of the copy follow its changes.
#[tokio::test]
async fn copy_is_polled_on_its_own_schedule() {
    let database = Database::fresh("copies").await;
    let session = database.connect().await;
    session
        .run(
            "create table sales (id int primary key, shop int);
             create table shops (id int primary key, name text);
             create materialized view per_shop as select shop, count(*) as n from sales group by shop;
             select pgtrickle.create_stream_table('often', 'select * from per_shop', '1s', 'FULL');
             select pgtrickle.create_stream_table('once', 'select * from per_shop', '1h', 'FULL');
             select pgtrickle.create_stream_table('named', 'select s.name, p.n from shops s left join often p on p.shop = s.id', '0s');
             select pgtrickle.create_stream_table('later', 'select s.name, p.n from shops s left join once p on p.shop = s.id', '0s');
             insert into sales select i, i % 3 from generate_series(1, 10) i;
             insert into shops values (0, 'zero'), (1, 'one')",
        )
        .await;
    session.run("refresh materialized view per_shop").await;
    session.wait_until("select sum(n) = 7 from named").await;
    session.wait_until("select count(*) = 2 from later").await;
    for name in ["often", "named", "later"] {
        exact::check(&session, name, Equality::Text).await;
    }
    assert_eq!(session.number("select count(*) from once").await, 0);
    database.close().await;
}

/// Times that a process went to sleep: one more means that it woke up.
fn wakeups(pid: i64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn idle_is_free() {
    let quiet = ["wal_level = minimal", "max_wal_senders = 0", "autovacuum = off", "jit = off"];
    let server = PrivateServer::start(&quiet);
    let database = Database::on(&server.server(), "idle").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session.run("select pgtrickle.create_stream_table('slower', 'select max(value) as v from readings', '1s')").await;
    session
        .run("select pgtrickle.create_stream_table('cron', 'select min(value) as v from readings', '* * * * * *')")
        .await;
    session.run("insert into readings (sensor, value) values (1, 1)").await;
    exact::wait_fresh(&session).await;
    drop(session);
    let admin = database.admin().await;
    admin.run("checkpoint").await;
    let pids = admin
        .column("select pid from pg_stat_activity where application_name ~ '^pg_trickle_(launcher|scheduler|pool)'")
        .await;
    let pids: Vec<i64> = pids.iter().filter_map(|pid| pid.parse().ok()).collect();
    assert!(pids.len() >= 2, "a launcher and a scheduler");
    let state = format!(
        "select pg_current_wal_insert_lsn() || ' xacts ' || xact_commit + xact_rollback || ' rows ' || tup_returned
           from pg_stat_database where datname = '{}'",
        database.name
    );
    // WAL, transactions and reads of the database, and wake-ups of the workers.
    let activity = async || (admin.value(&state).await, pids.iter().map(|pid| wakeups(*pid)).collect::<Vec<_>>());
    // The last refresh is reported to the statistics about ten seconds later.
    let mut before = activity().await;
    for _ in 0..6 {
        sleep(11 * SECOND).await;
        let after = activity().await;
        if before == after {
            return database.close().await;
        }
        before = after;
    }
    panic!("an idle database goes on working: {before:?}, a moment later {:?}", activity().await);
}

/// As many worker processes as a server has by default, and more databases than that.
#[tokio::test]
async fn many_databases_share_few_worker_processes() {
    const DATABASES: usize = 20;
    let server = PrivateServer::start(&["max_worker_processes = 8"]);
    let first = Database::on(&server.server(), "turns").await;
    let mut sessions = vec![first.connect().await];
    for number in 1..DATABASES {
        let name = format!("{}_{number}", first.name);
        sessions[0].run(&format!("create database {name}")).await;
        let session = first.connect_to(&name).await;
        session.run("create extension pg_trickle").await;
        sessions.push(session);
    }
    for session in &sessions {
        session
            .run(
                "create table numbers (n int);
                 select pgtrickle.create_stream_table('total', 'select sum(n) as n from numbers', '0s')",
            )
            .await;
    }
    for round in 1..4 {
        for (number, session) in sessions.iter().enumerate() {
            session.run(&format!("insert into numbers values ({})", round * number)).await;
        }
        for session in &sessions {
            exact::wait_fresh(session).await;
            exact::check(session, "total", Equality::Text).await;
        }
    }
    let places =
        sessions[0].number("select count(*) from pg_stat_activity where application_name = 'pg_trickle_scheduler'");
    assert!(places.await <= 5, "some worker processes are left to others");
    for number in 1..DATABASES {
        sessions.pop();
        sessions[0].run(&format!("drop database {}_{} with (force)", first.name, DATABASES - number)).await;
    }
    first.close().await;
}
