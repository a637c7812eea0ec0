//! The functions: columns and rows of the query, status, roles, names of any kind.

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Session};

const SETUP: &str = "
    create table t (id int primary key, g int, v numeric(12,2), s varchar(10), at timestamptz(3), c text collate \"C\");
    insert into t select n, n % 4, n, 'x', '2024-01-01', 'c' from generate_series(1, 20) n;
    create table r (id int primary key, name text);
    insert into r values (0, 'zero'), (1, 'one');
";

/// Columns as a view on the query has them, whatever the mode and however the table is maintained.
#[tokio::test]
async fn stream_table_has_the_columns_of_its_query() {
    let database = Database::fresh("columns").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let queries = [
        "select * from t",
        "select t.*, r.name from t join r on r.id = t.g where t.id < 0",
        "select t.id, t.v as \"V\", r.name::char(7) as \"a \"\"b\"\" é\", t.v::numeric(5,1) as n, t.c || 'x' as d from t join r on r.id = t.g",
        "select g, c, sum(v), avg(v), count(*), min(s), max(at), max(c) as mc from t group by g, c",
        "select count(*) from t",
        "select distinct s, c, at from t",
        "select s, c from t union all select name, name collate \"POSIX\" from r",
        "select row_number() over (order by id), v, c from t",
        "select avg(n) as n from (select g, count(*) as n from t group by g) x",
        "select g, (select name from r where r.id = t.g) as name from t",
        "select 1 as a, 'x' as b, null as c, '{}'::int[] as d, true as e, 1.50::numeric(4,2) as f, b'101' as g, interval '1 day'::interval day as h from t",
        "values (1, 'a'::varchar(3)), (2, 'b')",
    ];
    let columns = |relation: &str| {
        format!(
            "select format('%s %s %s %s', attnum, attname, format_type(atttypid, atttypmod), attcollation::regcollation)
               from pg_attribute where attrelid = '{relation}'::regclass and attnum > 0 order by attnum"
        )
    };
    for mode in ["AUTO", "FULL"] {
        for query in queries {
            session.run(&format!("create view v as {query}; select pgtrickle.create_stream_table('st', $q${query}$q$, '1h', '{mode}')")).await;
            assert_eq!(session.column(&columns("st")).await, session.column(&columns("v")).await, "{mode}: {query}");
            session.run("insert into t values (100, 1, 5, 'y', now(), 'd'); update t set v = v + 1 where id = 3").await;
            session.run("select pgtrickle.refresh_stream_table('st')").await;
            let difference =
                "select count(*) from ((table st except all table v) union all (table v except all table st)) d";
            assert_eq!(session.number(difference).await, 0, "{mode}: {query}");
            session.run("drop view v; select pgtrickle.drop_stream_table('st'); delete from t where id = 100").await;
        }
    }
    database.close().await;
}

async fn check(session: &Session, table: &str) {
    exact::refresh(session, table).await;
    exact::check(session, table, Equality::Text).await;
}

#[tokio::test]
async fn definitions_change_in_place() {
    let database = Database::fresh("alter").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session.run("select pgtrickle.create_stream_table('st', 'select id, v from t where g = 1', '1h')").await;
    session.run("create view reader as select sum(v) as s from st").await;
    let oid = session.value("select 'st'::regclass::oid").await;
    session.run("select pgtrickle.create_stream_table_if_not_exists('st', 'select 1 as other')").await;
    session.run("insert into t values (30, 1, 1), (31, 2, 2)").await;
    for change in [
        "alter_stream_table('st', query => 'select id, v from t where g = 2')",
        "alter_stream_table('st', query => 'select id, v from t where v > 3 union all select id, null::numeric(12,2) from r', refresh_mode => 'DIFFERENTIAL')",
        "alter_stream_table('st', refresh_mode => 'FULL')",
        "alter_stream_table('st', schedule => '5m', refresh_mode => 'AUTO')",
        "create_or_replace_stream_table('st', 'select g as id, sum(v)::numeric(12,2) as v from t group by g', '1h')",
        "create_or_replace_stream_table('st', 'select id, v from t where g = 1 order by id limit 3', '1h')",
        "create_or_replace_stream_table('st', 'select id, v from t', '1h', 'DIFFERENTIAL', false)",
    ] {
        session.run(&format!("select pgtrickle.{change}")).await;
        check(&session, "st").await;
        session.run("insert into t select max(id) + 1, 1, 7 from t; update t set v = v + 1 where id < 5; delete from r where id = 1").await;
        check(&session, "st").await;
        assert_eq!(session.value("select 'st'::regclass::oid").await, oid, "a new table after {change}");
    }
    // Other columns need another table, which must not be read by a view.
    let other = "select pgtrickle.create_or_replace_stream_table('st', 'select name from r', '1h')";
    assert_eq!(session.refuse(other).await.code, "2BP01");
    session.run(&format!("drop view reader; {other}")).await;
    check(&session, "st").await;
    session.run("select pgtrickle.create_or_replace_stream_table('new', 'select name from r', '1h')").await;
    check(&session, "new").await;
    session.run("select pgtrickle.alter_stream_table('new', status => 'PAUSED')").await;
    session.run("insert into r values (7, 'seven')").await;
    check(&session, "new").await;
    database.close().await;
}

#[tokio::test]
async fn names_of_any_kind() {
    let database = Database::fresh("names").await;
    let session = database.connect().await;
    session
        .run(
            r#"create schema "My Schema"; create schema "sch""ema";
               create table "My Schema"."Tab le" ("Id" int primary key, "select" text, "Größe" int, "x.y" int, "a""b" int);
               create table "sch""ema"."order" ("group" int, "w" bigint, w_old int, n int);
               insert into "My Schema"."Tab le" values (1, 'a', 1, 1, 1), (2, 'b', 2, 2, 2);
               insert into "sch""ema"."order" values (1, 10, 1, 1), (2, 20, 2, 2)"#,
        )
        .await;
    for (name, query) in [
        (
            r#""My Schema"."St 1""#,
            r#"select "Id", "select", "Größe", "x.y" + 1 as "1", "a""b" from "My Schema"."Tab le""#,
        ),
        (r#""sch""ema"."table""#, r#"select "group", w, w_old, n from "sch""ema"."order""#),
        (
            r#""sch""ema"."user""#,
            r#"select "group" as w, sum(w) as n, max(n) as n_old, count(*) as touched from "sch""ema"."order" group by "group""#,
        ),
        (
            r#""sch""ema"."delta""#,
            r#"select a."Größe" as stale, b.w as weight from "My Schema"."Tab le" a join "sch""ema"."order" b on b."group" = a."Id""#,
        ),
        (r#""sch""ema"."D""#, r#"select distinct w as "W", n as w from "sch""ema"."order""#),
        (
            r#"a_name_that_has_exactly_the_sixty_three_bytes_that_are_allowed_"#,
            r#"select "Id" from "My Schema"."Tab le""#,
        ),
    ] {
        session
            .run(&format!("select pgtrickle.create_stream_table($n${name}$n$, $q${query}$q$, '1h', 'DIFFERENTIAL')"))
            .await;
        session
            .run(
                r#"insert into "My Schema"."Tab le" select max("Id") + 1, 'select', 3, 3, 3 from "My Schema"."Tab le";
                   update "sch""ema"."order" set w = w + 1, n = n - 1; insert into "sch""ema"."order" select * from "sch""ema"."order" limit 1"#,
            )
            .await;
        check(&session, name).await;
    }
    database.close().await;
}

/// A definition keeps its meaning under any path, time zone or role.
#[tokio::test]
async fn session_settings_do_not_affect_results() {
    let database = Database::fresh("sessions").await;
    let session = database.connect().await;
    session
        .run(
            "create schema a; create schema b;
             create table a.t (id int, at timestamptz); create table b.t (id int, at timestamptz); insert into b.t values (1, '2024-01-01');
             create function a.f(int) returns int language sql immutable as 'select 1';
             create function b.f(int) returns int language sql immutable as 'select 2';
             set search_path = a, public; set timezone = 'Asia/Kolkata'; set datestyle = 'German'; set extra_float_digits = -5;
             select pgtrickle.create_stream_table('public.st', $$select f(id) as f, at::date as d, at::text as t, date_trunc('day', at) as s, id::float8 / 3 as x from t$$, '0s');
             select pgtrickle.create_stream_table('public.n', $$select at::date as d, count(*) as n from t group by at::date$$, '1h')",
        )
        .await;
    let other = database.connect().await;
    other.run("set search_path = b, public; set timezone = 'America/Lima'; set datestyle = 'ISO'").await;
    other.run("insert into a.t select n, '2024-06-30 20:00+00'::timestamptz + n * interval '1 hour' from generate_series(1, 24) n").await;
    exact::refresh(&other, "n").await;
    exact::wait_fresh(&session).await;
    for name in ["st", "n"] {
        exact::check(&session, name, Equality::Text).await;
    }
    database.close().await;
}

/// A role without special rights does everything with its own tables, and its refreshes do no more than it may.
#[tokio::test]
async fn plain_roles() {
    let database = Database::fresh("roles").await;
    let admin = database.connect().await;
    let (role, reader) = (format!("owner_{}", database.name), format!("reader_{}", database.name));
    admin.run(&format!("create role {role}; create role {reader}; grant create on schema public to {role}; grant usage on schema public to {reader}")).await;
    admin.run("create table secret (a int); insert into secret values (1)").await;
    let session = database.connect().await;
    session.run(&format!("set role {role}")).await;
    session.run(SETUP).await;
    session.run("select pgtrickle.create_stream_table('mine', 'select g, count(*) as n, max(v) as m from t group by g', '0s')").await;
    session
        .run("select pgtrickle.create_stream_table('above', 'select n, count(*) as c from mine group by n', '0s')")
        .await;
    session.run("insert into t values (50, 9, 9); update t set g = 8 where id = 2").await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "above", Equality::Text).await;
    check(&session, "mine").await;
    for statement in [
        "select count(*) from pgtrickle.pgt_status()",
        "select count(*) from pgtrickle.get_refresh_history('mine')",
        "select count(*) from pgtrickle.change_buffer_sizes()",
        "select count(*) from pgtrickle.explain_stream_table('mine')",
    ] {
        assert!(session.number(statement).await > 0, "{statement}");
    }
    assert_eq!(
        session.refuse("select pgtrickle.create_stream_table('stolen', 'select a from secret')").await.code,
        "42501"
    );
    // What it could read when it created the table it may not read for ever.
    admin.run(&format!("grant select, trigger on secret to {role}")).await;
    session.run("select pgtrickle.create_stream_table('granted', 'select a from secret', '1h', 'FULL')").await;
    admin.run(&format!("revoke select on secret from {role}; insert into secret values (2)")).await;
    assert_eq!(session.refuse("select pgtrickle.refresh_stream_table('granted')").await.code, "42501");
    assert_eq!(session.number("select count(*) from granted").await, 1);

    admin.run(&format!("set role {reader}")).await;
    for statement in [
        "select * from mine",
        "select * from pgtrickle_changes.changes_1",
        "select pgtrickle.refresh_stream_table('mine')",
    ] {
        assert_eq!(admin.refuse(statement).await.code, "42501", "{statement}");
    }
    session.run(&format!("grant select on mine to {reader}")).await;
    assert!(admin.number("select count(*) from mine").await > 0);
    // A writer needs no right on anything of ours.
    session.run(&format!("grant insert on t to {reader}")).await;
    admin.run("insert into t values (60, 9, 9); reset role").await;
    check(&session, "above").await;
    session.run("select pgtrickle.drop_stream_table('mine', true), pgtrickle.drop_stream_table('granted')").await;
    drop(session);
    admin.run(&format!("drop owned by {role}, {reader} cascade; drop role {role}; drop role {reader}")).await;
    database.close().await;
}

/// An owner's function runs as the owner, never as the role that refreshes.
#[tokio::test]
async fn refreshes_run_as_the_owner() {
    let database = Database::fresh("as_owner").await;
    let admin = database.connect().await;
    let role = format!("sly_{}", database.name);
    admin
        .run(&format!("create role {role}; grant create on schema public to {role}; create table secret (a int)"))
        .await;
    let session = database.connect().await;
    session
        .run(&format!(
            "set role {role}; create table t (id int);
             create function who(int) returns text language plpgsql immutable as 'begin return current_user; end';
             select pgtrickle.create_stream_table('st', 'select id, who(id) as who from t', '0s')"
        ))
        .await;
    session.run("insert into t values (1)").await;
    exact::wait_fresh(&session).await;
    session.run("insert into t values (2)").await;
    admin.run("select pgtrickle.refresh_stream_table('st')").await;
    assert_eq!(session.column("select distinct who from st").await, std::slice::from_ref(&role));
    // In a security-restricted context the role cannot be changed.
    session.run("create or replace function who(int) returns text language plpgsql immutable as 'begin execute ''reset role''; return current_user; end'").await;
    session.run("alter function who(int) set role = none").await;
    session.run("insert into t values (3)").await;
    let _ = admin.attempt("select pgtrickle.refresh_stream_table('st')").await;
    assert_eq!(session.number(&format!("select count(*) from st where who <> '{role}'")).await, 0);
    drop(session);
    admin
        .run(&format!("select pgtrickle.drop_stream_table('st'); drop owned by {role} cascade; drop role {role}"))
        .await;
    database.close().await;
}

#[tokio::test]
async fn status_shows_refreshes_and_errors() {
    let database = Database::fresh("status").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session.run("select pgtrickle.create_stream_table('sums', 'select g, sum(v) as v from t group by g', '1h')").await;
    session
        .run("select pgtrickle.create_stream_table('ranks', 'select id, count(*) over (order by v rows unbounded preceding exclude ties) as r from t', '1h')")
        .await;
    session.run("select pgtrickle.create_stream_table('empty', 'select id from t', '1h', 'AUTO', false)").await;
    session
        .run("insert into t values (40, 9, 9); update t set v = v + 1 where id = 1; delete from t where g = 2")
        .await;
    assert_eq!(
        session
            .number("select pending_rows from pgtrickle.change_buffer_sizes() where source::regclass = 't'::regclass")
            .await,
        8
    );
    session.run("select pgtrickle.refresh_stream_table('sums'), pgtrickle.refresh_stream_table('ranks'); truncate r, t; select pgtrickle.refresh_stream_table('sums')").await;
    let history = |name: &str| {
        format!(
            "select concat_ws(' ', action, rows_inserted, rows_updated, rows_deleted, delta_rows, error) from pgtrickle.get_refresh_history('{name}')"
        )
    };
    assert_eq!(
        session.column(&history("sums")).await,
        ["REINITIALIZE 0 0 4 1", "DIFFERENTIAL 1 1 1 8", "FULL 4 0 0 0"]
    );
    assert!(session.column(&history("ranks")).await[0].starts_with("FULL"));
    assert_eq!(session.column("select action from pgtrickle.get_refresh_history('sums', 1)").await, ["REINITIALIZE"]);
    let status = session.rows("select name, is_populated, status, refreshes, full_reason is not null, last_action from pgtrickle.pgt_status() order by name").await;
    let text: Vec<String> = status
        .into_iter()
        .map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" "))
        .collect();
    assert!(text[1].starts_with("public.ranks t ACTIVE 2 t FULL"), "{text:?}");
    assert!(text[2].starts_with("public.sums t ACTIVE 3 f REINITIALIZE"), "{text:?}");
    for (name, words) in [("sums", vec!["linear", "public.t", "g"]), ("ranks", vec!["window", "public.ranks"])] {
        let plan =
            session.column(&format!("select pgtrickle.explain_stream_table('{name}')")).await.join("\n").to_lowercase();
        for word in words {
            assert!(plan.contains(word), "{word} is not in:\n{plan}");
        }
    }
    database.close().await;
}

