//! Servers that are upgraded, copied, promoted and recovered with the real programs: stream tables go on where they were.

use pg_trickle_tests::private::{PrivateServer, default_bin, newer_bin};
use pg_trickle_tests::shop::{SOURCE, TABLES, is_live};
use pg_trickle_tests::{Database, Session};

/// A started server with database `shop`, all of whose stream tables are filled.
async fn shop(settings: &[&str]) -> (PrivateServer, Session) {
    let server = PrivateServer::start(settings);
    server.shell("createdb shop");
    let session = server.server().connect("shop").await;
    session.run(SOURCE).await;
    session.wait_until("select bool_and(is_populated) from pgtrickle.pgt_status()").await;
    (server, session)
}

/// The tables that started over since this refresh. AUTO may still choose to recompute tables as small as these.
async fn recomputed_since(session: &Session, refresh: i64) -> String {
    session
        .value(&format!(
            "select coalesce(string_agg(concat_ws(' ', t.pgt_relid, h.action, t.full_reason, h.error), ', '), '')
               from pgtrickle.refresh_history h join pgtrickle.pgt_stream_tables t using (pgt_id)
              where h.refresh_id > {refresh} and h.action = 'REINITIALIZE'"
        ))
        .await
}

const LAST_REFRESH: &str = "select coalesce(max(refresh_id), 0) from pgtrickle.refresh_history";

/// To the server programs in PG_TRICKLE_NEW_BIN, or to a new cluster of the same release. Pending changes, a suspended table and
/// one that is paused come along, and nothing is computed anew.
#[tokio::test]
async fn an_upgraded_server_goes_on_where_it_was() {
    let (mut old, session) = shop(&[]).await;
    session
        .run(
            "create type shop.size as enum ('s', 'm');
             create domain shop.positive as int check (value > 0);
             create collation shop.german (provider = icu, locale = 'de');
             create table shop.parts (id int primary key, size shop.size, n shop.positive, name text collate shop.german);
             insert into shop.parts select g, 's', g, 'part ' || g from generate_series(1, 50) g;
             select pgtrickle.create_stream_table('shop.sizes',
               'select size, max(name) as last, sum(n) as n, array_agg(distinct shop.twice(n)) as twice from shop.parts group by size', '0s');
             select pgtrickle.alter_stream_table('shop.averages', schedule => '1h');
             select pgtrickle.alter_stream_table('shop.bag', status => 'PAUSED');
             select pgtrickle.drain()",
        )
        .await;
    // Pending in the upgraded server.
    session
        .run(
            "update shop.events set v = v * 2 where k < 20;
             update shop.orders set amount = amount + 3 where id between 100 and 120;
             update shop.parts set size = 'm' where id < 9",
        )
        .await;
    let (last, frontiers) = (
        session.number(LAST_REFRESH).await,
        session.value("select count(frontier) from pgtrickle.pgt_frontiers").await,
    );
    drop(session);
    old.stop();
    let bin = newer_bin();
    // Newer releases have checksums by default, and both clusters must agree.
    let initdb: &[&str] = if bin == default_bin() { &[] } else { &["--no-data-checksums"] };
    let mut new = PrivateServer::stopped(&bin, initdb, &[]);
    let ports = [old.port().to_string(), new.port().to_string()];
    new.program(
        "pg_upgrade",
        &[
            "-b",
            old.bin(),
            "-B",
            new.bin(),
            "-d",
            old.data(),
            "-D",
            new.data(),
            "-U",
            "postgres",
            "-p",
            &ports[0],
            "-P",
            &ports[1],
        ],
    );
    // Written before any process of ours has seen the new cluster.
    new.configure(&["pg_trickle.enabled = off"]);
    new.restart();
    let session = new.server().connect("shop").await;
    session
        .run("insert into shop.orders values (7000, 1, 12), (7001, 2, 13); delete from shop.events where k = 77")
        .await;
    assert_eq!(session.value("select count(frontier) from pgtrickle.pgt_frontiers").await, frontiers);
    assert_eq!(session.refuse("delete from shop.totals").await.code, "55000");
    for step in [
        "alter system set pg_trickle.enabled = on",
        "select pg_reload_conf()",
        "select pgtrickle.resume_stream_table('shop.bag')",
    ] {
        session.run(step).await;
    }
    session.run("select pgtrickle.refresh_stream_table('shop.averages')").await;
    session.run("select pgtrickle.alter_stream_table('shop.averages', schedule => '1s')").await;
    session.wait_until("select place is not null from shop.ranked where id = 7000").await;
    is_live(&session, &[&TABLES[..], &["sizes"]].concat(), false).await;
    assert_eq!(recomputed_since(&session, last).await, "");
    session.run("drop table shop.orders, shop.events, shop.customers, shop.parts cascade").await;
    let left = "select count(*) from pg_class where relkind = 'r'
                   and relnamespace in ('pgtrickle_state'::regnamespace, 'pgtrickle_changes'::regnamespace)";
    assert_eq!(session.number(left).await, 0);
}

