//! Servers without room for background workers, and with settings that are not meant for them: what is missing is said, and
//! stream tables stay exact.

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session};

const SETUP: &str = "
    create table orders (id int primary key, region int, amount int);
    insert into orders select i, i % 10, i from generate_series(1, 500) i;
    select pgtrickle.create_stream_table('revenue',
      'select region, count(*) as n, sum(amount) as total from orders group by region', '0s');
";
const CHANGE: &str = "update orders set amount = amount + 1 where id % 3 = 0";
const WAIT: &str = "select pgtrickle.wait_for_stream_table('revenue', '1 minute')";

/// Waiting for workers fails with `reason` and with `remedy`, and refreshing without them works.
async fn says_what_is_missing(session: &Session, reason: &str, remedy: &str) {
    session.run(CHANGE).await;
    for call in [WAIT, "select pgtrickle.drain()"] {
        let failure = session.refuse(call).await;
        assert_eq!(failure.code, "55000", "{failure}");
        let told = |text: &Option<String>, part: &str| text.as_deref().is_some_and(|text| text.contains(part));
        assert!(told(&failure.detail, reason) && told(&failure.hint, remedy), "{call}: {failure:?}");
    }
    exact::refresh_and_check(session, "revenue").await;
}

#[tokio::test]
async fn no_process_for_the_launcher() {
    let private = PrivateServer::start(&["max_worker_processes = 0", "max_parallel_workers = 0"]);
    let database = Database::on(&private.server(), "launcher").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    says_what_is_missing(&session, "no process for the launcher", "Raise max_worker_processes").await;
    assert!(private.log_tail().contains("refreshes nothing in the background, because max_worker_processes is 0"));
    database.close().await;
}

/// The server's own launcher of logical replication has the other process.
#[tokio::test]
async fn no_process_for_a_scheduler() {
    let mut private = PrivateServer::start(&["max_worker_processes = 2", "max_parallel_workers = 0"]);
    let database = Database::on(&private.server(), "scheduler").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session.run(CHANGE).await;
    let failure = session.refuse(WAIT).await;
    assert!(failure.detail.as_deref().is_some_and(|text| text.contains("no process for the scheduler")), "{failure:?}");
    assert_eq!(private.log_tail().matches("refreshes nothing in the background").count(), 1);
    exact::refresh_and_check(&session, "revenue").await;

    // With one more all is well.
    session.run("alter system set max_worker_processes = 3").await;
    session.run(CHANGE).await;
    private.kill_all();
    private.restart();
    let session = database.reconnect().await;
    assert!(session.holds(WAIT).await);
    exact::check(&session, "revenue", Equality::Text).await;
    database.close().await;
}

#[tokio::test]
async fn not_preloaded() {
    let private = PrivateServer::start(&["shared_preload_libraries = ''"]);
    let database = Database::on(&private.server(), "not_preloaded").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    says_what_is_missing(&session, "not in shared_preload_libraries", "Add pg_trickle to shared_preload_libraries")
        .await;
    database.close().await;
}

/// Settings of the database and of the role that the workers run as; the session was connected before.
#[tokio::test]
async fn settings_of_database_and_role_do_not_hinder_workers() {
    const SETTINGS: [&str; 10] = [
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "search_path = ''",
        "session_replication_role = replica",
        "role = pg_monitor",
        "temp_file_limit = 0",
        "standard_conforming_strings = off",
    ];
    let private = PrivateServer::start(&[]);
    let database = Database::on(&private.server(), "settings").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    for object in [format!("database {}", database.name), "role postgres".to_owned()] {
        let statements = SETTINGS.map(|setting| format!("alter {object} set {setting};"));
        session.run(&statements.concat()).await;
    }
    // A new scheduler connects under them.
    let scheduler = "from pg_stat_activity where backend_type like 'pg_trickle%' and datname = current_database()";
    let before = session.value(&format!("select array_agg(pid)::text {scheduler}")).await;
    session.run(&format!("select pg_terminate_backend(pid) {scheduler}")).await;
    session.wait_until(&format!("select count(*) > 0 {scheduler} and pid <> all ('{before}')")).await;
    for change in [CHANGE, "delete from orders where id % 7 = 0", "truncate orders"] {
        session.run(change).await;
        assert!(session.holds(WAIT).await, "{change}");
        exact::check(&session, "revenue", Equality::Text).await;
    }
    assert_eq!(session.number("select count(*) from pgtrickle.pgt_status() where last_error is not null").await, 0);
    session.run("alter role postgres reset all").await;
    database.close().await;
}

/// Stream tables whose plans do not all fit into memory are planned again, and are exact; those that were dropped need none.
#[tokio::test]
async fn plans_need_no_more_memory_than_configured() {
    const TABLES: i64 = 24;
    let settings = ["pg_trickle.plan_cache_size = 1MB", "pg_trickle.max_parallel_workers = 0"];
    let private = PrivateServer::start(&settings);
    let database = Database::on(&private.server(), "plans").await;
    let session = database.connect().await;
    session.run("create table orders (id int primary key, region int, amount int); create table regions (id int primary key, name text)").await;
    session.run("insert into orders select i, i % 10, i from generate_series(1, 500) i").await;
    session.run("insert into regions select i, 'region ' || i from generate_series(0, 9) i").await;
    for n in 0..TABLES {
        let query = format!(
            "select r.name, count(*) as n, max(o.amount) as m from orders o join regions r on r.id = o.region where o.id <> {n} group by r.name"
        );
        session.run(&format!("select pgtrickle.create_stream_table('t{n}', '{query}', '0s', 'DIFFERENTIAL')")).await;
    }
    let figure = async |column: &str| {
        session.number(&format!("select plan_cache_{column} from pgtrickle.scheduler_diagnostics()")).await
    };
    for round in 0..4 {
        session
            .run(&format!(
                "update orders set amount = amount + {round} where id % 3 = 0; delete from orders where id = {round}"
            ))
            .await;
        session.run("update regions set name = name || 'x' where id = 3").await;
        exact::wait_fresh(&session).await;
        for n in 0..TABLES {
            exact::check(&session, &format!("t{n}"), Equality::Text).await;
        }
    }
    assert!(figure("evictions").await > 0);
    // Beside the plans of the last stream tables, those that were made since the last check.
    let bytes = figure("bytes").await;
    assert!(bytes < 8 << 20, "{bytes}");
    for n in 0..TABLES {
        session.run(&format!("select pgtrickle.drop_stream_table('t{n}')")).await;
    }
    let is_free = format!("select plan_cache_bytes < {} from pgtrickle.scheduler_diagnostics()", 4 << 20);
    session.wait_until(&is_free).await;
    database.close().await;
}
