-- From 0.1.0 to 0.2.0. Every stream table keeps its rows, its frontier and its pending changes. Its next refresh compiles the
-- query anew, compares the rows with it, and writes only those that differ.

load 'MODULE_PATHNAME';
do $$
begin
  if coalesce(string_to_array(current_setting('pg_trickle.version', true), '.')::integer[] < array[0, 2, 0], true) then
    raise exception 'this session has an earlier version of the library of pg_trickle'
      using errcode = 'object_not_in_prerequisite_state',
            detail = 'The server loaded it before the files of version 0.2.0 were installed.',
            hint = 'Restart the server, then run ALTER EXTENSION pg_trickle UPDATE again.';
  end if;
end $$;

-- The only table that writers read and that is altered: writers wait for it, not for what it waits for. A transaction that was
-- prepared by 0.1.0 may hold locks on pgt_sources and pgt_layouts.
select set_config('lock_timeout', '5s', true) where current_setting('lock_timeout') = '0';
lock table pgtrickle.pgt_source_members in access exclusive mode;

alter table pgtrickle.pgt_stream_tables
  alter fingerprint type text,
  add definition_digest text,
  add refresh_timeout integer check (refresh_timeout >= 0);
alter table pgtrickle.pgt_frontiers
  add replaces boolean not null default false,
  add last_sqlstate text,
  replica identity full;
alter table pgtrickle.pgt_refresh_history rename delta_cost to delta_ms;
alter table pgtrickle.pgt_refresh_history rename full_cost to full_ms;
alter table pgtrickle.pgt_refresh_history add sqlstate text, add refreshes integer not null default 1;
alter table pgtrickle.pgt_source_members add row_trigger oid, add truncate_trigger oid;

