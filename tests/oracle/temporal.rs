//! Temporal filters while writers write and time passes: a table equals its query with the clock standing at its
//! `data_timestamp`, in every mode, by workers and by hand; and it follows the clock without any write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use pg_trickle_tests::dice::seed;
use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Dice, Session};
use tokio::sync::RwLock;
use tokio::time::sleep;

const WRITERS: u64 = 4;
const COMPARISONS: usize = 25;

const SETUP: &str = "
    create table events (id bigint generated always as identity primary key, at timestamptz, kind text not null);
    create table kinds (kind text primary key, until timestamptz);
    create index on events (at);
    insert into kinds select 'k' || n, clock_timestamp() + n * interval '1 second' from generate_series(0, 5) n;
";

/// Stream tables: name, query, mode.
const TABLES: [(&str, &str, &str); 18] = [
    ("recent", "select id, kind from events where at > now() - interval '1.5 seconds'", "DIFFERENTIAL"),
    ("recomputed", "select id, kind from events where at > now() - interval '1.5 seconds'", "FULL"),
    ("due", "select kind, count(*) as n, max(id) as last from events where now() >= at group by kind", "AUTO"),
    (
        "around",
        "select id, at from events where at between now() - interval '1 second' and now() + interval '0.7 seconds'",
        "AUTO",
    ),
    (
        "valid",
        "select e.id, k.kind from events e join kinds k using (kind)
          where e.at > now() - interval '2 seconds' and k.until > now()",
        "DIFFERENTIAL",
    ),
    (
        "ended",
        "select e.id, k.until from events e left join kinds k on k.kind = e.kind and k.until <= now()
          where e.at < now()",
        "DIFFERENTIAL",
    ),
    (
        "quiet",
        "select kind from kinds where not exists (select from events e where e.kind = kinds.kind
            and e.at >= now() - interval '0.4 seconds' and e.at < now())",
        "DIFFERENTIAL",
    ),
    (
        "over",
        "select kind, count(*) as n from events where at::date = current_date group by kind
         having max(at)::timestamp < localtimestamp",
        "DIFFERENTIAL",
    ),
    (
        "ranked",
        "select kind, n, rank() over (order by n desc) as place
           from (select kind, count(*) as n from recent group by kind) x",
        "DIFFERENTIAL",
    ),
    (
        "unended",
        "select id, kind from events
          where at is null or at > now() or kind = 'k1' and at > now() - interval '1 second'",
        "AUTO",
    ),
    (
        "near",
        "select id, at from events where now() - at < interval '1.2 seconds' and at - now() <= interval '0.5 seconds'",
        "DIFFERENTIAL",
    ),
    (
        "either",
        "select id from events where not (at < now() - interval '1 second' and kind <> 'k2')
            and case when kind in ('k0', 'k1') then at > now() else extract(epoch from now() - at) < 0.8 end",
        "DIFFERENTIAL",
    ),
    (
        "apart",
        "select k.kind, count(*) as n from events e join kinds k using (kind)
          where coalesce(e.at < now() or k.until > now(), true) and current_date - e.at::date <= 1 group by k.kind",
        "DIFFERENTIAL",
    ),
    (
        "labelled",
        "select id, at > now() as open, case when at > now() - interval '1 second' then 'new' else kind end as label
           from events",
        "DIFFERENTIAL",
    ),
    (
        "counted",
        "select kind, count(*) filter (where at > now()) as due, count(*) filter (where now() - at < interval '1 second') as near,
                max(id) as last from events group by kind",
        "DIFFERENTIAL",
    ),
    (
        "phases",
        "select case when at <= now() then 'past' when at < now() + interval '1 second' then 'next' end as phase, count(*) as n
           from events group by 1 having count(*) filter (where at < now()) >= 0",
        "DIFFERENTIAL",
    ),
    (
        "kept",
        "select e.id, k.kind, k.until from events e full join kinds k
            on k.kind = e.kind and e.at > now() and k.until > now() - interval '1 second'",
        "DIFFERENTIAL",
    ),
    (
        "odd",
        "select e.id, k.kind from events e left join kinds k on k.kind = e.kind and e.at > now()
          where (e.kind = 'k1') = (e.at > now()) or e.at > now() - interval '1 second' and e.kind in (select kind from kinds where until > now())",
        "DIFFERENTIAL",
    ),
];

/// Calls that read the clock in canonical SQL, and their types as literals.
const READINGS: [(&str, &str); 3] =
    [("now()", "timestamptz"), ("CURRENT_DATE", "timestamptz::date"), ("LOCALTIMESTAMP", "timestamptz::timestamp")];

#[derive(Default)]
struct Traffic {
    commits: RwLock<()>,
    stop: AtomicBool,
}

