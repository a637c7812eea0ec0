-- Status, history and graph of stream tables: views and functions over the catalog. Views read it with the rights of the
-- extension's owner, so each shows messages of errors, which may hold values of rows, only as error_message() does.

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
    from behind b join pgtrickle.pgt_seen f using (pgt_id)
   group by b.pgt_id
), timed(pgt_id, moment) as (  -- no fresher than its last refresh, although no change is pending
  select s.pgt_id, f.data_timestamp
    from pgtrickle.pgt_stream_tables s join pgtrickle.pgt_seen f using (pgt_id)
   where s.temporal or s.polled <> '{}'
  union
  select r.pgt_id, t.moment from timed t join reads r on r.upstream = t.pgt_id
)
select s.pgt_id, n.name, case when f.pgt_id is null then 'DETACHED' else s.status end as status, s.refresh_mode, s.schedule,
       f.frontier is not null as is_populated,
       coalesce(f.consecutive_errors, 0) + coalesce(x.failures, 0) as consecutive_errors,
       case when l.pgt_id is not null then v.data_timestamp else coalesce(t.moment, x.checked_at) end as data_timestamp,
       clock_timestamp() - least(l.since, coalesce(t.moment, x.checked_at)) as staleness,
       x.target, f.missed, f.rows_changed, f.refreshes, h.action as last_action, h.duration_ms as last_duration_ms,
       case when f.pgt_id is null then 'it was restored, and is attached when the restore has ended, or by pgtrickle.reattach()'
            else pgtrickle.error_message(s.pgt_relid, coalesce(x.sqlstate, f.last_sqlstate),
                                         coalesce(x.message, f.last_error)) end as last_error,
       s.full_reason, s.refresh_group, x.waits_for, x.together_ms
  from pgtrickle.pgt_stream_tables s
  left join pgtrickle.pgt_frontiers f using (pgt_id)  -- none: it is not attached
  left join pgtrickle.pgt_seen v using (pgt_id)
  left join state x using (pgt_id)
  left join stale l using (pgt_id)
 cross join lateral (select min(moment) as moment from timed where timed.pgt_id = s.pgt_id) t
 cross join lateral (select pgtrickle.qualified_name(s.pgt_relid) as name) n
  left join lateral (select action, duration_ms from pgtrickle.pgt_refresh_history h
                      where h.pgt_id = s.pgt_id order by refresh_id desc limit 1) h on true
 where n.name is not null;

-- A table with nothing pending is as fresh as the moment of the call, unless its rows, or those of a table that it reads,
-- change as time passes. Staleness is the age of the oldest change that it does not show, target the greatest age by its
-- schedule; missed counts the background refreshes that showed a change clearly later than that. Waits_for is the stream table that
-- is paused, suspended or fails, and without which this one is not refreshed: it reads it, or shows one moment with it. Together_ms is
-- how long the last refreshes took of all that are refreshed with it.
create function pgtrickle.pgt_status()
  returns table (name text, status text, refresh_mode text, schedule text, is_populated boolean, consecutive_errors integer,
                 data_timestamp timestamptz, staleness interval, target interval, missed bigint, rows_changed bigint,
                 refreshes bigint, last_action text, last_duration_ms double precision, last_error text, full_reason text,
                 refresh_group text, waits_for text, together_ms double precision)
  language sql
begin atomic
  select s.name, s.status, s.refresh_mode, s.schedule, s.is_populated, s.consecutive_errors, s.data_timestamp, s.staleness,
         s.target, s.missed, s.rows_changed, s.refreshes, s.last_action, s.last_duration_ms, s.last_error, s.full_reason,
         s.refresh_group, s.waits_for, s.together_ms
    from pgtrickle.stream_table_status s order by s.pgt_id;
end;
comment on function pgtrickle.pgt_status() is 'one row per stream table: how fresh it is, and how its refreshes go';

create function pgtrickle.create_refresh_group(name text, "table" text, variadic others text[]) returns void language sql
begin atomic
  select pgtrickle.create_refresh_group($1, $2 || $3);
end;
comment on function pgtrickle.create_refresh_group(text, text, text[]) is 'the same, with the stream tables one by one';

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

create function pgtrickle.dependency_tree(name text default null)
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
