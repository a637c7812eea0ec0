-- The guard of a stream table's rows, and the event triggers on commands that alter or drop it.

create function pgtrickle.guard() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_guard';
comment on function pgtrickle.guard() is 'refuses changes of a stream table that do not come from its refresh';

create function pgtrickle.on_ddl() returns event_trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_on_ddl';
comment on function pgtrickle.on_ddl() is 'refuses commands that would break a stream table';

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
                         or c.oid in (select s.pgt_relid::oid from pgtrickle.pgt_stream_tables s
                                        join pgtrickle.pgt_frontiers f using (pgt_id)))
                    and 2 <> (select count(*) from pg_trigger t
                               where t.tgrelid = c.oid and t.tgfoid = 'pgtrickle.guard()'::regprocedure))
  then
    raise exception 'cannot drop the guard of a stream table'
      using errcode = 'wrong_object_type', detail = 'The guard refuses changes that do not come from a refresh.',
            hint = 'Change the tables that its query reads.';
  end if;
end $$;
comment on function pgtrickle.on_drop() is 'deletes dropped stream tables from the catalog, and keeps their guards';

create function pgtrickle.on_restore() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_on_restore';
comment on function pgtrickle.on_restore() is 'keeps the background workers away until a restore has ended';

-- Only a restore inserts rows that do not come from pg_trickle itself.
create trigger on_restore before insert on pgtrickle.pgt_stream_tables
  for each statement execute function pgtrickle.on_restore();
alter table pgtrickle.pgt_stream_tables enable always trigger on_restore;

create event trigger pgtrickle_on_ddl on ddl_command_end
  when tag in ('ALTER TABLE', 'CREATE TABLE', 'CREATE TRIGGER', 'ALTER TRIGGER', 'CREATE RULE', 'ALTER RULE',
               'CREATE INDEX', 'ALTER INDEX', 'CREATE VIEW', 'ALTER VIEW', 'CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION')
  execute function pgtrickle.on_ddl();
create event trigger pgtrickle_on_drop on sql_drop execute function pgtrickle.on_drop();
-- Sessions with session_replication_role = replica alter and drop tables, too.
alter event trigger pgtrickle_on_ddl enable always;
alter event trigger pgtrickle_on_drop enable always;

-- Only triggers of the extension call them, which are created with its owner's rights.
revoke all on function pgtrickle.guard(), pgtrickle.on_ddl(), pgtrickle.on_drop(), pgtrickle.on_restore() from public;