-- Roles that may capture the changes of a table that they do not own, by allow_capture().
create table pgtrickle.pgt_capture_grants (
  relid              regclass not null,
  grantee            regrole not null,
  primary key (relid, grantee)
);
-- Grants on dropped tables, or to dropped roles, cannot be restored.
select pg_extension_config_dump('pgtrickle.pgt_capture_grants',
  'where exists (select from pg_catalog.pg_class c where c.oid = relid::oid)
     and exists (select from pg_catalog.pg_roles r where r.oid = grantee::oid)');
grant select on pgtrickle.pgt_capture_grants to public;

-- One row: the cluster in which this catalog was written.
create table pgtrickle.pgt_cluster (
  system_identifier  bigint primary key
);
insert into pgtrickle.pgt_cluster select system_identifier from pg_control_system();

-- Messages of errors may hold values of rows.
do $$
declare t text;
begin
  foreach t in array array['pgt_stream_tables', 'pgt_frontiers', 'pgt_sources', 'pgt_layouts', 'pgt_dependencies', 'pgt_refresh_history'] loop
    execute format('revoke select on pgtrickle.%I from public', t);
    execute format('grant select (%s) on pgtrickle.%I to public', (
      select string_agg(quote_ident(attname), ', ') from pg_attribute
       where attrelid = ('pgtrickle.' || t)::regclass and attnum > 0
         and attname not in ('last_error', 'reinitialize', 'error')), t);
  end loop;
end $$;

-- A dump holds the definitions and nothing else.
select pg_extension_config_dump('pgtrickle.pgt_stream_tables',
  'where exists (select from pg_catalog.pg_class c where c.oid = pgt_relid::oid)
     and exists (select from pg_catalog.pg_class c where c.oid = definition::oid)');
do $$
declare t text;
begin
  foreach t in array array['pgt_frontiers', 'pgt_sources', 'pgt_layouts', 'pgt_dependencies', 'pgt_refresh_history', 'pgt_source_members'] loop
    execute format('alter extension pg_trickle drop table pgtrickle.%I', t);
    execute format('alter extension pg_trickle add table pgtrickle.%I', t);
  end loop;
  -- Change buffers neither.
  for t in select c.relname from pgtrickle.pgt_sources s
             join pg_class c on c.relname = 'changes_' || s.source_id and c.relnamespace = 'pgtrickle_changes'::regnamespace
  loop
    execute format('alter extension pg_trickle add table pgtrickle_changes.%I', t);
  end loop;
end $$;

-- The settings of a definition that 0.1.0 did not record: those under which workers have evaluated it. No digest is empty, so
-- that every definition is compiled anew.
update pgtrickle.pgt_stream_tables
   set definition_digest = '',
       settings = (select jsonb_object_agg(name, reset_val) from pg_settings where name in ('lc_monetary', 'lc_numeric', 'lc_time'))
                  || settings;
alter table pgtrickle.pgt_stream_tables alter definition_digest set not null;
update pgtrickle.pgt_frontiers
   set reinitialize = coalesce(reinitialize, 'its definition was compiled by pg_trickle 0.1.0'), rates = null;

-- Capture triggers are known by their oids, not by their names.
update pgtrickle.pgt_source_members m
   set row_trigger = (select oid from pg_trigger t
                       where t.tgrelid = m.relid and t.tgname = 'pgtrickle_capture_' || m.source_id and t.tgtype = 29
                         and t.tgfoid = 'pgtrickle.capture()'::regprocedure
                         and t.tgargs = m.source_id::text::bytea || decode('00', 'hex')),
       truncate_trigger = (select oid from pg_trigger t
                            where t.tgrelid = m.relid and t.tgname = 'pgtrickle_truncate_' || m.source_id and t.tgtype = 32
                              and t.tgfoid = 'pgtrickle.capture()'::regprocedure
                              and t.tgargs = m.source_id::text::bytea || decode('00', 'hex'));

-- So are indexes of stream tables, by being an internal part of their table.
insert into pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
select 'pg_class'::regclass, c.oid, 0, 'pg_class'::regclass, t.oid, 0, 'i'
  from pgtrickle.pgt_stream_tables s
  join pg_class t on t.oid = s.pgt_relid::oid
  join pg_index i on i.indrelid = t.oid
  join pg_class c on c.oid = i.indexrelid
 cross join lateral (select left(t.relname, n) as stem from generate_series(48, 0, -1) n
                      where octet_length(left(t.relname, n)) <= 48 limit 1) named
 where c.relname in (named.stem || '_identity', named.stem || '_lookup')
   and not exists (select from pg_constraint where conindid = c.oid);

-- Functions with other arguments or columns.
drop function pgtrickle.alter_stream_table(text, text, text, text, text);
drop function pgtrickle.refresh_stream_table(text);
drop function pgtrickle.get_refresh_history(text, integer);
drop function pgtrickle.explain_stream_table(text);
create function pgtrickle.alter_stream_table(name text, query text default null, schedule text default null,
  refresh_mode text default null, status text default null, refresh_timeout text default null) returns void
  language c as 'MODULE_PATHNAME', 'alter_or_limit_wrapper';
create function pgtrickle.refresh_stream_table(name text, recompute boolean default false) returns void
  language c as 'MODULE_PATHNAME', 'refresh_or_recompute_wrapper';
create function pgtrickle.explain_stream_table(name text, verbose boolean default false, "analyze" boolean default false,
  format text default 'text') returns setof text
  language c as 'MODULE_PATHNAME', 'explain_or_analyze_wrapper';

-- Functions in which NULL stands for a default.
create or replace function pgtrickle.create_stream_table(name text, query text, schedule text default 'calculated',
  refresh_mode text default 'AUTO', initialize boolean default true) returns void
  language c as 'MODULE_PATHNAME', 'create_stream_table_wrapper';
create or replace function pgtrickle.create_stream_table_if_not_exists(name text, query text,
  schedule text default 'calculated', refresh_mode text default 'AUTO', initialize boolean default true) returns void
  language c as 'MODULE_PATHNAME', 'create_stream_table_if_not_exists_wrapper';
create or replace function pgtrickle.create_or_replace_stream_table(name text, query text, schedule text default null,
  refresh_mode text default null, initialize boolean default true) returns void
  language c as 'MODULE_PATHNAME', 'create_or_replace_stream_table_wrapper';
create or replace function pgtrickle.resume_stream_table(name text) returns void
  language c as 'MODULE_PATHNAME', 'resume_stream_table_wrapper';
create or replace function pgtrickle.drop_stream_table(name text, cascade boolean default false) returns void
  language c as 'MODULE_PATHNAME', 'drop_stream_table_wrapper';
create or replace function pgtrickle.wait_for_stream_table(name text,
  timeout interval default '30 seconds') returns boolean
  language c as 'MODULE_PATHNAME', 'wait_for_stream_table_wrapper';
create or replace function pgtrickle.drain(timeout interval default '1 minute') returns boolean
  language c as 'MODULE_PATHNAME', 'drain_wrapper';

-- New functions.
create function pgtrickle.allow_capture("table" regclass, role regrole) returns void
  language c as 'MODULE_PATHNAME', 'allow_capture_wrapper';
create function pgtrickle.revoke_capture("table" regclass, role regrole) returns void
  language c as 'MODULE_PATHNAME', 'revoke_capture_wrapper';
create function pgtrickle.reattach() returns integer
  language c as 'MODULE_PATHNAME', 'reattach_wrapper';
revoke all on function pgtrickle.reattach() from public;
create function pgtrickle.cancel_refresh(name text) returns boolean
  language c as 'MODULE_PATHNAME', 'cancel_refresh_wrapper';
create function pgtrickle.verify_stream_table(name text, sample integer default 10) returns table (is_equal boolean,
  compared text, data_timestamp timestamp with time zone, table_rows bigint, query_rows bigint, missing bigint,
  surplus bigint, sample jsonb)
  language c as 'MODULE_PATHNAME', 'verify_stream_table_wrapper';
create function pgtrickle.stream_table_id(name text) returns integer
  language c as 'MODULE_PATHNAME', 'stream_table_id_wrapper';
create function pgtrickle.stream_table_state() returns table (pgt_id integer, checked_at timestamp with time zone,
  is_behind boolean, behind_since timestamp with time zone, target interval, failures integer, sqlstate text,
  message text)
  language c strict as 'MODULE_PATHNAME', 'stream_table_state_wrapper';

-- Status, history and graph, which were functions of the library.
create function pgtrickle.qualified_name(relation oid) returns text language sql stable
begin atomic
  select format('%I.%I', n.nspname, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.oid = $1;
end;
comment on function pgtrickle.qualified_name(oid) is 'schema and name of a relation, quoted where needed';

create function pgtrickle.error_message(stream_table oid, sqlstate text, message text) returns text language sql stable
begin atomic
  select case when sqlstate is null or pg_has_role(c.relowner, 'usage') or pg_has_role('pg_read_all_stats', 'usage')
              then message
              else format('SQLSTATE %s in %s', sqlstate, pgtrickle.qualified_name(c.oid)) end
    from pg_class c where c.oid = stream_table;
end;
comment on function pgtrickle.error_message(oid, text, text) is
  'the message for the owner of a stream table and members of pg_read_all_stats, for other roles its SQLSTATE';

create view pgtrickle.stream_table_status as
with recursive state as materialized (
  select * from pgtrickle.stream_table_state()
), reads(pgt_id, upstream) as (
  select d.pgt_id, u.pgt_id
    from pgtrickle.pgt_stream_tables u
    join pgtrickle.pgt_sources s on s.relid = u.pgt_relid
    join pgtrickle.pgt_dependencies d on d.source_id = s.source_id
), behind(pgt_id, since) as (  -- since: when the oldest unseen change was committed, null where that is unknown
  select pgt_id, behind_since from state where is_behind
  union
  select pgt_id, null from pgtrickle.pgt_frontiers where frontier is null or reinitialize is not null
  union
  select r.pgt_id, b.since from behind b join reads r on r.upstream = b.pgt_id
), stale(pgt_id, since) as (
  select b.pgt_id, case when count(b.since) = count(*) then greatest(min(b.since), min(f.data_timestamp))
                        else min(f.data_timestamp) end
    from behind b join pgtrickle.pgt_frontiers f using (pgt_id)
   group by b.pgt_id
), timed(pgt_id, moment) as (  -- no fresher than its last refresh, although no change is pending
  select s.pgt_id, f.data_timestamp
    from pgtrickle.pgt_stream_tables s join pgtrickle.pgt_frontiers f using (pgt_id)
   where s.temporal or s.polled <> '{}'
  union
  select r.pgt_id, t.moment from timed t join reads r on r.upstream = t.pgt_id
)
select s.pgt_id, n.name, case when f.pgt_id is null then 'DETACHED' else s.status end as status, s.refresh_mode, s.schedule,
       f.frontier is not null as is_populated,
       coalesce(f.consecutive_errors, 0) + coalesce(x.failures, 0) as consecutive_errors,
       case when l.pgt_id is not null then f.data_timestamp else coalesce(t.moment, x.checked_at) end as data_timestamp,
       clock_timestamp() - least(l.since, coalesce(t.moment, x.checked_at)) as staleness,
       x.target, f.missed, f.rows_changed, f.refreshes, h.action as last_action, h.duration_ms as last_duration_ms,
       case when f.pgt_id is null then 'it was restored, and is attached when the restore has ended, or by pgtrickle.reattach()'
            else pgtrickle.error_message(s.pgt_relid, coalesce(x.sqlstate, f.last_sqlstate),
                                         coalesce(x.message, f.last_error)) end as last_error,
       s.full_reason
  from pgtrickle.pgt_stream_tables s
  left join pgtrickle.pgt_frontiers f using (pgt_id)  -- none: it is not attached
  left join state x using (pgt_id)
  left join stale l using (pgt_id)
 cross join lateral (select min(moment) as moment from timed where timed.pgt_id = s.pgt_id) t
 cross join lateral (select pgtrickle.qualified_name(s.pgt_relid) as name) n
  left join lateral (select action, duration_ms from pgtrickle.pgt_refresh_history h
                      where h.pgt_id = s.pgt_id order by refresh_id desc limit 1) h on true
 where n.name is not null;

-- A table with nothing pending is as fresh as the moment of the call, unless its rows, or those of a table that it reads,
-- change as time passes. Staleness is the age of the oldest change that it does not show, target the greatest age by its
-- schedule; missed counts the background refreshes that showed a change clearly later than that.
create or replace function pgtrickle.pgt_status()
  returns table (name text, status text, refresh_mode text, schedule text, is_populated boolean, consecutive_errors integer,
                 data_timestamp timestamptz, staleness interval, target interval, missed bigint, rows_changed bigint,
                 refreshes bigint, last_action text, last_duration_ms double precision, last_error text, full_reason text)
  language sql
begin atomic
  select s.name, s.status, s.refresh_mode, s.schedule, s.is_populated, s.consecutive_errors, s.data_timestamp, s.staleness,
         s.target, s.missed, s.rows_changed, s.refreshes, s.last_action, s.last_duration_ms, s.last_error, s.full_reason
    from pgtrickle.stream_table_status s order by s.pgt_id;
end;
comment on function pgtrickle.pgt_status() is 'one row per stream table: how fresh it is, and how its refreshes go';

create view pgtrickle.refresh_history as
select h.pgt_id, h.refresh_id, h.started_at, h.action, h.rows_inserted, h.rows_updated, h.rows_deleted, h.delta_rows,
       h.duration_ms, pgtrickle.error_message(s.pgt_relid, h.sqlstate, h.error) as error, h.delta_ms, h.full_ms,
       h.refreshes
  from pgtrickle.pgt_refresh_history h
  join pgtrickle.pgt_stream_tables s using (pgt_id);

create function pgtrickle.get_refresh_history(name text, max_rows integer default 20)
  returns table (refresh_id bigint, started_at timestamptz, action text, rows_inserted bigint, rows_updated bigint,
                 rows_deleted bigint, delta_rows bigint, duration_ms double precision, error text,
                 delta_ms double precision, full_ms double precision, refreshes integer)
  language sql
begin atomic
  select pgtrickle.stream_table_id($1);  -- an error also where there is no history
  select h.refresh_id, h.started_at, h.action, h.rows_inserted, h.rows_updated, h.rows_deleted, h.delta_rows, h.duration_ms,
         h.error, h.delta_ms, h.full_ms, h.refreshes
    from pgtrickle.refresh_history h
   where h.pgt_id = pgtrickle.stream_table_id($1)
   order by h.refresh_id desc
   limit greatest(coalesce($2, 20), 0);
end;
comment on function pgtrickle.get_refresh_history(text, integer) is
  'the latest refreshes, newest first, those of a second together; delta_ms and full_ms: what a choice expected of the delta and of recomputing';

create or replace function pgtrickle.dependency_tree(name text default null)
  returns table (tree text, name text, kind text, depth integer, schedule text, status text)
  language sql
begin atomic
  select pgtrickle.stream_table_id($1) where $1 is not null;
  with recursive reads(reader, source) as (
    select s.pgt_relid::oid, b.relid::oid
      from pgtrickle.pgt_dependencies d
      join pgtrickle.pgt_stream_tables s using (pgt_id)
      join pgtrickle.pgt_sources b using (source_id)
    union
    select s.pgt_relid::oid, unnest(s.polled)::oid from pgtrickle.pgt_stream_tables s
  ), tree(relid, depth, path) as (
    select s.pgt_relid::oid, 0, array[pgtrickle.qualified_name(s.pgt_relid)]
      from pgtrickle.pgt_stream_tables s
     where case when $1 is null then not exists (select from reads r where r.source = s.pgt_relid::oid)
                else s.pgt_id = pgtrickle.stream_table_id($1) end
    union all
    select r.source, t.depth + 1, t.path || pgtrickle.qualified_name(r.source)
      from tree t join reads r on r.reader = t.relid
  )
  select case t.depth when 0 then '' else repeat('  ', t.depth) || '└─ ' end || t.path[t.depth + 1], t.path[t.depth + 1],
         case when s.pgt_id is not null then 'stream table'
              when c.relkind = 'p' then 'partitioned table'
              when c.relkind = 'f' then 'foreign table'
              when c.relkind = 'm' then 'materialized view'
              else 'table' end,
         t.depth, s.schedule, s.status
    from tree t
    join pg_class c on c.oid = t.relid
    left join pgtrickle.pgt_stream_tables s on s.pgt_relid::oid = t.relid
   order by t.path collate "C";
end;
comment on function pgtrickle.dependency_tree(text) is
  'what a stream table reads, depth first, or what all read that no other reads; a table that several read is below each';

grant select on pgtrickle.stream_table_status, pgtrickle.refresh_history to public;

-- Guards and event triggers.
create or replace function pgtrickle.guard() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_guard';
comment on function pgtrickle.guard() is 'refuses changes of a stream table that do not come from its refresh';

create function pgtrickle.on_ddl() returns event_trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_on_ddl';
comment on function pgtrickle.on_ddl() is 'refuses commands that would break a stream table';

create or replace function pgtrickle.on_drop() returns event_trigger
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
-- Sessions with session_replication_role = replica alter and drop tables, too.
alter event trigger pgtrickle_on_ddl enable always;
alter event trigger pgtrickle_on_drop enable always;

-- Only triggers of the extension call them, which are created with its owner's rights.
revoke all on function pgtrickle.guard(), pgtrickle.on_ddl(), pgtrickle.on_drop(), pgtrickle.on_restore() from public;

-- What is counted in shared memory.
create function pgtrickle.counters() returns jsonb
  language c strict as 'MODULE_PATHNAME', 'counters_json_wrapper';
create function pgtrickle.pg_stat_reset_stream_table(name text) returns void
  language c as 'MODULE_PATHNAME', 'pg_stat_reset_stream_table_wrapper';

create view pgtrickle.pg_stat_stream_tables as
with counted as materialized (
  select t from jsonb_array_elements(pgtrickle.counters() -> 'tables') t
)
select c.oid as relid, n.nspname as schemaname, c.relname,
       (t -> 'refreshes' ->> 'differential')::bigint as differential_count,
       (t -> 'refreshes' ->> 'full')::bigint as full_count,
       (t -> 'refreshes' ->> 'reinitialize')::bigint as reinitialize_count,
       (t -> 'refreshes' ->> 'no_data')::bigint as no_data_count,
       (t ->> 'skipped')::bigint as skipped_count,
       (t ->> 'errors')::bigint as error_count,
       (t -> 'errors_by_kind' ->> 'data')::bigint as data_error_count,
       (t -> 'errors_by_kind' ->> 'definition')::bigint as definition_error_count,
       (t -> 'errors_by_kind' ->> 'transient')::bigint as transient_error_count,
       (t -> 'errors_by_kind' ->> 'internal')::bigint as internal_error_count,
       (t -> 'rows' ->> 'inserted')::bigint as n_tup_ins,
       (t -> 'rows' ->> 'updated')::bigint as n_tup_upd,
       (t -> 'rows' ->> 'deleted')::bigint as n_tup_del,
       (t ->> 'change_rows')::bigint as n_change_rows,
       (t ->> 'missed')::bigint as missed_target_count,
       to_timestamp((t ->> 'data_timestamp')::float8) as data_timestamp,
       (t ->> 'staleness')::float8 * 1000 as staleness_time,
       (t ->> 'total_duration')::float8 * 1000 as total_refresh_time,
       (t ->> 'last_duration')::float8 * 1000 as last_refresh_time,
       (t -> 'duration' ->> 'p50')::float8 * 1000 as refresh_time_p50,
       (t -> 'duration' ->> 'p95')::float8 * 1000 as refresh_time_p95,
       (t -> 'duration' ->> 'p99')::float8 * 1000 as refresh_time_p99,
       (t -> 'lag' ->> 'p50')::float8 * 1000 as lag_time_p50,
       (t -> 'lag' ->> 'p95')::float8 * 1000 as lag_time_p95,
       (t -> 'lag' ->> 'p99')::float8 * 1000 as lag_time_p99,
       (t -> 'delta_choices' ->> 'count')::bigint as delta_choice_count,
       (t -> 'delta_choices' ->> 'expected')::float8 * 1000 as delta_expected_time,
       (t -> 'delta_choices' ->> 'took')::float8 * 1000 as delta_choice_time,
       (t -> 'full_choices' ->> 'count')::bigint as full_choice_count,
       (t -> 'full_choices' ->> 'expected')::float8 * 1000 as full_expected_time,
       (t -> 'full_choices' ->> 'took')::float8 * 1000 as full_choice_time
  from pgtrickle.pgt_stream_tables s
  join pg_class c on c.oid = s.pgt_relid::oid
  join pg_namespace n on n.oid = c.relnamespace
  left join counted on (t ->> 'id')::integer = s.pgt_id;
comment on view pgtrickle.pg_stat_stream_tables is
  'what is counted of each stream table since the server started, or pg_stat_reset_stream_table(); times in milliseconds, quantiles of the last 15 minutes';
grant select on pgtrickle.pg_stat_stream_tables to public;

create view pgtrickle.pg_stat_progress_stream_table as
select r.pid, r.relation as relid, n.nspname as schemaname, c.relname, r.phase, to_timestamp(r.started) as started_at,
       r.rows as rows_done, nullif(r.expected, 0) as rows_expected
  from jsonb_to_recordset(pgtrickle.counters() -> 'progress')
       r(pid integer, relation oid, phase text, started float8, rows bigint, expected bigint)
  left join pg_class c on c.oid = r.relation
  left join pg_namespace n on n.oid = c.relnamespace;
comment on view pgtrickle.pg_stat_progress_stream_table is
  'the refreshes that run: phase, and for a long statement the rows that it has done and that the planner expects';
grant select on pgtrickle.pg_stat_progress_stream_table to public;

create function pgtrickle.worker_status()
  returns table (kind text, pid integer, database text, state text, refreshing text, busy_ms bigint, idle_ms bigint)
  language sql
begin atomic
  select w ->> 'kind', (w ->> 'pid')::integer, w ->> 'database', case when (w ->> 'busy')::boolean then 'busy' else 'idle' end,
         pgtrickle.qualified_name(s.pgt_relid), (w ->> 'busy_ms')::bigint, (w ->> 'idle_ms')::bigint
    from jsonb_array_elements(pgtrickle.counters() -> 'workers') w
    left join pgtrickle.pgt_stream_tables s
           on s.pgt_id = (w ->> 'refreshing')::integer and w ->> 'database' = current_database()
   order by w ->> 'database' nulls first, array_position(array['launcher', 'scheduler', 'pool'], w ->> 'kind'), 2;
end;
comment on function pgtrickle.worker_status() is
  'the background workers of the server: what each does, and the milliseconds in which it was busy and idle';

create function pgtrickle.missing_indexes() returns table (pgt_id integer, statement text)
  language c strict as 'MODULE_PATHNAME', 'missing_index_statements_wrapper';

create function pgtrickle.some_of(names text[]) returns text language sql immutable
begin atomic
  select array_to_string(names[1:5], ', ') || case when cardinality(names) > 5 then format(' and %s more', cardinality(names) - 5) else '' end;
end;
comment on function pgtrickle.some_of(text[]) is 'at most five names, and how many more there are';

create function pgtrickle.source_status()
  returns table (source text, capture text, pending_rows bigint, pending_bytes bigint, oldest_pending interval,
                 buffer_bytes bigint, captured_rows bigint, captured_bytes bigint, consumers text[], held_by text)
  language sql
begin atomic
  with counted as materialized (
    select c from jsonb_array_elements(pgtrickle.counters() -> 'sources') c
  ), consumer as (
    select d.source_id, array_agg(t.name order by t.name) as names,
           array_agg(t.name order by t.name) filter (where t.status <> 'ACTIVE') as idle
      from pgtrickle.pgt_dependencies d join pgtrickle.stream_table_status t using (pgt_id)
     group by d.source_id
  )
  select pgtrickle.qualified_name(s.relid),
         -- The triggers on each table that belongs to the source, as pg_trigger has them; a stream table is written by refreshes.
         (select case when exists (select from pgtrickle.pgt_stream_tables w where w.pgt_relid = s.relid) then 'by refreshes'
                      when count(*) = 0 then 'none'
                      when bool_and(t.tgenabled = 'A') then 'on'
                      else 'off on ' || pgtrickle.some_of(array_agg(distinct pgtrickle.qualified_name(m.relid))
                                                            filter (where t.tgenabled is distinct from 'A')) end
            from pgtrickle.pgt_source_members m
            left join pg_class k on k.oid = m.relid and k.relkind = 'p'
           cross join lateral unnest(array[case when k.oid is null then m.row_trigger end, m.truncate_trigger]) trigger(oid)
            left join pg_trigger t on t.oid = trigger.oid
           where m.source_id = s.source_id and trigger.oid is not null),
         b.pending_rows, coalesce((c ->> 'pending_bytes')::bigint, case when b.pending_rows > 0 then b.bytes else 0 end),
         make_interval(secs => (c ->> 'oldest_pending')::float8), b.bytes,
         (c ->> 'captured_rows')::bigint, (c ->> 'captured_bytes')::bigint, coalesce(u.names, '{}'),
         case when u.idle is not null then 'not refreshed: ' || pgtrickle.some_of(u.idle) end
    from pgtrickle.pgt_sources s
    left join counted on (c ->> 'id')::integer = s.source_id
    left join consumer u using (source_id)
    left join pgtrickle.change_buffer_sizes() b on b.buffer = 'pgtrickle_changes.changes_' || s.source_id
   order by 1;
end;
comment on function pgtrickle.source_status() is
  'the tables whose changes are captured: state of capture, pending changes, size of the change buffer, consumers, and those that hold it back';

create function pgtrickle.scheduler_diagnostics()
  returns table (database text, state text, pid integer, ticks bigint, queue_depth bigint, stream_tables bigint, behind bigint,
                 plan_cache_hits bigint, plan_cache_misses bigint, plan_cache_evictions bigint, plan_cache_bytes bigint)
  language sql
begin atomic
  with counted as materialized (select pgtrickle.counters() as c)
  select current_database()::text,
         case when c is null then 'not preloaded' when not (c ->> 'enabled')::boolean then 'disabled'
              when pgtrickle.is_drained() then 'drained' when w.pid is not null then w.state else 'none' end,
         w.pid, (c ->> 'ticks')::bigint, (c ->> 'queue_depth')::bigint,
         (select count(*) from pgtrickle.pgt_stream_tables),
         (select count(*) from jsonb_array_elements(c -> 'tables') t where (t ->> 'staleness')::float8 > 0),
         (c -> 'server' -> 'plans' ->> 'hits')::bigint, (c -> 'server' -> 'plans' ->> 'misses')::bigint,
         (c -> 'server' -> 'plans' ->> 'evictions')::bigint, (c -> 'server' ->> 'plan_bytes')::bigint
    from counted
    left join pgtrickle.worker_status() w on w.kind = 'scheduler' and w.database = current_database();
end;
comment on function pgtrickle.scheduler_diagnostics() is
  'the scheduler of this database; ticks, queue and cache are those of the whole server since it started';

create function pgtrickle.health_check(long_transaction interval default '5 minutes')
  returns table (check_name text, severity text, finding text, action text)
  language sql
begin atomic
  with counted as materialized (
    select pgtrickle.counters() as c
  ), tables as materialized (
    select * from pgtrickle.stream_table_status
  ), sources as materialized (
    select * from pgtrickle.source_status()
  ), worker(reason, action) as (
    select case when pg_is_in_recovery() then null
                when c is null then 'pg_trickle is not preloaded'
                when not (c ->> 'enabled')::boolean then 'pg_trickle.enabled is off'
                when not exists (select from jsonb_array_elements(c -> 'workers') w where w ->> 'kind' = 'launcher')
                  then 'the launcher is not running'
                when pgtrickle.is_drained() then 'the database is drained'
                when not exists (select from jsonb_array_elements(c -> 'workers') w
                                  where w ->> 'kind' = 'scheduler' and w ->> 'database' = current_database())
                  then 'this database has no scheduler' end,
           case when c is null then 'Add pg_trickle to shared_preload_libraries and restart the server.'
                when not (c ->> 'enabled')::boolean then 'Set pg_trickle.enabled to on.'
                when pgtrickle.is_drained() then 'Call pgtrickle.undrain() when the maintenance is done.'
                else 'Read the server''s log; raise max_worker_processes if the server has no process for it.' end
      from counted
  ), process(used, most) as (
    -- Of these kinds, and parallel workers, the server can have as many as the setting says.
    select count(*), current_setting('max_worker_processes')::integer
      from pg_stat_activity
     where backend_type not in ('client backend', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer',
                                'walwriter', 'walsender', 'walreceiver', 'startup', 'archiver', 'slotsync worker', 'io worker',
                                'walsummarizer', 'logger')
  ), holder(text) as (
    select format('process %s, for %s', pid, date_trunc('second', clock_timestamp() - xact_start))
      from pg_stat_activity
     where xact_start < clock_timestamp() - coalesce(long_transaction, interval '5 minutes') and (backend_xid is not null or backend_xmin is not null)
       and backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()
    union all
    select format('prepared transaction %L, for %s', gid, date_trunc('second', clock_timestamp() - prepared))
      from pg_prepared_xacts where prepared < clock_timestamp() - coalesce(long_transaction, interval '5 minutes')
    union all
    select format('replication slot %I', slot_name)
      from pg_replication_slots
     where not active and (xmin is not null or catalog_xmin is not null)
  ), wrong(number, check_name, severity, finding, action) as (
    select 1, 'workers', 'critical', reason || ': stream tables are not refreshed', action from worker where reason is not null
    union all
    select 2, 'suspended tables', 'critical', pgtrickle.some_of(array_agg(name order by name)) || ': suspended after too many errors',
           'Read last_error in pgtrickle.pgt_status(), remove the cause, then call pgtrickle.resume_stream_table().'
      from tables where status = 'SUSPENDED' having count(*) > 0
    union all
    select 3, 'failing tables', 'warning', pgtrickle.some_of(array_agg(name order by name)) || ': the last refresh failed',
           'Read last_error in pgtrickle.pgt_status().'
      from tables where status = 'ACTIVE' and consecutive_errors > 0 having count(*) > 0
    union all
    select 4, 'missed targets', 'warning', pgtrickle.some_of(array_agg(name order by name)) || ': older than its schedule allows',
           'Compare the durations of its refreshes with its schedule: explain_stream_table(), get_refresh_history(). Raise pg_trickle.max_parallel_workers if all workers are busy.'
      -- A standby does not know when its pending changes were committed.
      from tables where status = 'ACTIVE' and is_populated and staleness > greatest(2 * target, target + interval '2 seconds')
       and not pg_is_in_recovery()
    having count(*) > 0
    union all
    select 5, 'detached tables', 'warning', pgtrickle.some_of(array_agg(name order by name)) || ': restored and not attached yet',
           'Wait until the restore has ended, or call pgtrickle.reattach().'
      from tables where status = 'DETACHED' having count(*) > 0
    union all
    select 6, 'change buffers', 'warning',
           pgtrickle.some_of(array_agg(source || coalesce(' (' || held_by || ')', '') order by pending_bytes desc)) || ': the change buffer is large',
           'Resume or drop the stream tables that do not read it, or end the transaction that holds it back.'
      from sources
     where pending_bytes > case when current_setting('pg_trickle.max_buffer_bytes') = '-1' then 1 << 28
                                else pg_size_bytes(current_setting('pg_trickle.max_buffer_bytes')) / 4 end
    having count(*) > 0
    union all
    select 7, 'capture', 'critical', pgtrickle.some_of(array_agg(source || ' is ' || capture order by source)) || ': changes are lost',
           'Enable the triggers named pgtrickle_capture_… and pgtrickle_truncate_… with ALTER TABLE … ENABLE ALWAYS TRIGGER, or refresh: that repairs capture and recomputes.'
      from sources where capture not in ('on', 'by refreshes') having count(*) > 0
    union all
    select 8, 'long transactions', 'warning', pgtrickle.some_of(array_agg(text order by text)) || ': no newer row can be removed',
           'End it: change buffers and stream tables grow until then.'
      from holder having count(*) > 0
    union all
    select 9, 'worker processes', 'warning', format('%s of %s worker processes are in use', used, most),
           'Raise max_worker_processes and restart the server: schedulers, workers and parallel queries share them.'
      from process where used >= most
    union all
    select 10, 'missing indexes', 'warning', pgtrickle.some_of(array_agg(distinct pgtrickle.qualified_name(s.pgt_relid))) || ': refreshes read whole tables',
           min(m.statement) || case when count(*) > 1 then format('; and %s more, see explain_stream_table()', count(*) - 1) else ';' end
      from pgtrickle.missing_indexes() m join pgtrickle.pgt_stream_tables s using (pgt_id) having count(*) > 0
  ), checked(number, check_name) as (
    values (1, 'workers'), (2, 'suspended tables'), (3, 'failing tables'), (4, 'missed targets'), (5, 'detached tables'),
           (6, 'change buffers'), (7, 'capture'), (8, 'long transactions'), (9, 'worker processes'), (10, 'missing indexes')
  )
  select k.check_name, coalesce(w.severity, 'ok'), w.finding, w.action
    from checked k left join wrong w using (number)
   order by number;
end;
comment on function pgtrickle.health_check(interval) is
  'one row for each check: its severity is ok, warning or critical, with what is wrong and what to do; transactions count as long after this time';

-- What psql shows: the text of sql/comments.sql.

comment on function pgtrickle.create_stream_table(text, text, text, text, boolean) is
  'creates a stream table, which stays equal to a query';
comment on function pgtrickle.create_stream_table_if_not_exists(text, text, text, text, boolean) is
  'creates a stream table unless a relation of this name exists';
comment on function pgtrickle.create_or_replace_stream_table(text, text, text, text, boolean) is
  'creates a stream table, or gives an existing one another query; what is not given stays';
comment on function pgtrickle.alter_stream_table(text, text, text, text, text, text) is
  'changes query, schedule, mode, status or timeout of a stream table';
comment on function pgtrickle.drop_stream_table(text, boolean) is
  'drops a stream table; with cascade, also what reads it';
comment on function pgtrickle.refresh_stream_table(text, boolean) is
  'refreshes a stream table and what it reads; with recompute, computes it and what reads it from nothing';
comment on function pgtrickle.verify_stream_table(text, integer) is
  'compares a stream table with its query under one snapshot, and changes nothing';
comment on function pgtrickle.explain_stream_table(text, boolean, boolean, text) is
  'operators, identity, costs and missing indexes of a stream table; verbose adds SQL, analyze a refresh that is rolled back';
comment on function pgtrickle.wait_for_stream_table(text, interval) is
  'waits until a stream table shows what was committed before the call; false when the timeout ends first';
comment on function pgtrickle.cancel_refresh(text) is
  'cancels the background refresh of a stream table; whether there was one';
comment on function pgtrickle.resume_stream_table(text) is
  'ends the suspension or the pause of a stream table';
comment on function pgtrickle.allow_capture(regclass, regrole) is
  'lets a role create stream tables that read a table, without the privilege TRIGGER';
comment on function pgtrickle.revoke_capture(regclass, regrole) is
  'revokes what allow_capture() granted; stream tables that exist are still refreshed';
comment on function pgtrickle.drain(interval) is
  'stops background refreshes in this database and waits for those that run; false when the timeout ends first';
comment on function pgtrickle.is_drained() is
  'whether background refreshes are stopped in this database and none is running';
comment on function pgtrickle.undrain() is
  'starts the background refreshes of this database again';
comment on function pgtrickle.reattach() is
  'attaches stream tables that were restored from a dump; their number';
comment on function pgtrickle.change_buffer_sizes() is
  'change rows that are not yet pruned, and the size on disk, of each source';
comment on function pgtrickle.stream_table_id(text) is
  'the number of a stream table in the catalog of pg_trickle';
comment on function pgtrickle.stream_table_state() is
  'what is not in the catalog of each stream table: pending changes, freshness target, failures; read it through stream_table_status';
comment on function pgtrickle.counters() is
  'what is counted of this database in shared memory, as a document; read it through pg_stat_stream_tables';
comment on function pgtrickle.pg_stat_reset_stream_table(text) is
  'sets what is counted of a stream table to zero';
comment on function pgtrickle.missing_indexes() is
  'statements that create the indexes whose lack makes refreshes slow, by stream table';
comment on function pgtrickle.forget_dropped_tables() is
  'deletes dropped stream tables from the catalog; only for the event trigger';

comment on view pgtrickle.stream_table_status is 'one row per stream table: how fresh it is, and how its refreshes go';
comment on view pgtrickle.refresh_history is 'the refreshes of all stream tables';

comment on table pgtrickle.pgt_stream_tables is 'the definition of each stream table';
comment on table pgtrickle.pgt_frontiers is 'what each stream table has seen of its sources, and its last error';
comment on table pgtrickle.pgt_sources is 'tables that stream tables read, each with one change buffer';
comment on table pgtrickle.pgt_source_members is 'the tables whose rows are rows of a source, with their capture triggers';
comment on table pgtrickle.pgt_layouts is 'the columns in the chunks of change buffers';
comment on table pgtrickle.pgt_dependencies is 'which stream table reads which source';
comment on table pgtrickle.pgt_refresh_history is 'the latest refreshes that did work or failed; read it through refresh_history';
comment on table pgtrickle.pgt_capture_grants is 'roles that may capture the changes of a table, by allow_capture()';
comment on table pgtrickle.pgt_cluster is 'one row: the cluster in which this catalog was written';

comment on schema pgtrickle_state is 'definitions and internal tables of stream tables';
comment on schema pgtrickle_changes is 'change buffers of the sources of stream tables';