#[tokio::test]
async fn tree_shows_dependencies() {
    let database = Database::fresh("tree").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    session
        .run(
            "create schema far; create table far.\"P\" (id int, g int) partition by list (g); create table far.p1 partition of far.\"P\" default;
             create view far.w as select t.id, t.g, p.id as p from t join far.\"P\" p on p.id = t.id;
             select pgtrickle.create_stream_table('detail', 'select * from far.w', 'calculated');
             select pgtrickle.create_stream_table('counts', 'select g, count(*) as n from detail group by g', '5s');
             select pgtrickle.create_stream_table('names', 'select d.id, r.name from detail d join r on r.id = d.g', '@hourly');
             select pgtrickle.create_stream_table('joined', 'select n.id, n.name, c.n from names n join detail d on d.id = n.id join counts c on c.g = d.g', '1d');
             select pgtrickle.create_stream_table('alone', 'select 1 as one');
             select pgtrickle.alter_stream_table('counts', status => 'PAUSED')",
        )
        .await;
    let tree = |argument: &str| {
        format!(
            "select concat_ws(' | ', tree, kind, depth, schedule, status) from pgtrickle.dependency_tree({argument})"
        )
    };
    let detail = |depth: usize| {
        let indent = |depth: usize| if depth == 0 { String::new() } else { format!("{}└─ ", "  ".repeat(depth)) };
        vec![
            format!("{}public.detail | stream table | {depth} | calculated | ACTIVE", indent(depth)),
            format!("{}far.\"P\" | partitioned table | {}", indent(depth + 1), depth + 1),
            format!("{}public.t | table | {}", indent(depth + 1), depth + 1),
        ]
    };
    let mut all = vec![
        "public.alone | stream table | 0 | calculated | ACTIVE".to_owned(),
        "public.joined | stream table | 0 | 1d | ACTIVE".to_owned(),
        "  └─ public.counts | stream table | 1 | 5s | PAUSED".to_owned(),
    ];
    all.extend(detail(2));
    all.extend(detail(1));
    all.push("  └─ public.names | stream table | 1 | @hourly | ACTIVE".to_owned());
    all.extend(detail(2));
    all.push("    └─ public.r | table | 2".to_owned());
    assert_eq!(session.column(&tree("")).await, all);
    assert_eq!(session.column(&tree("'detail'")).await, detail(0));
    assert_eq!(session.column(&tree("name => 'alone'")).await, &all[..1]);
    session.run("set search_path = far").await;
    assert_eq!(session.column(&tree("'public.detail'")).await, detail(0));
    for (name, code) in [("'detail'", "42P01"), ("'w'", "42809"), ("'public.t'", "42809")] {
        let failure = session.refuse(&tree(name)).await;
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("pgt_status")));
    }
    database.close().await;
}

