//! Everything that is counted in shared memory, at one moment.

use monitor::snapshot::{Kind, Process as Shown, Snapshot, Workers};
use pgrx::pg_sys::{InvalidOid, Oid};

use crate::guc;
use crate::pg::bgworker;
use crate::pg::shmem::{Phase, Process, Shared};

pub fn snapshot(shared: &'static Shared) -> Snapshot {
    let now = bgworker::now();
    let memory = shared.counters();
    let changed = |database: u32, source: i32| shared.slot(database.into())?.changed_since(source);
    Snapshot::new(memory, &workers(shared, now), &changed, env!("CARGO_PKG_VERSION"), now)
}

fn workers(shared: &Shared, now: i64) -> Workers {
    let shown = |kind, process: &Process, database: Oid| Shown {
        kind,
        pid: process.pid(),
        database: database.to_u32(),
        refreshing: process.refreshing().to_u32(),
        used: process.usage.read(now),
    };
    let launcher = shown(Kind::Launcher, &shared.launcher, InvalidOid);
    let schedulers = shared.slots.iter().map(|slot| shown(Kind::Scheduler, &slot.scheduler, slot.database()));
    let pool = shared.workers.iter().map(|worker| shown(Kind::Pool, &worker.process, worker.database()));
    let served = shared.used_slots().filter_map(|(_, slot)| {
        let phase = Some(slot.phase()).filter(|phase| *phase != Phase::Absent)?;
        Some((slot.database().to_u32(), matches!(phase, Phase::Running | Phase::Dormant)))
    });
    Workers {
        enabled: guc::enabled(),
        processes: std::iter::once(launcher).chain(schedulers).chain(pool).collect(),
        served: served.collect(),
    }
}
