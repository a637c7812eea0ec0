//! How long a process of ours was busy and how long it was idle.

use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::Micros;
use crate::cell::{Cell, Versioned, cells};

cells! {
    /// Totals in microseconds until a moment. They go on from one process in this place to the next.
    TimesCells => Times {
        /// The moment: since when it is busy (positive) or idle (negative); 0 while there is no process.
        since: AtomicI64,
        busy: AtomicI64,
        idle: AtomicI64,
    }
}

/// Written by the process itself.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Usage {
    times: Versioned<TimesCells>,
    /// Bytes of cached plans.
    pub plan_bytes: AtomicU64,
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
        self.plan_bytes.clear();
    }

    fn change(&self, now: Micros, since: i64) {
        let Used { busy, idle, .. } = self.read(now);
        self.times.set(&Times { since, busy, idle });
    }

    pub fn read(&self, now: Micros) -> Used {
        let Times { since, busy, idle } = self.times.get();
        let spent = if since == 0 { 0 } else { (now - since.abs()).max(0) };
        let (busy, idle) = if since > 0 { (busy + spent, idle) } else { (busy, idle + spent) };
        Used { is_busy: since > 0, busy, idle, plan_bytes: self.plan_bytes.get() }
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
