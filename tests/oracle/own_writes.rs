//! `pg_trickle.read_your_writes`: a session that has committed a change sees it in every stream table, however it reads.
//!
//! Each client owns the rows of one key, so that it knows what each stream table has to show. `PG_TRICKLE_READS` sets the number of
//! reads of the long test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pg_trickle_tests::dice::seed;
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Dice, Failure, Session};
use tokio::time::sleep;

const CLIENTS: i64 = 4;
const READS: u64 = 4000;
/// To read.
const WAYS: usize = 21;

const SETUP: &str = "
    create table t (client int, k int, v int not null, primary key (client, k));
    create table u (client int, k int, w int not null, primary key (client, k));
    create table noise (id int primary key, v int not null);
    insert into noise select n, 0 from generate_series(1, 20) n;
    select pgtrickle.create_stream_table('sums', 'select client, sum(v) as s, count(*) as n from t group by client', '0s');
    select pgtrickle.create_stream_table('chained', 'select client, s, n from sums where n > 0', '1h');
    select pgtrickle.create_stream_table('rare', 'select client, sum(v) as s, count(*) as n from t where v > -1 group by client', '1h');
    select pgtrickle.create_stream_table('whole', 'select client, sum(v) as s, count(*) as n from t group by client', '1h', 'FULL');
    select pgtrickle.create_stream_table('joined', 'select client, sum(v + w) as s, count(*) as n from t join u using (client, k) group by client', '1s');
    select pgtrickle.create_stream_table('noisy', 'select sum(v) as s from noise', '0s');
    create view seen as select client, s, n from sums where client >= 0;
    create table copied (client int, s bigint, n bigint);
    create function sql_volatile(c int) returns text language sql as 'select s || '' '' || n from sums where client = c';
    create function plpgsql_volatile(c int) returns text language plpgsql as
      'begin return (select s || '' '' || n from rare where client = c); end';
    create function loops(c int) returns setof text language plpgsql as
      'declare r record; begin for r in select s, n from chained where client = c loop return next r.s || '' '' || r.n; end loop; end';
    create function stable_sql(c int) returns text stable language sql as 'select s || '' '' || n from sums where client = c';
    create function stable_plpgsql(c int) returns text stable language plpgsql as
      'begin return (select s || '' '' || n from sums where client = c); end';
    create procedure writes(c int, key int, value int, out shown text) language plpgsql as
      'begin insert into t values (c, key, value) on conflict (client, k) do update set v = excluded.v; commit;
             shown := (select s || '' '' || n from sums where client = c); end';
";

/// The rows of a client, as it has committed them.
#[derive(Clone, Default)]
struct Model {
    t: BTreeMap<i64, i64>,
    u: BTreeMap<i64, i64>,
}

impl Model {
    fn sums(&self) -> String {
        shown(self.t.values().copied())
    }

    fn joined(&self) -> String {
        shown(self.t.iter().filter_map(|(k, v)| Some(v + self.u.get(k)?)))
    }
}

/// What an aggregate of these shows: nothing of none.
fn shown(values: impl Iterator<Item = i64>) -> String {
    let values: Vec<i64> = values.collect();
    if values.is_empty() { String::new() } else { format!("{} {}", values.iter().sum::<i64>(), values.len()) }
}

struct Client {
    session: Session,
    /// Another connection of a pool, which is given tokens.
    other: Session,
    id: i64,
    model: Model,
    dice: Dice,
}

impl Client {
    async fn new(database: &Database, id: i64, seed: u64) -> Client {
        let (session, other) = (database.connect().await, database.connect().await);
        session.run("set pg_trickle.read_your_writes = on; set pg_trickle.read_your_writes_timeout = '2min'").await;
        session.run("prepare cached(int) as select s || ' ' || n from sums where client = $1").await;
        other.run("set pg_trickle.read_your_writes_timeout = '2min'").await;
        Client { session, other, id, model: Model::default(), dice: Dice::new(seed) }
    }

