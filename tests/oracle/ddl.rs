//! Changes under a stream table that are not row changes: never silently wrong.

#[path = "ddl/members.rs"]
mod members;

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::session::HANG;
use pg_trickle_tests::{Database, Session};

/// DDL on a source, and the action of the next refresh; no action where any is right.
struct Case {
    what: &'static str,
    before: &'static str,
    query: &'static str,
    steps: &'static [&'static str],
    action: Option<&'static str>,
}

const fn case(
    what: &'static str,
    before: &'static str,
    query: &'static str,
    steps: &'static [&'static str],
    action: Option<&'static str>,
) -> Case {
    Case { what, before, query, steps, action }
}

const DELTA: Option<&str> = Some("DIFFERENTIAL");
const AGAIN: Option<&str> = Some("REINITIALIZE");

const T: &str = "create table t (id int primary key, g int, v numeric, note text); insert into t select n, n % 4, n, 'x' from generate_series(1, 30) n";
const GROUPS: &str = "select g, count(*) as n, sum(v) as s from t group by g";
const CASES: &[Case] = &[
    case(
        "a renamed table",
        T,
        GROUPS,
        &["alter table t rename to renamed", "insert into renamed values (91, 1, 5, 'n')"],
        None,
    ),
    case(
        "a renamed column",
        T,
        GROUPS,
        &["alter table t rename column v to worth", "update t set worth = 7 where id = 1"],
        None,
    ),
    case(
        "another schema",
        T,
        GROUPS,
        &["create schema elsewhere; alter table t set schema elsewhere", "delete from elsewhere.t where id < 4"],
        None,
    ),
    case(
        "swapped names",
        T,
        GROUPS,
        &[
            "alter table t rename to old; create table t (like old); insert into t values (1, 1, 1)",
            "insert into old values (92, 2, 2)",
        ],
        None,
    ),
    case(
        "an added column",
        T,
        GROUPS,
        &["alter table t add column more int default 7", "update t set more = 8, v = v + 1 where id < 5"],
        DELTA,
    ),
    case(
        "an added column and a star",
        T,
        "select * from t",
        &["alter table t add column more int default 7", "insert into t values (93, 1, 1, 'n', 2)"],
        DELTA,
    ),
    case(
        "a dropped column that is not read",
        T,
        GROUPS,
        &["alter table t drop column note", "insert into t values (94, 3, 3)"],
        DELTA,
    ),
    case(
        "columns dropped before",
        "create table t (gone int, id int, away text, g int, v numeric); alter table t drop column gone; alter table t drop column away; insert into t values (1, 1, 1)",
        GROUPS,
        &["insert into t values (2, 1, 5)", "update t set g = 2 where id = 1"],
        DELTA,
    ),
    case(
        "another type for a column that is not read",
        T,
        GROUPS,
        &[
            "alter table t alter column note type varchar(40)",
            "alter table t alter column id type bigint",
            "update t set v = 0 where g = 1",
        ],
        None,
    ),
    case(
        "rewritten",
        T,
        GROUPS,
        &["update t set v = 3 where id = 3", "vacuum full t", "cluster t using t_pkey", "delete from t where id = 4"],
        DELTA,
    ),
    case("truncated", T, GROUPS, &["truncate t"], AGAIN),
    case(
        "truncated and filled",
        T,
        GROUPS,
        &["insert into t values (95, 9, 9)", "truncate t", "insert into t values (96, 9, 9)"],
        AGAIN,
    ),
    case(
        "truncated and rolled back",
        T,
        GROUPS,
        &["begin; truncate t; rollback", "insert into t values (97, 9, 9)"],
        DELTA,
    ),
    case(
        "truncated in a savepoint",
        T,
        GROUPS,
        &["begin; insert into t values (98, 9, 9); savepoint s; truncate t; rollback to s; commit"],
        DELTA,
    ),
    case(
        "its truncate cascaded",
        "create table r (id int primary key); create table t (id int, g int references r, v int); insert into r values (1); insert into t values (1, 1, 1)",
        GROUPS,
        &["truncate r cascade"],
        AGAIN,
    ),
    case(
        "triggers off",
        T,
        GROUPS,
        &["alter table t disable trigger all", "delete from t where id < 10", "alter table t enable trigger all"],
        AGAIN,
    ),
    case(
        "user triggers off",
        T,
        GROUPS,
        &[
            "alter table t disable trigger user; insert into t values (99, 8, 8); alter table t enable trigger user",
            "insert into t values (100, 8, 8)",
        ],
        AGAIN,
    ),
    case(
        "triggers left off",
        T,
        GROUPS,
        &["alter table t disable trigger user; insert into t values (99, 8, 8)"],
        AGAIN,
    ),
    case(
        "triggers as on a replica",
        T,
        GROUPS,
        &["set session_replication_role = replica; delete from t where id < 9; reset session_replication_role"],
        DELTA,
    ),
    case(
        "rules and defaults",
        T,
        GROUPS,
        &[
            "create rule r as on insert to t do also update t set v = v + 1 where id = 2",
            "insert into t values (101, 1, 1)",
        ],
        DELTA,
    ),
    case(
        "a user's trigger that changes the row",
        T,
        GROUPS,
        &[
            "create function twice() returns trigger language plpgsql as 'begin new.v := new.v * 2; return new; end'; create trigger a before insert or update on t for each row execute function twice()",
            "insert into t values (102, 1, 50)",
            "update t set v = 4 where id = 5",
        ],
        DELTA,
    ),
    case(
        "a column with a generated value",
        "create table t (id int primary key, g int, w int, v int generated always as (w * 2) stored); insert into t values (1, 1, 1)",
        GROUPS,
        &["insert into t values (2, 1, 10)", "update t set w = 20 where id = 1"],
        DELTA,
    ),
    case(
        "a cascade",
        "create table r (id int primary key); create table t (id int, g int references r on delete cascade on update cascade, v int); insert into r values (1), (2), (3); insert into t select n, 1 + n % 3, n from generate_series(1, 9) n",
        GROUPS,
        &["delete from r where id = 1", "update r set id = 20 where id = 2"],
        DELTA,
    ),
    case(
        "large values",
        "create table t (id int primary key, g int, v numeric, note text); alter table t alter note set storage external; insert into t select n, n, n, repeat('long ', 20000) from generate_series(1, 3) n",
        "select id, note, v from t",
        &[
            "update t set v = v + 1",
            "update t set note = note || 'er' where id = 1",
            "delete from t where id = 2",
            "insert into t values (4, 4, 4, repeat('x', 3000000))",
            "delete from t where id = 4",
        ],
        DELTA,
    ),
    case(
        "many rows at once",
        T,
        GROUPS,
        &[
            "insert into t select n, n % 1000, n, 'x' from generate_series(1000, 60000) n",
            "update t set v = v + 1",
            "delete from t where id % 3 = 0",
        ],
        DELTA,
    ),
    case(
        "ten columns wide",
        "create table t (id int, g int, v int, a text, b text, c date, d float8, e bool, f uuid, h inet); insert into t values (1)",
        "select * from t",
        &[
            "insert into t values (2, null, 3, '', null, '-infinity', 'nan', false, '00000000-0000-0000-0000-000000000001', '::1')",
            "update t set h = '10.0.0.1/8', d = -0.0 where id = 2",
        ],
        DELTA,
    ),
    case(
        "a view replaced",
        "create table t (id int primary key, g int, v int); insert into t values (1, 1, 1), (2, 2, 2); create view w as select g, v from t",
        "select g, sum(v) as s from w group by g",
        &["create or replace view w as select g, v * 10 as v from t where g > 1", "insert into t values (3, 3, 3)"],
        AGAIN,
    ),
    case(
        "a view that reads another table",
        "create table t (id int, g int, v int); create table t2 (like t); insert into t values (1, 1, 1); insert into t2 values (1, 5, 5); create view w as select g, v from t",
        "select g, sum(v) as s from w group by g",
        &[
            "create or replace view w as select g, v from t2",
            "insert into t2 values (2, 6, 6)",
            "insert into t values (3, 3, 3)",
        ],
        AGAIN,
    ),
    case(
        "a renamed type",
        "create type m as enum ('a', 'b'); create table t (id int, g m, v int); insert into t values (1, 'a', 1)",
        GROUPS,
        &[
            "alter type m rename value 'a' to 'z'; alter type m add value 'c'",
            "insert into t values (2, 'c', 1), (3, 'z', 1)",
        ],
        None,
    ),
    case(
        "a replaced function",
        "create table t (id int, g int, v int); insert into t values (1, 1, 1); create function f(int) returns int language sql immutable as 'select $1 + 1'",
        "select g, f(v) as fv from t",
        &[
            "create or replace function f(int) returns int language sql immutable as 'select $1 + 10'",
            "insert into t values (2, 2, 2)",
            "delete from t where id = 1",
        ],
        AGAIN,
    ),
];

