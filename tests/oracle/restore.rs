//! Dump and restore with the real programs, in every way that they offer: the restore itself succeeds, and afterwards every
//! stream table is live and equal to its query.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use pg_trickle_tests::Session;
use pg_trickle_tests::private::{PrivateServer, default_bin, newer_bin};
use pg_trickle_tests::shop::{SOURCE, TABLES, is_live};

/// From database `source` into the new and empty database `copy`, by way of the directory `$work`.
const WAYS: [(&str, &str); 10] = [
    ("plain", "pg_dump source | psql -Xq -v ON_ERROR_STOP=1 copy >$work/out"),
    ("plain in one transaction", "pg_dump source | psql -Xq1 -v ON_ERROR_STOP=1 copy >$work/out"),
    ("inserts", "pg_dump --inserts source | psql -Xq -v ON_ERROR_STOP=1 copy >$work/out"),
    ("custom", "pg_dump -Fc -f $work/c source; pg_restore --exit-on-error -d copy $work/c"),
    ("custom in one transaction", "pg_restore --exit-on-error -1 -d copy $work/c"),
    ("custom by four", "pg_restore --exit-on-error -j4 -d copy $work/c"),
    ("directory by four", "pg_dump -Fd -j4 -f $work/d source; pg_restore --exit-on-error -j4 -d copy $work/d"),
    (
        "schema, then data",
        "pg_dump --schema-only source | psql -Xq -v ON_ERROR_STOP=1 copy >$work/out
         pg_dump --data-only source | psql -Xq -v ON_ERROR_STOP=1 copy >$work/out",
    ),
    (
        "schema, then data with triggers disabled",
        "pg_restore --exit-on-error --schema-only -d copy $work/c
         pg_restore --exit-on-error --data-only --disable-triggers -d copy $work/c",
    ),
    (
        "by sections",
        "for section in pre-data data post-data; do
           pg_restore --exit-on-error --section=$section -d copy $work/c
           sleep 1.5
         done",
    ),
];

/// A server with the source, and a directory for dumps.
struct Home {
    server: PrivateServer,
    work: PathBuf,
}

