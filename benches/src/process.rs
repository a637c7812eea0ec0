//! What the kernel says about a process of this machine. Everything is `None` for a remote server.

use std::fs;
use std::time::Duration;

/// How long a backend may go on working after its answer: then the kernel has booked its time.
pub const SETTLE: Duration = Duration::from_millis(1);

/// Milliseconds that a process has spent on a processor; exact only while it sleeps.
pub fn cpu(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e6)
}

/// How often a process went to sleep by itself: an idle process that wakes goes to sleep again.
pub fn voluntary_switches(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// Bytes of a process that it shares with no other.
pub fn own_memory(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// A process and its title.
pub struct Process {
    pub pid: i32,
    pub title: String,
}

/// The children of the process that started `sibling` whose title contains `word`.
pub fn siblings(sibling: i32, word: &str) -> Vec<Process> {
    let Some(parent) = parent(sibling) else { return vec![] };
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Process> = pids
        .filter(|pid| self::parent(*pid) == Some(parent))
        .filter_map(|pid| Some(Process { pid, title: title(pid)? }))
        .filter(|process| process.title.contains(word))
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn title(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    Some(text.replace('\0', " ").trim().to_owned())
}

/// Runnable processes on average: one, five, fifteen minutes.
pub fn load() -> Vec<f64> {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).filter_map(|number| number.parse().ok()).collect()
}
