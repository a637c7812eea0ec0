-- Views of what is counted in shared memory since the server started; times are milliseconds. NULL where the library is not
-- preloaded, and for stream tables beyond pg_trickle.max_counted_tables.

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
