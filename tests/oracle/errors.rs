//! Every refusal: the right SQLSTATE, detail and hint where they help, and nothing left behind.

use pg_trickle_tests::{Database, Failure, Session};

/// What an error must carry besides its code.
#[derive(Clone, Copy, PartialEq)]
enum Say {
    /// Raised by PostgreSQL itself, or plain enough.
    Code,
    Hint,
    DetailAndHint,
}
use Say::{Code, DetailAndHint, Hint};

type Case = (&'static str, &'static str, Say);

const SETUP: &str = "
    create table t (id int primary key, v int, s text);
    insert into t select g, g % 3, 'x' from generate_series(1, 20) g;
    create table u (id int primary key, t_id int);
    create temp table temporary (a int);
    create materialized view mv as select count(*) as n from t;
    create extension file_fdw;
    create server files foreign data wrapper file_fdw;
    create foreign table far (a int) server files options (filename '/dev/null');
    create function look() returns int language sql stable as 'select max(v) from t';
    create function draw() returns int language sql volatile as 'select 1';
    create view clock as select id, now() as at from t;
    create view fixed as select id, v from t where v > 0;
    create sequence seq;
    select pgtrickle.create_stream_table('st', 'select id, v from t where v > 0');
    select pgtrickle.create_stream_table('on_st', 'select v, count(*) as n from st group by v');
    select pgtrickle.create_stream_table('on_view', 'select v from fixed');
";

/// Defining queries that are refused.
const QUERIES: &[Case] = &[
    ("42P01", "select * from missing", Code),
    ("42703", "select missing from t", Code),
    ("42601", "selec id from t", Code),
    ("42601", "select id from t; select v from t", Code),
    ("42601", "select id from t; drop table t", Code),
    ("42601", "", Code),
    ("42601", "insert into t values (99, 1, 'x') returning id", Code),
    ("42601", "delete from t", Code),
    ("42601", "select id from t) as q; drop table u; --", Code),
    ("42701", "select 1 as a, 2 as a", Code),
    ("0A000", "with gone as (delete from t returning id) select id from gone", Code),
    ("0A000", "select random() as r from t", DetailAndHint),
    ("0A000", "select id, draw() as d from t", DetailAndHint),
    ("0A000", "select nextval('seq') as n from t", DetailAndHint),
    ("0A000", "select id, clock_timestamp() as c from t", DetailAndHint),
    ("0A000", "select id, current_user as d from t", DetailAndHint),
    ("0A000", "select id, current_setting('work_mem') as d from t", DetailAndHint),
    ("0A000", "select id, pg_backend_pid() as d from t", DetailAndHint),
    ("0A000", "select id, look() as l from t", DetailAndHint),
    ("42P16", "select a from temporary", DetailAndHint),
    ("0A000", "select relname from pg_class", DetailAndHint),
    ("0A000", "select table_name::text from information_schema.tables", DetailAndHint),
    ("0A000", "select a from far", DetailAndHint),
    ("0A000", "select n from mv", DetailAndHint),
    ("0A000", "select count(*) as n from pg_stat_activity", DetailAndHint),
    ("0A000", "select id from t for update", Code),
];

