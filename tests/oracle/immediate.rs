//! Refresh mode IMMEDIATE: a stream table is its query for every statement of every transaction, the one that writes included.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::home::Home;
use pg_trickle_tests::live::{self, Fact};
use pg_trickle_tests::oracle::make_world;
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::queries::{CORRELATED, EXTENSIONS, MEANINGS, QUERIES, SETS, WINDOWS};
use pg_trickle_tests::traffic::Workload;
use pg_trickle_tests::world::{self, Shuffle};
use pg_trickle_tests::{Database, Dice, Failure, Session, replication};

const TABLES: usize = 14;

/// Some of all constructs over hard values, chains of them, and deferred readers; transactions of every kind.
#[tokio::test]
async fn exact_in_every_transaction() {
    const CLIENTS: u64 = 4;
    const WRITERS: u64 = 2;
    let mut dice = Dice::new(seed("immediate"));
    let database = Arc::new(Database::fresh("immediate").await);
    let session = database.connect().await;
    make_world(&session).await;
    for statement in world::fill(&mut dice) {
        session.run(&statement).await;
    }
    let mut facts = vec![];
    let mut deferred = vec![];
    let all: Vec<_> =
        QUERIES.iter().chain(SETS).chain(WINDOWS).chain(MEANINGS).chain(CORRELATED).chain(EXTENSIONS).collect();
    while facts.len() < TABLES {
        let query = *dice.pick(&all);
        let name = format!("i{}", facts.len());
        let created = session.attempt(&creation(&name, &Home::PLAIN.place(query.sql), "IMMEDIATE")).await;
        match created {
            Ok(()) => println!("{name}: {}", query.name),
            // It can only be recomputed, reads the clock, or a table that is not there.
            Err(failure) if ["0A000", "42P01"].contains(&failure.code.as_str()) => continue,
            Err(failure) => panic!("{failure}\nin {}", query.sql),
        }
        facts.push(Fact::of(&session, &name, query.equality).await);
        if dice.percent(50) {
            let chained = format!("i{}", facts.len());
            session.run(&creation(&chained, &format!("select count(*) as n from {name}"), "IMMEDIATE")).await;
            facts.push(Fact::of(&session, &chained, Equality::Text).await);
        }
        if dice.percent(50) {
            let reader = format!("d{}", facts.len());
            session.run(&creation(&reader, &format!("select count(*) as n from {name}"), "AUTO")).await;
            deferred.push(reader);
        }
    }
    let facts = Arc::new(facts);
    let (mut workload, seed) = (Workload::default(), dice.between(0, i64::MAX) as u64);
    for at in 0..CLIENTS {
        let client = database.connect().await;
        workload.add(live::reader((client, "auto"), workload.traffic.clone(), facts.clone(), seed ^ (100 + at)));
    }
    workload.add_writers(WRITERS, Shuffle, &database, seed);
    let until = Instant::now() + budget(30);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(workload.is_complete(), "a task ended: {:?}", workload.end().await);
        let _frozen = workload.traffic.commits.write().await;
        require_followed(&session, &deferred).await;
    }
    assert!(workload.is_complete(), "a task ended: {:?}", workload.end().await);
    let traffic = Arc::clone(&workload.traffic);
    workload.end().await;
    while traffic.decide(&session, 0, true).await.expect("a prepared transaction commits") {}
    for fact in facts.iter() {
        let found = fact.differences(&session).await.expect("a comparison");
        assert!(found.is_empty(), "{found:?}");
    }
    require_followed(&session, &deferred).await;
    let (reads, contended) = (traffic.compared.load(Relaxed), traffic.contended.load(Relaxed));
    println!("immediate: {reads} reads, {} transactions, {contended} contended", traffic.finished.load(Relaxed));
    assert!(reads > 0 && traffic.committed.load(Relaxed) > 0);
}

/// The deferred readers show all that is committed.
async fn require_followed(session: &Session, deferred: &[String]) {
    for name in deferred {
        let wait = format!("select pgtrickle.wait_for_stream_table('{name}', '60s')");
        assert!(session.holds(&wait).await, "{:?}", session.rows("select * from pgtrickle.pgt_status()").await);
        exact::check(session, name, Equality::Text).await;
    }
}

