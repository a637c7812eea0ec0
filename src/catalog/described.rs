//! What the catalog says of the stream tables and sources of this database, for the counters in shared memory.

use std::collections::BTreeMap;

use ivm::schedule::Table;
use monitor::{sources, tables};
use pgrx::pg_sys::Oid;

use crate::catalog::stream_table;
use crate::error::Result;
use crate::pg::spi::{self, Session};

pub type Tables = BTreeMap<i32, tables::Described>;
pub type Sources = BTreeMap<i32, sources::Described>;

/// Every stream table and every source; `scheduled` is what the scheduler knows of the tables.
pub fn all(scheduled: &[(String, Table)]) -> Result<(Tables, Sources)> {
    let (mut tables, sources) = spi::connect(None, |session| Ok((tables(session)?, sources(session)?)))?;
    let targets = stream_table::targets(scheduled)?;
    for (id, table) in &mut tables {
        table.target = targets.get(id).copied();
    }
    // A table that reads one whose rows change as time passes is no fresher.
    loop {
        let timed = |id: &i32| tables.get(id).is_some_and(|table| table.is_timed);
        let reads = scheduled.iter().filter(|(_, it)| !timed(&it.id) && it.upstream.iter().any(timed));
        let found: Vec<i32> = reads.map(|(_, it)| it.id).collect();
        if found.is_empty() {
            return Ok((tables, sources));
        }
        found.iter().filter_map(|id| tables.get_mut(id).map(|it| it.is_timed = true)).for_each(drop);
    }
}

fn tables(session: &Session) -> Result<Tables> {
    let found = session.query(
        "select s.pgt_id, c.oid, n.nspname::text, c.relname::text,
                case when f.pgt_id is null then 'DETACHED' else s.status end,
                s.refresh_mode, s.full_reason is not null or s.refresh_mode = 'FULL', s.temporal or s.polled <> '{}',
                array(select d.source_id from pgtrickle.pgt_dependencies d where d.pgt_id = s.pgt_id order by 1)
           from pgtrickle.pgt_stream_tables s
           join pg_catalog.pg_class c on c.oid = s.pgt_relid::oid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pgtrickle.pgt_frontiers f using (pgt_id)",
        &[],
        |row| {
            let table = tables::Described {
                relation: row.require::<Oid>(2)?.to_u32(),
                schema: row.require(3)?,
                name: row.require(4)?,
                status: row.require(5)?,
                mode: row.require(6)?,
                recomputes: row.require(7)?,
                is_timed: row.require(8)?,
                target: None,
                sources: row.require(9)?,
            };
            Ok((row.require(1)?, table))
        },
    )?;
    Ok(found.into_iter().collect())
}

fn sources(session: &Session) -> Result<Sources> {
    let found = session.query(
        "select b.source_id, c.oid, n.nspname::text, c.relname::text, s.pgt_id
           from pgtrickle.pgt_sources b
           join pg_catalog.pg_class c on c.oid = b.relid::oid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pgtrickle.pgt_stream_tables s on s.pgt_relid = b.relid",
        &[],
        |row| {
            let source = sources::Described {
                relation: row.require::<Oid>(2)?.to_u32(),
                schema: row.require(3)?,
                name: row.require(4)?,
                stream_table: row.get::<i32>(5).map(i64::from),
            };
            Ok((row.require(1)?, source))
        },
    )?;
    Ok(found.into_iter().collect())
}
