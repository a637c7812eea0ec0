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
