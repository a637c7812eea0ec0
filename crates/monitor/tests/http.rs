//! The exporter over real sockets: what it answers, and what clients cannot do to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use monitor::cell::Cell;
use monitor::http::{Address, Server};
use monitor::rows::{Key, Owner};
use monitor::snapshot::{Kind, Process, Snapshot, Workers};
use monitor::sources::{Size, SourceRow};
use monitor::tables::{Action, Described, Ended, Expected, Refreshed, TableRow};
use monitor::usage::Used;
use monitor::{Counters, Memory};

const NOW: i64 = 1_700_000_000_000_000;
const DATABASE: u32 = 7;

/// Everything that is counted, of so many stream tables.
struct Fixture {
    counters: Box<Counters>,
    tables: Vec<TableRow>,
    sources: Vec<SourceRow>,
    owners: Vec<Owner>,
    workers: Workers,
    /// Since when the source has changes that no scheduler has read.
    unread: Option<i64>,
}

impl Fixture {
    fn new(tables: usize) -> Fixture {
        let running = |kind| Process {
            kind,
            pid: 1,
            database: DATABASE,
            refreshing: 0,
            used: Used { is_busy: false, busy: 5_000, idle: 9_000, plan_bytes: 77 },
        };
        let workers = Workers {
            enabled: true,
            processes: vec![running(Kind::Launcher), running(Kind::Scheduler)],
            served: [(DATABASE, true)].into(),
        };
        let fixture = Fixture {
            counters: Box::default(),
            tables: (0..=tables).map(|_| TableRow::default()).collect(),
            sources: (0..2).map(|_| SourceRow::default()).collect(),
            owners: (0..=tables + 2).map(|_| Owner::default()).collect(),
            workers,
            unread: None,
        };
        let memory = fixture.memory();
        memory.databases.rows[memory.databases.claim(Key::new(DATABASE, 0)).0].name.set(&"demo".to_owned());
        for id in 1..=tables as i32 {
            fixture.describe(id, &format!("stream_{id:04}"));
        }
        let source = &memory.sources.rows[memory.sources.claim(Key::new(DATABASE, 5)).0];
        let captured = Size { rows: 10, bytes: 300 };
        source.captured(captured);
        source.pending(captured);
        source.pruned(Size { rows: 4, bytes: 120 });
        fixture
    }

    fn memory(&self) -> Memory<'_> {
        self.counters.with(&self.tables, &self.sources, &self.owners)
    }

    fn describe(&self, id: i32, name: &str) {
        let memory = self.memory();
        let row = &memory.tables.rows[memory.tables.claim(Key::new(DATABASE, id)).0];
        row.described.set(&Described {
            relation: id as u32,
            schema: "public".to_owned(),
            name: name.to_owned(),
            status: "ACTIVE".to_owned(),
            mode: "AUTO".to_owned(),
            sources: vec![5],
            target: Some(1_000_000),
            ..Described::default()
        });
        let refresh = Refreshed {
            ended: Ended::Done(Action::Differential),
            inserted: 3,
            updated: 0,
            deleted: 1,
            change_rows: 4,
            took: 1_500,
            snapshot: NOW - 10,
            expected: Some(Expected { delta: 1_200, full: 9_000 }),
        };
        row.refreshed(&refresh, NOW);
        row.lag.add(2_000, NOW);
        memory.databases.rows[0].lag.add(2_000);
        row.state.behind_since.set(&Some(NOW - 250_000));
    }
}

/// Runs `clients` against an exporter of this.
fn serving<R: Send + 'static>(fixture: Fixture, clients: impl FnOnce(SocketAddr) -> R + Send + 'static) -> R {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let source = move || Snapshot::new(fixture.memory(), &fixture.workers, &|_, _| fixture.unread, "0.2.0", NOW);
        let _server = Server::start(&Address::Tcp(address), Rc::new(source)).unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || _ = sender.send(clients(address)));
        receiver.await.unwrap()
    })
}

/// What the exporter answers to these bytes before it closes the connection.
fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may have closed the connection already.
    _ = stream.write_all(bytes);
    let mut answer = vec![];
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").as_bytes())
}