    /// One transaction.
    async fn write(&mut self) {
        let id = self.id;
        let mut statements = vec![];
        for _ in 0..1 + self.dice.below(2) {
            let (k, v) = (self.dice.below(6) as i64, self.dice.below(1000) as i64);
            match self.dice.below(5) {
                0 => {
                    self.model.t.remove(&k);
                    statements.push(format!("delete from t where client = {id} and k = {k}"));
                }
                1 => {
                    self.model.u.insert(k, v);
                    statements.push(format!(
                        "insert into u values ({id}, {k}, {v}) on conflict (client, k) do update set w = excluded.w"
                    ));
                }
                _ => {
                    self.model.t.insert(k, v);
                    statements.push(format!(
                        "insert into t values ({id}, {k}, {v}) on conflict (client, k) do update set v = excluded.v"
                    ));
                }
            }
        }
        let body = statements.join("; ");
        let statement = match self.dice.below(4) {
            0 => format!(
                "begin; savepoint s; {body}; release s; savepoint s; delete from t where client = {id}; rollback to s; commit"
            ),
            1 => format!("begin; {body}; commit"),
            _ => format!("begin; {body}; end"),
        };
        self.session.run(&statement).await;
    }

    /// Reads in one of many ways; what it found, what it should have, and how it read.
    async fn read(&mut self, way: usize) -> Result<(String, String, &'static str), Failure> {
        let (id, session) = (self.id, &self.session);
        let (sums, joined) = (self.model.sums(), self.model.joined());
        let from = |table: &str| format!("select s || ' ' || n from {table} where client = {id}");
        let of = async |sql: String| -> Result<String, Failure> {
            let rows = session.try_rows(&sql).await?;
            Ok(rows.into_iter().flatten().flatten().collect::<Vec<_>>().join(","))
        };
        Ok(match way {
            0 => (of(from("sums")).await?, sums, "simple"),
            1 => (of(from("joined")).await?, joined, "joined"),
            2 => {
                let rows =
                    session.client().query("select s || ' ' || n from sums where client = $1", &[&(id as i32)]).await?;
                (rows.first().map_or_else(String::new, |row| row.get(0)), sums, "extended")
            }
            3 => (of(format!("execute cached({id})")).await?, sums, "cached plan"),
            4 => (of(format!("select sql_volatile({id})")).await?, sums, "function in SQL"),
            5 => (of(format!("select plpgsql_volatile({id})")).await?, sums, "function in PL/pgSQL"),
            6 => (of(format!("select * from loops({id})")).await?, sums, "loop over a chain"),
            7 => {
                session.attempt(&format!("begin; declare c cursor for {}", from("rare"))).await?;
                let found = of("fetch all from c".to_owned()).await?;
                session.attempt("commit").await?;
                (found, sums, "cursor")
            }
            8 => {
                let insert = format!(
                    "insert into copied select client, s, n from sums where client = {id} returning s || ' ' || n"
                );
                (of(insert).await?, sums, "insert")
            }
            9 => (of(from("seen")).await?, sums, "view"),
            10 => {
                let both = "select a.s || ' ' || b.n from sums a join rare b using (client)";
                (of(format!("{both} where client = {id}")).await?, sums, "two stream tables")
            }
            11 => (of(from("chained")).await?, sums, "chain"),
            12 => (of(from("rare")).await?, sums, "hourly"),
            13 => (of(from("whole")).await?, sums, "recomputed"),
            14 | 15 => {
                let level = if way == 14 { "repeatable read" } else { "serializable" };
                session.attempt(&format!("begin isolation level {level}")).await?;
                let found = of(from("joined")).await;
                let again = of(from("sums")).await;
                session.attempt("rollback").await?;
                (format!("{}, {}", found?, again?), format!("{joined}, {sums}"), "repeatable read")
            }
            16 => {
                let token = session.value("select pgtrickle.last_write()").await;
                self.other.attempt(&format!("set pg_trickle.read_after = '{token}'")).await?;
                (self.other.value(&from("chained")).await, sums, "token")
            }
            17 | 18 => {
                let function = if way == 17 { "stable_sql" } else { "stable_plpgsql" };
                let mut found = of(format!("select {function}({id})")).await;
                // Never an old result; a retry finds it.
                while found.as_ref().is_err_and(|failure| failure.code == "40001") {
                    found = of(format!("select {function}({id})")).await;
                }
                (found?, sums, "stable function")
            }
            19 => {
                let (k, v) = (self.dice.below(6) as i64, self.dice.below(1000) as i64);
                self.model.t.insert(k, v);
                (of(format!("call writes({id}, {k}, {v}, null)")).await?, self.model.sums(), "procedure")
            }
            _ => {
                let explain = format!("explain (analyze, timing off, summary off) {}", from("rare"));
                let found = of(explain).await?;
                let rows = if sums.is_empty() { "rows=0 " } else { "rows=1 " };
                let right = found.contains(&format!("(actual {rows}"));
                (if right { sums.clone() } else { found }, sums, "explain analyze")
            }
        })
    }
}

