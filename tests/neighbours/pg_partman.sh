title=pg_partman
package=postgresql-$major-partman
tested='partitions made by its worker and by hand, rows moved out of the default partition, retention that drops partitions'

scenario() {
  sql <<'END'
create schema partman;
create extension pg_partman schema partman;
create table events (id bigint not null, at timestamptz not null, kind int not null) partition by range (at);
select from partman.create_parent('public.events', 'at', 'native', 'daily', p_start_partition => (now() - interval '3 days')::text);
insert into events select i, now() - i % 4 * interval '1 day', i % 5 from generate_series(1, 400) i;
select pgtrickle.create_stream_table('kinds', 'select kind, count(*) as n, max(at) as latest from events group by kind', '0s');
select pgtrickle.create_stream_table('recent', 'select id, at from events where kind = 1', '0s');
END
  verify
  # Rows beyond the partitions go to the default partition, and from there to new ones.
  sql "insert into events select i, now() + interval '20 days', 1 from generate_series(1000, 1020) i"
  verify
  sql "call partman.partition_data_proc('public.events')"
  expect 'select count(*) from only events_default' 0
  verify
  sql "update partman.part_config set retention = '2 days', retention_keep_table = false, infinite_time_partitions = true, premake = 25"
  until_true "select not exists (select from events where at < now() - interval '3 days')"
  verify
  sql "update partman.part_config set retention = '1 day', retention_keep_table = true"
  sql "select from partman.run_maintenance('public.events')"
  verify
  sql "insert into events select i, now() + i % 20 * interval '1 day', i % 5 from generate_series(2000, 2200) i"
}
