//! The queries of `monitoring` run, and every metric that a file names exists.

use std::collections::{BTreeMap, BTreeSet};

use pg_trickle_tests::http::documented;
use pg_trickle_tests::{Database, exact};

const QUERIES: &str = include_str!("../../monitoring/queries.yml");
const FILES: [(&str, &str); 8] = [
    ("docs/MONITORING.md", include_str!("../../docs/MONITORING.md")),
    ("README.md", include_str!("../../monitoring/README.md")),
    ("queries.yml", QUERIES),
    ("alerts.yml", include_str!("../../monitoring/alerts.yml")),
    ("alerts_test.yml", include_str!("../../monitoring/alerts_test.yml")),
    ("alerts-postgres_exporter.yml", include_str!("../../monitoring/alerts-postgres_exporter.yml")),
    ("alerts-postgres_exporter_test.yml", include_str!("../../monitoring/alerts-postgres_exporter_test.yml")),
    ("dashboard.json", include_str!("../../monitoring/dashboard.json")),
];
/// What begins like a metric and is none.
const OTHER_NAMES: [&str; 3] = ["pg_trickle_launcher", "pg_trickle_scheduler", "pg_trickle_by_postgres_exporter"];

/// A block of the file: the query, and the usage of each column.
#[derive(Default)]
struct Question {
    sql: String,
    /// Column and usage, in order.
    columns: Vec<(String, String)>,
}

/// Reads the little of YAML that the file uses; whatever else is in it fails.
fn questions() -> BTreeMap<String, Question> {
    let mut found: BTreeMap<String, Question> = BTreeMap::new();
    let mut name = String::new();
    for line in QUERIES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            name = line.strip_suffix(':').expect("a block's name").to_owned();
            assert!(found.insert(name.clone(), Question::default()).is_none(), "{name} twice");
            continue;
        }
        let question = found.get_mut(&name).expect("a block begins with its name");
        if let Some(metric) = line.strip_prefix("    - ") {
            let (column, rest) = metric.split_once(": {usage: ").expect(line);
            let (usage, description) = rest.split_once(", description: \"").expect(line);
            assert!(description.len() > 2 && description.ends_with("\"}"), "{line}");
            question.columns.push((column.to_owned(), usage.to_owned()));
        } else if let Some(sql) = line.strip_prefix("    ") {
            question.sql.push_str(sql);
            question.sql.push('\n');
        } else {
            assert!(["  query: |", "  metrics:"].contains(&line), "{line}");
        }
    }
    found
}

/// Metrics of queries.yml.
fn queried() -> BTreeSet<String> {
    let named = |(name, question): (&String, &Question)| {
        let measured = question.columns.iter().filter(|(_, usage)| usage != "LABEL");
        measured.map(|(column, _)| format!("{name}_{column}")).collect::<Vec<_>>()
    };
    questions().iter().flat_map(named).collect()
}

/// Metrics of the exporter, as a query writes them.
fn exported() -> BTreeSet<String> {
    let series = |(name, kind): (String, String)| match kind.as_str() {
        "histogram" => ["", "_bucket", "_sum", "_count"].map(|part| name.clone() + part).to_vec(),
        "counter" | "gauge" => vec![name],
        other => panic!("{name}: what is {other}?"),
    };
    documented().into_iter().flat_map(series).collect()
}

/// Words that begin like a metric.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let blocks = questions();
    let is_name =
        |word: &&str| word.starts_with("pg_trickle_") && !OTHER_NAMES.contains(word) && !blocks.contains_key(*word);
    words.filter(is_name).collect()
}