const STANDBY: [&str; 2] = ["hot_standby = on", "hot_standby_feedback = on"];

/// Writes to the shop until the server ends; returns after the first commits.
async fn write_on(session: Session) -> tokio::task::JoinHandle<()> {
    let write = |n: i64| {
        format!(
            "insert into shop.orders values ({}, {}, {n}); update shop.events set v = v + 1 where k = {}",
            100_000 + n,
            n % 50 + 1,
            n % 200
        )
    };
    for n in 0..20 {
        session.run(&write(n)).await;
    }
    tokio::spawn(async move {
        let mut n = 20;
        while session.attempt(&write(n)).await.is_ok() {
            n += 1;
        }
    })
}

#[tokio::test]
async fn a_standby_can_be_read_and_goes_on_after_its_promotion() {
    let (mut primary, session) = shop(&["wal_log_hints = on", "wal_keep_size = 1GB"]).await;
    let mut standby = primary.copy(&["-R", "-X", "stream"], &STANDBY);
    standby.restart();
    let reader = standby.server().connect("shop").await;
    session.run("insert into shop.orders values (8000, 1, 1)").await;
    session.run("select pgtrickle.wait_for_stream_table('shop.best')").await;
    reader.wait_until("select exists (select from shop.ranked where id = 8000)").await;
    // What only reads works, and what writes says why it cannot.
    assert_eq!(
        reader.number("select count(*) from pgtrickle.pgt_status() where status = 'ACTIVE'").await,
        TABLES.len() as i64
    );
    for reading in [
        "select pgtrickle.explain_stream_table('shop.totals')",
        "select * from pgtrickle.dependency_tree()",
        "select * from pgtrickle.get_refresh_history('shop.totals')",
        "select * from pgtrickle.change_buffer_sizes()",
        "select * from pgtrickle.source_status()",
        "select * from pgtrickle.scheduler_diagnostics()",
        "select * from pgtrickle.worker_status()",
        "select * from pgtrickle.pg_stat_progress_stream_table",
        "select * from pgtrickle.pg_stat_stream_tables",
    ] {
        reader.run(reading).await;
    }
    // Nothing is wrong with a standby, whose stream tables no worker refreshes.
    let checks = "select coalesce(string_agg(concat_ws(': ', check_name, severity, finding), ', ') filter (where severity <> 'ok'), count(*)::text)
                    from pgtrickle.health_check()";
    session.wait_until(&format!("select ({checks}) = '10'")).await;
    assert_eq!(reader.value(checks).await, "10");
    for writing in [
        "select pgtrickle.create_stream_table('shop.more', 'select 1 as x')",
        "select pgtrickle.refresh_stream_table('shop.totals')",
        "select pgtrickle.explain_stream_table('shop.totals', false, true)",
        "select pgtrickle.alter_stream_table('shop.totals', schedule => '1h')",
        "select pgtrickle.drop_stream_table('shop.totals')",
        "select pgtrickle.reattach()",
        "select pgtrickle.wait_for_stream_table('shop.totals')",
    ] {
        let refused = reader.refuse(writing).await;
        assert!(refused.code == "25006" && refused.hint.is_some(), "{writing}: {refused}");
    }

    // Promoted amid writes, of which it has a part.
    let last = session.number(LAST_REFRESH).await;
    let writer = write_on(session).await;
    reader.wait_until("select exists (select from shop.orders where id = 100010)").await;
    standby.program("pg_ctl", &["promote", "-w", "-t", "300", "-D", standby.data()]);
    primary.stop();
    writer.await.expect("the writer ends with its server");
    is_live(&reader, &TABLES, false).await;
    assert_eq!(recomputed_since(&reader, last).await, "");

    // The old primary follows the new one, and takes over again. pg_rewind reads the new timeline from the last checkpoint.
    reader.run("checkpoint").await;
    let source = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", standby.port());
    primary.program("pg_rewind", &["-D", primary.data(), "--source-server", &source, "-R"]);
    primary.configure(&[&format!("port = {}", primary.port())]);
    primary.restart();
    reader.run("insert into shop.orders values (9000, 3, 9)").await;
    let again = primary.server().connect("shop").await;
    again.wait_until("select exists (select from shop.ranked where id = 9000)").await;
    drop(reader);
    standby.stop();
    primary.program("pg_ctl", &["promote", "-w", "-t", "300", "-D", primary.data()]);
    again.run("insert into shop.orders values (9001, 3, 9)").await;
    again.wait_until("select exists (select from shop.ranked where id = 9001)").await;
    for table in TABLES {
        assert!(
            again.holds(&format!("select is_equal from pgtrickle.verify_stream_table('shop.{table}')")).await,
            "{table}"
        );
    }
}

