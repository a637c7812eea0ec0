-- Publications of everything do not stop refreshes, and stream tables can be published as they are.
set client_min_messages = error;
create table t (id int primary key, g int, v int);
insert into t select i, i % 3, i from generate_series(1, 9) i;
select pgtrickle.create_stream_table('counts', 'select g, count(*) as n from t group by g', '1h');
select pgtrickle.create_stream_table('big', 'select count(*) as n from (select g, count(*) as n from t group by g having count(*) > 2) q', '1h');
select pgtrickle.create_stream_table('rows', 'select v from t', '1h');
create publication all_tables for all tables;
create publication schemas for tables in schema public, pgtrickle, pgtrickle_state, pgtrickle_changes;
insert into t values (10, 1, 10);
update t set v = v + 1 where id < 4;
update t set g = 0 where id = 7;
delete from t where id = 9;
select pgtrickle.refresh_stream_table('counts'), pgtrickle.refresh_stream_table('big'), pgtrickle.refresh_stream_table('rows');
select * from counts order by g;
table big;
select is_equal from unnest(array['counts', 'big', 'rows']) n, pgtrickle.verify_stream_table(n);
-- In the background as well, with creation, ALTER and DROP.
select pgtrickle.create_stream_table('late', 'select g, max(v) as v from t group by g', '0s');
update t set v = 100 where id = 1;
select pgtrickle.wait_for_stream_table('late');
select is_equal from pgtrickle.verify_stream_table('late');
select pgtrickle.alter_stream_table('late', query => 'select g, min(v) as v from t group by g');
select pgtrickle.drop_stream_table('late');
select name, status, consecutive_errors, last_error from pgtrickle.pgt_status() order by 1;
-- All tables of the extension that are updated have a replica identity.
select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and (n.nspname in ('pgtrickle', 'pgtrickle_state') or c.oid in (select pgt_relid from pgtrickle.pgt_stream_tables))
   and c.relreplident <> 'f' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary);
