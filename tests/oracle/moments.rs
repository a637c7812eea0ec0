//! Stream tables that show one moment: connected ones of one target, and those of a refresh group, whatever else is refreshed,
//! and by whichever worker.
//!
//! Most transactions change the sum, or move a row from one group to another, so a table that is ahead of another in some
//! snapshot, or behind it, is seen by the readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Dice, Session};

/// By each reader, unless `PG_TRICKLE_READS` says otherwise, and of how many states of the data.
const READS: usize = 2_000;
const MOMENTS: usize = 12;
const WRITERS: u64 = 2;

/// `doze` is the work of a large refresh, which a worker of the pool makes. The tables of an hour are over the same rows.
const SETUP: &str = "
    create table accounts (id int primary key, g int not null, v bigint not null);
    insert into accounts select n, n % 10, 100 from generate_series(1, 200) n;
    create function doze(numeric) returns numeric language plpgsql immutable as
      'begin perform pg_sleep(0.001); return $1; end';
    select pgtrickle.create_stream_table('hourly_' || n, format('select g, max(v) as v from accounts where id %% 5 = %s group by g', n), '1h')
      from generate_series(0, 4) n";

/// A diamond with a chain below it, in a schema of its own.
fn diamond(schema: &str, schedule: &str, work: &str) -> String {
    let tables = [
        ("detail", "select id, g, v from accounts where v <> 0"),
        (
            "sums",
            &format!("select g, sum(v) as s, count(*) as n, {work}(sum(v)) as again from {schema}.detail group by g"),
        ),
        ("largest", &format!("select g, max(v) as m, count(*) as n from {schema}.detail group by g")),
        ("total", &format!("select sum(s) as s, sum(n) as n from {schema}.sums")),
        (
            "joined",
            &format!(
                "select s.g, s.s, l.m, s.n as one, l.n as other from {schema}.sums s full join {schema}.largest l on l.g = s.g"
            ),
        ),
        (
            "bottom",
            &format!(
                "select sum(j.s) as s, sum(j.one) as n, count(*) filter (where j.one is distinct from j.other) as wrong, max(t.s) as total from {schema}.joined j cross join {schema}.total t"
            ),
        ),
    ];
    let created = tables.map(|(name, query)| {
        format!("select pgtrickle.create_stream_table('{schema}.{name}', '{query}', '{schedule}');")
    });
    format!("create schema {schema}; {}", created.concat())
}

/// In one snapshot: the sum over the detail, and what each table further down shows of it. Then the step of the data.
fn read_diamond(schema: &str) -> String {
    format!(
        "with d as (select coalesce(sum(v), 0) as s, count(*) as n, max(v) as m from {schema}.detail)
         select d.s = t.s and d.n = t.n and d.s = b.s and d.n = b.n and b.total = d.s and b.wrong = 0
                and d.m = (select max(m) from {schema}.joined) and (select sum(s) from {schema}.sums) = d.s,
                d.s
           from d, {schema}.total t, {schema}.bottom b"
    )
}

/// Two branches with a source each, of which often only one changes. Some transactions move an amount from one source to the other.
const STAR: &str = "
    create schema star;
    create table star.dims as select n as id, 'dim ' || n as name from generate_series(0, 4) n;
    create table star.left (id int primary key, d int not null, v bigint not null);
    create table star.right (id int primary key, d int not null, v bigint not null);
    insert into star.left select n, n % 5, 100 from generate_series(1, 50) n;
    insert into star.right select n, n % 5, 100 from generate_series(1, 50) n;
    select pgtrickle.create_stream_table('star.names', 'select id, name from star.dims', '0s');
    select pgtrickle.create_stream_table('star.lefts', 'select n.name, sum(l.v) as v from star.left l join star.names n on n.id = l.d group by n.name', '0s');
    select pgtrickle.create_stream_table('star.rights', 'select n.name, sum(r.v) as v from star.right r join star.names n on n.id = r.d group by n.name', '0s')";
const READ_STAR: &str = "
    select (select sum(v) from star.lefts) + (select sum(v) from star.rights) = 10000, (select sum(v) from star.lefts)";

