//! Refreshes and creations inside transactions that write themselves, and next to concurrent ones.

use std::time::Duration;

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Session};

const SETUP: &str = "
    create table t (id int primary key, g int, v int);
    create table u (g int, name text);
    insert into t select n, n % 3, n from generate_series(1, 12) n;
    insert into u values (0, 'zero'), (1, 'one'), (1, 'uno');
    select pgtrickle.create_stream_table('a', 'select g, count(*) as n, sum(v) as s, max(v) as m from t group by g', '1h');
    select pgtrickle.create_stream_table('j', 'select t.id, u.name from t join u on u.g = t.g', '1h');
    select pgtrickle.create_stream_table('top', 'select sum(n) as n, sum(s) as s from a', '1h');
    select pgtrickle.create_stream_table('other', 'select id, v from t where v > 3', '1h');
";
const TABLES: [&str; 4] = ["a", "j", "top", "other"];

/// Scripts of one transaction; `@x` refreshes and compares stream table `x` inside of it.
const SCRIPTS: &[&str] = &[
    "insert into t values (20, 1, 20); @a; insert into t values (21, 1, 21)",
    "@a; insert into t values (20, 1, 20); @a; update t set v = v + 1; @a; delete from t where g = 0; @a",
    "insert into t values (20, 1, 20); @top; insert into t values (21, 2, 21); @a; @top",
    "insert into u values (2, 'two'); insert into t values (20, 2, 2); @j; delete from t where id = 20; @j; delete from u where g = 1; @j",
    "savepoint s; insert into t values (20, 1, 20); @a; rollback to s; @a; insert into t values (20, 1, 30); @a",
    "insert into t values (20, 1, 20); savepoint s; insert into t values (21, 1, 21); @a; @j; rollback to s; @a; @other; @j",
    "savepoint s; insert into t values (20, 1, 20); release s; @a; savepoint s; update t set v = 0; @top; rollback to s; release s; @top; @a",
    "savepoint a; savepoint b; delete from t where g = 1; rollback to b; insert into t values (30, 1, 1); release a; @a; @j",
    "truncate t; @a; insert into t values (1, 1, 1); @a; @top; @other; @j",
    "insert into t values (20, 1, 1); truncate t; insert into t values (21, 1, 1); @j",
    "savepoint s; truncate t; @a; rollback to s; @a; @top",
    "insert into t select n, n % 5, n from generate_series(100, 3000) n; @a; update t set g = g + 1; @a; @top; delete from t where id > 50; @other; @top",
    "copy t from program 'printf \"40\\t1\\t1\\n41\\t2\\t2\\n\"'; @a; merge into t using (values (40), (99)) s(id) on t.id = s.id when matched then delete when not matched then insert values (s.id, 1, 1); @a",
    "insert into t values (1, 2, 3) on conflict (id) do update set g = excluded.g, v = excluded.v; @a; insert into t values (1, 2, 3) on conflict do nothing; @other",
    "with x as (delete from t where g = 1 returning *), y as (insert into u select g, 'x' from x returning *) select count(*) from y; @j; @a",
    "declare c cursor for select * from a; fetch 1 from c; insert into t values (20, 1, 20); @a; fetch 1 from c; close c",
    "set constraints all deferred; update t set id = id + 100; @j; @other",
    "set local synchronous_commit = off; insert into t values (20, 0, 0); @a",
    "set local search_path = pg_catalog; insert into public.t values (20, 0, 0); select pgtrickle.refresh_stream_table('public.a'); set local search_path = public; @a",
    "do $$ begin insert into t values (20, 1, 1); perform pgtrickle.refresh_stream_table('a'); raise division_by_zero; exception when others then insert into t values (20, 2, 2); perform pgtrickle.refresh_stream_table('a'); end $$; @a; @j",
];

async fn check_all(session: &Session, script: &str, when: &str) {
    for name in TABLES {
        let found = exact::differences(session, name, Equality::Text).await;
        assert!(found.is_empty(), "{name} {when} of: {script}\n{}", found.join("\n"));
    }
}

