//! Mode AUTO: the same rows with either plan, and both costs in the history. The other modes never choose.

use pg_trickle_tests::exact;
use pg_trickle_tests::{Database, Session};

/// Sums over 20,000 rows in five groups, in every mode, and a stream table on top of the one in mode AUTO.
const SETUP: &str = "
    create table t (id int primary key, g int not null, v int not null);
    insert into t select n, n % 5, n from generate_series(1, 20000) n;
    analyze t;
    select pgtrickle.create_stream_table(mode || '_sums', 'select g, count(*) as n, sum(v) as s from t group by g', '1d', mode)
      from unnest(array['auto', 'differential', 'full']) mode;
    select pgtrickle.create_stream_table('total', 'select sum(n) as n, sum(s) as s from auto_sums', '1d', 'differential');
";
const TABLES: [&str; 3] = ["auto_sums", "differential_sums", "full_sums"];

const MOST: &str = "update t set v = v + 1, g = (g + 1) % 5 where id % 50 > 0";
const ONE: &str = "update t set v = v + 1 where id = 7";

/// What the last refresh of a table did, and which figures it left.
async fn last(session: &Session, table: &str) -> String {
    let history = format!(
        "select concat_ws(' ', action, case when delta_ms is null then 'no choice'
                                            when delta_ms <= full_ms then 'delta cheaper'
                                            when delta_ms > full_ms then 'full cheaper' end)
           from pgtrickle.get_refresh_history('{table}', 1)"
    );
    session.value(&history).await
}

async fn refresh_all(session: &Session) -> Vec<String> {
    let mut done = vec![];
    for table in TABLES {
        exact::refresh_and_check(session, table).await;
        done.push(last(session, table).await);
    }
    done
}

/// Before anything was measured it is the planner's costs that decide, whatever the machine is like.
#[tokio::test]
async fn auto_chooses_the_cheaper_plan() {
    let database = Database::fresh("adaptive").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    assert_eq!(last(&session, "auto_sums").await, "FULL no choice", "the first fill");
    session.run(MOST).await;
    assert_eq!(refresh_all(&session).await, ["FULL full cheaper", "DIFFERENTIAL no choice", "FULL no choice"]);
    session.run(ONE).await;
    assert_eq!(refresh_all(&session).await, ["DIFFERENTIAL delta cheaper", "DIFFERENTIAL no choice", "FULL no choice"]);
    database.close().await;
}

/// When AUTO recomputes a table, its consumers get the difference as a delta.
#[tokio::test]
async fn recomputation_propagates_its_delta() {
    let database = Database::fresh("adaptive_chain").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    // The last choice depends on the measured times, and so on the machine.
    for (change, how) in [(MOST, Some("FULL full cheaper")), (ONE, Some("DIFFERENTIAL delta cheaper")), (MOST, None)] {
        session.run(change).await;
        exact::refresh_and_check(&session, "total").await;
        exact::check(&session, "auto_sums", exact::Equality::Text).await;
        assert_eq!(last(&session, "total").await, "DIFFERENTIAL no choice");
        let done = last(&session, "auto_sums").await;
        assert!(how.is_none_or(|how| done == how), "{done} after {change}");
    }
    database.close().await;
}

/// Of many changes a sample decides, and most of them may not concern the query at all.
#[tokio::test]
async fn large_buffers_are_sampled() {
    let database = Database::fresh("adaptive_sample").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int not null, note int);
             insert into t select n, n % 7, 0 from generate_series(1, 100000) n;
             analyze t;
             select pgtrickle.create_stream_table('sampled', 'select id, v from t where v > 0', '1d');
             select pgtrickle.create_stream_table('above', 'select v, count(*) as n from sampled group by v', '1d');",
        )
        .await;
    let mostly_elsewhere = "update t set note = note + 1; update t set v = v + 1 where id <= 10";
    let many = "update t set v = (v + 1) % 7 where id % 16 = 0";
    let nearly_all = "update t set v = (v + 1) % 7, note = 1 where id % 100 > 0";
    for (change, how) in [
        (mostly_elsewhere, Some("DIFFERENTIAL delta cheaper")),
        (many, Some("DIFFERENTIAL delta cheaper")),
        (nearly_all, None),
        (mostly_elsewhere, Some("DIFFERENTIAL delta cheaper")),
    ] {
        session.run(change).await;
        exact::refresh_and_check(&session, "above").await;
        exact::check(&session, "sampled", exact::Equality::Text).await;
        let done = last(&session, "sampled").await;
        assert!(how.is_none_or(|how| done == how), "{done} after {change}");
    }
    database.close().await;
}