/// Not connected, of different schedules, and one of them slow; a group.
const SIBLINGS: &str = "
    select pgtrickle.create_stream_table('left_sum', 'select sum(v) as s, count(*) as n from accounts', '0s');
    select pgtrickle.create_stream_table('right_sums', 'select g, doze(sum(v)) as s, count(*) as n from accounts group by g', '1s');
    select pgtrickle.create_stream_table('copy', 'select id, v from accounts', '1h', 'FULL');
    select pgtrickle.create_refresh_group('siblings', 'left_sum', 'right_sums', 'copy')";
const READ_SIBLINGS: &str = "
    select l.s = (select sum(s) from right_sums) and l.n = (select sum(n) from right_sums)
           and l.s = (select sum(v) from copy) and l.n = (select count(*) from copy), l.s
      from left_sum l";

async fn write(database: Arc<Database>, stop: Arc<AtomicBool>, seed: u64) -> u64 {
    let session = database.connect().await;
    let mut dice = Dice::new(seed);
    let mut count = 0;
    while !stop.load(Relaxed) {
        // One after the other by id, so that writers never wait in a circle.
        let (one, two) = (dice.between(1, 100), dice.between(101, 200));
        let (amount, group) = (dice.between(-20, 20), dice.between(0, 9));
        let (first, second) = (dice.between(1, 25), dice.between(26, 50));
        let sql = match dice.below(7) {
            4 => format!(
                "update star.left set v = v - {amount} where id = {first}; update star.right set v = v + {amount} where id = {second}"
            ),
            5 => format!(
                "update star.left set v = v - {amount} where id = {first}; update star.left set v = v + {amount} where id = {second}"
            ),
            6 => format!("update star.right set d = {group} % 5 where id = {first}"),
            0 => format!(
                "update accounts set v = v + {amount} where id = {one}; update accounts set v = v - {amount} where id = {two}"
            ),
            1 => format!("update accounts set g = {group} where id in ({one})"),
            2 => format!(
                "with gone as (delete from accounts where id = {one} returning *) update accounts a set v = a.v + gone.v from gone where a.id = {two}"
            ),
            _ => format!(
                "insert into accounts values ({one}, {group}, {amount}) on conflict (id) do update set v = accounts.v + 1"
            ),
        };
        session.run(&format!("begin; {sql}; commit")).await;
        count += 1;
    }
    count
}

/// Reads until there are enough reads and states; how many of both.
async fn read(database: Arc<Database>, what: String, query: String) -> String {
    let session = database.connect().await;
    let wanted = std::env::var("PG_TRICKLE_READS").map_or(READS, |reads| reads.parse().expect("a number"));
    let (mut reads, mut moments, mut last) = (0, 0, None);
    while reads < wanted || moments < MOMENTS {
        let row = session.rows(&query).await.into_iter().next().expect("a row");
        assert_eq!(row[0].as_deref(), Some("t"), "{what}, read {reads}: two moments in one snapshot");
        moments += usize::from(last.as_ref() != Some(&row[1]));
        last = Some(row[1].clone());
        reads += 1;
    }
    format!("{what}: {reads} reads of {moments} moments")
}

#[tokio::test]
async fn snapshot_shows_one_moment() {
    let seed = seed("moments");
    let database = Arc::new(Database::fresh("moments").await);
    let session = database.connect().await;
    session.run(SETUP).await;
    let worlds =
        [("at_once", "0s", ""), ("each_second", "1s", ""), ("derived", "calculated", ""), ("slow", "0s", "doze")];
    let mut queries = vec![("siblings", READ_SIBLINGS.to_owned()), ("star", READ_STAR.to_owned())];
    session.run(STAR).await;
    for (schema, schedule, work) in worlds {
        session.run(&diamond(schema, schedule, work)).await;
        queries.push((schema, read_diamond(schema)));
    }
    session.run(SIBLINGS).await;
    let started = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|at| tokio::spawn(write(database.clone(), stop.clone(), seed ^ at))).collect();
    let readers: Vec<_> =
        queries.into_iter().map(|(what, query)| tokio::spawn(read(database.clone(), what.to_owned(), query))).collect();
    for reader in readers {
        println!("{}, {:?}", reader.await.expect("every read shows one moment"), started.elapsed());
    }
    stop.store(true, Relaxed);
    for writer in writers {
        println!("{} transactions", writer.await.expect("no panic"));
    }
    for hour in 0..5 {
        exact::refresh(&session, &format!("hourly_{hour}")).await;
    }
    exact::wait_fresh(&session).await;
    for table in exact::stream_tables(&session).await {
        exact::check(&session, &table, Equality::Text).await;
    }
    assert_eq!(exact::errors(&session).await, Vec::<String>::new());
    drop(session);
    Arc::into_inner(database).expect("all others ended").close().await;
}

