//! The files of `monitoring` in the programs that they are for: promtool, Prometheus, postgres_exporter.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use pg_trickle_tests::Database;
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::programs::{Program, Scratch, free_port, succeed, tool};
use serde_json::Value;

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../monitoring");
const RULES: [&str; 2] = ["alerts", "alerts-postgres_exporter"];
const DASHBOARD: &str = include_str!("../../monitoring/dashboard.json");
const COMPOSE: &str = include_str!("../../compose.yaml");
const QUERIES: &str = include_str!("../../monitoring/queries.yml");

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{MONITORING}/{file}")).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Each alert has a case in which it fires and one in which it does not, and all come out.
#[test]
fn alerts_fire_where_they_should() {
    for rules in RULES {
        succeed("promtool", &["check", "rules", &format!("{MONITORING}/{rules}.yml")]);
        succeed("promtool", &["test", "rules", &format!("{MONITORING}/{rules}_test.yml")]);
        let (file, tests) = (read(&format!("{rules}.yml")), read(&format!("{rules}_test.yml")));
        let alerts = file.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
        let cases: Vec<_> = tests.split("- alertname: ").skip(1).collect();
        for alert in alerts {
            let of: Vec<_> = cases.iter().filter(|case| case.lines().next() == Some(alert)).collect();
            let firing = of.iter().filter(|case| case.contains("exp_alerts:")).count();
            assert!(firing > 0 && firing < of.len(), "{alert}: {firing} of {} cases fire", of.len());
        }
    }
    succeed("promtool", &["check", "config", &format!("{MONITORING}/prometheus.yml")]);
}

/// The queries of a dashboard, as Grafana sends them.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have the same id");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expression = |target: &Value| target["expr"].as_str().expect("a query").to_owned();
    targets
        .map(|target| {
            expression(target).replace("$__rate_interval", "1m").replace("$database", ".*").replace("$table", ".*")
        })
        .collect()
}

#[test]
fn dashboard_queries_are_valid() {
    let rules: String = dashboard_queries()
        .iter()
        .enumerate()
        .map(|(at, query)| format!("      - {{record: 'panel:{at}', expr: {}}}\n", Value::from(query.as_str())))
        .collect();
    assert!(rules.lines().count() > 20);
    let scratch = Scratch::new("dashboard");
    let file = format!("{}/rules.yml", scratch.path());
    std::fs::write(&file, format!("groups:\n  - name: panels\n    rules:\n{rules}")).expect("written");
    succeed("promtool", &["check", "rules", &file]);
}

#[test]
fn mounted_files_exist() {
    let mounted = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let files: Vec<_> = mounted.filter_map(|line| line.split(':').next()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert!(std::path::Path::new(&format!("{MONITORING}/../{file}")).is_file(), "compose.yaml mounts {file}");
    }
}

/// postgres_exporter runs queries.yml without an error and serves each of its metrics.
#[tokio::test]
async fn postgres_exporter_serves_the_queries() {
    let private = PrivateServer::start(&[]);
    let database = Database::on(&private.server(), "exported").await;
    let session = database.connect().await;
    session
        .run(
            "create table t (id int primary key, g int); insert into t select n, n % 3 from generate_series(1, 9) n;
             select pgtrickle.create_stream_table('\"Odd \"\"name\"', 'select g, count(*) as n from t group by g', '0s');
             insert into t values (10, 1);
             create role watcher login in role pg_monitor",
        )
        .await;
    session.wait_until("select bool_and(is_populated and refreshes > 0) from pgtrickle.pgt_status()").await;
    let port = free_port();
    let mut exporter = Program::start(
        Command::new(tool("prometheus-postgres-exporter"))
            .arg(format!("--extend.query-path={MONITORING}/queries.yml"))
            .args(["--disable-default-metrics", "--disable-settings-metrics"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env(
                "DATA_SOURCE_NAME",
                format!("postgresql://watcher@127.0.0.1:{}/{}?sslmode=disable", private.port(), database.name),
            )
            .env_remove("PGDATESTYLE")
            .stderr(Stdio::null()),
    );
    let scrape = exporter.await_answer(port, "/metrics");
    assert!(scrape.contains("\npg_exporter_last_scrape_error 0\n"), "{scrape}");
    let mut block = "";
    for line in QUERIES.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            block = name;
        } else if let Some((column, usage)) = line.strip_prefix("    - ").and_then(|line| line.split_once(": {usage: "))
        {
            let metric = format!("\n{block}_{column}{{");
            assert!(usage.starts_with("LABEL") || scrape.contains(&metric), "no {metric}\n{scrape}");
        }
    }
    let label = r#"stream_table="public.\"Odd \"\"name\"""#;
    let active = scrape.lines().find(|line| line.starts_with("pg_trickle_table_active{")).unwrap_or_default();
    assert!(active.contains(label) && active.ends_with(" 1"), "{active} without {label}");
    drop(exporter);
    database.close().await;
}
