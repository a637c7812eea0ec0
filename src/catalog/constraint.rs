//! What constraints the source of a stream table has, and what its owner can add.

use ivm::explain::key::Constraints;
use ivm::sql::ident::Ident;
use pgrx::pg_sys::Oid;

use crate::error::Result;
use crate::pg::spi::Session;

/// A stream table takes none, since its query decides. An inheritance parent's index says nothing about its children's rows, and
/// that of a partitioned table must contain the partition key.
pub fn of(session: &Session, relation: Oid) -> Result<Constraints> {
    let unique = session.query(
        "select array(select a.attname::text
                        from unnest(i.indkey::int2[]) with ordinality k(attnum, place)
                        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                       where k.place <= i.indnkeyatts
                       order by k.place)
           from pg_index i join pg_class c on c.oid = i.indrelid
          where i.indrelid = $1
            and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
            and (c.relkind = 'p' or not exists (select from pg_inherits h where h.inhparent = c.oid))
          order by i.indisprimary desc, i.indnkeyatts, i.indexrelid",
        &[relation.into()],
        |row| row.require::<Vec<String>>(1),
    )?;
    let unique = unique.into_iter().map(|key| key.into_iter().map(Ident::new).collect()).collect();
    let (takes_not_null, takes_unique) = session.one(
        "select c.relkind in ('r', 'p') and s.pgt_id is null,
                c.relkind = 'r' and s.pgt_id is null and not exists (select from pg_inherits h where h.inhparent = c.oid)
           from pg_class c left join pgtrickle.pgt_stream_tables s on s.pgt_relid = c.oid
          where c.oid = $1",
        &[relation.into()],
        |row| Ok((row.require(1)?, row.require(2)?)),
    )?;
    Ok(Constraints { unique, takes_not_null, takes_unique })
}
