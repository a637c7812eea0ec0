//! Logical replication: apply workers write sources; stream tables are published.

use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::replication::{subscribe, unsubscribe};
use pg_trickle_tests::{Database, Session};

async fn is_equal(session: &Session, table: &str) -> bool {
    session.holds(&format!("select is_equal from pgtrickle.verify_stream_table('{table}')")).await
}

/// A second database of the server, dropped together with it.
async fn other(database: &Database) -> Session {
    let name = format!("{}_other", database.name);
    database.admin().await.run(&format!("create database {name}")).await;
    database.connect_to(&name).await
}

#[tokio::test]
async fn apply_workers_write_sources_but_not_stream_tables() {
    let server = PrivateServer::start(&["wal_level = logical"]);
    let to = Database::on(&server.server(), "copy").await;
    let (publisher, subscriber) = (other(&to).await, to.connect().await);
    publisher
        .run(
            "create table t (id int primary key, v int); insert into t select g, g from generate_series(1, 50) g;
             create table s (id int primary key, v int); create publication sources for table t;
             create publication results for table s",
        )
        .await;
    subscriber
        .run(
            "create table t (id int primary key, v int);
             select pgtrickle.create_stream_table('s', 'select id, v from t', '0s');
             select pgtrickle.create_stream_table('sums', 'select count(*) as n, sum(v) as v from s', '0s')",
        )
        .await;
    // The first copy and later changes are captured.
    subscribe(&subscriber, &publisher, "sources").await;
    subscriber.wait_until("select n = 50 from sums").await;
    publisher.run("update t set v = v + 1; delete from t where id = 1; insert into t values (51, 51)").await;
    subscriber.wait_until("select v = (select sum(v) from t) and n = 50 and v = 1374 from sums").await;
    assert!(is_equal(&subscriber, "s").await && is_equal(&subscriber, "sums").await);

    // It writes nothing to a stream table, even where the subscription was not refused.
    subscriber.run("alter event trigger pgtrickle_on_ddl disable").await;
    subscribe(&subscriber, &publisher, "results").await;
    subscriber.run("alter event trigger pgtrickle_on_ddl enable always").await;
    publisher.run("insert into s values (100, 100)").await;
    let refused = "select apply_error_count > 0 from pg_stat_subscription_stats where subname = 'results'";
    subscriber.wait_until(refused).await;
    publisher.run("insert into t values (52, 52)").await;
    subscriber.wait_until("select n = 51 from sums").await;
    assert!(is_equal(&subscriber, "s").await && is_equal(&subscriber, "sums").await);
    assert!(subscriber.holds("select not exists (select from s where id = 100)").await);

    unsubscribe(&subscriber, &publisher, "results").await;
    unsubscribe(&subscriber, &publisher, "sources").await;
    to.close().await;
}

#[tokio::test]
async fn a_subscription_into_a_stream_table_is_refused() {
    let (from, to) = (PrivateServer::start(&["wal_level = logical"]), PrivateServer::start(&[]));
    let (publisher, copy) = (from.server().admin().await, Database::on(&to.server(), "copy").await);
    let subscriber = copy.connect().await;
    publisher
        .run(
            "create table t (id int primary key, v int); insert into t values (1, 1);
             create table s (id int primary key, v int); create publication sources for table t;
             create publication everything for table t, s",
        )
        .await;
    subscriber
        .run("create table t (id int primary key, v int); select pgtrickle.create_stream_table('s', 'select id, v from t', '0s')")
        .await;
    let refuse = async |command: &str| {
        let refused = subscriber.refuse(command).await;
        assert!(refused.code == "42809" && refused.message.contains("stream table public.s"), "{command}: {refused}");
        assert!(refused.hint.is_some(), "{command}: {refused}");
    };
    let connection = format!("connection 'host=127.0.0.1 port={} user=postgres dbname=postgres'", from.port());
    let slots = "select count(*) from pg_replication_slots";

    // Nothing is left of it, on the publisher neither.
    refuse(&format!("create subscription targets {connection} publication everything")).await;
    assert_eq!(subscriber.number("select count(*) from pg_subscription").await, 0);
    assert_eq!(publisher.number(slots).await, 0);
    // A slot that was there stays.
    publisher.run("select pg_create_logical_replication_slot('kept', 'pgoutput')").await;
    let kept = "with (create_slot = false, slot_name = kept)";
    refuse(&format!("create subscription targets {connection} publication everything {kept}")).await;
    assert_eq!(publisher.number(slots).await, 1);

    // Nor does a subscription get it as a further table.
    subscriber.run(&format!("create subscription tables {connection} publication sources {kept}")).await;
    refuse("alter subscription tables set publication everything").await;
    refuse("alter subscription tables add publication everything").await;
    subscriber.run("alter subscription tables set publication everything with (refresh = false)").await;
    refuse("alter subscription tables refresh publication").await;
    publisher.run("alter publication everything drop table s").await;
    subscriber.run("alter subscription tables refresh publication").await;
    publisher.run("insert into t values (2, 2)").await;
    subscriber.wait_until("select sum(v) = 3 from s").await;
    assert!(is_equal(&subscriber, "s").await);
    subscriber.run("drop subscription tables").await;
    copy.close().await;
}

#[tokio::test]
async fn stream_tables_are_published_as_they_are() {
    let server = PrivateServer::start(&["wal_level = logical"]);
    let from = Database::on(&server.server(), "results").await;
    let (publisher, subscriber) = (from.connect().await, other(&from).await);
    publisher
        .run(
            "create table t (id int primary key, g int, v int);
             insert into t select g, g % 5, g from generate_series(1, 50) g;
             select pgtrickle.create_stream_table('counts', 'select g, count(*) as n, sum(v) as v from t group by g', '0s');
             select pgtrickle.create_stream_table('bag', 'select g, v % 3 as v from t', '0s');
             create publication everything for tables in schema public",
        )
        .await;
    subscriber
        .run("create table t (id int primary key, g int, v int); create table counts (g int, n bigint, v bigint); create table bag (g int, v int)")
        .await;
    subscribe(&subscriber, &publisher, "everything").await;
    publisher
        .run("update t set v = v + 1 where id < 20; update t set g = 7 where id = 8; delete from t where g = 1")
        .await;
    for table in ["counts", "bag"] {
        assert!(publisher.holds(&format!("select pgtrickle.wait_for_stream_table('{table}')")).await);
        let sum = format!("select string_agg(x::text, ' ' order by x::text) from {table} x");
        let shown = publisher.value(&sum).await;
        subscriber.wait_until(&format!("select ({sum}) = '{shown}'")).await;
    }
    unsubscribe(&subscriber, &publisher, "everything").await;
    from.close().await;
}