#[test]
fn every_path_is_served() {
    serving(Fixture::new(2), |address| {
        let metrics = get(address, "/metrics?x=1", "");
        assert!(metrics.starts_with("HTTP/1.1 200 OK"), "{metrics}");
        for line in [
            r#"pg_trickle_refreshes_total{database="demo",schema="public",table="stream_0001",mode="DIFFERENTIAL"} 1"#,
            r#"pg_trickle_rows_total{database="demo",schema="public",table="stream_0002",operation="inserted"} 3"#,
            r#"pg_trickle_auto_expected_seconds_total{database="demo",schema="public",table="stream_0001",mode="DIFFERENTIAL"} 0.0012"#,
            r#"pg_trickle_auto_measured_seconds_total{database="demo",schema="public",table="stream_0001",mode="DIFFERENTIAL"} 0.0015"#,
            r#"pg_trickle_staleness_seconds{database="demo",schema="public",table="stream_0002"} 0.25"#,
            r#"pg_trickle_lag_seconds_bucket{database="demo",le="0.002048"} 2"#,
            r#"pg_trickle_lag_seconds_bucket{database="demo",le="0.001024"} 0"#,
            r#"pg_trickle_lag_seconds_sum{database="demo"} 0.004"#,
            r#"pg_trickle_workers{kind="scheduler",state="idle"} 1"#,
            "pg_trickle_worker_idle_ms_total 9",
            "pg_trickle_plan_cache_bytes 77",
            "# TYPE pg_trickle_change_rows_total counter",
        ] {
            assert!(metrics.lines().any(|it| it == line), "{line} is not in {metrics}");
        }
        assert!(metrics.contains("pg_trickle_pending_bytes{database=\"demo\",schema=\"\",table=\"\"} 180"));
        let open = get(address, "/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
        assert!(open.ends_with("# EOF\n") && open.contains("# TYPE pg_trickle_change_rows counter\n"));
        assert!(open.contains("\npg_trickle_change_rows_total{"));
        assert!(get(address, "/healthz", "").contains(r#"{"reasons":[],"status":"ok"}"#));
        assert!(get(address, "/readyz", "").starts_with("HTTP/1.1 200"));
        let page = get(address, "/", "");
        assert!(page.contains("content-security-policy: frame-ancestors 'none'") && page.contains("</html>"));
        let graph = get(address, "/api/graph", "");
        let json: serde_json::Value = serde_json::from_str(graph.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(json["tables"][1]["name"], "stream_0002");
        assert_eq!(json["tables"][1]["sources"], serde_json::json!([5]));
        assert_eq!(json["sources"][0]["oldest_pending"], 0.25);
        assert!(get(address, "/x", "").starts_with("HTTP/1.1 404"));
    });
}

#[test]
fn changes_that_no_scheduler_reads_make_a_table_stale() {
    let mut fixture = Fixture::new(1);
    fixture.unread = Some(NOW - 5_000_000);
    serving(fixture, |address| {
        let metrics = get(address, "/metrics", "");
        assert!(
            metrics.contains(
                "pg_trickle_staleness_seconds{database=\"demo\",schema=\"public\",table=\"stream_0001\"} 5\n"
            )
        );
        assert!(metrics.contains("pg_trickle_oldest_pending_seconds{database=\"demo\",schema=\"\",table=\"\"} 5\n"));
    });
}

#[test]
fn health_says_what_is_missing() {
    let mut fixture = Fixture::new(1);
    fixture.workers.served = [(DATABASE, false)].into();
    serving(fixture, |address| {
        let ready = get(address, "/readyz", "");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains(r#"database \"demo\" has no scheduler"#), "{ready}");
        assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 200"));
    });
    let mut fixture = Fixture::new(1);
    fixture.workers.processes.clear();
    serving(fixture, |address| assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 503")));
}

#[test]
fn only_reading_is_answered() {
    serving(Fixture::new(1), |address| {
        let head = send(address, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            assert!(send(address, request.as_bytes()).starts_with("HTTP/1.1 405"), "{method}");
        }
    });
}

#[test]
fn names_are_escaped() {
    let fixture = Fixture::new(1);
    let hostile = "a\"} 1\n<b>\\";
    fixture.describe(1, hostile);
    serving(fixture, move |address| {
        let metrics = get(address, "/metrics", "");
        assert!(metrics.contains(r#"table="a\"} 1\n<b>\\","#), "{metrics}");
        let graph = get(address, "/api/graph", "");
        assert!(graph.contains(r#""name":"a\"} 1\n<b>\\""#), "{graph}");
    });
}

#[test]
fn a_thousand_tables_take_two_megabytes() {
    serving(Fixture::new(1000), |address| {
        let bytes = get(address, "/metrics", "").len();
        assert!(bytes < 2 << 20, "{bytes} bytes");
    });
}

#[test]
fn hostile_clients_are_refused_and_others_served() {
    serving(Fixture::new(1), |address| {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        // More of them than there may be connections, and none of them sends a request.
        let idle: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 200"));
        drop(idle);
        for round in 0..500 {
            let bytes: Vec<u8> = (0..round)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random as u8
                })
                .collect();
            let mut stream = TcpStream::connect(address).unwrap();
            _ = stream.write_all(&bytes);
            _ = stream.write_all(b"\r\n\r\n");
        }
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
        let answer = send(address, long.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(10_000));
        let answer = send(address, many.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        // The head does not end: the connection does.
        let mut slow = TcpStream::connect(address).unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(slow.read_to_end(&mut vec![]).unwrap_or_default(), 0);
        assert!(get(address, "/metrics", "").starts_with("HTTP/1.1 200"));
    });
}