async fn replay(session: &Session, script: &str) {
    for statement in script.split("; ").map(str::trim) {
        match statement.strip_prefix('@') {
            None if script.starts_with("do ") => break,
            None => session.run(statement).await,
            Some(name) => {
                exact::refresh(session, name).await;
                let found = exact::differences(session, name, Equality::Text).await;
                assert!(found.is_empty(), "{name} in the middle of: {script}\n{}", found.join("\n"));
            }
        }
    }
    if script.starts_with("do ") {
        session.run(&script[..script.find("$$; ").map_or(script.len(), |at| at + 2)]).await;
    }
}

#[tokio::test]
async fn refreshes_see_their_own_transaction() {
    let database = Database::fresh("own").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    for level in ["read committed", "repeatable read", "serializable"] {
        for script in SCRIPTS {
            for end in ["rollback", "commit"] {
                session.run(&format!("begin isolation level {level}")).await;
                replay(&session, script).await;
                session.run(end).await;
                for name in TABLES {
                    exact::refresh(&session, name).await;
                }
                check_all(&session, script, &format!("after the {end} ({level})")).await;
            }
            session.run("begin; truncate t; insert into t select n, n % 3, n from generate_series(1, 12) n; delete from u; insert into u values (0, 'zero'), (1, 'one'), (1, 'uno'); commit").await;
        }
    }
    assert_eq!(exact::errors(&session).await, Vec::<String>::new());
    database.close().await;
}

/// A late commit is seen late, and once.
#[tokio::test]
async fn late_commits_are_not_lost() {
    let database = Database::fresh("late").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let (early, late) = (database.connect().await, database.connect().await);
    for (round, end) in ["commit", "rollback", "prepared", "prepared and rolled back"].into_iter().enumerate() {
        let id = 100 * (round + 1);
        late.run(&format!(
            "begin; insert into t values ({id}, 1, 1); savepoint s; update t set v = v + 1 where id = 2; release s"
        ))
        .await;
        early.run(&format!("insert into t values ({}, 2, 2)", id + 1)).await;
        for name in TABLES {
            exact::refresh_and_check(&session, name).await;
        }
        if end.starts_with("prepared") {
            late.run("prepare transaction 'late'").await;
        }
        early.run(&format!("update t set v = 9 where id = {}", id + 1)).await;
        exact::refresh_and_check(&session, "top").await;
        let finish = match end {
            "prepared" => "commit prepared 'late'",
            "prepared and rolled back" => "rollback prepared 'late'",
            other => other,
        };
        late.run(finish).await;
        for name in TABLES {
            exact::refresh_and_check(&session, name).await;
            exact::refresh_and_check(&session, name).await;
        }
    }
    database.close().await;
}

/// A refresh that is prepared with its transaction, or rolled back, is invisible to other sessions.
#[tokio::test]
async fn refreshes_end_with_their_transaction() {
    let database = Database::fresh("undone").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let other = database.connect().await;
    for end in [
        "rollback",
        "commit",
        "prepare transaction 'p'; rollback prepared 'p'",
        "prepare transaction 'p'; commit prepared 'p'",
    ] {
        other.run("insert into t select max(id) + 1, 1, 5 from t").await;
        session.run("begin; update t set v = v + 1 where id = 3; select pgtrickle.refresh_stream_table('top')").await;
        other.run("update t set v = v + 10 where id = 4").await;
        for part in end.split("; ") {
            session.run(part).await;
        }
        for name in TABLES {
            exact::refresh_and_check(&other, name).await;
        }
    }
    database.close().await;
}

