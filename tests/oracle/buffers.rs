//! How large change buffers become: rows that all consumers have read are pruned, and a paused consumer retains the others up to
//! a limit only.

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Dice, Session, dice};

const SETUP: &str = "
    create table t (id int primary key, g int not null, v int not null);
    insert into t select n, n % 5, n from generate_series(1, 1000) n;
    select pgtrickle.create_stream_table('live', 'select g, sum(v) as s from t group by g', '0s');
    select pgtrickle.create_stream_table('still', 'select g, count(*) as n from t group by g', '0s');
    select pgtrickle.create_stream_table('behind', 'select t.id, s.n from t join still s on s.g = t.g', '0s');
";

async fn fill(database: &Database) -> Session {
    let session = database.connect().await;
    session.run(SETUP).await;
    session
}

/// Rows that wait in the change buffer of `t`.
const WAITING: &str = "select pending_rows from pgtrickle.change_buffer_sizes() where source = 'public.t'";

async fn check_all(session: &Session) {
    exact::wait_fresh(session).await;
    for table in exact::stream_tables(session).await {
        exact::check(session, &table, Equality::Text).await;
    }
}

async fn last_actions(session: &Session) -> Vec<String> {
    session.column("select last_action from pgtrickle.pgt_status() order by name").await
}

/// Pauses a table. A tick may have been decided upon before that: it is over when this returns.
async fn pause(session: &Session, table: &str) {
    session.run(&format!("select pgtrickle.alter_stream_table('{table}', status => 'PAUSED')")).await;
    assert!(session.holds("select pgtrickle.drain('1 hour')").await);
    session.run("select pgtrickle.undrain()").await;
    session.run("update t set v = v + 1 where id = 1").await;
    assert!(session.holds("select pgtrickle.wait_for_stream_table('live', '1 hour')").await);
}

/// A paused table and its consumers retain their changes up to a limit; beyond it they are recomputed.
#[tokio::test]
async fn paused_tables_retain_changes_up_to_a_limit() {
    let server = PrivateServer::start(&["pg_trickle.max_buffer_bytes = '64kB'"]);
    let database = Database::on(&server.server(), "bound").await;
    let session = fill(&database).await;
    let update = "update t set v = v + 1, g = (g + 1) % 5 where id";
    // Below the bound nothing is lost, and nothing is recomputed.
    pause(&session, "still").await;
    let before = session.number(WAITING).await;
    session.run(&format!("{update} <= 100")).await;
    assert!(session.holds("select pgtrickle.wait_for_stream_table('live', '1 hour')").await);
    assert_eq!(session.number(WAITING).await, before + 200);
    session.run("select pgtrickle.resume_stream_table('still')").await;
    check_all(&session).await;
    let reinitialized = "select count(*) from pgtrickle.pgt_stream_tables s, pgtrickle.get_refresh_history(s.pgt_relid::text, 100) h where h.action = 'REINITIALIZE'";
    assert_eq!(session.number(reinitialized).await, 0);
    session.wait_until(&format!("select ({WAITING}) = 0")).await;

    pause(&session, "still").await;
    for _ in 0..20 {
        session.run(&format!("{update} <= 1000")).await;
        assert!(session.holds("select pgtrickle.wait_for_stream_table('live', '1 hour')").await);
    }
    let told = "select string_agg(format('%s: %s', name, coalesce(last_error, 'none')), e'\\n' order by name) from pgtrickle.pgt_status()";
    let told = session.value(told).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[1], "public.live: none");
    for line in [lines[0], lines[2]] {
        assert!(line.contains(": change buffer pgtrickle_changes.changes_1 has "), "{told}");
        assert!(line.contains("pg_trickle.max_buffer_bytes (65536)"), "{told}");
    }
    let log = server.log_tail();
    assert!(log.contains("stream table public.still will be recomputed when it is refreshed again"), "{log}");
    session.run(&format!("{update} = 1")).await;
    assert!(session.holds("select pgtrickle.wait_for_stream_table('live', '1 hour')").await);
    // No consumer retains rows; they are pruned after the transaction that made the last one fresh.
    session.wait_until(&format!("select ({WAITING}) = 0")).await;
    let stale = exact::is_stale(&session).await;
    let stale = format!("select name from pgtrickle.pgt_status() where {stale} order by name");
    assert_eq!(session.column(&stale).await, ["public.behind", "public.still"]);

    session.run("select pgtrickle.resume_stream_table('still')").await;
    check_all(&session).await;
    assert_eq!(last_actions(&session).await[2], "REINITIALIZE");
    assert_eq!(session.number(reinitialized).await, 2);
    session.run(&format!("{update} <= 10")).await;
    check_all(&session).await;
    assert_eq!(session.number(reinitialized).await, 2, "once");
    session.wait_until("select bool_and(last_error is null) from pgtrickle.pgt_status()").await;

    // Without a limit all rows are retained.
    session.run("alter system set pg_trickle.max_buffer_bytes = -1").await;
    session.run("select pg_reload_conf()").await;
    session.run("select pg_sleep(0.2)").await;
    pause(&session, "still").await;
    let before = session.number(WAITING).await;
    for _ in 0..20 {
        session.run(&format!("{update} <= 1000")).await;
        assert!(session.holds("select pgtrickle.wait_for_stream_table('live', '1 hour')").await);
    }
    assert_eq!(session.number(WAITING).await, before + 40_000);
    session.run("select pgtrickle.resume_stream_table('still')").await;
    check_all(&session).await;
    assert_eq!(session.number(reinitialized).await, 2);
    database.close().await;
}