impl Home {
    async fn new(settings: &[&str]) -> Home {
        let server = PrivateServer::start(settings);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let work = std::env::temp_dir().join(format!("pg_trickle-restore-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&work).expect("a directory for dumps");
        let home = Home { server, work };
        home.shell("createdb source");
        let source = home.connect("source").await;
        source.run(SOURCE).await;
        // A user's view of a change buffer.
        source.run("create view unread as select action from pgtrickle_changes.pending_1").await;
        home
    }

    fn shell(&self, script: &str) {
        self.server.shell(&format!("work={}\n{script}", self.work.display()));
    }

    async fn connect(&self, database: &str) -> Session {
        self.server.server().connect(database).await
    }

    /// A new database `copy`, empty but for what the script does.
    async fn copy(&self, script: &str) -> Session {
        self.shell(&format!("dropdb --if-exists --force copy; createdb -T template0 copy\n{script}"));
        self.connect("copy").await
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.work);
    }
}

#[tokio::test]
async fn a_restored_database_goes_on_by_itself() {
    let home = Home::new(&[]).await;
    for (way, script) in WAYS {
        println!("{way}");
        let copy = home.copy(script).await;
        is_live(&copy, &TABLES, false).await;
    }
}

#[tokio::test]
async fn without_workers_a_restored_database_is_reattached_by_hand() {
    let home = Home::new(&["pg_trickle.enabled = off"]).await;
    for (way, script) in WAYS {
        println!("{way}");
        let copy = home.copy(script).await;
        let refused = copy.refuse("select pgtrickle.refresh_stream_table('shop.best')").await;
        assert_eq!(refused.code, "55000", "{refused}");
        assert!(copy.holds("select bool_and(status = 'DETACHED') from pgtrickle.pgt_status()").await);
        assert_eq!(copy.number("select pgtrickle.reattach()").await, TABLES.len() as i64);
        assert_eq!(copy.number("select pgtrickle.reattach()").await, 0);
        is_live(&copy, &TABLES, true).await;
    }
}

/// Rows that a transaction has written to a detached stream table become visible when it commits, and the recomputation must
/// see them.
#[tokio::test]
async fn attaching_waits_for_writers_of_the_table() {
    let home = Home::new(&["pg_trickle.enabled = off"]).await;
    let copy = home.copy(WAYS[0].1).await;
    let writer = home.connect("copy").await;
    writer.run("begin; insert into shop.bag values (1000, true)").await;
    let refused = copy.refuse("set lock_timeout = '200ms'; select pgtrickle.reattach()").await;
    assert_eq!(refused.code, "55P03", "{refused}");
    writer.run("commit").await;
    assert_eq!(copy.number("select pgtrickle.reattach()").await, TABLES.len() as i64);
    assert_eq!(writer.refuse("insert into shop.bag values (1000, true)").await.code, "55000");
    is_live(&copy, &TABLES, true).await;
}

#[tokio::test]
async fn a_dump_has_the_rows_of_users_and_no_others() {
    let home = Home::new(&[]).await;
    let source = home.connect("source").await;
    source.run("begin; update shop.orders set amount = amount + 1; select pgtrickle.drain()").await;
    home.shell(
        "pg_dump --data-only source >$work/data
         ! grep -E 'changes_|pgt_frontiers|pgt_sources' $work/data
         ! sed -n '/^COPY pgtrickle_state/,/^\\\\\\./p' $work/data | grep -vE '^COPY|^\\\\\\.'",
    );
}

#[tokio::test]
async fn a_copied_database_goes_on_where_its_template_was() {
    let home = Home::new(&[]).await;
    let source = home.connect("source").await;
    source.wait_until("select bool_and(is_populated) from pgtrickle.pgt_status()").await;
    drop(source);
    home.shell(
        "psql -Xqc \"select pg_terminate_backend(pid, 60000) from pg_stat_activity
                     where datname = 'source' and backend_type = 'client backend'\" >$work/out
         psql -Xqc 'create database copy template source'",
    );
    let copy = home.connect("copy").await;
    is_live(&copy, &TABLES, false).await;
    let recomputed = "select count(*) from pgtrickle.refresh_history where action = 'REINITIALIZE'";
    assert_eq!(copy.number(recomputed).await, 0);
}

/// A table that is restored alone is a table like any other. One that was a stream table can become one again.
#[tokio::test]
async fn tables_are_restored_alone() {
    let home = Home::new(&[]).await;
    let extension = "psql -Xqc 'create extension pg_trickle' -c 'create schema shop' copy";
    let restore = "psql -Xq -v ON_ERROR_STOP=1 copy >$work/out";
    let copy = home.copy(&format!("{extension}; pg_dump -t shop.events* source | {restore}")).await;
    copy.run("insert into shop.events values (1, 1); update shop.events set v = 2 where k = 1").await;
    assert_eq!(copy.number("select count(*) from pgtrickle.pgt_sources").await, 0);
    copy.run("select pgtrickle.create_stream_table('shop.averages', 'select k, avg(v) as v from shop.events group by k', '0s')")
        .await;
    copy.run("insert into shop.events values (1, 4)").await;
    copy.run("select pgtrickle.wait_for_stream_table('shop.averages')").await;
    assert!(copy.holds("select is_equal from pgtrickle.verify_stream_table('shop.averages')").await);

    for part in ["-t shop.bag -t shop.orders -t shop.customers", "-n shop"] {
        let create = if part == "-n shop" { "psql -Xqc 'create extension pg_trickle' copy" } else { extension };
        let copy = home.copy(&format!("{create}; pg_dump {part} source | {restore}")).await;
        assert_eq!(copy.number("select count(*) from pgtrickle.pgt_status()").await, 0);
        copy.run("insert into shop.bag values (1000, true)").await;
        let definition = "'select customer, amount > 100 as big from shop.orders', '0s'";
        let other = copy.refuse("select pgtrickle.create_or_replace_stream_table('shop.bag', 'select 1 as x')").await;
        assert_eq!(other.code, "42P16", "{other}");
        copy.run(&format!("select pgtrickle.create_or_replace_stream_table('shop.bag', {definition})")).await;
        copy.run("insert into shop.orders values (6000, 1, 500)").await;
        copy.run("select pgtrickle.wait_for_stream_table('shop.bag')").await;
        assert!(copy.holds("select is_equal from pgtrickle.verify_stream_table('shop.bag')").await);
        assert_eq!(copy.refuse("insert into shop.bag values (1000, true)").await.code, "55000");
        // An ordinary table is never taken over.
        let ordinary =
            copy.refuse("select pgtrickle.create_or_replace_stream_table('shop.orders', 'select 1 as x')").await;
        assert_eq!(ordinary.code, "42809", "{ordinary}");
    }
}

/// Into a server of the release in PG_TRICKLE_NEW_BIN, or into another one of the same release. Other transaction ids are in use
/// there, and the programs are those of the newer release.
#[tokio::test]
async fn a_server_is_restored_into_another() {
    let home = Home::new(&[]).await;
    home.shell("for i in $(seq 300); do echo 'select txid_current();'; done | psql -Xq source >$work/out");
    let mut other = PrivateServer::stopped(&newer_bin(), &[], &["max_locks_per_transaction = 128"]);
    other.restart();
    let from = format!(
        "work={}
         pg_dump() {{ command pg_dump -p {port} \"$@\"; }}
         pg_dumpall() {{ command pg_dumpall -p {port} \"$@\"; }}",
        home.work.display(),
        port = home.server.port()
    );
    // The roles of initdb exist already.
    let everything = "pg_dumpall | grep -v '^CREATE ROLE postgres;' | psql -Xq -v ON_ERROR_STOP=1 >$work/out";
    other.shell(&format!("{from}\n{everything}"));
    is_live(&other.server().connect("source").await, &TABLES, false).await;
    // Within one release the other tests take all ways.
    let ways = if newer_bin() == default_bin() { &WAYS[..1] } else { &WAYS[..] };
    for (way, script) in ways {
        println!("{way}");
        other.shell(&format!("{from}\ndropdb --if-exists --force copy; createdb -T template0 copy\n{script}"));
        is_live(&other.server().connect("copy").await, &TABLES, false).await;
    }
}