async fn last_action(session: &Session) -> String {
    session.value("select action from pgtrickle.get_refresh_history('st', 1)").await
}

/// Drops everything. A running refresh of a worker may make it fail for the moment.
async fn clear(session: &Session) {
    while let Err(failure) =
        session.attempt("drop schema if exists public, elsewhere cascade; create schema public").await
    {
        assert!(failure.is_contention(), "{failure}");
    }
}

async fn replay(session: &Session, case: &Case, refresh_each: bool) -> Result<(), String> {
    clear(session).await;
    session.run(case.before).await;
    // In mode AUTO many changed rows may be recomputed.
    let mode = if case.action == Some("DIFFERENTIAL") { "DIFFERENTIAL" } else { "AUTO" };
    session.run(&format!("select pgtrickle.create_stream_table('st', $q${}$q$, '1h', '{mode}')", case.query)).await;
    for (at, step) in case.steps.iter().enumerate() {
        session.attempt(step).await.map_err(|failure| format!("{failure}\nin: {step}"))?;
        if refresh_each || at + 1 == case.steps.len() {
            let refresh = session.attempt("select pgtrickle.refresh_stream_table('st')").await;
            refresh.map_err(|failure| format!("{failure}\non refresh after: {step}"))?;
            let found = exact::differences(session, "st", Equality::Text).await;
            if !found.is_empty() {
                return Err(format!("differs after: {step}\n{}", found.join("\n")));
            }
        }
    }
    let action = last_action(session).await;
    match case.action {
        Some(expected) if !refresh_each && action != expected => Err(format!("{action} instead of {expected}")),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn schema_changes_of_sources_are_followed() {
    let database = Database::fresh("ddl").await;
    let session = database.connect().await;
    let mut wrong = vec![];
    for case in CASES.iter().chain(members::CASES) {
        for refresh_each in [false, true] {
            if let Err(error) = replay(&session, case, refresh_each).await {
                wrong.push(format!("{} (refresh after every step: {refresh_each}): {error}", case.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{} failures:\n{}", wrong.len(), wrong.join("\n"));
    database.close().await;
}

/// The same, refreshed by the workers, which only the change itself notifies.
#[tokio::test]
async fn workers_follow_schema_changes() {
    let database = Database::fresh("ddl_workers").await;
    let session = database.connect().await;
    let mut wrong = vec![];
    for case in CASES
        .iter()
        .chain(members::CASES)
        .filter(|case| !case.steps.iter().any(|step| step.contains("disable trigger")))
    {
        clear(&session).await;
        session.run(case.before).await;
        session.run(&format!("select pgtrickle.create_stream_table('st', $q${}$q$, '0s')", case.query)).await;
        let mut refused = None;
        for step in case.steps {
            refused = refused.or(session.attempt(step).await.err().map(|failure| format!("{failure}\nin: {step}")));
        }
        if let Some(failure) = refused {
            wrong.push(format!("{}: {failure}", case.what));
            continue;
        }
        let definition = exact::definition(&session, "st").await;
        let equal = format!("select not exists ({})", exact::differing("st", &definition, Equality::Text));
        if !session.reaches(&equal, HANG).await {
            let found = exact::differences(&session, "st", Equality::Text).await;
            wrong.push(format!("{}: after {HANG:?}\n{}", case.what, found.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} failures:\n{}", wrong.len(), wrong.join("\n"));
    database.close().await;
}
