//! What a figure is worth nothing without: the code, the machine and the server it was measured on.

use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::session::Session;

const SETTINGS: [&str; 12] = [
    "shared_buffers",
    "huge_pages",
    "work_mem",
    "effective_cache_size",
    "fsync",
    "synchronous_commit",
    "wal_level",
    "full_page_writes",
    "jit",
    "max_parallel_workers_per_gather",
    "autovacuum",
    "random_page_cost",
];

/// Everything that identifies a run.
pub async fn collect(session: &Session) -> Result<Value> {
    let row = session.one("select current_date::text, version(), current_setting('server_version_num')").await?;
    let (date, version): (String, String) = (row.get(0), row.get(1));
    let extension: String =
        session.one("select extversion from pg_extension where extname = 'pg_trickle'").await?.get(0);
    let mut settings = Map::new();
    for name in SETTINGS {
        let value: String = session.client.query_one("select current_setting($1)", &[&name]).await?.get(0);
        settings.insert(name.to_owned(), json!(value));
    }
    Ok(json!({
        "date": date,
        "revision": git(&["rev-parse", "--short=12", "--verify", "-q", "HEAD"]),
        "dirty": git(&["status", "--porcelain", "--", ":/", ":(top,exclude)benches/reports"]).map(|text| !text.is_empty()),
        "extension": extension,
        "server": version,
        "settings": settings,
        "machine": machine(),
    }))
}

fn machine() -> Value {
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": std::thread::available_parallelism().map(|cpus| cpus.get()).ok(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
    })
}

/// The first `name: value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `None` outside a repository, and for commands that fail.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