/// Rows around the present, moved and removed; the number of commits.
async fn writer(database: Arc<Database>, traffic: Arc<Traffic>, seed: u64) -> u64 {
    let (session, mut dice, mut committed) = (database.connect().await, Dice::new(seed), 0);
    while !traffic.stop.load(Relaxed) {
        let changes: Vec<String> = (0..1 + dice.below(4)).map(|_| change(&mut dice)).collect();
        match session.attempt(&format!("begin; {}", changes.join("; "))).await {
            Ok(()) => {
                let _still = traffic.commits.read().await;
                session.run(if dice.percent(90) { "commit" } else { "rollback" }).await;
                committed += 1;
            }
            Err(failure) => {
                assert!(failure.is_contention(), "{failure}");
                session.run("rollback").await;
            }
        }
        sleep(dice.pause(Duration::from_millis(4))).await;
    }
    committed
}

fn change(dice: &mut Dice) -> String {
    let at = match dice.percent(5) {
        true => "null".to_owned(),
        false => format!("clock_timestamp() + {} * interval '1 millisecond'", dice.between(-2500, 2500)),
    };
    let (kind, chosen) = (dice.below(6), dice.below(200));
    match dice.weighted(&[60, 20, 15, 5]) {
        0 => format!("insert into events (at, kind) values ({at}, 'k{kind}')"),
        1 => format!("update events set at = {at} where id = (select max(id) - {chosen} from events)"),
        2 => format!("delete from events where id = (select max(id) - {chosen} from events)"),
        _ => format!("update kinds set until = {at} where kind = 'k{kind}'"),
    }
}

/// Compares in one snapshot, which must have nothing that the table has not seen.
async fn check_at_its_time(session: &Session, table: &str) {
    session.run("begin isolation level repeatable read").await;
    let catalog = format!(
        "select t.canonical, f.data_timestamp
           from pgtrickle.pgt_stream_tables t join pgtrickle.pgt_seen f using (pgt_id)
          where t.pgt_relid = '{table}'::regclass"
    );
    let row = session.rows(&catalog).await.remove(0);
    let (query, moment) = (row[0].clone().expect("a query"), row[1].clone().expect("a time"));
    let query = query.trim_end_matches(';').to_owned();
    let standing =
        READINGS.iter().fold(query, |query, (reading, ty)| query.replace(reading, &format!("'{moment}'::{ty}")));
    let found = exact::differences_from(session, table, &format!("({standing}) q"), Equality::Values).await;
    session.run("commit").await;
    assert!(found.is_empty(), "{table} is not its query at {moment}:\n{}", found.join("\n"));
}

/// With commits blocked, all tables are refreshed, and compared while time passes.
async fn check_still(session: &Session, traffic: &Traffic, by_hand: bool) {
    let _still = traffic.commits.write().await;
    match by_hand {
        true => {
            for (name, ..) in TABLES {
                exact::refresh(session, name).await;
            }
        }
        false => {
            let seen = "select sum(pending_rows) = 0 from pgtrickle.change_buffer_sizes()";
            session.wait_until(seen).await;
        }
    }
    for (name, ..) in TABLES {
        check_at_its_time(session, name).await;
    }
}

#[tokio::test]
async fn exact_at_the_time_of_the_frontier() {
    let seed = seed("temporal");
    let database = Arc::new(Database::fresh("temporal").await);
    let session = database.connect().await;
    session.run(SETUP).await;
    for (name, query, mode) in TABLES {
        session.run(&format!("select pgtrickle.create_stream_table('{name}', $q${query}$q$, '0s', '{mode}')")).await;
    }
    let traffic = Arc::new(Traffic::default());
    let writers: Vec<_> =
        (0..WRITERS).map(|at| tokio::spawn(writer(database.clone(), traffic.clone(), seed ^ at))).collect();
    for round in 0..COMPARISONS {
        sleep(Duration::from_millis(300)).await;
        check_still(&session, &traffic, round % 2 == 0).await;
    }
    traffic.stop.store(true, Relaxed);
    let mut committed = 0;
    for writer in writers {
        committed += writer.await.expect("no panic");
    }
    // Without further writes only the workers move rows across the bounds.
    let passed = "select (select max(at) from events) < now() - interval '3 seconds'";
    session.wait_until(passed).await;
    let gone = "select (select count(*) from recent) + (select count(*) from around) + (select count(*) from valid)
                     + (select count(*) from ranked) = 0 and (select count(*) from quiet) = 6";
    session.wait_until(gone).await;
    check_still(&session, &traffic, false).await;
    assert_eq!(exact::errors(&session).await, Vec::<String>::new());
    println!("temporal: {committed} transactions, {COMPARISONS} comparisons, exact");
    drop(session);
    Arc::into_inner(database).expect("all others ended").close().await;
}