fn creation(name: &str, query: &str, mode: &str) -> String {
    format!("select pgtrickle.create_stream_table('{name}', $q${query}$q$, refresh_mode => '{mode}')")
}

const BANK: &str = "
    create table accounts (id int primary key, branch int not null, balance int not null);
    create table branches (id int primary key, name text not null);
    insert into accounts select g, g % 5, 100 from generate_series(1, 100) g;
    insert into branches select g, 'b' || g from generate_series(0, 4) g;
    select pgtrickle.create_stream_table('sums', 'select branch, sum(balance) as s, count(*) as n from accounts group by branch', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('named', 'select b.name, s.s from sums s join branches b on b.id = s.branch', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('richest', 'select id, balance from accounts order by balance desc, id limit 5', refresh_mode => 'IMMEDIATE')";
const BANK_TABLES: [&str; 3] = ["sums", "named", "richest"];

async fn facts_of(session: &Session, names: &[&str], equality: Equality) -> Vec<Fact> {
    let mut facts = vec![];
    for name in names {
        facts.push(Fact::of(session, name, equality).await);
    }
    facts
}

async fn require_exact(session: &Session, facts: &[Fact], when: &str) {
    for fact in facts {
        let found = fact.differences(session).await.expect("a comparison");
        assert!(found.is_empty(), "{when}: {found:?}");
    }
}

/// A client that moves money, in transactions of all kinds, until its connection is lost or the time is over.
async fn mover(session: Session, seed: u64, until: Instant) -> Result<u64, Failure> {
    let mut dice = Dice::new(seed);
    let mut committed = 0;
    session.attempt("set lock_timeout = '2s'").await?;
    while Instant::now() < until {
        let level = *dice.pick(&["read committed", "repeatable read", "serializable"]);
        let (from, to, sum) = (1 + dice.below(100), 1 + dice.below(100), dice.below(20));
        let branch = dice.below(6);
        let body = match dice.below(5) {
            0 => format!("update accounts set branch = {branch} where id = {from}"),
            1 => format!("update branches set name = name || '.' where id = {branch}"),
            2 => format!("savepoint s; delete from accounts where id = {from}; rollback to s; table sums"),
            _ => format!(
                "update accounts set balance = balance - {sum} where id = {from}; table richest;
                 update accounts set balance = balance + {sum} where id = {to}"
            ),
        };
        match session.attempt(&format!("begin isolation level {level}; {body}; commit")).await {
            Ok(()) => committed += 1,
            Err(failure) if failure.is_contention() => session.attempt("rollback").await?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(committed)
}

/// Kills in the midst of commits, with a prepared transaction that holds a stream table.
#[tokio::test]
async fn exact_after_crashes() {
    const CRASHES: u64 = 3;
    let seed = seed("immediate_crashes");
    let mut server = PrivateServer::start(&[]);
    let name = Database::on(&server.server(), "immediate_crashes").await.name.clone();
    let session = server.server().connect(&name).await;
    session.run(BANK).await;
    let facts = facts_of(&session, &BANK_TABLES, Equality::Text).await;
    for crash in 0..CRASHES {
        let mut movers = vec![];
        let until = Instant::now() + Duration::from_secs(60);
        for at in 0..4 {
            let session = server.server().connect(&name).await;
            movers.push(tokio::spawn(mover(session, seed ^ (10 * crash + at), until)));
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let holder = server.server().connect(&name).await;
        let prepared =
            holder.attempt("begin; insert into accounts values (1000, 1, 1); prepare transaction 'held'").await;
        server.kill_all();
        for mover in movers {
            let ended = mover.await.expect("it ends");
            assert!(ended.as_ref().is_err_and(Failure::is_disconnect), "{ended:?}");
        }
        server.restart();
        let session = server.server().connect(&name).await;
        require_exact(&session, &facts, "after a crash").await;
        if prepared.is_ok() {
            // It holds the stream tables as before.
            let refused = session.attempt("set lock_timeout = '200ms'; insert into accounts values (1001, 1, 1)").await;
            assert!(refused.is_err_and(|failure| failure.code == "55P03"));
            session.run("commit prepared 'held'").await;
            session.run("reset lock_timeout").await;
            require_exact(&session, &facts, "after the prepared transaction").await;
            session.run("delete from accounts where id = 1000").await;
        }
    }
    require_exact(&server.server().connect(&name).await, &facts, "at the end").await;
}

/// An apply worker calls no hook of the executor.
#[tokio::test]
async fn replicated_changes_are_maintained() {
    let server = PrivateServer::start(&["wal_level = logical"]);
    let (from, to) = (Database::on(&server.server(), "origin").await, Database::on(&server.server(), "copy").await);
    let (publisher, subscriber) = (from.connect().await, to.connect().await);
    subscriber.run(BANK).await;
    let facts = facts_of(&subscriber, &BANK_TABLES, Equality::Text).await;
    publisher
        .run(
            "create table accounts (id int primary key, branch int not null, balance int not null);
             insert into accounts select 1000 + g, g % 5, 7 from generate_series(1, 50) g;
             create publication accounts for table accounts",
        )
        .await;
    replication::subscribe(&subscriber, &publisher, "accounts").await;
    require_exact(&subscriber, &facts, "after the first copy").await;
    assert_eq!(subscriber.number("select sum(n)::bigint from sums").await, 150);
    for round in 1..=20 {
        publisher
            .run(&format!(
                "update accounts set balance = balance + {round} where id % 3 = 0; delete from accounts where id = {};
                 insert into accounts values ({}, 2, {round})",
                1000 + round,
                2000 + round
            ))
            .await;
        require_exact(&subscriber, &facts, "while changes are applied").await;
    }
    let applied = publisher.value("select sum(balance) from accounts").await;
    subscriber.wait_until(&format!("select sum(balance) = {applied} from accounts where id > 1000")).await;
    require_exact(&subscriber, &facts, "at the end").await;
    replication::unsubscribe(&subscriber, &publisher, "accounts").await;
}

const SIDES: &str = "
    create table r (id bigint primary key, k int not null, v int not null);
    create table s (id bigint primary key, k int not null, w int not null);
    create table p (id bigint primary key, name text not null);
    create index on r (k); create index on s (k);
    insert into p select g, 'p' || g from generate_series(1, 20) g;
    create sequence ids start 100;
    select pgtrickle.create_stream_table('rows', 'select id, v * 2 as v from r where v > 1', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('pairs', 'select r.id as r, s.id as s, v, w from r join s using (k) where v <> w', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('looked_up', 'select r.id, r.v, p.name from r join p on p.id = r.v', refresh_mode => 'IMMEDIATE')";
const SIDES_TABLES: [&str; 3] = ["rows", "pairs", "looked_up"];

/// Views that are linear in each source: writers of one side go beside each other, those of both miss no pair of each other.
#[tokio::test]
async fn sides_of_a_join_exclude_each_other() {
    pass_beside("immediate_sides", SIDES, (&SIDES_TABLES, Equality::Text), |dice| {
        let (k, v) = (dice.below(4), dice.below(25));
        match dice.below(8) {
            0 => format!("insert into s values (nextval('ids'), {k}, {v})"),
            1 => format!("delete from s where id in (select id from s where k = {k} order by id limit 3)"),
            2 => format!("update r set k = {k} where id in (select id from r where v = {v} order by id limit 2)"),
            3 => format!("update p set name = name || '.' where id = {v}"),
            4 => format!("delete from r where id in (select id from r where k = {k} order by id limit 4)"),
            5 => {
                format!("update p set id = id + 40 where id = {v} and not exists (select from p where id = {v} + 40)")
            }
            _ => format!("insert into r values (nextval('ids'), {k}, {v})"),
        }
    })
    .await;
}

const GROUPS: &str = "
    create table e (id bigint primary key, g int, h text, v int, d int);
    create table f (id bigint primary key, g numeric, v int);
    create table p (id int primary key, name text not null);
    create index on e (g, v);
    insert into p select g, 'p' || g from generate_series(0, 5) g;
    create sequence ids start 100;
    select pgtrickle.create_stream_table('sums', 'select g, count(*) as n, sum(v) as s, min(v) as least, max(v) as most, avg(v) as a from e group by g', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('many', 'select h, d, count(distinct v) as n from e where v > 2 group by h, d having count(*) > 1', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('named', 'select e.g, count(*) as n, string_agg(p.name, '','' order by p.name, e.id) as names from e join p on p.id = e.d group by e.g', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('known', 'select e.h, count(p.name) as n, sum(e.v) as v from e left join p on p.id = e.d group by e.h', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('seen', 'select distinct h, g from e', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('ranks', 'select id, g, rank() over (partition by g order by v, id) as r from f', refresh_mode => 'IMMEDIATE');
    select pgtrickle.create_stream_table('firsts', 'select distinct on (g) g, id, v from f order by g, v, id', refresh_mode => 'IMMEDIATE')";
const GROUPS_TABLES: [&str; 7] = ["sums", "many", "named", "known", "seen", "ranks", "firsts"];

/// Views that are local to columns of a source: writers of different groups go beside each other, those of one group follow each other.
/// Equal numbers look different, rows move between groups, groups come and go, some statements have many groups.
#[tokio::test]
async fn writers_of_different_groups_go_beside_each_other() {
    pass_beside("immediate_groups", GROUPS, (&GROUPS_TABLES, Equality::Text), |dice| {
        let mut group = || if dice.percent(5) { "null".to_owned() } else { dice.below(8).to_string() };
        let (g, other) = (group(), group());
        let look = if g == "null" { "" } else { *dice.pick(&["", ".0", ".00"]) };
        let (v, d, h) = (dice.below(9), dice.below(7), dice.below(12));
        let some = |table: &str| format!("id in (select id from {table} where g = {g} order by id limit 2)");
        match dice.below(16) {
            0 => format!("delete from e where {}", some("e")),
            1 => format!("update e set g = {other} where {}", some("e")),
            2 => format!("update e set v = {v}, h = 'h{h}' where {}", some("e")),
            3 => format!("update e set d = {d} where {}", some("e")),
            4 => format!("update p set name = name || '.' where id = {d} and length(name) < 6"),
            5 if v == 0 => "update e set v = v + 1 where v < 3".to_owned(),
            5 if v == 1 => format!("delete from e where h = 'h{h}'"),
            5 if v == 2 => {
                "insert into e select nextval('ids'), n % 50, 'many', n, n % 7 from generate_series(1, 60) n".to_owned()
            }
            6 => format!("delete from f where {}", some("f")),
            7 => format!("update f set g = {other}, v = {v} where {}", some("f")),
            8 | 9 => format!("insert into f values (nextval('ids'), {g}{look}, {v})"),
            _ => format!("insert into e values (nextval('ids'), {g}, 'h{h}', {v}, {d})"),
        }
    })
    .await;
}

/// Clients that change the sources of stream tables, and read these within their transactions.
async fn pass_beside(
    name: &str,
    schema: &str,
    (tables, equality): (&[&str], Equality),
    statement: fn(&mut Dice) -> String,
) {
    const CLIENTS: u64 = 6;
    let seed = seed(name);
    let database = Database::fresh(name).await;
    let session = database.connect().await;
    session.run(schema).await;
    let facts = facts_of(&session, tables, equality).await;
    let until = Instant::now() + budget(8);
    let mut clients = vec![];
    for at in 0..CLIENTS {
        let (session, mut dice) = (database.connect().await, Dice::new(seed ^ at));
        let fact = Fact::of(&session, tables[at as usize % tables.len()], equality).await;
        clients.push(tokio::spawn(async move {
            let mut committed = 0_u64;
            session.attempt("set lock_timeout = '2s'").await?;
            while Instant::now() < until {
                let statements: Vec<String> = (0..1 + dice.below(2)).map(|_| statement(&mut dice)).collect();
                let looks = if dice.percent(30) { fact.read() } else { "" };
                let level = if dice.percent(20) { "repeatable read" } else { "read committed" };
                let body = format!("begin isolation level {level}; {}; {looks}; commit", statements.join("; "));
                match session.attempt(&body).await {
                    Ok(()) => committed += 1,
                    Err(failure) if failure.is_contention() => session.attempt("rollback").await?,
                    Err(failure) => return Err(failure),
                }
            }
            Ok::<u64, Failure>(committed)
        }));
    }
    let mut committed = 0;
    for client in clients {
        committed += client.await.expect("it ends").expect("no other error");
    }
    require_exact(&session, &facts, "at the end").await;
    println!("{name}: {committed} transactions");
    assert!(committed > 0);
}
