//! A database with stream tables of each kind, for tests of what happens to whole databases and servers.

use crate::session::Session;

/// Stream tables of each kind, on tables and on each other; a partitioned source, a view, a function, a role that owns some.
pub const SOURCE: &str = "
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
    select pgtrickle.create_stream_table('shop.spent',
      'select customer, sum(amount) as total from shop.orders group by customer', refresh_mode => 'IMMEDIATE');
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

pub const TABLES: [&str; 7] = ["totals", "best", "averages", "bag", "whole", "ranked", "spent"];

/// Whether the stream table in mode IMMEDIATE is its query, a change of the same transaction included.
const IS_IMMEDIATE: &str = "
    with query as (select customer, sum(amount) as total from shop.orders group by customer)
    select count(*) = 0 from ((table shop.spent except all table query) union all (table query except all table shop.spent)) d";

/// Changes of everything that is read.
pub const CHANGES: &str = "
    insert into shop.orders select 5000 + g, 1 + g, 77.5 from generate_series(1, 5) g;
    update shop.customers set name = 'new ' || id where id < 4;
    delete from shop.orders where id % 17 = 0;
    insert into shop.events values (5, 6), (150, null)";

/// Every stream table is live: it takes changes as deltas, and equals its query.
pub async fn is_live(copy: &Session, tables: &[&str], by_hand: bool) {
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
    // Until then writers need not maintain it.
    copy.wait_until("select count(*) = 0 from pgtrickle.pgt_frontiers where reinitialize is not null").await;
    copy.run("begin").await;
    copy.run(CHANGES).await;
    assert!(!tables.contains(&"spent") || copy.holds(IS_IMMEDIATE).await, "shop.spent is not its query");
    copy.run("commit").await;
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
                      or last_action not in ('DIFFERENTIAL', 'FULL') and refresh_mode <> 'IMMEDIATE'";
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
