-- What is counted of stream tables: every refresh once, and only if its transaction commits.
create table t (id int primary key, v int);
select pgtrickle.create_stream_table('s', 'select v % 2 as g, count(*) as n from t group by 1', '1d');
select pgtrickle.create_stream_table('f', 'select v from t', '1d', 'FULL');
create view counted as
  select relname, differential_count as d, full_count as f, reinitialize_count as r, error_count as e,
         n_tup_ins as ins, n_tup_upd as upd, n_tup_del as del, n_change_rows as read,
         (total_refresh_time > 0) as took, (last_refresh_time > 0) as last, (refresh_time_p50 > 0) as p50
    from pgtrickle.pg_stat_stream_tables order by relname;
table counted;

insert into t select n, n from generate_series(1, 10) n;
select pgtrickle.refresh_stream_table('s'), pgtrickle.refresh_stream_table('f');
delete from t where id > 8;
update t set v = 2 where id = 1;
select pgtrickle.refresh_stream_table('s');
table counted;

-- What is rolled back is not counted, as a whole or in part.
begin;
insert into t values (11, 11);
select pgtrickle.refresh_stream_table('s');
rollback;
begin;
savepoint a;
insert into t values (11, 11);
select pgtrickle.refresh_stream_table('s');
rollback to a;
commit;
table counted;

-- Owners alone set it to zero.
select pgtrickle.pg_stat_reset_stream_table('s');
table counted;
create role counters_reader;
grant usage on schema pgtrickle to counters_reader;
set role counters_reader;
select relname, full_count from pgtrickle.pg_stat_stream_tables order by relname;
-- expect-error
select pgtrickle.pg_stat_reset_stream_table('public.s');
-- expect-error
select pgtrickle.pg_stat_reset_stream_table(null);
reset role;
revoke usage on schema pgtrickle from counters_reader;
drop role counters_reader;

-- A setting that is no address is refused.
-- expect-error
alter system set pg_trickle.metrics_listen = 'localhost:9188';

select kind, database = current_database() as here, state from pgtrickle.worker_status() where kind = 'launcher';
