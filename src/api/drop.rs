//! `drop_stream_table`, and what follows when a stream table is dropped in any way.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::{create, given, owned};
use crate::catalog::stream_table::StreamTable;
use crate::catalog::{ddl, quietly, stream_table};
use crate::error::Result;
use crate::pg::{object, spi, wake};
use crate::refresh;

/// Drops a stream table; with `cascade` also what depends on it.
#[pg_extern]
fn drop_stream_table(
    name: Option<&str>,
    cascade: default!(Option<bool>, false),
) -> std::result::Result<(), ErrorReport> {
    Ok(drop_table(&owned(given("name", name)?)?, cascade.unwrap_or(false))?)
}

pub fn drop_table(table: &StreamTable, cascade: bool) -> Result<()> {
    refresh::require_free(table.id)?;
    refresh::lock_ending_refresh(table.id, table.relid);
    create::as_caller(|caller| ddl::drop_table(caller, &object::name(table.relid), cascade))?;
    forget_dropped_tables()
}

/// Clears the catalog of stream tables whose relation is gone and frees sources that nobody reads.
fn forget_dropped_tables() -> Result<()> {
    quietly(|| {
        spi::connect(None, |session| {
            for id in stream_table::gone(session)? {
                refresh::dismantle(session, id)?;
                wake::catalog_changed();
            }
            Ok(())
        })
    })
}

/// Called by the event trigger on `sql_drop`.
#[pg_extern(sql = "
create function pgtrickle.forget_dropped_tables() returns void
security definer set search_path = pg_catalog, pg_temp
language c as 'MODULE_PATHNAME', 'forget_dropped_wrapper';

create function pgtrickle.on_drop() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from pg_event_trigger_dropped_objects() d
               join pgtrickle.pgt_stream_tables s on s.pgt_relid::oid = d.objid
              where d.classid = 'pg_class'::regclass)
  then
    perform pgtrickle.forget_dropped_tables();
  end if;
  delete from pgtrickle.pgt_capture_grants g
   using pg_event_trigger_dropped_objects() d
   where d.classid = 'pg_class'::regclass and d.objsubid = 0 and d.objid = g.relid::oid;
  if exists (select from pg_event_trigger_dropped_objects() d
              where d.object_type = 'trigger' and d.address_names[3] in ('pgtrickle_guard', 'pgtrickle_guard_truncate'))
     and exists (select from pg_class c
                  where (c.relnamespace = 'pgtrickle_state'::regnamespace and c.relkind = 'r'
                         or c.oid in (select s.pgt_relid::oid from pgtrickle.pgt_stream_tables s))
                    and 2 <> (select count(*) from pg_trigger t
                               where t.tgrelid = c.oid and t.tgfoid = 'pgtrickle.guard()'::regprocedure))
  then
    raise exception 'cannot drop the guard of a stream table'
      using errcode = 'wrong_object_type', detail = 'It is all that keeps others from changing its rows.',
            hint = 'Change the tables that its query reads.';
  end if;
end $$;
revoke all on function pgtrickle.forget_dropped_tables() from public;
create event trigger pgtrickle_on_drop on sql_drop execute function pgtrickle.on_drop();
alter event trigger pgtrickle_on_drop enable always;
")]
fn forget_dropped() -> std::result::Result<(), ErrorReport> {
    Ok(forget_dropped_tables()?)
}
