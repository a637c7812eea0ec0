-- A stream table is written by its refresh alone: in every session, role setting and path of writing. Commands that would break
-- it are refused at once, and risky ones get a notice.
\set ECHO none
\i tests/regress/preamble.sql
reset client_min_messages;
\set ECHO all
create table t (id int primary key, g int not null, v int);
insert into t select i, i % 3, i from generate_series(1, 9) i;
select pgtrickle.create_stream_table('s', 'select id, g, v from t', '1h');
select pgtrickle.create_stream_table('sums', 'select g, sum(v) as v from s group by g', '1h');

-- Rows, by every way in.
select command, outcome(command) from unnest(array[
  'insert into s values (100, 1, 1)',
  'update s set v = 0 where id = 1',
  'delete from s where id = 1',
  'truncate s',
  'merge into s using t on s.id = t.id when matched then update set v = 0',
  'copy s from program ''echo 100,1,1'' (format csv)',
  'with w as (delete from s where id = 2 returning *) select count(*) from w']) command;
set session_replication_role = replica;
select outcome('delete from s where id = 1'), outcome('truncate s');
reset session_replication_role;

-- Its shape.
select pgtrickle.create_stream_table('lone', 'select g, count(*) as n, min(v) as v from t where g < 9 group by g', '1h');
create table parent (id int, g int, v int);
create table parted (id int, g int, v int) partition by list (id);
create function keep() returns trigger language plpgsql as 'begin return new; end';
create function log() returns trigger language plpgsql as 'begin return null; end';
select command, outcome(command) from unnest(array[
  'alter table parted attach partition s default',
  'alter table s inherit parent',
  'create table child () inherits (s)',
  'create temp table child () inherits (s)',
  'create trigger before before insert on s for each row execute function keep()',
  'create rule r as on insert to s do instead nothing',
  'alter table s disable trigger pgtrickle_guard',
  'alter table s disable trigger all',
  'alter table s enable trigger pgtrickle_guard',
  'alter table s enable replica trigger pgtrickle_guard_truncate',
  'drop trigger pgtrickle_guard on s',
  'set quote_all_identifiers = on; drop trigger pgtrickle_guard on s',
  'alter trigger pgtrickle_guard on s rename to x',
  'alter table lone drop column v',
  'alter table lone rename column v to w',
  'alter table lone alter column v type bigint',
  'alter table lone alter column v type int using v + 1',
  'alter table s alter column id add generated always as identity',
  'alter table s set unlogged',
  'alter table s force row level security',
  'alter table lone add column extra int generated always as identity, drop column n',
  'alter table lone alter column n set not null, alter column n add generated always as identity',
  'alter table s replica identity nothing',
  'alter table s replica identity default',
  'alter table pgtrickle_state.n_2_1 drop column v_count',
  'insert into pgtrickle_state.n_2_1 select * from pgtrickle_state.n_2_1',
  'delete from pgtrickle_state.n_2_1',
  'truncate pgtrickle_state.n_2_1',
  'drop trigger pgtrickle_guard on pgtrickle_state.n_2_1',
  'select pgtrickle.create_stream_table(''peek'', ''select * from pgtrickle_state.n_2_1'')',
  'select pgtrickle.create_stream_table(''peek'', ''select * from pgtrickle_state.q_2'')',
  'select pgtrickle.create_stream_table(''peek'', ''select source_id from pgtrickle.pgt_sources'')',
  'alter view pgtrickle_state.q_1 rename to x',
  'create or replace view pgtrickle_state.q_1 as select id, g, v + 1 as v from t']) command;
set session_replication_role = replica;
select outcome('alter table lone drop column v'), outcome('alter table s disable trigger pgtrickle_guard');
reset session_replication_role;

-- Allowed commands, and their notices.
create trigger after after insert or update or delete on s for each row execute function log();
create trigger statement before insert on s for each statement execute function log();
alter table s disable trigger after;
alter table s add column seen timestamptz default '2000-01-01', add column twice int generated always as (2 * v) stored;
create index on s (v);
alter table s set (fillfactor = 70);
alter table s alter column v set not null;
alter table s add check (v < 1000);
create unique index on s (g, id);
create unique index on s (v);
alter table s add foreign key (g) references t (id) not valid;
alter table s drop constraint s_g_fkey;
alter table s add primary key (id);
create table refers (s int references s deferrable initially deferred);
insert into t values (10, 1, 10);
update t set v = 99 where id = 1;
delete from t where id = 2;
select pgtrickle.refresh_stream_table('sums');
select * from s order by id;
select * from sums order by g;
select count(*) from ((select id, g, v from s except all table t) union all (table t except all select id, g, v from s)) d;
select pgtrickle.alter_stream_table('s', query => 'select id, g, v + 1 as v from t');
select pgtrickle.refresh_stream_table('sums');
select id, g, v, seen::date, twice from s order by id limit 2;

-- An added column does not belong to the query.
select outcome($$select pgtrickle.create_stream_table('r', 'select id, twice from s', '1h')$$);

-- A new owner owns the parts as well.
create role life_owner;
grant usage, create on schema public to life_owner;
grant select, trigger on t to life_owner;
alter table s owner to life_owner;
alter table sums owner to life_owner;
select c.relname, c.relowner::regrole from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'pgtrickle_state' and c.relkind in ('r', 'v') order by 1;
alter table sums rename to totals;
create schema elsewhere;
grant usage on schema elsewhere to life_owner;
alter table s set schema elsewhere;
insert into t values (11, 2, 11);
select pgtrickle.refresh_stream_table('totals');
select * from totals order by g;

-- A temporary table cannot be a stream table.
select outcome($$select pgtrickle.create_stream_table('pg_temp.x', 'select id from t', '1h')$$);
set search_path = pg_temp, public;
select split_part(public.outcome($$select pgtrickle.create_stream_table('x', 'select id from t', '1h')$$), ' | ', 3);
reset search_path;
select name, status, consecutive_errors from pgtrickle.pgt_status() order by 1;
drop table refers;
drop table totals, elsewhere.s, lone;
drop owned by life_owner;
drop role life_owner;
select count(*) from pgtrickle.pgt_stream_tables;
