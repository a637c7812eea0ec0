//! What is counted in shared memory is what happened, and the exporter shows it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Database, Session, http};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

struct Exported {
    server: PrivateServer,
    database: Database,
    port: u16,
}

impl Exported {
    async fn start(settings: &[&str]) -> Exported {
        let port = free_port();
        let listen = format!("pg_trickle.metrics_listen = '127.0.0.1:{port}'");
        let server = PrivateServer::start(&[&[listen.as_str()], settings].concat());
        let database = Database::on(&server.server(), "exported").await;
        Exported { server, database, port }
    }

    /// The metrics of the stream table or source `table`, by name and further labels.
    fn of(&self, table: &str) -> BTreeMap<String, f64> {
        let label = format!("schema=\"public\",table=\"{table}\"");
        let of = |(name, value): (String, f64)| {
            let (metric, labels) = name.split_once('{')?;
            let rest = labels.split_once(&label)?.1.trim_start_matches(',').trim_end_matches('}');
            Some((format!("{metric}{rest}"), value))
        };
        http::metrics(self.port).into_iter().filter_map(of).collect()
    }
}

async fn settled(session: &Session, tables: &[&str]) {
    for table in tables {
        let wait = format!("select pgtrickle.wait_for_stream_table('{table}', '1 hour')");
        assert!(session.holds(&wait).await, "{table}");
    }
    assert!(session.holds("select pgtrickle.drain('1 hour')").await);
    session.wait_until("select not exists (select from pgtrickle.change_buffer_sizes() where pending_rows > 0)").await;
}

#[tokio::test]
async fn metrics_say_what_sql_says() {
    let exported = Exported::start(&[]).await;
    let session = exported.database.connect().await;
    session
        .run(
            "create table t (id int primary key, g int, v int);
             select pgtrickle.create_stream_table('sums', 'select g, sum(v) as v from t group by g', '0s');
             select pgtrickle.create_stream_table('most', 'select max(v) as v from sums', '0s');
             select pgtrickle.create_stream_table('by_hand', 'select id, v from t', '0s');
             select pgtrickle.alter_stream_table('by_hand', status => 'PAUSED')",
        )
        .await;
    for round in 0..20 {
        session.run(&format!("insert into t select {round} * 10 + n, n, n from generate_series(0, 9) n")).await;
        session.run(&format!("update t set v = v + 1 where id % 10 = {}", round % 10)).await;
    }
    // What is rolled back was not captured, with the whole transaction or with a part of it.
    session.run("begin; insert into t values (1000, 1, 1); rollback").await;
    session
        .run("begin; insert into t values (1001, 1, 1); savepoint a; insert into t select 2000 + n, 1, 1 from generate_series(1, 3000) n; rollback to a; release a; commit")
        .await;
    session.run("begin; insert into t values (1002, 1, 1); prepare transaction 'p'").await;
    session.run("commit prepared 'p'").await;
    // A refresh that is rolled back did not happen.
    session.run("begin; select pgtrickle.refresh_stream_table('by_hand'); rollback").await;
    session.run("begin; savepoint a; select pgtrickle.refresh_stream_table('by_hand'); rollback to a; commit").await;
    session.run("select pgtrickle.resume_stream_table('by_hand')").await;
    settled(&session, &["sums", "most", "by_hand"]).await;

    let source = exported.of("t");
    // The update of a round changes a row of each round so far; an update is a deletion and an insertion.
    let (inserted, updated) = (20 * 10 + 2, (1..=20).sum::<i64>());
    assert_eq!(source["pg_trickle_captured_rows_total"] as i64, inserted + 2 * updated);
    assert_eq!((source["pg_trickle_pending_rows"], source["pg_trickle_pending_bytes"]), (0.0, 0.0));
    assert!(source["pg_trickle_captured_bytes_total"] > 0.0);
    for table in ["sums", "most", "by_hand"] {
        let shown = exported.of(table);
        let of = |mode: &str| shown[&format!("pg_trickle_refreshes_totalmode=\"{mode}\"")];
        let refreshes = of("DIFFERENTIAL") + of("FULL");
        // Those of a second are written together.
        let written = format!(
            "select sum(refreshes) = {refreshes} from pgtrickle.get_refresh_history('{table}', 10000) where action <> 'NO_DATA'"
        );
        session.wait_until(&written).await;
        for (metric, sql) in [
            ("refreshes_totalmode=\"DIFFERENTIAL\"", "sum(refreshes) filter (where action = 'DIFFERENTIAL')"),
            ("refreshes_totalmode=\"FULL\"", "coalesce(sum(refreshes) filter (where action = 'FULL'), 0)"),
            ("rows_totaloperation=\"inserted\"", "sum(rows_inserted)"),
            ("rows_totaloperation=\"updated\"", "sum(rows_updated)"),
            ("rows_totaloperation=\"deleted\"", "sum(rows_deleted)"),
            ("change_rows_total", "sum(delta_rows)"),
            ("refresh_errors_total", "count(*) filter (where error is not null)"),
        ] {
            let expected =
                session.number(&format!("select {sql} from pgtrickle.get_refresh_history('{table}', 10000)")).await;
            assert_eq!(shown[&format!("pg_trickle_{metric}")] as i64, expected, "{metric} of {table}");
        }
        assert_eq!(shown["pg_trickle_staleness_seconds"], 0.0);
        assert!(shown.contains_key("pg_trickle_cdc_lag_p99_seconds") && shown["pg_trickle_active"] == 1.0);
        let sql = format!(
            "select differential_count + full_count, n_tup_ins, n_change_rows from pgtrickle.pg_stat_stream_tables where relname = '{table}'"
        );
        let row: Vec<f64> = session
            .rows(&sql)
            .await
            .remove(0)
            .into_iter()
            .map(|it| it.expect("counted").parse().expect("a number"))
            .collect();
        assert_eq!(
            row,
            [refreshes, shown["pg_trickle_rows_totaloperation=\"inserted\""], shown["pg_trickle_change_rows_total"]]
        );
    }
    session.run("select pgtrickle.pg_stat_reset_stream_table('sums')").await;
    assert_eq!(exported.of("sums")["pg_trickle_change_rows_total"], 0.0);
    session.run("select pgtrickle.drop_stream_table('by_hand'); alter table most rename to \"Most\"").await;
    session.wait_until("select count(*) = 2 from jsonb_array_elements(pgtrickle.counters() -> 'tables') t where t ->> 'name' in ('sums', 'Most')").await;
    assert!(exported.of("by_hand").is_empty());
    exported.database.close().await;
}