/// Without another consumer of the source, so that no refresh reads its buffer.
#[tokio::test]
async fn buffers_without_active_consumers_are_limited() {
    let server = PrivateServer::start(&["pg_trickle.max_buffer_bytes = '64kB'"]);
    let database = Database::on(&server.server(), "alone").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int);
             insert into t select g, 0 from generate_series(1, 1000) g;
             select pgtrickle.create_stream_table('alone', 'select id, v from t', '0s');
             select pgtrickle.alter_stream_table('alone', status => 'PAUSED')",
        )
        .await;
    let given_up = "select last_error like '%pg_trickle.max_buffer_bytes%' from pgtrickle.pgt_status()";
    for _ in 0..3 {
        for _ in 0..20 {
            session.run("update t set v = v + 1").await;
        }
        session.wait_until(given_up).await;
    }
    session.wait_until("select sum(pending_rows) < 45000 from pgtrickle.change_buffer_sizes()").await;
    session.run("select pgtrickle.resume_stream_table('alone')").await;
    exact::wait_fresh(&session).await;
    exact::check(&session, "alone", Equality::Text).await;
    database.close().await;
}

/// A table that is refreshed rarely is recomputed once its unread changes exceed the limit, beside a table that is refreshed at
/// every commit and without one. The other is not.
#[tokio::test]
async fn rare_tables_retain_changes_up_to_a_limit() {
    let server = PrivateServer::start(&["pg_trickle.max_buffer_bytes = '256kB'"]);
    let database = Database::on(&server.server(), "rare").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, v int);
             create table alone (id int primary key, v int);
             insert into t select g, 0 from generate_series(1, 1000) g;
             insert into alone table t;
             select pgtrickle.create_stream_table('live', 'select id, v from t', '0s', 'DIFFERENTIAL');
             select pgtrickle.create_stream_table('rare', 'select id, v from t', '1h', 'DIFFERENTIAL');
             select pgtrickle.create_stream_table('lonely', 'select id, v from alone', '1h', 'DIFFERENTIAL')",
        )
        .await;
    // Below the limit a rare table follows its changes.
    session.run("update t set v = v + 1").await;
    exact::refresh_and_check(&session, "rare").await;
    let actions = "select string_agg(last_action, ' ' order by name) from pgtrickle.pgt_status()";
    let done = |wanted: &str| format!("select ({actions}) = '{wanted}'");
    session.wait_until(&done("DIFFERENTIAL FULL DIFFERENTIAL")).await;
    for table in ["t", "alone"] {
        for _ in 0..30 {
            session.run(&format!("update {table} set v = v + 1")).await;
        }
    }
    let marked = "last_error like '%bytes that it has not read, more than pg_trickle.max_buffer_bytes (262144)'";
    let told = format!(
        "select string_agg(name, ' ' order by name) = 'public.lonely public.rare' from pgtrickle.pgt_status() where {marked}"
    );
    for _ in 0..200 {
        session.run("update t set v = v + 1 where id = 1; update alone set v = v + 1 where id = 1").await;
        if session.holds(&told).await {
            break;
        }
        session.run("select pg_sleep(0.1)").await;
    }
    session.wait_until(&told).await;
    let log = server.log_tail();
    for name in ["rare", "lonely"] {
        assert_eq!(log.matches(&format!("stream table public.{name} will be recomputed")).count(), 1, "{log}");
    }
    // Their changes are pruned.
    session.wait_until("select sum(pending_rows) < 1000 from pgtrickle.change_buffer_sizes()").await;
    for name in ["live", "rare", "lonely"] {
        exact::refresh_and_check(&session, name).await;
    }
    session.wait_until(&done("DIFFERENTIAL REINITIALIZE REINITIALIZE")).await;
    session.run("update t set v = v + 1 where id < 9; update alone set v = v + 1 where id < 9").await;
    for name in ["live", "rare", "lonely"] {
        exact::refresh_and_check(&session, name).await;
    }
    session.wait_until(&done("DIFFERENTIAL DIFFERENTIAL DIFFERENTIAL")).await;
    database.close().await;
}

