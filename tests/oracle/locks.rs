//! Ticks and other lockers of their sources: no session waits long for a tick or is the victim of a deadlock with one.

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Session};

const SETUP: &str = "
    create table first (id int primary key, v int);
    create table second (id int primary key, v int);
    create table aside (id int primary key, v int);
    select pgtrickle.create_stream_table('joined', 'select f.id, s.v from first f join second s using (id)', '0s');
    select pgtrickle.create_stream_table('on_joined', 'select count(*) as n from joined', '0s');
    select pgtrickle.create_stream_table('alone', 'select id, v from aside', '0s')";

/// A transaction that locks the tables of a tick one after the other, in any order, gets them all, while stream tables that do
/// not read them stay fresh; after its end the others are refreshed.
#[tokio::test]
async fn ticks_yield_to_lockers_and_delay_no_other_table() {
    let database = Database::fresh("locks").await;
    let (session, holder) = (database.connect().await, database.connect().await);
    session.run(SETUP).await;
    let rounds = [
        ("first", "second", "second"),
        ("second", "first", "first"),
        ("joined", "first", "first"),
        ("second", "first", "on_joined"),
    ];
    for (round, (held, changed, wanted)) in (1..).zip(rounds) {
        holder.run("begin").await;
        holder.run(&format!("lock table {held} in access exclusive mode")).await;
        // Workers have changes to read from tables that are locked, and from those that will be.
        session.run(&format!("insert into {changed} values ({round}, 1)")).await;
        alone_is_fresh(&session, 2 * round).await;
        holder.run(&format!("lock table {wanted} in access exclusive mode")).await;
        alone_is_fresh(&session, 2 * round + 1).await;
        holder.run("commit").await;
        session.run(&format!("insert into first values ({round}, 1) on conflict do nothing")).await;
        session.run(&format!("insert into second values ({round}, 2) on conflict do nothing")).await;
        session.wait_until(&format!("select n = {round} from on_joined")).await;
    }
    for name in ["joined", "on_joined", "alone"] {
        exact::check(&session, name, Equality::Text).await;
    }
    assert_eq!(session.number("select sum(consecutive_errors) from pgtrickle.pgt_frontiers").await, 0);
    database.close().await;
}

async fn alone_is_fresh(session: &Session, id: usize) {
    session.run(&format!("insert into aside values ({id}, 1)")).await;
    session.wait_until(&format!("select exists (select from alone where id = {id})")).await;
}

/// A refresh by hand of one side of a diamond delays the other side, so that no snapshot shows one of them ahead; it delays no
/// other table.
#[tokio::test]
async fn manual_refresh_keeps_siblings_consistent() {
    let database = Database::fresh("locks_diamond").await;
    let (session, holder) = (database.connect().await, database.connect().await);
    session.run(SETUP).await;
    session
        .run(
            "select pgtrickle.create_stream_table('sums', 'select sum(v) as s from first', '0s');
             select pgtrickle.create_stream_table('counts', 'select count(*) as n from first', '0s');
             select pgtrickle.create_stream_table('pair', 'select s, n from sums cross join counts', '0s')",
        )
        .await;
    for round in 1..=5 {
        holder.run("begin; select pgtrickle.refresh_stream_table('sums')").await;
        session.run(&format!("insert into first values ({round}, 1)")).await;
        alone_is_fresh(&session, round).await;
        assert!(session.holds("select coalesce(s, 0) = n from sums, counts").await, "two moments in one snapshot");
        holder.run("rollback").await;
        session.wait_until(&format!("select s = {round} and n = {round} from pair")).await;
    }
    database.close().await;
}

/// Partitions with rows come and go while others write to the table and stream tables follow it: none is computed anew, and
/// each equals its query at every moment, one that reads the table twice among them.
#[tokio::test]
async fn partitions_come_and_go_under_writers() {
    const TABLES: [(&str, &str, &str); 4] = [
        ("sums", "select g, count(*) as n, sum(v) as s from p group by g", "0s"),
        ("pairs", "select a.id, b.v from p a join p b on b.id = a.id and b.v > 0", "0s"),
        ("on_sums", "select count(*) as groups, sum(s) as s from sums", "1s"),
        ("by_hand", "select id, g, v from p", "1d"),
    ];
    let database = Database::fresh("locks_partitions").await;
    let (session, writer) = (database.connect().await, database.connect().await);
    session
        .run(
            "create table p (id int, g int, v int) partition by list (g);
             create table p0 partition of p for values in (0); create table p1 partition of p for values in (1);
             insert into p select n, n % 2, n from generate_series(1, 200) n",
        )
        .await;
    for (name, query, schedule) in TABLES {
        let create = format!("select pgtrickle.create_stream_table('{name}', '{query}', '{schedule}', 'DIFFERENTIAL')");
        session.run(&create).await;
    }
    let fills = session.number("select max(refresh_id) from pgtrickle.pgt_refresh_history").await;
    for round in 0..40 {
        let part = format!("q{}", round % 3);
        let at = 1000 + round;
        let steps = [
            format!(
                "create table {part} (v int, g int, id int); insert into {part} select n, 2, n from generate_series(1, 50) n"
            ),
            format!("alter table p attach partition {part} for values in (2, 3)"),
            format!("insert into p values ({at}, 3, {at})"),
            format!("alter table p detach partition {part}"),
            format!("drop table {part}"),
        ];
        for (at, step) in steps.iter().enumerate() {
            let write =
                format!("update p set v = v + 1 where id % 40 = {}; insert into p0 values ({round}, 0, {at})", at * 7);
            let (written, stepped) = tokio::join!(writer.attempt(&write), session.attempt(step));
            // A writer that would use a partition which is being detached.
            assert!(written.is_ok_and(|()| stepped.is_ok()), "{step}");
            if (round + at) % 5 == 0 {
                session.run("select pgtrickle.refresh_stream_table('by_hand')").await;
            }
            let (name, ..) = TABLES[(round + at) % TABLES.len()];
            let verified = format!(
                "select compared from pgtrickle.verify_stream_table('{name}') where is_equal is distinct from true"
            );
            assert_eq!(session.column(&verified).await, Vec::<String>::new(), "{name} after {step}");
        }
    }
    session.run("select pgtrickle.refresh_stream_table('by_hand')").await;
    exact::wait_fresh(&session).await;
    for (name, ..) in TABLES {
        exact::check(&session, name, Equality::Text).await;
    }
    // DDL ends background refreshes that it meets and that take long on a busy machine.
    let anew = format!(
        "select action || coalesce(': ' || error, '') from pgtrickle.pgt_refresh_history
          where refresh_id > {fills} and (action <> 'DIFFERENTIAL' or error is not null)
            and error is distinct from 'canceling statement due to user request'"
    );
    assert_eq!(session.column(&anew).await, Vec::<String>::new());
    database.close().await;
}