#[tokio::test]
async fn explain_shows_the_last_choice() {
    let database = Database::fresh("adaptive_explain").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let choice = async || {
        let line = "select line from pgtrickle.explain_stream_table('auto_sums') line where line like 'last choice%'";
        session.column(line).await.join("\n")
    };
    assert_eq!(choice().await, "");
    for (change, words) in [(MOST, "FULL: recomputing is cheaper"), (ONE, "DIFFERENTIAL: the delta is cheaper")] {
        session.run(change).await;
        exact::refresh(&session, "auto_sums").await;
        let text = choice().await;
        assert!(text.starts_with(&format!("last choice: {words}: expected ")), "{text}");
    }
    database.close().await;
}

/// What refreshes took outlives the backend that saw it, and is not written where nothing was refreshed.
#[tokio::test]
async fn measured_rates_are_stored() {
    const RATES: &str = "select rates::text || ' ' || f.xmin from pgtrickle.pgt_frontiers f
                           join pgtrickle.pgt_stream_tables using (pgt_id) where pgt_relid = 'auto_sums'::regclass";
    let database = Database::fresh("adaptive_kept").await;
    let session = database.connect().await;
    session.run(SETUP).await;
    let filled = session.value(RATES).await;
    assert!(filled.starts_with('{') && !filled.starts_with("{NULL"), "{filled}");
    exact::refresh(&session, "auto_sums").await;
    assert_eq!(session.value(RATES).await, filled);
    // Stored rates overrule the planner's costs: here recomputing is slow by far.
    session.run(MOST).await;
    session.run("update pgtrickle.pgt_frontiers set rates = '{1000, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001}'").await;
    let other = database.connect().await;
    exact::refresh_and_check(&other, "auto_sums").await;
    assert_eq!(last(&other, "auto_sums").await, "DIFFERENTIAL delta cheaper");
    database.close().await;
}

/// A table that was empty when plans were made and has grown since is read by its index.
#[tokio::test]
async fn plans_are_invalidated_when_sizes_change() {
    let database = Database::fresh("adaptive_sizes").await;
    let session = database.connect().await;
    session
        .run(
            "create table a (id int primary key, b int not null) with (autovacuum_enabled = off);
             create table b (id int primary key, v text) with (autovacuum_enabled = off);
             insert into a values (1, 1);
             insert into b values (1, 'one');
             analyze a, b;
             select pgtrickle.create_stream_table('ab', 'select a.id, b.v from a join b on b.id = a.b', '1d', 'differential');
             update a set b = b;
             update a set id = 2;
             select pgtrickle.refresh_stream_table('ab');
             insert into b select n, repeat('x', 100) from generate_series(2, 30000) n;
             select pgtrickle.refresh_stream_table('ab');",
        )
        .await;
    const SCANS: &str = "select pg_stat_get_xact_tuples_returned('b'::regclass)";
    session.run("begin; update a set id = 3").await;
    exact::refresh(&session, "ab").await;
    assert!(session.number(SCANS).await < 100, "the table was read from end to end");
    session.run("commit").await;
    exact::check(&session, "ab", exact::Equality::Text).await;
    database.close().await;
}

/// One hub has half of the spokes. What a change of it costs is known before, and forgotten with the next one.
#[tokio::test]
async fn frequent_keys_are_expected_to_cost_more() {
    let database = Database::fresh("adaptive_hot").await;
    let session = database.connect().await;
    session
        .run(
            "create table hub (id int primary key, name text not null unique);
             create table spoke (id int primary key, hub int not null, hub_name text not null, v int not null);
             insert into hub select n, 'hub ' || n from generate_series(1, 2000) n;
             insert into spoke
               select n, h, 'hub ' || h, n from generate_series(1, 200000) n, lateral (select case when n % 2 = 0 then 1 else 1 + n % 1999 end) k (h);
             create index on spoke (hub);
             create index on spoke (hub_name);
             analyze hub, spoke;
             select pgtrickle.create_stream_table('by_id',
               'select h.name, sum(s.v) as v from hub h join spoke s on s.hub = h.id group by h.name', '1d');
             select pgtrickle.create_stream_table('by_name',
               'select h.name, sum(s.v) as v from hub h join spoke s on s.hub_name = h.name group by h.name', '1d');",
        )
        .await;
    for table in ["by_id", "by_name"] {
        let expected = async |hub: u32| {
            session.run(&format!("delete from hub where id = {hub}")).await;
            exact::refresh_and_check(&session, table).await;
            session.run(&format!("insert into hub values ({hub}, 'hub {hub}')")).await;
            exact::refresh_and_check(&session, table).await;
            let query = format!("select (1000 * delta_ms)::int from pgtrickle.get_refresh_history('{table}', 1)");
            session.number(&query).await
        };
        let (few, many, few_again) = (expected(7).await, expected(1).await, expected(8).await);
        assert!(5 * few < many && 5 * few_again < many, "{table}: {few}, {many}, {few_again}");
    }
    database.close().await;
}