#[tokio::test]
async fn queries_return_declared_columns() {
    let database = Database::fresh("monitoring").await;
    let session = database.connect().await;
    session
        .run("create table t (id int primary key, g int); insert into t select n, n % 3 from generate_series(1, 9) n;
              select pgtrickle.create_stream_table('\"Odd name\"', 'select g, count(*) as n from t group by g', '0s');
              select pgtrickle.create_stream_table('empty', 'select count(*) over (order by id rows unbounded preceding exclude ties) as r from t', '1d', 'AUTO', false);
              insert into t values (10, 1)")
        .await;
    session.wait_until("select bool_and(is_populated and refreshes > 0) from pgtrickle.pgt_status()").await;
    exact::wait_fresh(&session).await;
    session.run("drop role if exists monitoring_watcher; create role monitoring_watcher in role pg_monitor; set role monitoring_watcher").await;
    for (name, question) in questions() {
        let sql = question.sql.trim_end();
        let shape = format!(
            "select string_agg(format('%s %s', key, jsonb_typeof(value)), ', ' order by place)
               from (select to_json(q) as j from ({sql}) q limit 1) first,
                    lateral (select key, value::jsonb, row_number() over () as place from json_each(j)) e"
        );
        let kind = |usage: &str| match usage {
            "LABEL" => "string",
            "GAUGE" | "COUNTER" => "number",
            other => panic!("{name}: what is {other}?"),
        };
        let declared: Vec<_> =
            question.columns.iter().map(|(column, usage)| format!("{column} {}", kind(usage))).collect();
        assert_eq!(session.value(&shape).await, declared.join(", "), "{name}");
    }
    let told = |query: &str, what: &str| format!("select {what} from ({}) q", questions()[query].sql.trim_end());
    let table = "where stream_table = 'public.\"Odd name\"'";
    let tables =
        told("pg_trickle_table", "concat_ws(' ', active, suspended, populated, incremental, consecutive_errors)");
    assert_eq!(session.value(&format!("{tables} {table}")).await, "1 0 1 1 0");
    assert_eq!(session.value(&format!("{tables} where stream_table = 'public.empty'")).await, "1 0 1 0 0");
    let differential = told("pg_trickle_recent", "errors = 0 and delta_rows = 1 and longest_seconds < 10");
    assert!(session.holds(&format!("{differential} {table} and action = 'DIFFERENTIAL'")).await);
    assert_eq!(session.value(&told("pg_trickle_buffer", "concat_ws(' ', source, consumers)")).await, "public.t 2");
    assert_eq!(session.value(&told("pg_trickle_workers", "concat_ws(' ', launchers, schedulers)")).await, "1 1");
    session.run("reset role; drop role monitoring_watcher").await;
    database.close().await;
}

#[test]
fn files_name_existing_metrics() {
    let known: BTreeSet<_> = queried().union(&exported()).cloned().collect();
    for (file, text) in FILES {
        let unknown: Vec<_> = mentioned(text).into_iter().filter(|word| !known.contains(*word)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    // Rules see the metrics of one of the two exporters only, and every rule sees one.
    for (file, own) in [("alerts.yml", exported()), ("alerts-postgres_exporter.yml", queried())] {
        let text = FILES.iter().find(|(name, _)| *name == file).expect("a file").1;
        let of = |word: &str| text.lines().filter(|line| line.trim_start().starts_with(word)).collect::<Vec<_>>();
        let expressions = of("expr:");
        assert_eq!(of("- alert:").len(), expressions.len());
        for expression in expressions {
            let of_ours = mentioned(expression);
            let known = of_ours.iter().all(|word| own.contains(*word));
            assert!(known && (!of_ours.is_empty() || expression.contains("up{")), "{file}: {expression}");
        }
    }
    let dashboard = FILES.iter().find(|(name, _)| *name == "dashboard.json").expect("a file").1;
    let unshown: Vec<_> = documented()
        .into_keys()
        .filter(|name| {
            !dashboard.contains(name.as_str())
                && !["pg_trickle_build_info", "pg_trickle_enabled"].contains(&name.as_str())
        })
        .collect();
    assert!(unshown.is_empty(), "the dashboard does not show {unshown:?}");
}
