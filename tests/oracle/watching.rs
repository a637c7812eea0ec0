//! The exporter of a server at work, seen by promtool, by Prometheus and by the live page in a headless Chromium.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pg_trickle_tests::browser::Browser;
use pg_trickle_tests::http::{self, documented, get};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::programs::{Program, Scratch, escaped, free_port, output, tool};
use pg_trickle_tests::session::HANG;
use pg_trickle_tests::{Database, Session};
use serde_json::{Value, json};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../monitoring");
const RULES: &str = include_str!("../../monitoring/alerts.yml");
const CONFIGURATION: &str = include_str!("../../monitoring/prometheus.yml");

/// A table, two stream tables on it, one on these, and one that is paused; and a known number of changes.
const WORKLOAD: &str = "
    create table t (id int primary key, g int);
    insert into t select n, n % 3 from generate_series(1, 9) n;
    select pgtrickle.create_stream_table('counts', 'select g, count(*) as n from t group by g', '0s');
    select pgtrickle.create_stream_table('shares', 'select g, 100 / (g - 7) as share from counts', '0s');
    select pgtrickle.create_stream_table('\"<script>\"', 'select id from t where g = 1', '1s');
    select pgtrickle.create_stream_table('paused', 'select g from t', '1h', 'FULL');
    select pgtrickle.alter_stream_table('paused', status => 'PAUSED');
";
const CHANGES: i64 = 40;

struct Watched {
    private: PrivateServer,
    port: u16,
}

impl Watched {
    fn start() -> Watched {
        let port = free_port();
        let private = PrivateServer::start(&[
            &format!("pg_trickle.metrics_listen = '127.0.0.1:{port}'"),
            "pg_trickle.max_consecutive_errors = 1000",
        ]);
        http::wait_for(port, "/healthz", 200);
        Watched { private, port }
    }

    async fn database(&self, name: &str) -> (Database, Session) {
        let database = Database::on(&self.private.server(), name).await;
        let session = database.connect().await;
        session.run(WORKLOAD).await;
        for id in 100..100 + CHANGES {
            session.run(&format!("insert into t values ({id}, {id} % 3)")).await;
        }
        session.run("select pgtrickle.wait_for_stream_table('shares')").await;
        session.run("select pgtrickle.wait_for_stream_table('\"<script>\"')").await;
        (database, session)
    }
}

#[tokio::test]
async fn every_metric_is_documented() {
    let watched = Watched::start();
    let (database, _session) = watched.database("documented").await;
    let scrape = http::wait_for(watched.port, "/metrics", 200);
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let served: BTreeMap<_, _> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    assert_eq!(served, documented());
    // Each has a sample, so that no name is only announced.
    for name in served.keys() {
        let sample =
            |line: &str| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', ' ', '_']));
        assert!(scrape.lines().any(sample), "no sample of {name}");
    }
    // The linter refuses a unit in the two names that are given.
    let checked = output("promtool", &["check", "metrics"], &scrape);
    let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
    let others: Vec<_> = complaints.lines().filter(|line| !line.contains("_ms_total")).collect();
    assert!(others.is_empty(), "{others:?}");
    database.close().await;
}