/// Of a recursion the planner expects the same for a leaf and for the root. What is found to be too much is recomputed.
#[tokio::test]
async fn recursions_are_abandoned_where_much_is_affected() {
    const LEAF: &str = "update nodes set parent = 7 - parent where id = 29999";
    const ROOT: &str = "update nodes set name = name || '.' where id = 1";
    let database = Database::fresh("adaptive_tree").await;
    let session = database.connect().await;
    session
        .run(
            "create table nodes (id int primary key, parent int, name text not null);
             insert into nodes select n, case when n > 1 then (n + 8) / 10 end, 'node ' || n from generate_series(1, 29998) n;
             insert into nodes values (29999, 3, 'leaf');
             create index on nodes (parent);
             analyze nodes;
             select pgtrickle.create_stream_table('tree',
               'with recursive tree (id, path) as (
                  select id, name from nodes where parent is null
                  union all
                  select n.id, t.path || n.name from tree t join nodes n on n.parent = t.id)
                select id, path from tree', '1d');
             select pgtrickle.create_stream_table('paths', 'select length(path) as l, count(*) as n from tree group by length(path)', '1d');",
        )
        .await;
    for (change, how) in [
        (LEAF, "DIFFERENTIAL delta cheaper"),
        (ROOT, "FULL delta cheaper"),
        (LEAF, "DIFFERENTIAL delta cheaper"),
        (ROOT, "FULL delta cheaper"),
    ] {
        session.run(change).await;
        exact::refresh_and_check(&session, "paths").await;
        exact::check(&session, "tree", exact::Equality::Text).await;
        assert_eq!(last(&session, "tree").await, how, "{change}");
    }
    let line = "select line from pgtrickle.explain_stream_table('tree') line where line like 'last choice%'";
    assert!(session.value(line).await.starts_with("last choice: FULL: following the changes took too long"));
    database.close().await;
}

/// A function takes its time for some values, which leave: only the delta evaluates it for them.
const SLOW: &str = "
    create function slow(v int) returns int immutable language plpgsql as
      $$begin perform pg_sleep(case when v > 0 then 0.3 else 0 end); return v; end$$;
    create table t (id int primary key, v int not null);
    insert into t select n, 0 from generate_series(1, 100) n;
    analyze t;
    select pgtrickle.create_stream_table('s', 'select id, slow(v) as v from t', '1d', 'MODE');
    update t set v = 1 where id <= 5;
    select pgtrickle.refresh_stream_table('s', recompute => true);
    update pgtrickle.pgt_frontiers set rates = '{0.001}';
    update t set v = 0;";

#[tokio::test]
async fn deltas_that_take_too_long_are_abandoned() {
    let database = Database::fresh("adaptive_slow").await;
    database.connect().await.run(&SLOW.replace("MODE", "auto")).await;
    let session = database.connect().await;
    session.run("set statement_timeout = '200ms'").await;
    let cancelled = session.refuse("select pgtrickle.refresh_stream_table('s')").await;
    assert_eq!(cancelled.code, "57014", "a cancel is no reason to recompute");
    session.run("reset statement_timeout").await;
    exact::refresh_and_check(&session, "s").await;
    assert_eq!(last(&session, "s").await, "FULL delta cheaper");
    database.close().await;
}

/// Mode DIFFERENTIAL has no choice, and says what it costs.
#[tokio::test]
async fn deltas_without_a_choice_tell_what_recomputing_takes() {
    const TOLD: &str = "select delta_ms is null and full_ms < duration_ms from pgtrickle.get_refresh_history('s', 1)";
    let database = Database::fresh("adaptive_told").await;
    database.connect().await.run(&SLOW.replace("MODE", "differential")).await;
    let session = database.connect().await;
    exact::refresh_and_check(&session, "s").await;
    assert_eq!(last(&session, "s").await, "DIFFERENTIAL no choice");
    assert!(session.holds(TOLD).await);
    session.run("update t set v = -1 where id = 1").await;
    exact::refresh_and_check(&session, "s").await;
    assert!(session.holds("select full_ms is null from pgtrickle.get_refresh_history('s', 1)").await);
    database.close().await;
}
