-- verify_stream_table(): a table that was changed by hand is found, with its differences, and repaired with all its consumers.
set client_min_messages = warning;
select pgtrickle.drain();
create table t (id int primary key, g int not null, v numeric);
insert into t select i, i % 3, i from generate_series(1, 9) i;
select pgtrickle.create_stream_table('s', 'select id, g, v from t', '1h');
select pgtrickle.create_stream_table('sums', 'select g, sum(v) as v, count(*) as n from s group by g', '1h');
select pgtrickle.create_stream_table('top', 'select max(v) as v from sums', '1h');
select pgtrickle.create_stream_table('bag', 'select g, v::text as v from t', '1h');
select pgtrickle.create_stream_table('full_one', 'select g, array_agg(v order by v) as v from t group by g', '1h', 'FULL');
select pgtrickle.create_stream_table('recent', 'select id from t where now() - interval ''1 day'' < timestamptz ''2000-01-01'' + id * interval ''100 years''', '1h');
select pgtrickle.create_stream_table('empty', 'select id from t', '1h', initialize => false);
create procedure broken(name regclass, variadic commands text[]) language plpgsql as $$
declare command text;
begin
  alter event trigger pgtrickle_on_ddl disable;
  execute format('alter table %s disable trigger pgtrickle_guard', name);
  foreach command in array commands loop execute command; end loop;
  execute format('alter table %s enable always trigger pgtrickle_guard', name);
  alter event trigger pgtrickle_on_ddl enable always;
end $$;
create view verdicts as
select n.name, v.is_equal, v.compared, v.table_rows, v.query_rows, v.missing, v.surplus, v.sample
  from unnest(array['s', 'sums', 'top', 'bag', 'full_one', 'recent']) n(name), pgtrickle.verify_stream_table(n.name, 2) v;
table verdicts;
select is_equal, compared from pgtrickle.verify_stream_table('empty');
-- Changes that are pending count, and stay pending.
insert into t values (10, 1, 10);
update t set v = 2.50 where id = 2;
delete from t where id = 3;
table verdicts;
select count(*) from s;

-- By hand.
call broken('s', 'delete from s where id = 4', 'update s set v = v + 100 where id = 5', 'insert into s values (77, 7, 7)');
call broken('sums', 'update sums set n = n + 1 where g = 0');
call broken('bag', 'insert into bag values (1, ''x''), (1, ''x'')');
table verdicts;
select pgtrickle.refresh_stream_table('top');
select pgtrickle.refresh_stream_table('bag');
table verdicts;
select pgtrickle.refresh_stream_table('s', recompute => true);
select pgtrickle.refresh_stream_table('bag', true);
table verdicts;
table sums order by g;
table top;
-- The guard stays disabled: then its rows may have been changed, and it is rebuilt, with its consumers.
begin;
alter event trigger pgtrickle_on_ddl disable;
alter table s disable trigger pgtrickle_guard;
update s set v = 1000 where id = 5;
alter event trigger pgtrickle_on_ddl enable always;
commit;
select pgtrickle.refresh_stream_table('top');
table verdicts;
select tgname, tgenabled from pg_trigger where tgrelid = 's'::regclass order by 1;
-- While the guard is disabled, the result shows the differences, and a notice asks to enable it.
alter event trigger pgtrickle_on_ddl disable;
alter table s disable trigger pgtrickle_guard;
delete from s where id = 6;
alter event trigger pgtrickle_on_ddl enable always;
select * from verdicts where name = 's';
select pgtrickle.refresh_stream_table('s', true);
-- The same as replica, with the guard dropped, and with all user triggers off.
set session_replication_role = replica;
alter event trigger pgtrickle_on_ddl disable;
alter event trigger pgtrickle_on_drop disable;
drop trigger pgtrickle_guard on s;
alter table bag disable trigger all;
update s set v = v - 7 where id = 8;
truncate bag;
alter event trigger pgtrickle_on_ddl enable always;
alter event trigger pgtrickle_on_drop enable always;
reset session_replication_role;
select * from verdicts where name in ('s', 'bag');
select pgtrickle.refresh_stream_table('s', recompute => true), pgtrickle.refresh_stream_table('bag', recompute => true);
table verdicts;
select tgrelid::regclass, tgname, tgenabled from pg_trigger where tgrelid in ('s'::regclass, 'bag'::regclass) order by 1, 2;
-- Its nodes are guarded as well. A node that was changed behind its guard is recomputed: as soon as the guard is found missing,
-- otherwise on request.
select pgtrickle.create_stream_table('nested', 'select max(n) as n from (select g, count(*) as n from t group by g having count(*) > 1) q', '1h');
begin;
alter event trigger pgtrickle_on_ddl disable;
alter table pgtrickle_state.n_8_1 disable trigger pgtrickle_guard;
update pgtrickle_state.n_8_1 set n = n + 7;
alter event trigger pgtrickle_on_ddl enable always;
commit;
insert into t values (39, 0, 1);
select pgtrickle.refresh_stream_table('nested');
select is_equal from pgtrickle.verify_stream_table('nested');
begin;
alter event trigger pgtrickle_on_ddl disable;
alter table pgtrickle_state.n_8_1 disable trigger pgtrickle_guard;
update pgtrickle_state.n_8_1 set n = n + 5;
alter table pgtrickle_state.n_8_1 enable always trigger pgtrickle_guard;
alter event trigger pgtrickle_on_ddl enable always;
commit;
insert into t values (40, 0, 1);
select pgtrickle.refresh_stream_table('nested');
select is_equal, missing, surplus, sample from pgtrickle.verify_stream_table('nested');
select pgtrickle.refresh_stream_table('nested', recompute => true);
select is_equal from pgtrickle.verify_stream_table('nested');
-- Nothing is written without pending changes; with some, a read-only transaction gets an error.
begin read only;
select is_equal from pgtrickle.verify_stream_table('nested');
select is_equal from pgtrickle.verify_stream_table('full_one');
-- expect-error
rollback;
-- The clock of a query that is run as a whole.
select pgtrickle.create_stream_table('stamped', 'select id, now() as at from t', '1h', 'FULL');
select is_equal, compared from pgtrickle.verify_stream_table('stamped');
select is_equal, missing, surplus, sample from pgtrickle.verify_stream_table('s', 0);
select is_equal, missing, surplus, sample from pgtrickle.verify_stream_table('s', -1);
-- A group shows one of several values that are equal and look different: which one SQL leaves open.
create table looks (id int primary key, n numeric, j json);
insert into looks values (1, 1.00, '{}'), (2, 1.0, '{}'), (3, 'NaN', null), (4, null, null);
select pgtrickle.create_stream_table('groups', 'select n, count(*) as rows, (array_agg(j order by id))[1] as j from looks group by n', '1h');
select n from looks where id < 3 group by n;
select n from groups where n = 1;
select is_equal, missing, surplus from pgtrickle.verify_stream_table('groups');
select pgtrickle.create_stream_table('plain', 'select id, n from looks', '1h');
select is_equal, missing, surplus from pgtrickle.verify_stream_table('plain');
-- Only for owners.
create role life_reader;
grant usage on schema public to life_reader;
grant select on s, t to life_reader;
set role life_reader;
select * from pgtrickle.verify_stream_table('s');
-- expect-error
select pgtrickle.refresh_stream_table('s', true);
-- expect-error
reset role;
drop owned by life_reader;
drop role life_reader;
