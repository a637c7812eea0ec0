-- What is wrong, and what to do: sources, the scheduler, and all checks at once.

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