/// Other statements that are refused.
const STATEMENTS: &[Case] = &[
    ("42P07", "select pgtrickle.create_stream_table('t', 'select 1 as a')", Hint),
    ("42P07", "select pgtrickle.create_stream_table('st', 'select 1 as a')", Hint),
    ("3F000", "select pgtrickle.create_stream_table('nowhere.st', 'select 1 as a')", Code),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', 'soon')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '-1s')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '5')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '61 * * * *')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '@fortnightly')", DetailAndHint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select 1 as a', '1s', 'FAST')", Hint),
    ("22023", "select pgtrickle.create_stream_table('n', 'select v from t', '1s', 'IMMEDIATE')", DetailAndHint),
    (
        "0A000",
        "select pgtrickle.create_stream_table('n', 'select id, count(*) over (rows unbounded preceding exclude ties) as r from t', '1s', 'DIFFERENTIAL')",
        DetailAndHint,
    ),
    ("0A000", "select pgtrickle.create_stream_table('n', 'select at from clock', '1s', 'DIFFERENTIAL')", DetailAndHint),
    (
        "0A000",
        "select pgtrickle.create_stream_table('n', 'select id, current_date as d from t', '1s', 'DIFFERENTIAL')",
        DetailAndHint,
    ),
    ("42P17", "select pgtrickle.alter_stream_table('st', query => 'select n::int as id, v from on_st')", DetailAndHint),
    ("42P17", "select pgtrickle.alter_stream_table('st', query => 'select id, v from st')", DetailAndHint),
    (
        "42P17",
        "select pgtrickle.create_or_replace_stream_table('st', 'select n::int as id, v from on_st')",
        DetailAndHint,
    ),
    ("0A000", "select pgtrickle.alter_stream_table('st', query => 'select id from t')", DetailAndHint),
    ("22023", "select pgtrickle.alter_stream_table('st', schedule => 'soon')", DetailAndHint),
    ("22023", "select pgtrickle.alter_stream_table('st', refresh_mode => 'soon')", Hint),
    ("22023", "select pgtrickle.alter_stream_table('st', status => 'soon')", Hint),
    (
        "0A000",
        "select pgtrickle.alter_stream_table('st', query => 'select id, random()::int as v from t')",
        DetailAndHint,
    ),
    ("42809", "select pgtrickle.refresh_stream_table('t')", Hint),
    ("42809", "select pgtrickle.drop_stream_table('t')", Hint),
    ("42809", "select pgtrickle.alter_stream_table('t', schedule => '1s')", Hint),
    ("42809", "select pgtrickle.resume_stream_table('fixed')", Hint),
    ("42P01", "select pgtrickle.refresh_stream_table('missing')", Hint),
    ("42P01", "select pgtrickle.drop_stream_table('missing')", Hint),
    ("42P01", "select * from pgtrickle.get_refresh_history('missing')", Hint),
    ("42P01", "select pgtrickle.explain_stream_table('missing')", Hint),
    ("42P01", "select pgtrickle.explain_stream_table('missing', false, true)", Hint),
    ("22023", "select pgtrickle.explain_stream_table('st', format => 'yaml')", Hint),
    ("42602", "select pgtrickle.refresh_stream_table('a.')", Code),
    ("2BP01", "select pgtrickle.drop_stream_table('st')", DetailAndHint),
    ("2BP01", "drop table st", DetailAndHint),
    ("2BP01", "drop table t", DetailAndHint),
    ("2BP01", "drop view fixed", DetailAndHint),
    ("2BP01", "alter table t drop column v", DetailAndHint),
    ("0A000", "alter table t alter column v type bigint", Code),
    ("0A000", "alter table st alter column v type bigint", Code),
    ("55000", "insert into st values (1, 1)", Hint),
    ("55000", "update st set v = 2", Hint),
    ("55000", "delete from st where id = 1", Hint),
    ("55000", "truncate st, on_st", Hint),
    ("55000", "copy st from program 'printf \"1\\t1\\n\"'", Hint),
    ("55000", "merge into st using t on t.id = st.id when matched then delete", Hint),
];

/// Everything that a refusal could leave behind.
async fn traces(session: &Session) -> Vec<String> {
    session
        .column(
            "select oid::regclass::text from pg_class where oid > 16384 and relkind <> 'S'
             union all select tgrelid::regclass || '.' || tgname from pg_trigger
             union all select to_jsonb(s)::text from pgtrickle.pgt_stream_tables s
             union all select s::text from pgtrickle.pgt_sources s
             union all select d::text from pgtrickle.pgt_dependencies d
             union all select l::text from pgtrickle.pgt_layouts l
             order by 1",
        )
        .await
}