/// As many changes as they like may pass through a buffer.
#[tokio::test]
async fn buffers_stay_small_under_steady_load() {
    let server = PrivateServer::start(&["autovacuum_naptime = 1"]);
    let database = Database::on(&server.server(), "steady").await;
    let session = fill(&database).await;
    let wide =
        "create table w (id int, x text); select pgtrickle.create_stream_table('copy', 'select id, x from w', '0s')";
    session.run(wide).await;
    let (mut largest, mut passed) = (0, 0);
    for round in 0..600 {
        let changes = match round % 6 {
            0 => "update t set v = v + 1 where id <= 1000",
            1 => "insert into w select n, repeat(md5(n::text), 400) from generate_series(1, 5) n",
            2 => "delete from w",
            _ => "update t set v = v + 1 where id % 100 = 7",
        };
        passed += session.affect(changes).await.expect("written");
        if round % 2 == 0 {
            assert!(
                session
                    .holds(
                        "select pgtrickle.wait_for_stream_table('behind', '1 hour') and pgtrickle.wait_for_stream_table('copy', '1 hour')"
                    )
                    .await
            );
        }
        largest = largest.max(session.number("select max(bytes) from pgtrickle.change_buffer_sizes()").await);
    }
    check_all(&session).await;
    session.wait_until("select sum(pending_rows) = 0 from pgtrickle.change_buffer_sizes()").await;
    println!("buffers: {passed} changed rows passed, the largest buffer had {largest} bytes");
    assert!(largest < 4 << 20, "{largest} bytes");
    database.close().await;
}

/// A transaction that is open, or prepared, delays the pruning of its own rows and of no others.
#[tokio::test]
async fn open_transactions_retain_only_their_own_rows() {
    let database = Database::fresh("open").await;
    let (session, open, prepared) = (fill(&database).await, database.connect().await, database.connect().await);
    let gid = format!("'{}'", database.name);
    // So many that some are written before the end.
    open.run("begin; insert into t select n, 1, 1 from generate_series(2001, 12000) n; savepoint s; insert into t values (2000, 1, 1)").await;
    prepared.run(&format!("begin; insert into t values (1001, 1, 1), (1002, 1, 1); prepare transaction {gid}")).await;
    for n in 0..50 {
        session.run(&format!("update t set v = v + 1 where id = {}", 1 + n)).await;
        assert!(session.holds("select pgtrickle.wait_for_stream_table('behind', '1 hour')").await);
    }
    let left = format!("select ({WAITING}) = 0");
    session.wait_until(&left).await;
    open.run("commit").await;
    prepared.run(&format!("commit prepared {gid}")).await;
    check_all(&session).await;
    session.wait_until(&left).await;
    database.close().await;
}