#[tokio::test]
async fn a_server_recovers_to_a_point_in_time() {
    let archive = std::env::temp_dir().join(format!("pg_trickle-archive-{}", std::process::id()));
    std::fs::create_dir_all(&archive).expect("a directory");
    let path = archive.to_str().expect("a name in ASCII");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o777)).expect("the server writes to it");
    let archiving = format!("archive_command = 'cp %p {path}/%f'");
    let (mut server, session) = shop(&["archive_mode = on", &archiving]).await;
    let mut copy = server.copy(&["-X", "none"], &[]);
    session
        .run("update shop.orders set amount = amount * 2 where id < 50; insert into shop.events values (3, 3)")
        .await;
    session.run("select pgtrickle.wait_for_stream_table('shop.best')").await;
    session.run("select pg_create_restore_point('then')").await;
    // Of this the recovered server knows nothing, while its transaction ids are given again.
    session.run("delete from shop.orders; insert into shop.events values (4, 4)").await;
    session.run("select pgtrickle.wait_for_stream_table('shop.best')").await;
    let archived = session.value("select pg_walfile_name(pg_create_restore_point('archived'))").await;
    session.run("select pg_switch_wal()").await;
    session.wait_until(&format!("select last_archived_wal >= '{archived}' from pg_stat_archiver")).await;
    drop(session);
    server.stop();
    copy.configure(&[
        &format!("restore_command = 'cp {path}/%f %p'"),
        "recovery_target_name = 'then'",
        "recovery_target_action = 'promote'",
        "archive_mode = off",
    ]);
    copy.write("recovery.signal", "");
    copy.restart();
    let session = copy.server().connect("shop").await;
    session.wait_until("select not pg_is_in_recovery()").await;
    let last = session.number(LAST_REFRESH).await;
    assert!(session.number("select count(*) from shop.orders").await > 400);
    is_live(&session, &TABLES, false).await;
    assert_eq!(recomputed_since(&session, last).await, "");
    let _ = std::fs::remove_dir_all(&archive);
}

/// Failures in a row have one line in the log, whichever process met them. The line about their end has the number of the rest.
#[tokio::test]
async fn failures_in_a_row_have_one_line_in_the_log() {
    let server = PrivateServer::start(&["pg_trickle.max_consecutive_errors = 1000"]);
    let database = Database::on(&server.server(), "logged").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int);
             select pgtrickle.create_stream_table('shares', 'select id, 100 / v as share from t', '0s');
             insert into t values (1, 0)",
        )
        .await;
    let failures = "select error_count from pgtrickle.pg_stat_stream_tables";
    session.wait_until(&format!("select ({failures}) >= 2")).await;
    let admin = database.admin().await;
    admin
        .run("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'pg_trickle scheduler'")
        .await;
    session.wait_until(&format!("select ({failures}) >= 3")).await;
    session.run("update t set v = 1").await;
    assert!(session.holds("select pgtrickle.wait_for_stream_table('shares', '1 hour')").await);
    let failures = session.number(failures).await;
    let ended = server.log_lines("stream table public.shares is refreshed again");
    let expected = format!("({} repeated messages were not logged)", failures - 1);
    assert!(ended.len() == 1 && ended[0].ends_with(&expected), "{failures} failures, {ended:?}");
    let failed = "could not refresh stream table public.shares: division by zero";
    assert_eq!(server.log_lines(failed).len(), 1);

    // What ends by a suspension says so.
    admin.run("alter system set pg_trickle.max_consecutive_errors = 1").await;
    admin.run("select pg_reload_conf()").await;
    session.wait_until("select current_setting('pg_trickle.max_consecutive_errors') = '1'").await;
    session.run("update t set v = 0").await;
    session.wait_until("select status = 'SUSPENDED' from pgtrickle.pgt_status()").await;
    assert_eq!(server.log_lines("stream table public.shares is suspended").len(), 1);
    assert_eq!(server.log_lines(failed).len(), 2);
    database.close().await;
}
