//! Dump and restore with the real programs, in every way that they offer: the restore itself succeeds, and afterwards every
//! stream table is live and equal to its query.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use pg_trickle_tests::Session;
use pg_trickle_tests::private::PrivateServer;

/// Stream tables of each kind, on tables and on each other; a partitioned source, a view, a function, a role that owns some.
const SOURCE: &str = "
    create extension pg_trickle;
    create schema shop;
    create table shop.customers (id int primary key, name text not null);
    create table shop.orders (id int primary key, customer int references shop.customers, amount numeric(10, 2),
                              at timestamptz default now());
    create table shop.events (k int, v float8) partition by range (k);
    create table shop.events_1 partition of shop.events for values from (0) to (100);
    create table shop.events_2 partition of shop.events for values from (100) to (200);
    create function shop.twice(int) returns int immutable language sql as 'select 2 * $1';
    create view shop.named as
      select o.id, c.name, o.amount from shop.orders o join shop.customers c on c.id = o.customer;
    insert into shop.customers select g, 'c' || g from generate_series(1, 50) g;
    insert into shop.orders select g, g % 50 + 1, g * 1.5 from generate_series(1, 500) g;
    insert into shop.events select g % 200, g / 7.0 from generate_series(1, 500) g;
    select pgtrickle.create_stream_table('shop.totals',
      'select name, sum(amount) as total, count(*) as n from shop.named group by name', '0s');
    select pgtrickle.create_stream_table('shop.best',
      'select name, total from shop.totals order by total desc limit 5', '0s');
    select pgtrickle.create_stream_table('shop.averages',
      'select shop.twice(k) as k, avg(v) as v from shop.events group by 1', '1s');
    select pgtrickle.create_stream_table('shop.bag', 'select customer, amount > 100 as big from shop.orders', '0s');
    select pgtrickle.create_stream_table('shop.whole',
      'select customer, count(*) as n from shop.orders group by customer', '1s', 'FULL');
    create index on shop.totals (total);
    create role shopkeeper;
    grant usage, create on schema shop to shopkeeper;
    grant select on shop.orders, shop.totals to shopkeeper;
    select pgtrickle.allow_capture('shop.orders', 'shopkeeper');
    set role shopkeeper;
    select pgtrickle.create_stream_table('shop.ranked',
      'select id, rank() over (partition by customer order by amount) as place from shop.orders', '0s');
    reset role;
    update shop.orders set amount = amount + 1 where id < 10;
    delete from shop.orders where id > 490";

const TABLES: [&str; 6] = ["totals", "best", "averages", "bag", "whole", "ranked"];

/// Changes of everything that is read.
const CHANGES: &str = "
    insert into shop.orders select 5000 + g, 1 + g, 77.5 from generate_series(1, 5) g;
    update shop.customers set name = 'new ' || id where id < 4;
    delete from shop.orders where id % 17 = 0;
    insert into shop.events values (5, 6), (150, null)";

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

/// Every stream table is live: it takes changes as deltas, and equals its query.
async fn is_live(copy: &Session, tables: &[&str], by_hand: bool) {
    let names = tables.iter().map(|table| format!("'shop.{table}'")).collect::<Vec<_>>().join(", ");
    let populated = format!(
        "select count(*) = {} from pgtrickle.pgt_status() where is_populated and status = 'ACTIVE'",
        tables.len()
    );
    let refresh = format!("select pgtrickle.refresh_stream_table(name) from unnest(array[{names}]) name");
    if by_hand {
        copy.run(&refresh).await;
    }
    copy.wait_until(&populated).await;
    copy.run(CHANGES).await;
    match by_hand {
        true => copy.run(&refresh).await,
        false => {
            copy.run(&format!("select pgtrickle.wait_for_stream_table(name, '5 min') from unnest(array[{names}]) name"))
                .await
        }
    }
    let wrong = format!(
        "select coalesce(string_agg(name, ', '), '') from unnest(array[{names}]) name, pgtrickle.verify_stream_table(name) v
          where v.is_equal is distinct from true"
    );
    assert_eq!(copy.value(&wrong).await, "");
    // No change was followed by recomputing, and nothing failed.
    let failed = "select coalesce(string_agg(concat_ws(' ', name, last_action, last_error), ', '), '')
                    from pgtrickle.pgt_status() where last_error is not null or consecutive_errors > 0
                      or last_action not in ('DIFFERENTIAL', 'FULL')";
    assert_eq!(copy.value(failed).await, "");
    // Ids that the restore has brought are not given again.
    copy.run("select pgtrickle.create_stream_table('shop.another', 'select count(*) as n from shop.orders', '0s')")
        .await;
    copy.run("select pgtrickle.drop_stream_table('shop.another')").await;
    let left = "select count(*) from pg_class c where c.relkind = 'r'
                   and (c.relnamespace = 'pgtrickle_state'::regnamespace and not exists
                          (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')
                     or c.relnamespace = 'pgtrickle_changes'::regnamespace and not exists
                          (select from pgtrickle.pgt_sources s where c.relname = 'changes_' || s.source_id))";
    assert_eq!(copy.number(left).await, 0);
    assert!(copy.holds("select count(*) = 2 from pg_index where indrelid = 'shop.totals'::regclass").await);
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

/// Everything of a server into another one, in which other transaction ids are in use.
#[tokio::test]
async fn a_server_is_restored_into_another() {
    let home = Home::new(&[]).await;
    home.shell("for i in $(seq 300); do echo 'select txid_current();'; done | psql -Xq source >$work/out; pg_dumpall >$work/all");
    let other = PrivateServer::start(&["max_locks_per_transaction = 128"]);
    // The roles of initdb exist already.
    other.shell(&format!(
        "grep -v '^CREATE ROLE postgres;' {}/all | psql -Xq -v ON_ERROR_STOP=1 >/dev/null",
        home.work.display()
    ));
    let copy = other.server().connect("source").await;
    is_live(&copy, &TABLES, false).await;
}