/// Scans of the frontiers: each reads all versions that an open transaction retains.
async fn frontier_scans(sessions: [&Session; 2]) -> i64 {
    let [session, other] = sessions;
    for session in sessions {
        session.run("select pg_stat_force_next_flush()").await;
    }
    // Flushed when it ends, which its next answer shows.
    other.run("select").await;
    let scans = "select sum(seq_scan + idx_scan)::bigint from pg_stat_all_tables
                  where relid in ('pgtrickle.pgt_frontiers'::regclass, 'pgtrickle.pgt_ticks'::regclass)";
    session.number(scans).await
}

/// Rows that transactions of all kinds have inserted between consumed ones are read once they are committed, also on pages
/// where this session has found only consumed rows meanwhile, and after the buffer's file was rewritten.
#[tokio::test]
async fn late_commits_between_consumed_rows_are_read() {
    let database = Database::fresh("among").await;
    let (session, writer, holder) = (database.connect().await, database.connect().await, database.connect().await);
    let other = database.connect().await;
    session.run("create table t (id int primary key, g int not null, v int not null)").await;
    session.run("insert into t select n, n % 5, n from generate_series(1, 1000) n").await;
    for (name, query) in
        [("sums", "select g, sum(v) as s from t group by g"), ("big", "select id from t where v > 900")]
    {
        session.run(&format!("select pgtrickle.create_stream_table('{name}', '{query}', '1d', 'DIFFERENTIAL')")).await;
    }
    // More than a page of aborted rows, and two kinds that are in the buffer long before they are committed.
    let gid = format!("'{}'", database.name);
    writer.run("begin; update t set v = 0; update t set v = 1; rollback").await;
    holder.run(&format!("begin; update t set v = v + 1000 where id = 1; prepare transaction {gid}")).await;
    holder.run("begin; savepoint s; update t set v = v + 1000 where id = 2; release s").await;
    let mut scans = 0;
    for round in 0..200 {
        writer.run(&format!("update t set v = v + 1 where id = {}", 3 + round % 997)).await;
        if round % 7 == 0 {
            session.run("begin; select pgtrickle.refresh_stream_table('sums'); rollback").await;
        }
        if round == 100 {
            scans = frontier_scans([&session, &other]).await;
        }
        // Two sessions in turn: each finds what the other has written.
        let refreshing = if round % 2 == 0 { &session } else { &other };
        exact::refresh(refreshing, "sums").await;
        exact::refresh(refreshing, "big").await;
    }
    let scans = frontier_scans([&session, &other]).await - scans;
    assert!(scans < 100, "{scans} scans of pgt_frontiers in 200 refreshes");
    let commit_prepared = format!("commit prepared {gid}");
    let buffer = "pgtrickle_changes.changes_1";
    let (vacuum, rewrite) = (format!("vacuum {buffer}"), format!("vacuum full {buffer}"));
    for end in ["commit", &commit_prepared, &vacuum, &rewrite] {
        holder.run(end).await;
        for _ in 0..3 {
            exact::refresh_and_check(&session, "sums").await;
            exact::refresh_and_check(&session, "big").await;
            writer.run("update t set v = v + 1 where id between 3 and 300").await;
        }
    }
    database.close().await;
}

/// Consumers of one source at three paces, whose sessions remember different parts of its buffer.
const PACES: [(&str, &str); 3] = [
    ("fast", "select g, sum(v) as s, sum(length(doc)) as l from t group by g"),
    ("mid", "select id, v from t where v % 3 = 0"),
    ("slow", "select id, v, doc from t"),
];

/// What a session that knows the buffer says of it, and one that does not.
async fn sizes_and_lags(session: &Session) -> Vec<String> {
    let sizes = "select format('%s %s', source, pending_rows) from pgtrickle.change_buffer_sizes() order by source";
    // Not since when: those times are sampled for all databases.
    let lags = "select format('%s %s', pgt_id, is_behind) from pgtrickle.stream_table_state() order by pgt_id";
    [session.column(sizes).await, session.column(lags).await].concat()
}