const FAILING: &str = "
    create table numbers (id int primary key, v int not null);
    create table others (id int primary key, v int not null);
    insert into numbers values (1, 1);
    insert into others values (1, 1);
    select pgtrickle.create_stream_table('base', 'select id, v from numbers', '0s');
    select pgtrickle.create_stream_table('inverse', 'select id, 100 / v as w from base', '0s');
    select pgtrickle.create_stream_table('apart', 'select id, v from others', '0s')";

async fn status_of(session: &Session, table: &str) -> Vec<Option<String>> {
    let query = "select status, waits_for, refresh_group from pgtrickle.pgt_status() where name";
    session.rows(&format!("{query} = 'public.{table}'")).await.into_iter().next().expect("a row")
}

fn text(row: &[Option<String>]) -> Vec<&str> {
    row.iter().map(|value| value.as_deref().unwrap_or("")).collect()
}

/// What fails holds what shows the same moment, until it is suspended: then it shows no moment that is promised.
#[tokio::test]
async fn failure_holds_what_shows_the_same_moment() {
    let database = Database::fresh("moments_failing").await;
    let session = database.connect().await;
    session.run(FAILING).await;
    session.run("insert into numbers values (2, 0); insert into others values (2, 0)").await;
    session.wait_until("select count(*) = 2 from apart").await;
    session.wait_until("select consecutive_errors > 0 from pgtrickle.pgt_status() where name = 'public.inverse'").await;
    // Read in one snapshot: either it is still held, or the failing one is suspended.
    let held = "select (select count(*) from base) = 1 or (select status = 'SUSPENDED' from pgtrickle.pgt_stream_tables
                  where pgt_relid = 'inverse'::regclass)";
    assert!(session.holds(held).await);
    session.wait_until("select count(*) = 2 from base").await;
    assert_eq!(text(&status_of(&session, "inverse").await), ["SUSPENDED", "", ""]);
    assert_eq!(text(&status_of(&session, "base").await), ["ACTIVE", "", ""]);
    session.run("update numbers set v = 5; select pgtrickle.resume_stream_table('inverse')").await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "base", Equality::Text).await;
    exact::check(&session, "inverse", Equality::Text).await;
    database.close().await;
}

/// A group stands still as long as one of its tables is not refreshed, and says for which it waits.
#[tokio::test]
async fn group_stands_still_with_one_of_its_tables() {
    let database = Database::fresh("moments_group").await;
    let session = database.connect().await;
    session.run(FAILING).await;
    session.run("select pgtrickle.create_refresh_group('both', 'inverse', 'apart')").await;
    session.run("insert into others values (2, 2); insert into numbers values (2, 0)").await;
    session.wait_until("select status = 'SUSPENDED' from pgtrickle.pgt_status() where name = 'public.inverse'").await;
    assert_eq!(text(&status_of(&session, "apart").await), ["ACTIVE", "public.inverse", "both"]);
    session.run("insert into others values (3, 3)").await;
    // Another table that is refreshed at once tells that there was time for it.
    session.run("select pgtrickle.create_stream_table('witness', 'select count(*) as n from others', '0s'); insert into others values (4, 4)").await;
    session.wait_until("select n = 4 from witness").await;
    assert_eq!(session.number("select count(*) from apart where id > 1").await, 0);
    let waiting = session.refuse("select pgtrickle.wait_for_stream_table('apart')").await;
    assert_eq!(waiting.message, "stream table public.inverse is suspended");
    let refused = session.refuse("select pgtrickle.refresh_stream_table('apart')").await;
    assert_eq!(refused.code, "22012", "by hand neither: {refused:?}");
    session.run("update numbers set v = 5; select pgtrickle.resume_stream_table('inverse')").await;
    exact::wait_fresh(&session).await;
    for table in ["base", "inverse", "apart"] {
        exact::check(&session, table, Equality::Text).await;
    }
    assert_eq!(text(&status_of(&session, "apart").await), ["ACTIVE", "", "both"]);
    session.run("select pgtrickle.drop_refresh_group('both')").await;
    assert_eq!(text(&status_of(&session, "apart").await), ["ACTIVE", "", ""]);
    database.close().await;
}
