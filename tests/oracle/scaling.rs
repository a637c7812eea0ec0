//! Beyond one machine, on PostgreSQL's own logical replication: `docs/SCALING.md`.

use pg_trickle_tests::Session;
use pg_trickle_tests::private::PrivateServer;

/// A server with database `shop`, and a session in it.
async fn node(settings: &[&str]) -> (PrivateServer, Session) {
    let server = PrivateServer::start(&[&["wal_level = logical"], settings].concat());
    server.shell("createdb shop");
    let session = server.server().connect("shop").await;
    (server, session)
}

async fn subscribe(session: &Session, name: &str, from: &PrivateServer) {
    let connection = format!("host=127.0.0.1 port={} user=postgres dbname=shop", from.port());
    session.run(&format!("create subscription {name} connection '{connection}' publication {name}")).await;
}

const ORDERS: &str = "create table orders (id int primary key, product int, amount numeric(10, 2))";

/// The primary has neither extension nor triggers, and the reader node keeps the stream tables.
#[tokio::test]
async fn a_reader_node_keeps_the_stream_tables() {
    let (primary, writer) = node(&["shared_preload_libraries = ''"]).await;
    let (_reader, reader) = node(&[]).await;
    writer.run(&format!("{ORDERS}; create publication orders for table orders")).await;
    writer.run("insert into orders select g, g % 7, g from generate_series(1, 1000) g").await;
    reader.run(&format!("create extension pg_trickle; {ORDERS}")).await;
    reader
        .run(
            "select pgtrickle.create_stream_table('totals',
               'select product, count(*) as n, sum(amount) as amount, max(amount) as most from orders group by product', '0s')",
        )
        .await;
    subscribe(&reader, "orders", &primary).await;
    for round in 0..20 {
        writer
            .run(&format!(
                "update orders set amount = amount + {round} where id % 20 = {round}; delete from orders where id = {round};
                 insert into orders values ({}, {round}, 1)",
                5000 + round
            ))
            .await;
    }
    let totals = "select coalesce(string_agg(t::text, ' ' order by product), '')";
    let wanted = writer
        .value(&format!(
            "{totals} from (select product, count(*) as n, sum(amount) as amount, max(amount) as most from orders group by product) t"
        ))
        .await;
    reader.wait_until(&format!("{totals} = '{wanted}' from totals t")).await;
    assert!(reader.holds("select is_equal from pgtrickle.verify_stream_table('totals')").await);
    assert_eq!(writer.number("select count(*) from pg_trigger where not tgisinternal").await, 0);
}

/// What every shard keeps of its orders, and what combines: counts and sums are added up, extremes compared.
fn partial(shard: usize) -> String {
    format!(
        "create extension pg_trickle; {ORDERS};
         select pgtrickle.create_stream_table('partial',
           'select {shard} as shard, product, count(*) as n, sum(amount) as amount, min(amount) as least, max(amount) as most
              from orders group by product', '0s');
         alter table partial add primary key (shard, product);
         alter table partial replica identity default;
         create publication shard{shard} for table partial"
    )
}

const CENTRE: &str = "
    create extension pg_trickle;
    create table partial (shard int, product int, n bigint, amount numeric, least numeric, most numeric, primary key (shard, product));
    select pgtrickle.create_stream_table('totals',
      'select product, sum(n) as n, sum(amount) as amount, sum(amount) / sum(n) as average, min(least) as least, max(most) as most
         from partial group by product', '0s')";

/// The totals of these shards' orders, computed from the orders themselves.
async fn expected(shards: &[(PrivateServer, Session)]) -> Vec<String> {
    let mut orders = vec![];
    for (_, shard) in shards {
        orders.extend(shard.column("select format('(%s, %s::numeric)', product, amount) from orders").await);
    }
    let (_, any) = &shards[0];
    any.column(&format!(
        "select format('%s %s %s %s %s %s', product, count(*), sum(amount), round(sum(amount) / count(*), 6), min(amount), max(amount))
           from (values {}) o(product, amount) group by product order by product",
        orders.join(", ")
    ))
    .await
}

async fn is_exact(centre: &Session, shards: &[(PrivateServer, Session)]) {
    let wanted = expected(shards).await.join("\n");
    let shown = format!(
        "select string_agg(format('%s %s %s %s %s %s', product, n, amount, round(average, 6), least, most), chr(10)
                           order by product) = '{wanted}' from totals"
    );
    centre.wait_until(&shown).await;
    assert!(centre.holds("select is_equal from pgtrickle.verify_stream_table('totals')").await);
}

async fn write(shards: &[(PrivateServer, Session)], rounds: std::ops::Range<i32>) {
    for round in rounds {
        for (at, (_, shard)) in shards.iter().enumerate() {
            shard
                .run(&format!(
                    "insert into orders select {round} * 100 + g, (g + {at}) % 9, g * {at} + {round} from generate_series(1, 30) g;
                     update orders set product = product + 1, amount = -amount where id % 13 = {round} % 13;
                     delete from orders where id % 11 = {round} % 11"
                ))
                .await;
        }
    }
}

/// Three shards with partial aggregates, and a centre that combines them; then one shard goes, and another comes.
#[tokio::test]
async fn a_centre_combines_the_partial_aggregates_of_shards() {
    let (_server, centre) = node(&[]).await;
    centre.run(CENTRE).await;
    let mut shards = vec![];
    for shard in 1..=3 {
        let (server, session) = node(&["max_worker_processes = 12"]).await;
        session.run(&partial(shard)).await;
        subscribe(&centre, &format!("shard{shard}"), &server).await;
        shards.push((server, session));
    }
    write(&shards, 1..6).await;
    is_exact(&centre, &shards).await;
    // Only the keys that changed travel: one order, one row of each shard that has it.
    let seen = "select sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint from pgtrickle.pg_stat_stream_tables";
    let before = shards[0].1.number(seen).await;
    shards[0].1.run("insert into orders values (9999, 3, 5)").await;
    is_exact(&centre, &shards).await;
    // Counted right after the commit that shows it.
    shards[0].1.wait_until(&format!("select ({seen}) > {before}")).await;
    assert_eq!(shards[0].1.number(seen).await, before + 1);

    let (gone, session) = shards.pop().expect("three");
    drop(session);
    centre.run("alter subscription shard3 disable").await;
    centre.run("drop subscription shard3").await;
    drop(gone);
    centre.run("delete from partial where shard = 3").await;
    is_exact(&centre, &shards).await;
    let (server, session) = node(&["max_worker_processes = 12"]).await;
    session.run(&partial(4)).await;
    session.run("insert into orders select g, g % 5, g from generate_series(1, 100) g").await;
    subscribe(&centre, "shard4", &server).await;
    shards.push((server, session));
    write(&shards, 6..9).await;
    is_exact(&centre, &shards).await;
}
