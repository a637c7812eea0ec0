title=pg_cron
package=postgresql-$major-cron
tested='a job that calls `refresh_stream_table()`, a job that writes a source, a stream table over `cron.job_run_details`'
notes='Stream tables have schedules of their own; a job is for refreshes at fixed moments of a table with a rare schedule.'

scenario() {
  sql <<'END'
create extension pg_cron;
create table readings (id serial primary key, at timestamptz not null default now());
select pgtrickle.create_stream_table('yearly', 'select count(*) as n from readings', '@yearly');
select pgtrickle.create_stream_table('live', 'select count(*) as n from readings', '0s');
select pgtrickle.create_stream_table('runs', 'select command, status, count(*) as n from cron.job_run_details group by 1, 2', '0s');
insert into readings default values;
select from cron.schedule('write', '* * * * *', 'insert into readings default values');
select from cron.schedule('refresh', '* * * * *', $$select pgtrickle.refresh_stream_table('yearly')$$);
END
  until_true 'select n >= 1 from yearly'
  until_true 'select n >= 2 from live'
  until_true "select count(*) = 2 from runs where status = 'succeeded'"
  sql 'select cron.unschedule(jobid) from cron.job' >/dev/null
  sql "select from pgtrickle.alter_stream_table('yearly', schedule => '0s')"
}