/// A second consumer, of other columns, is created while open transactions capture for the first one only.
#[tokio::test]
async fn new_readers_miss_nothing_of_writers_in_flight() {
    let database = Database::fresh("widening").await;
    let session = database.connect().await;
    session.run("create table t (id int primary key, a int, b int, c text)").await;
    session.run("insert into t select n, n, n, 'c' from generate_series(1, 50) n").await;
    session.run("select pgtrickle.create_stream_table('first', 'select id, a from t where a > 10', '1h')").await;
    let writer = database.connect().await;
    for round in 0..6 {
        writer
            .run(&format!(
                "begin; update t set a = a + 1, b = b + 1 where id < 10; insert into t values ({}, 99, 99, 'n')",
                100 + round
            ))
            .await;
        let creator = database.connect().await;
        let column = if round % 2 == 0 { "b" } else { "c" };
        let creation = tokio::spawn(async move {
            creator.run(&format!("select pgtrickle.create_stream_table('second_{round}', 'select {column}, count(*) as n from t group by {column}', '1h')")).await;
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        writer.run("update t set b = b + 1, c = c || 'x' where id between 5 and 15; delete from t where id = 20").await;
        writer.run("commit").await;
        creation.await.expect("created");
        writer.run("update t set b = 0, c = 'z' where id = 30").await;
        for name in exact::stream_tables(&session).await {
            exact::refresh_and_check(&session, &name).await;
        }
        if round == 3 {
            session.run("select pgtrickle.drop_stream_table('second_0')").await;
        }
    }
    database.close().await;
}

/// Creation is transactional like any other DDL.
#[tokio::test]
async fn creations_are_transactional() {
    let database = Database::fresh("creation").await;
    let session = database.connect().await;
    let all = "create table t (id int primary key, g int, v int); insert into t values (1, 1, 1);
        select pgtrickle.create_stream_table('a', 'select g, sum(v) as s from t group by g', '0s');
        insert into t values (2, 1, 2); select pgtrickle.refresh_stream_table('a'); insert into t values (3, 2, 3)";
    for round in 0..2 {
        session.run(&format!("begin; {all}; rollback")).await;
        assert_eq!(session.number("select count(*) from pgtrickle.pgt_stream_tables").await, 0);
        session.run(&format!("begin; savepoint s; {all}; rollback to s; {all}; commit")).await;
        exact::wait_fresh(&session).await;
        exact::check(&session, "a", Equality::Text).await;
        session.run("begin; select pgtrickle.drop_stream_table('a'); insert into t values (4, 1, 1); rollback; insert into t values (5, 5, 5)").await;
        exact::refresh_and_check(&session, "a").await;
        assert_eq!(session.number("select count(*) from a").await, 3, "round {round}");
        session.run("drop table t cascade").await;
    }
    database.close().await;
}

/// A refresh with nothing to do writes nothing: no row, no transaction id.
/// Versions of a row that a long transaction retains cost nothing: its index is read from the end.
#[tokio::test]
async fn retained_versions_are_not_searched() {
    const REFRESHES: i64 = 200;
    let database = Database::fresh("transactions_retained").await;
    let [session, holder] = [database.connect().await, database.connect().await];
    // Long keys, so that few versions fit on a page and each page has an index entry.
    session
        .run(
            "create table t (id int primary key, g text not null, v int not null);
             insert into t select n, repeat(chr(65 + n), 1500), n from generate_series(1, 3) n;
             select pgtrickle.create_stream_table('sums', 'select g, count(*) as n, sum(v) as s from t group by g', '1d')",
        )
        .await;
    holder.run("begin isolation level repeatable read; select count(*) from sums").await;
    for _ in 0..REFRESHES {
        session.run("update t set v = v + 1 where id = 2; select pgtrickle.refresh_stream_table('sums')").await;
    }
    session.run("select pg_stat_force_next_flush()").await;
    let read = "select idx_tup_read from pg_stat_user_indexes where relname = 'sums'";
    let read = session.number(read).await;
    assert!(read <= 8 * REFRESHES, "{REFRESHES} refreshes of one group read {read} index entries");
    exact::check(&session, "sums", Equality::Text).await;
    holder.run("commit").await;
    database.close().await;
}

#[tokio::test]
async fn refreshing_nothing_does_nothing() {
    let database = Database::fresh("nothing").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    exact::refresh(&session, "top").await;
    let history = session.number("select count(*) from pgtrickle.pgt_refresh_history").await;
    session.run("begin; select pgtrickle.refresh_stream_table('top')").await;
    assert_eq!(session.value("select pg_current_xact_id_if_assigned()").await, "");
    session.run("commit").await;
    assert_eq!(session.number("select count(*) from pgtrickle.pgt_refresh_history").await, history);
    // An update of unread columns to the same values is no change either.
    session.run("update u set name = name").await;
    session.run("select pgtrickle.refresh_stream_table('j')").await;
    assert_eq!(session.number("select count(*) from pgtrickle.pgt_refresh_history").await, history);
    database.close().await;
}
