-- A query that is refused gets an error with the reason and a hint.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, v int);
create view clock as select id, now() as at from t;
create function price() returns int language sql stable as 'select max(v) from t';
-- expect-error
select pgtrickle.create_stream_table('st', 'select missing from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'delete from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select 1; select 2');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, random() as r from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from clock where at > ''2024-01-01''', refresh_mode => 'DIFFERENTIAL');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, price() from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select relname from pg_class');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t for update');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t', schedule => 'sometimes');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t', schedule => '5');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t', refresh_mode => 'SOMETIMES');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, count(*) over (order by v rows unbounded preceding exclude ties) as r from t', refresh_mode => 'DIFFERENTIAL');
-- expect-error
select pgtrickle.create_stream_table('t', 'select id from t');
-- expect-error
select pgtrickle.refresh_stream_table('t');
-- expect-error
select pgtrickle.drop_stream_table('nowhere');

-- The same query without DIFFERENTIAL is recomputed, and says so.
set client_min_messages = notice;
select pgtrickle.create_stream_table('ranked', 'select id, count(*) over (order by v rows unbounded preceding exclude ties) as r from t', schedule => '1d');
select full_reason from pgtrickle.pgt_status();

-- An error in the data ends with the row that causes it.
select pgtrickle.create_stream_table('ratio', 'select id, 100 / v as q from t', schedule => '1d');
insert into t values (1, 10), (2, 0);
-- expect-error
select pgtrickle.refresh_stream_table('ratio');
select * from ratio;
delete from t where v = 0;
select refreshed('ratio');
select * from ratio;