/// Mode AUTO chose both ways: what it expected of each and what that took are in the metrics as in the view.
#[tokio::test]
async fn expectations_of_auto_are_shown() {
    let exported = Exported::start(&[]).await;
    let session = exported.database.connect().await;
    session
        .run(
            "create table t (id int primary key, g int, v int);
             insert into t select n, n % 5, n from generate_series(1, 20000) n;
             analyze t;
             select pgtrickle.create_stream_table('sums', 'select g, sum(v) as v from t group by g', '1d')",
        )
        .await;
    for change in ["update t set v = v + 1, g = (g + 1) % 5 where id % 50 > 0", "update t set v = 0 where id = 7"] {
        session.run(change).await;
        session.run("select pgtrickle.refresh_stream_table('sums')").await;
    }
    let shown = exported.of("sums");
    for (mode, way) in [("DIFFERENTIAL", "delta"), ("FULL", "full")] {
        for (metric, column) in [("expected", "expected_time"), ("measured", "choice_time")] {
            let sql = format!("select {way}_{column} from pgtrickle.pg_stat_stream_tables where relname = 'sums'");
            let milliseconds: f64 = session.value(&sql).await.parse().expect("a number");
            let seconds = shown[&format!("pg_trickle_auto_{metric}_seconds_totalmode=\"{mode}\"")];
            assert!(seconds > 0.0 && (seconds * 1000.0 - milliseconds).abs() < 1e-9, "{metric} {mode}: {seconds}");
        }
    }
    exported.database.close().await;
}