/// The result of an instant query: its only value.
fn asked(port: u16, query: &str) -> Option<f64> {
    let (_, body) = get(port, &format!("/api/v1/query?query={}", escaped(query)))?;
    let answer: Value = serde_json::from_str(&body).ok()?;
    assert_eq!(answer["status"], "success", "{query}: {body}");
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[tokio::test]
async fn prometheus_answers_with_the_right_numbers() {
    let watched = Watched::start();
    let (database, session) = watched.database("scraped").await;
    let scratch = Scratch::new("prometheus");
    let config = format!("{}/prometheus.yml", scratch.path());
    let here = CONFIGURATION.replace("127.0.0.1:9188", &format!("127.0.0.1:{}", watched.port));
    std::fs::write(&config, here.replace(": 5s", ": 1s")).expect("written");
    std::fs::copy(format!("{MONITORING}/alerts.yml"), format!("{}/alerts.yml", scratch.path())).expect("copied");
    let port = free_port();
    let mut prometheus = Program::start(
        Command::new(tool("prometheus"))
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}/data", scratch.path()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stderr(Stdio::null()),
    );
    prometheus.await_answer(port, "/-/ready");
    let started = Instant::now();
    let within = format!("database=\"{}\"", database.name);
    let captured = format!("pg_trickle_captured_rows_total{{{within}, table=\"t\"}}");
    // Three scrapes at least.
    while asked(port, &format!("count_over_time({captured}[1h]) >= 3")).is_none() {
        assert!(started.elapsed() < HANG, "no scrape");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(asked(port, "min_over_time(up{job=\"pg_trickle\"}[1h])"), Some(1.0));
    assert_eq!(asked(port, &captured), Some(CHANGES as f64));
    assert_eq!(asked(port, &format!("sum(pg_trickle_active{{{within}}})")), Some(3.0));
    let refreshes = session.number("select refreshes from pgtrickle.pgt_status() where name = 'public.counts'").await;
    let counted = format!("sum(pg_trickle_refreshes_total{{{within}, table=\"counts\", mode!=\"NO_DATA\"}})");
    assert_eq!(asked(port, &counted), Some(refreshes as f64));
    let lag = format!("histogram_quantile(0.99, sum by (le) (pg_trickle_lag_seconds_bucket{{{within}}}))");
    assert!(asked(port, &lag).is_some_and(|seconds| seconds > 0.0 && seconds.is_finite()));

    let (_, targets) = get(port, "/api/v1/targets").expect("it answers");
    let targets: Value = serde_json::from_str(&targets).expect("JSON");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets}");
    let (_, rules) = get(port, "/api/v1/rules").expect("it answers");
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    let loaded = rules["data"]["groups"][0]["rules"].as_array().expect("rules");
    assert_eq!(loaded.len(), RULES.matches("- alert:").count());
    assert!(loaded.iter().all(|rule| rule["health"] != "err"), "{rules}");
    drop(prometheus);
    database.close().await;
}

fn card(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card')].find(c => c.querySelector('.name').textContent === {})",
        json!(name)
    )
}

const ASKED: &str = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('api/graph')).length";

/// Waits until the page shows what SQL shows already: one answer may be on its way, so at most three later.
fn follows(page: &mut Browser, expression: &str) {
    let since = Instant::now();
    let before = page.value(ASKED).as_u64().expect("a number");
    page.wait_until(expression);
    let answers = page.value(ASKED).as_u64().expect("a number") - before;
    println!("after {:.1} s and {answers} answers: {expression}", since.elapsed().as_secs_f64());
    assert!(answers <= 3, "{answers} answers until {expression}");
}

#[tokio::test]
async fn the_page_shows_every_table_and_follows() {
    let watched = Watched::start();
    let (database, session) = watched.database("shown").await;
    let mut page = Browser::open(1400, 900, None);
    page.go(&format!("http://127.0.0.1:{}/", watched.port));
    for name in ["t", "counts", "shares", "<script>", "paused"] {
        page.wait_until(&format!("!!{}", card(name)));
    }
    page.wait_until("document.querySelectorAll('.card').length === 5");
    page.wait_until(&format!(
        "{}.dataset.state === 'fresh' && {}.dataset.state === 'paused'",
        card("counts"),
        card("paused")
    ));
    page.wait_until(&format!("{}.dataset.kind === 'source'", card("t")));

    // Refreshes stop and start.
    session.run("alter system set pg_trickle.enabled = off").await;
    session.run("select pg_reload_conf()").await;
    follows(
        &mut page,
        &format!("!document.getElementById('notes').hidden && {}.dataset.state === 'stopped'", card("counts")),
    );
    session.run("insert into t values (1000, 1)").await;
    session.run("alter system reset pg_trickle.enabled").await;
    session.run("select pg_reload_conf()").await;
    session.wait_until("select sum(n) = (select count(*) from t) from counts").await;
    follows(
        &mut page,
        &format!("document.getElementById('notes').hidden && {}.dataset.state === 'fresh'", card("counts")),
    );

    // An error comes and goes.
    let error = "select consecutive_errors > 0 from pgtrickle.pgt_status() where name = 'public.shares'";
    session.run("insert into t values (2000, 7)").await;
    session.wait_until(error).await;
    follows(&mut page, &format!("{}.dataset.state === 'failing'", card("shares")));
    assert!(page.holds("document.querySelector('#problems li').textContent.includes('22012')"));
    session.run("delete from t where g = 7").await;
    session.wait_until(&error.replace("> 0", "= 0")).await;
    follows(
        &mut page,
        &format!("{}.dataset.state === 'fresh' && document.getElementById('problems').hidden", card("shares")),
    );
    assert_eq!(page.errors, Vec::<String>::new());
    database.close().await;
}
