//! Two writers, schedule `'0s'`, a diamond of stream tables: in any snapshot all of them show one moment.
//!
//! Most transactions change the sum, or move a row from one group to another, so a table that is ahead of another in
//! some snapshot, or behind it, is seen by the readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Dice};

/// By each reader, and of how many states of the data.
const READS: usize = 5_000;
const MOMENTS: usize = 25;
const READERS: usize = 2;
const WRITERS: u64 = 2;

const SETUP: &str = "
    create table accounts (id int primary key, g int not null, v bigint not null);
    insert into accounts select n, n % 10, 100 from generate_series(1, 200) n;
    select pgtrickle.create_stream_table('detail', 'select id, g, v from accounts where v <> 0', '0s');
    select pgtrickle.create_stream_table('sums', 'select g, sum(v) as s, count(*) as n from detail group by g', '0s');
    select pgtrickle.create_stream_table('largest', 'select g, max(v) as m, count(*) as n from detail group by g', '0s');
    select pgtrickle.create_stream_table('total', 'select sum(s) as s, sum(n) as n from sums', '0s');
    select pgtrickle.create_stream_table('joined', 'select s.g, s.s, l.m, s.n as one, l.n as other from sums s full join largest l on l.g = s.g', '0s');
    select pgtrickle.create_stream_table('bottom', 'select sum(j.s) as s, sum(j.one) as n, count(*) filter (where j.one is distinct from j.other) as wrong, max(t.s) as total from joined j cross join total t', '0s');
";

/// In one snapshot: the sum over the detail, and what each table further down shows of it. Then the step of the data.
const READ: &str = "
    with d as (select coalesce(sum(v), 0) as s, count(*) as n, max(v) as m from detail)
    select d.s = t.s and d.n = t.n and d.s = b.s and d.n = b.n and b.total = d.s and b.wrong = 0
           and d.m = (select max(m) from joined) and (select sum(s) from sums) = d.s,
           d.s
      from d, total t, bottom b";

async fn write(database: Arc<Database>, stop: Arc<AtomicBool>, seed: u64) -> u64 {
    let session = database.connect().await;
    let mut dice = Dice::new(seed);
    let mut count = 0;
    while !stop.load(Relaxed) {
        // One after the other by id, so that writers never wait in a circle.
        let (one, two) = (dice.between(1, 100), dice.between(101, 200));
        let (amount, group) = (dice.between(-20, 20), dice.between(0, 9));
        let sql = match dice.below(4) {
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
async fn read(database: Arc<Database>) -> (usize, usize) {
    let session = database.connect().await;
    let (mut reads, mut moments, mut last) = (0, 0, None);
    while reads < READS || moments < MOMENTS {
        let row = session.rows(READ).await.into_iter().next().expect("a row");
        if row[0].as_deref() != Some("t") {
            let state = session.column("select b::text from bottom b union all select t::text from total t").await;
            panic!("read {reads}: two moments in one snapshot: {row:?}, a moment later {state:?}");
        }
        moments += usize::from(last.as_ref() != Some(&row[1]));
        last = Some(row[1].clone());
        reads += 1;
    }
    (reads, moments)
}

#[tokio::test]
async fn snapshot_shows_one_state() {
    let seed = seed("diamond");
    let database = Arc::new(Database::fresh("diamond").await);
    let session = database.connect().await;
    session.run(SETUP).await;
    let started = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|at| tokio::spawn(write(database.clone(), stop.clone(), seed ^ at))).collect();
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(database.clone()))).collect();
    let (mut reads, mut moments) = (0, 0);
    for reader in readers {
        let (more, other) = reader.await.expect("every read shows one moment");
        reads += more;
        moments += other;
    }
    stop.store(true, Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.expect("no panic");
    }
    exact::wait_fresh(&session).await;
    for table in exact::stream_tables(&session).await {
        exact::check(&session, &table, Equality::Text).await;
    }
    assert_eq!(exact::errors(&session).await, Vec::<String>::new());
    println!(
        "diamond: {reads} reads of {moments} moments while {written} transactions were written, {:?}",
        started.elapsed()
    );
    drop(session);
    Arc::into_inner(database).expect("all others ended").close().await;
}
