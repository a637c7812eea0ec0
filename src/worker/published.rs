//! What the scheduler publishes in shared memory for metrics: what the catalog says of its tables, how far each is behind,
//! and when changes became visible.

use ivm::schedule::{State, Table};
use monitor::cell::Cell;
use monitor::databases::DatabaseRow;
use pgrx::pg_sys::Oid;

use crate::capture;
use crate::catalog::described::{self, Sources, Tables};
use crate::error::Result;
use crate::pg::shmem::my_database;
use crate::pg::{counters, database};

/// What the catalog said.
pub struct Published {
    /// The claims of rows of tables and of sources that were made before it was read.
    claims: (u64, u64),
    database: String,
    tables: Tables,
    sources: Sources,
}

/// Reads the catalog; `scheduled` is what the scheduler knows of its tables. Each statement has a snapshot of its own, later than
/// the claims that are counted first. In a transaction.
pub fn read(scheduled: &[(String, Table)]) -> Result<Option<Published>> {
    let Some(memory) = counters::memory() else { return Ok(None) };
    let claims = (memory.tables.claimed(), memory.sources.claimed());
    let (tables, sources) = described::all(scheduled)?;
    count_pending()?;
    Ok(Some(Published { claims, database: database::name(), tables, sources }))
}

/// Publishes what the catalog says, and releases the rows of what was dropped.
pub fn publish(published: &Published) {
    let Published { claims, database, tables, sources } = published;
    let Some(memory) = counters::memory() else { return };
    let me = my_database().to_u32();
    memory.tables.release(me, claims.0, |id| tables.contains_key(&id));
    memory.sources.release(me, claims.1, |id| sources.contains_key(&id));
    // First: a table or source is shown with the name of its database.
    counters::database().into_iter().for_each(|row| row.name.set(database));
    let mut uncounted = 0;
    for (id, described) in tables {
        match counters::own_table(*id) {
            Some(row) => row.described.set(described),
            None => uncounted += 1,
        }
    }
    for (id, described) in sources {
        counters::own_source(*id).into_iter().for_each(|row| row.described.set(described));
    }
    counters::database().into_iter().for_each(|row| row.counted.uncounted.set(&uncounted));
}

/// Releases the rows of a database.
pub fn release(database: Oid) {
    let Some(memory) = counters::memory() else { return };
    let database = database.to_u32();
    memory.tables.release(database, u64::MAX, |_| false);
    memory.sources.release(database, u64::MAX, |_| false);
    memory.databases.release(database, u64::MAX, |_| false);
}

/// Counts what is pending in the change buffers, where processes have not counted it: after a start of the server and after
/// COMMIT PREPARED. In a transaction.
fn count_pending() -> Result<()> {
    if !counters::database().is_some_and(DatabaseRow::take_uncounted) {
        return Ok(());
    }
    for size in capture::sizes()? {
        counters::source(size.source).into_iter().for_each(|row| row.set_pending(size.pending));
    }
    Ok(())
}

/// Publishes what the scheduler knows since its last step.
pub fn report(state: &mut State) {
    for (id, lag) in state.take_shown() {
        counters::shown(id, lag);
    }
    for (id, since) in state.take_behind() {
        counters::own_table(id).into_iter().for_each(|row| row.state.behind_since.set(&since));
    }
    counters::database().into_iter().for_each(|row| row.counted.queue_depth.set(&(state.queued() as u32)));
}