#[tokio::test]
async fn every_read_shows_own_writes() {
    let reads: u64 = std::env::var("PG_TRICKLE_READS").ok().and_then(|text| text.parse().ok()).unwrap_or(READS);
    let database = Arc::new(Database::fresh("every_read").await);
    database.connect().await.run(SETUP).await;
    let (seed, stop, done) = (seed("own writes"), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let (database, done) = (database.clone(), done.clone());
            tokio::spawn(async move {
                let mut client = Client::new(&database, id, seed ^ id as u64).await;
                let mut waits = vec![];
                while done.load(Relaxed) < reads {
                    client.write().await;
                    for _ in 0..1 + client.dice.below(3) {
                        let began = Instant::now();
                        let way = client.dice.below(WAYS);
                        let read = client.read(way).await;
                        let (found, right, way) = read.unwrap_or_else(|failure| panic!("way {way}: {failure}"));
                        assert_eq!(found, right, "{way}, client {id}, seed {seed}");
                        waits.push(began.elapsed());
                        done.fetch_add(1, Relaxed);
                    }
                }
                waits
            })
        })
        .collect();
    let noise = {
        let (database, stop) = (database.clone(), stop.clone());
        tokio::spawn(async move { make_noise(&database, &stop, seed).await })
    };
    let mut waits = vec![];
    for client in clients {
        waits.extend(client.await.expect("no panic"));
    }
    stop.store(true, Relaxed);
    noise.await.expect("no panic");
    waits.sort();
    println!(
        "own writes: {} reads, none stale, half within {:?}, all within {:?}, in {:?}",
        waits.len(),
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        started.elapsed()
    );
    Arc::into_inner(database).expect("all others ended").close().await;
}

/// Others write, keep transactions open, so that a snapshot sees younger ones, and change the definition of a stream table.
async fn make_noise(database: &Database, stop: &AtomicBool, seed: u64) {
    let (writer, open) = (database.connect().await, database.connect().await);
    let mut dice = Dice::new(!seed);
    let mut round = 0;
    while !stop.load(Relaxed) {
        open.run("begin; update noise set v = v + 1 where id = 20").await;
        for _ in 0..20 {
            writer.run(&format!("update noise set v = v + 1 where id = {}", 1 + dice.below(19))).await;
            sleep(dice.pause(Duration::from_millis(4))).await;
        }
        open.run(if dice.below(2) == 0 { "commit" } else { "rollback" }).await;
        round += 1;
        if round % 40 == 0 {
            let query = format!(
                "select client, sum(v) as s, count(*) as n from t where v > {} group by client",
                -1 - round % 3
            );
            writer.run(&format!("select pgtrickle.alter_stream_table('rare', query => '{query}')")).await;
        }
    }
}

async fn small(test: &str, schedule: &str, mode: &str) -> (Database, Session) {
    let database = Database::fresh(test).await;
    let session = database.connect().await;
    session.run("create table t (id int primary key); insert into t values (1)").await;
    let create =
        format!("select pgtrickle.create_stream_table('v', 'select count(*) as n from t', '{schedule}', '{mode}')");
    session.run(&create).await;
    (database, session)
}

const COUNT: &str = "select n from v";

/// Without the setting nothing is waited for, and nothing is refreshed earlier.
#[tokio::test]
async fn without_the_setting_nothing_waits() {
    let (database, session) = small("unset", "1h", "AUTO").await;
    session.run("insert into t values (2)").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(session.number(COUNT).await, 1);
    // What was written before it was set counts.
    session.run("set pg_trickle.read_your_writes = on").await;
    assert_eq!(session.number(COUNT).await, 2);
    // Another session has written nothing, and waits for nothing.
    session.run("insert into t values (3)").await;
    let other = database.connect().await;
    other.run("set pg_trickle.read_your_writes = on").await;
    assert_eq!(other.number(COUNT).await, 2);
    database.close().await;
}