/// The next writes, with these numbers of the transactions that are prepared.
async fn write(
    dice: &mut Dice,
    (writer, open): (&Session, &Session),
    prepared: &mut Vec<String>,
    name: &str,
    step: i64,
) {
    let small = format!("update t set v = v + 1 where id = {}", dice.between(1, 3000));
    let many = format!("update t set v = v + 1 where id between {0} and {0} + 300", dice.between(1, 2700));
    let document = format!("update t set doc = repeat(md5('{step}'), 400) where id <= {}", dice.between(1, 3));
    match dice.weighted(&[50, 10, 6, 5, 5, 5, 6, 4, 3, 1]) {
        0 => writer.run(&small).await,
        1 => writer.run(&document).await,
        2 => writer.run(&format!("begin; {many}; {document}; rollback")).await,
        3 => writer.run(&format!("begin; {small}; savepoint s; {many}; rollback to s; {document}; commit")).await,
        4 if prepared.len() < 4 => {
            let gid = format!("'{name} {step}'");
            let rows = format!("update t set v = v + 1, doc = repeat(md5('{step}'), 300) where id = {}", 4000 + step);
            writer.run(&format!("begin; {rows}; prepare transaction {gid}")).await;
            prepared.push(gid);
        }
        5 if !prepared.is_empty() => {
            let gid = prepared.swap_remove(dice.below(prepared.len()));
            let end = if dice.percent(70) { "commit" } else { "rollback" };
            writer.run(&format!("{end} prepared {gid}")).await;
        }
        6 => {
            open.run(
                "begin; update t set v = v + 1 where id > 6000; update t set doc = repeat('x', 20000) where id = 6001",
            )
            .await
        }
        7 => open.run(if dice.percent(60) { "commit" } else { "rollback" }).await,
        8 => writer.run("vacuum pgtrickle_changes.changes_1").await,
        // It waits for all writers.
        9 if prepared.is_empty() => {
            open.run("rollback").await;
            writer.run("vacuum full pgtrickle_changes.changes_1").await;
        }
        _ => writer.run(&many).await,
    }
}

/// Whatever a session remembers of the pages of a buffer, no consumer misses a change or reads one twice: changes that it has
/// read and others have not, late commits, aborted and prepared transactions, values in the TOAST table, reused pages.
#[tokio::test]
async fn consumers_at_different_paces_miss_nothing() {
    let mut dice = Dice::new(dice::seed("paces"));
    let database = Database::fresh("paces").await;
    let (writer, open) = (database.connect().await, database.connect().await);
    writer.run("create table t (id int primary key, g int not null, v int not null, doc text)").await;
    writer.run("alter table t alter doc set storage external").await;
    writer.run("insert into t select n, n % 7, n, 'short' from generate_series(1, 8000) n").await;
    for (name, query) in PACES {
        let create = "select pgtrickle.create_stream_table";
        writer.run(&format!("{create}('{name}', '{query}', '1d', 'DIFFERENTIAL')")).await;
    }
    let sessions = [database.connect().await, database.connect().await, database.connect().await];
    let mut prepared = vec![];
    for step in 0..300 {
        write(&mut dice, (&writer, &open), &mut prepared, &database.name, step).await;
        let (name, _) = PACES[dice.weighted(&[70, 25, 5])];
        let session = dice.pick(&sessions);
        if dice.percent(10) {
            session.run(&format!("begin; select pgtrickle.refresh_stream_table('{name}'); rollback")).await;
        }
        exact::refresh_and_check(session, name).await;
        if step % 10 == 0 {
            let fresh = database.connect().await;
            assert_eq!(sizes_and_lags(session).await, sizes_and_lags(&fresh).await, "step {step}");
        }
    }
    open.run("commit").await;
    for gid in prepared {
        writer.run(&format!("commit prepared {gid}")).await;
    }
    for session in &sessions {
        for (name, _) in PACES {
            exact::refresh_and_check(session, name).await;
        }
    }
    assert_eq!(writer.number(WAITING).await, 0);
    // A page with rows in the TOAST table alone.
    writer.run("vacuum pgtrickle_changes.changes_1").await;
    for letter in ["a", "b"] {
        writer.run(&format!("update t set doc = repeat('{letter}', 20000) where id <= 3")).await;
        exact::refresh_and_check(&sessions[0], "fast").await;
    }
    for (name, _) in PACES {
        exact::refresh_and_check(&sessions[0], name).await;
    }
    database.close().await;
}
