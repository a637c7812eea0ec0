//! How long a process of ours was busy and how long it was idle.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::Micros;
use crate::version::Version;

/// Written by the process itself. The totals go on from one process in this place to the next.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Usage {
    version: Version,
    /// Since when it is busy (positive) or idle (negative); 0 while there is no process.
    since: AtomicI64,
    busy: AtomicI64,
    idle: AtomicI64,
    /// Bytes of cached plans.
    plan_bytes: AtomicU64,
}

/// What a [`Usage`] held at a moment; totals in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub is_busy: bool,
    pub busy: Micros,
    pub idle: Micros,
    pub plan_bytes: u64,
}

impl Usage {
    /// It is idle from `now` on.
    pub fn idle(&self, now: Micros) {
        self.change(now, -now);
    }

    /// It is busy from `now` on.
    pub fn busy(&self, now: Micros) {
        self.change(now, now);
    }

    /// The process ends.
    pub fn end(&self, now: Micros) {
        self.change(now, 0);
        self.set_plan_bytes(0);
    }

    pub fn set_plan_bytes(&self, bytes: u64) {
        self.plan_bytes.store(bytes, SeqCst);
    }

    fn change(&self, now: Micros, since: i64) {
        let Used { busy, idle, .. } = self.at(now);
        self.version.try_write(|| {
            self.busy.store(busy, SeqCst);
            self.idle.store(idle, SeqCst);
            self.since.store(since, SeqCst);
        });
    }

    pub fn read(&self, now: Micros) -> Used {
        self.version.read(|| self.at(now)).unwrap_or_default()
    }

    fn at(&self, now: Micros) -> Used {
        let since = self.since.load(SeqCst);
        let spent = if since == 0 { 0 } else { (now - since.abs()).max(0) };
        let (busy, idle) = if since > 0 { (spent, 0) } else { (0, spent) };
        Used {
            is_busy: since > 0,
            busy: self.busy.load(SeqCst) + busy,
            idle: self.idle.load(SeqCst) + idle,
            plan_bytes: self.plan_bytes.load(SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_time_is_busy_or_idle() {
        let usage = Usage::default();
        assert_eq!(usage.read(5), Used::default());
        usage.idle(10);
        usage.busy(17);
        assert_eq!(usage.read(20), Used { is_busy: true, busy: 3, idle: 7, plan_bytes: 0 });
        usage.idle(22);
        usage.end(30);
        assert_eq!(usage.read(100), Used { is_busy: false, busy: 5, idle: 15, plan_bytes: 0 });
        // The clock was set back.
        usage.busy(100);
        assert_eq!(usage.read(50).busy, 5);
    }
}