/// What is in only one of two lists.
fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|trace| !after.contains(trace)).map(|trace| format!("    gone: {trace}"));
    let new = after.iter().filter(|trace| !before.contains(trace)).map(|trace| format!("    new: {trace}"));
    gone.chain(new).collect()
}

/// What is wrong with the answer to one case.
fn judge((code, sql, say): &Case, answer: Result<(), Failure>) -> Option<String> {
    let failure = match answer {
        Ok(()) => return Some(format!("{code} expected, but it was accepted: {sql}")),
        Err(failure) => failure,
    };
    let silent = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().is_empty();
    let mut wrong = vec![];
    if failure.code != *code {
        wrong.push(format!("code {} instead of {code}", failure.code));
    }
    if *say == DetailAndHint && silent(&failure.detail) {
        wrong.push("no detail".to_owned());
    }
    if *say != Code && silent(&failure.hint) {
        wrong.push("no hint".to_owned());
    }
    let text = failure.to_string();
    let excerpt: Vec<&str> = text.lines().take(3).collect();
    (!wrong.is_empty()).then(|| format!("{}: {sql}\n    {}", wrong.join(", "), excerpt.join("\n    ")))
}

async fn run_cases(session: &Session, cases: &[Case], statement: impl Fn(&str) -> String) -> Vec<String> {
    let mut wrong = vec![];
    for case in cases {
        let before = traces(session).await;
        let answer = session.attempt(&statement(case.1)).await;
        wrong.extend(judge(case, answer));
        let after = traces(session).await;
        if after != before {
            wrong.push(format!("left something behind: {}\n{}", case.1, changes(&before, &after).join("\n")));
        }
        // Caught in a subtransaction it must leave the session as good as new.
        let caught =
            format!("do $do$ begin execute $sql${}$sql$; exception when others then null; end $do$", statement(case.1));
        if before == after && session.attempt(&caught).await.is_err() {
            wrong.push(format!("cannot be caught: {}", case.1));
        }
        session.run("update t set v = v + 1 where id = 3; select pgtrickle.refresh_stream_table('on_st')").await;
    }
    wrong
}

#[tokio::test]
async fn refused_queries() {
    let database = Database::fresh("refused").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let wrong =
        run_cases(&session, QUERIES, |query| format!("select pgtrickle.create_stream_table('n', $q${query}$q$)")).await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), QUERIES.len(), wrong.join("\n"));
    database.close().await;
}

#[tokio::test]
async fn refused_statements() {
    let database = Database::fresh("refused").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let wrong = run_cases(&session, STATEMENTS, str::to_owned).await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), STATEMENTS.len(), wrong.join("\n"));
    // The owner of the source must see which stream table reads it.
    let failure = session.refuse("drop table t").await;
    assert!(failure.detail.unwrap_or_default().contains("table st"), "the detail names the stream table");
    database.close().await;
}