/// A reader holds a lock on the table for which it waits: every kind of refresh gets through.
#[tokio::test]
async fn every_kind_of_refresh_gets_through() {
    for (schedule, mode) in [("0s", "AUTO"), ("1h", "AUTO"), ("1h", "FULL")] {
        let (database, session) = small("kinds", schedule, mode).await;
        session.run("set pg_trickle.read_your_writes = on; set pg_trickle.read_your_writes_timeout = '1min'").await;
        for n in 2..6 {
            session.run(&format!("insert into t values ({n})")).await;
            assert_eq!(session.number(COUNT).await, n);
        }
        session.run("truncate t").await;
        assert_eq!(session.number(COUNT).await, 0);
        session.run("insert into t select generate_series(1, 5000)").await;
        assert_eq!(session.number(COUNT).await, 5000);
        session.run("begin; delete from t where id > 10; prepare transaction 'own'").await;
        assert_eq!(session.number(COUNT).await, 5000);
        session.run("commit prepared 'own'").await;
        let token = session.value("select pgtrickle.last_write()").await;
        let other = database.connect().await;
        other.run(&format!("set pg_trickle.read_after = '{token}'")).await;
        assert_eq!(other.number(COUNT).await, 10, "{token}");
        assert_eq!(session.number(COUNT).await, 10);
        // Uncommitted changes of its own are not waited for, nor others for theirs.
        session.run("insert into t values (11)").await;
        session.run("begin; insert into t values (12)").await;
        assert_eq!(session.number(COUNT).await, 11);
        session.run("commit").await;
        assert_eq!(session.number(COUNT).await, 12);
        session.run("begin; insert into t values (13); select pgtrickle.refresh_stream_table('v')").await;
        assert_eq!(session.number(COUNT).await, 13);
        session.run("rollback").await;
        assert_eq!(session.number(COUNT).await, 12);
        session.run("alter table t add column more int; insert into t values (14, 1)").await;
        assert_eq!(session.number(COUNT).await, 13);
        database.close().await;
    }
}

/// What cannot be waited for is said at once; a statement that waits can be cancelled.
#[tokio::test]
async fn waits_end() {
    let (database, session) = small("ends", "1h", "AUTO").await;
    session.run("set pg_trickle.read_your_writes = on; set pg_trickle.read_your_writes_timeout = '1min'").await;
    session.run("insert into t values (2); select pgtrickle.drain()").await;
    let asked = Instant::now();
    let failure = session.refuse(COUNT).await;
    assert_eq!(failure.code, "55000");
    assert!(failure.detail.is_some_and(|detail| detail.contains("drain()")));
    session.run("select pgtrickle.undrain()").await;
    assert_eq!(session.number(COUNT).await, 2);
    session.run("insert into t values (3); select pgtrickle.alter_stream_table('v', status => 'PAUSED')").await;
    assert!(session.refuse(COUNT).await.message.contains("is paused"));
    session.run("select pgtrickle.resume_stream_table('v')").await;
    assert_eq!(session.number(COUNT).await, 3);
    assert!(asked.elapsed() < Duration::from_secs(30));
    // A refresh cannot read what is locked.
    let locking = database.connect().await;
    session.run("insert into t values (4)").await;
    locking.run("begin; lock t").await;
    session.run("set statement_timeout = '300ms'").await;
    assert_eq!(session.refuse(COUNT).await.code, "57014");
    session.run("set statement_timeout = 0; set pg_trickle.read_your_writes_timeout = '300ms'").await;
    let failure = session.refuse(COUNT).await;
    assert_eq!((failure.code.as_str(), failure.detail.is_some_and(|it| it.contains("300ms"))), ("55000", true));
    session.run("set pg_trickle.read_your_writes_on_failure = warning").await;
    assert_eq!(session.number(COUNT).await, 3);
    locking.run("rollback").await;
    session.run("reset pg_trickle.read_your_writes_timeout").await;
    assert_eq!(session.number(COUNT).await, 4);
    database.close().await;
}

/// Without the extension nothing is waited for; one that is created again gives the same ids to other stream tables.
#[tokio::test]
async fn the_extension_is_created_again() {
    let (database, session) = small("again", "0s", "AUTO").await;
    session.run("set pg_trickle.read_your_writes = on; create table u (id int)").await;
    for round in 0..3 {
        session.run("insert into t values (2)").await;
        assert_eq!(session.number(COUNT).await, 2);
        session.run("drop extension pg_trickle cascade").await;
        session.run("begin isolation level repeatable read").await;
        assert_eq!(session.number("select count(*) from t").await, 2);
        session.run("commit; delete from t where id = 2; insert into u values (1); create extension pg_trickle").await;
        let query = if round == 0 { "select count(*) as n from t, u" } else { "select count(*) as n from t" };
        session.run(&format!("select pgtrickle.create_stream_table('v', '{query}', '1h')")).await;
        if round == 0 {
            session.run("insert into u values (2); delete from u where ctid = (select min(ctid) from u)").await;
            assert_eq!(session.number(COUNT).await, 1);
        }
    }
    database.close().await;
}