#[tokio::test]
async fn status_shows_freshness_targets() {
    let database = Database::fresh("target").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    for (name, from, schedule) in [
        ("slow", "t", "calculated"),
        ("middle", "slow", "calculated"),
        ("fast", "middle", "2s"),
        ("daily", "middle", "1d"),
        ("hourly", "slow", "@hourly"),
        ("last", "daily", "calculated"),
        ("bound", "hourly", "0s"),
    ] {
        session
            .run(&format!("select pgtrickle.create_stream_table('{name}', 'select id, g from {from}', '{schedule}')"))
            .await;
    }
    let told = "select split_part(name, '.', 2) || coalesce(' ' || target, '') from pgtrickle.pgt_status()";
    let promised = [
        "slow 00:00:00",
        "middle 00:00:01",
        "fast 00:00:02",
        "daily 1 day",
        "hourly",
        "last 00:00:01",
        "bound 00:00:00",
    ];
    assert_eq!(session.column(told).await, promised);
    session.run("select pgtrickle.drop_stream_table('bound'), pgtrickle.drop_stream_table('last')").await;
    assert_eq!(
        session.column(told).await,
        ["slow 00:00:02", "middle 00:00:02", "fast 00:00:02", "daily 1 day", "hourly"]
    );
    assert!(
        session
            .holds("select bool_and(staleness <= target) from pgtrickle.pgt_status() where name = 'public.daily'")
            .await
    );
    database.close().await;
}
