//! The simplest client of HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Asks for a path; the status and the body, or `None` where nothing listens.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    answer(TcpStream::connect(("127.0.0.1", port)).ok()?, path)
}

/// The same over a connection. Answers of HTTP/1.0 end with it, and are not in chunks.
pub fn answer(mut stream: impl Read + Write, path: &str) -> Option<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Asks until it is answered with this status.
pub fn wait_for(port: u16, path: &str, status: u16) -> String {
    loop {
        match get(port, path) {
            Some((answered, body)) if answered == status => return body,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The metrics of an exporter, by their names with labels.
pub fn metrics(port: u16) -> BTreeMap<String, f64> {
    let text = wait_for(port, "/metrics", 200);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect(line))
        .map(|(name, value)| (name.to_owned(), value.parse().expect(value)))
        .collect()
}

/// The exporter's metrics by the tables of its page, with their types.
pub fn documented() -> BTreeMap<String, String> {
    let rows = include_str!("../../docs/MONITORING.md").lines().filter_map(|line| line.strip_prefix("| `pg_trickle_"));
    let cells = rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>());
    cells.map(|row| (format!("pg_trickle_{}", row[0].trim_end_matches('`')), row[1].to_owned())).collect()
}