/// A token counts from the end of its transaction.
#[tokio::test]
async fn token_of_a_running_transaction() {
    let (database, session) = small("token", "0s", "AUTO").await;
    let other = database.connect().await;
    assert_eq!(session.value("select pgtrickle.last_write() is null").await, "t");
    session.run("begin; insert into t values (2)").await;
    let token = session.value("select pgtrickle.last_write()").await;
    assert_eq!(token, session.value("select pg_current_xact_id()").await);
    other.run(&format!("set pg_trickle.read_after = '{token}'")).await;
    let commit = async {
        sleep(Duration::from_millis(200)).await;
        session.run("commit").await;
    };
    let (found, ()) = tokio::join!(other.number(COUNT), commit);
    assert_eq!(found, 2);
    session.run("begin; insert into t values (3)").await;
    let token = session.value("select pgtrickle.last_write()").await;
    session.run("rollback").await;
    other.run(&format!("set pg_trickle.read_after = '{token}'")).await;
    assert_eq!(other.number(COUNT).await, 2);
    // One that has not begun.
    other.run("set pg_trickle.read_after = '1000000000'; set pg_trickle.read_your_writes_timeout = '200ms'").await;
    assert_eq!(other.refuse(COUNT).await.code, "55000");
    other.run("reset pg_trickle.read_after").await;
    assert_eq!(other.number(COUNT).await, 2);
    database.close().await;
}

/// A number that a standby reads. Replay may have to wait for a statement that waits for replay: then that waits in vain once.
async fn number_on_standby(reader: &Session, query: &str) -> i64 {
    loop {
        match reader.try_rows(query).await {
            Ok(rows) => {
                return rows
                    .concat()
                    .into_iter()
                    .flatten()
                    .next()
                    .and_then(|cell| cell.parse().ok())
                    .expect("a number");
            }
            Err(failure) => assert_eq!(failure.code, "55000", "{failure}"),
        }
    }
}

/// A token of the primary is good on a standby: it waits until both the write and a refresh are replayed.
#[tokio::test]
async fn a_standby_reads_after_a_token() {
    let primary = PrivateServer::start(&["wal_keep_size = 1GB"]);
    let writer = primary.server().connect("postgres").await;
    writer.run("create extension pg_trickle; create table t (id int primary key); insert into t values (0)").await;
    writer.run("select pgtrickle.create_stream_table('v', 'select count(*) as n from t', '0s')").await;
    writer.run("select pgtrickle.create_stream_table('w', 'select n from v', '0s')").await;
    let mut standby = primary.copy(&["-R", "-X", "stream"], &["hot_standby = on", "max_standby_streaming_delay = -1"]);
    standby.restart();
    let (reader, other) = (standby.server().connect("postgres").await, primary.server().connect("postgres").await);
    reader.run("set pg_trickle.read_your_writes_timeout = '2s'").await;
    for n in 1..=40 {
        // A transaction with subtransactions stays open meanwhile.
        if n % 20 == 0 {
            other.run("begin; savepoint a; create temp table x (i int); savepoint b; drop table x; savepoint c").await;
        }
        writer.run(&format!("insert into t values ({n})")).await;
        let token = writer.value("select pgtrickle.last_write()").await;
        reader.run(&format!("set pg_trickle.read_after = '{token}'")).await;
        assert_eq!(number_on_standby(&reader, "select n from w").await, 1 + n);
        assert_eq!(number_on_standby(&reader, COUNT).await, 1 + n);
        if n % 20 == 10 {
            other.run("rollback").await;
        }
    }
    // One that the primary has not replicated.
    reader.run("set pg_trickle.read_after = '1000000000'; set pg_trickle.read_your_writes_timeout = '200ms'").await;
    assert_eq!(reader.refuse(COUNT).await.code, "55000");
    writer.run("truncate t").await;
    let token = writer.value("select pgtrickle.last_write()").await;
    reader.run(&format!("set pg_trickle.read_after = '{token}'; set pg_trickle.read_your_writes_timeout = '2s'")).await;
    assert_eq!(number_on_standby(&reader, "select n from w").await, 0);
}