/// What a role lacks, one privilege at a time.
#[tokio::test]
async fn missing_privileges() {
    let database = Database::fresh("privileges").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let role = format!("role_{}", database.name);
    session
        .run(&format!(
            "create role {role}; grant usage on schema public to {role};
             create table secret (a int); alter table secret enable row level security; create policy p on secret using (a > 0);
             grant select, trigger on secret to {role}"
        ))
        .await;
    let create = "select pgtrickle.create_stream_table('mine', 'select id, v from t')";
    let mut wrong = vec![];
    for (grant, statement, say) in [
        ("select 1", create, Code),
        ("grant create on schema public to R", create, Code),
        ("grant select on t to R", create, DetailAndHint),
        ("select 1", "select pgtrickle.create_stream_table('mine', 'select a from secret')", DetailAndHint),
        ("select 1", "select pgtrickle.refresh_stream_table('st')", Code),
        ("select 1", "select pgtrickle.drop_stream_table('st')", Code),
        ("select 1", "select pgtrickle.alter_stream_table('st', status => 'PAUSED')", Code),
        ("select 1", "select pgtrickle.resume_stream_table('st')", Code),
        ("select 1", "select pgtrickle.create_or_replace_stream_table('st', 'select 1 as id, 2 as v')", Code),
        ("select 1", "delete from pgtrickle.pgt_stream_tables", Code),
        ("select 1", "select pgtrickle.forget_dropped_tables()", Code),
        ("select 1", "select * from st", Code),
    ] {
        session.run(&grant.replace("to R", &format!("to {role}"))).await;
        let before = traces(&session).await;
        session.run(&format!("set role {role}")).await;
        let answer = session.attempt(statement).await;
        session.run("reset role").await;
        wrong.extend(judge(&("42501", statement, say), answer));
        if traces(&session).await != before {
            wrong.push(format!("left something behind: {statement}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    session.run(&format!("grant trigger on t to {role}; set role {role}; {create}; reset role")).await;
    pg_trickle_tests::exact::check(&session, "mine", pg_trickle_tests::exact::Equality::Text).await;
    session.run(&format!("drop owned by {role} cascade; drop role {role}")).await;
    database.close().await;
}

/// A table that was changed behind the guard does not fit its delta; the error, or the history where a worker met it, says
/// which table it is and by how much.
#[tokio::test]
async fn misfitting_delta_is_an_error() {
    let database = Database::fresh("misfit").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let figures = "Table public.bag: the weights are -2 and +1, but 0 rows were deleted, 0 updated and 1 inserted.";
    for schedule in ["1d", "0s"] {
        session
            .run(&format!(
                "select pgtrickle.create_stream_table('bag', 'select v, s from t', '{schedule}');
                 begin; alter event trigger pgtrickle_on_ddl disable; alter table bag disable trigger pgtrickle_guard;
                 delete from bag; alter table bag enable always trigger pgtrickle_guard;
                 alter event trigger pgtrickle_on_ddl enable always;
                 delete from t where id = 5; update t set v = v + 10 where id = 3; commit"
            ))
            .await;
        if schedule == "1d" {
            let failure = session.refuse("select pgtrickle.refresh_stream_table('bag')").await;
            assert_eq!(failure.detail.as_deref(), Some(figures), "{failure}");
        } else {
            let told = format!(
                "select exists (select from pgtrickle.get_refresh_history('bag') where error = 'internal error: a delta does not match its table: {figures}')"
            );
            session.wait_until(&told).await;
        }
        session.run("select pgtrickle.drop_stream_table('bag'); insert into t values (5, 2, 'x')").await;
    }
    database.close().await;
}

/// Rows that leave a group of which the table knows fewer, or none, are no change of it: the table starts over.
#[tokio::test]
async fn missing_group_is_an_error() {
    let database = Database::fresh("groups").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    for (broken, change, weights) in [
        ("delete from groups where v = 1", "delete from t where id = 1", "-1 and +0"),
        ("update groups set n = 1 where v = 1", "delete from t where id in (1, 4)", "-2 and +0"),
        ("update groups set counted = 1 where v = 1", "delete from t where id in (1, 4)", "-2 and +0"),
    ] {
        session
            .run(&format!(
                "select pgtrickle.create_stream_table('groups',
                     'select v, count(*) as n, count(s) as counted, sum(id) as total from t group by v', '1d', 'DIFFERENTIAL');
                 begin; alter event trigger pgtrickle_on_ddl disable; alter table groups disable trigger pgtrickle_guard;
                 {broken}; alter table groups enable always trigger pgtrickle_guard;
                 alter event trigger pgtrickle_on_ddl enable always; {change}; commit"
            ))
            .await;
        let failure = session.refuse("select pgtrickle.refresh_stream_table('groups')").await;
        assert!(failure.message.contains("a delta does not match"), "{broken}: {failure}");
        assert!(failure.detail.is_some_and(|detail| detail.contains(weights)), "{broken}: {}", failure.message);
        session.run("select pgtrickle.drop_stream_table('groups'); truncate t; insert into t select g, g % 3, 'x' from generate_series(1, 20) g").await;
    }
    database.close().await;
}