#[tokio::test]
async fn lag_is_that_of_readers() {
    let exported = Exported::start(&[]).await;
    let session = exported.database.connect().await;
    session
        .run(
            "create table t (v int);
             select pgtrickle.create_stream_table('s', 'select count(*) as n from t', '400ms');
             select pgtrickle.pg_stat_reset_stream_table('s')",
        )
        .await;
    let mut lags = vec![];
    for n in 1..=11 {
        session.run("insert into t values (1)").await;
        let committed = Instant::now();
        while session.number("select n from s").await < n {}
        lags.push(committed.elapsed().as_secs_f64());
    }
    lags.sort_by(f64::total_cmp);
    let shown = exported.of("s");
    let (median, p50) = (lags[5], shown["pg_trickle_cdc_lag_p50_seconds"]);
    assert!(p50 < median * 1.5 && p50 > median / 1.5, "{p50} of {lags:?}");
    exported.database.close().await;
}

#[tokio::test]
async fn addresses_change_without_a_restart() {
    let exported = Exported::start(&[]).await;
    let admin = exported.database.admin().await;
    http::wait_for(exported.port, "/healthz", 200);
    let listen = async |addresses: &str| {
        admin.run(&format!("alter system set pg_trickle.metrics_listen = '{addresses}'")).await;
        admin.run("select pg_reload_conf()").await;
    };
    let refused = admin.refuse("alter system set pg_trickle.metrics_listen = 'here'").await;
    assert_eq!(refused.code, "22023", "{refused:?}");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (other, busy) = (free_port(), taken.local_addr().expect("bound").port());
    let socket = std::env::temp_dir().join(format!("pg_trickle-metrics-{other}.sock"));
    listen(&format!("127.0.0.1:{other}, 127.0.0.1:{busy}, {}", socket.display())).await;
    http::wait_for(other, "/readyz", 200);
    while http::get(exported.port, "/metrics").is_some() {}
    let stream = UnixStream::connect(&socket).expect("it listens");
    assert_eq!(http::answer(stream, "/metrics").expect("an answer").0, 200);
    // It is tried again at each change of the settings, and has one line in the log.
    listen(&format!("127.0.0.1:{other}, 127.0.0.1:{busy}")).await;
    while socket.exists() {}
    drop(taken);
    http::wait_for(busy, "/metrics", 200);
    let refused = exported.server.log_lines(&format!("pg_trickle cannot serve metrics at 127.0.0.1:{busy}: "));
    assert_eq!(refused.len(), 1, "{refused:?}");
    let served = exported.server.log_lines(&format!("pg_trickle serves metrics at 127.0.0.1:{busy} ("));
    assert!(served[0].contains("repeated message"), "{served:?}");
    admin.run("alter system set pg_trickle.enabled = off").await;
    admin.run("select pg_reload_conf()").await;
    // The launcher may have ended before the exporter has read the setting.
    while !http::wait_for(other, "/readyz", 503).contains("pg_trickle.enabled is off") {}
    listen("").await;
    while http::get(other, "/metrics").is_some() {}
    // It is started again without any other event.
    listen(&format!("127.0.0.1:{other}")).await;
    http::wait_for(other, "/metrics", 200);
    exported.database.close().await;
}

#[tokio::test]
async fn pending_changes_are_counted_after_a_restart() {
    let mut exported = Exported::start(&[]).await;
    let session = exported.database.connect().await;
    session
        .run(
            "create table t (v int);
             select pgtrickle.create_stream_table('s', 'select v from t', '0s');
             select pgtrickle.alter_stream_table('s', status => 'PAUSED');
             insert into t select n from generate_series(1, 1234) n",
        )
        .await;
    drop(session);
    exported.server.stop();
    exported.server.restart();
    let session = exported.database.reconnect().await;
    session.wait_until("select count(*) > 0 from jsonb_array_elements(pgtrickle.counters() -> 'sources')").await;
    assert_eq!(exported.of("t")["pg_trickle_pending_rows"], 1234.0);
    session.run("insert into t values (0); select pgtrickle.resume_stream_table('s')").await;
    settled(&session, &["s"]).await;
    assert_eq!(exported.of("t")["pg_trickle_pending_rows"], 0.0);
    assert_eq!(exported.of("t")["pg_trickle_pending_bytes"], 0.0);
    assert_eq!(exported.of("t")["pg_trickle_captured_rows_total"], 1.0);
    exported.database.close().await;
}
