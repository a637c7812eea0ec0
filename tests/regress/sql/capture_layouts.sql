-- Several stream tables read different columns of one source, and the source changes shape.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (gone integer, id integer primary key, a integer, b text, c numeric, d timestamp);
insert into t select g, g, g, 'b' || g, g, '2001-01-01' from generate_series(1, 5) g;
alter table t drop column gone;
call follow('va', 'select id, a from t');
insert into t values (6, 6, 'b6', 6, null);

-- Wider, with rows pending in the narrow layout.
call follow('vbc', 'select b, c from t');
select attnums, types, touch from pgtrickle.pgt_layouts order by layout;
update t set a = 0 where id = 1;
update t set b = 'changed' where id = 2;
update t set d = now() where id = 3;
select refreshed_how('va'), refreshed_how('vbc');
update t set c = c + 1, a = a + 1;
select refreshed('vbc');
-- An update is no change for a consumer that reads none of its columns, NULLs or not.
update t set b = null where id = 4;
update t set a = null, c = null where id = 4;
update t set a = 4 where id = 4;
update t set c = 4 where id = 4;
update t set a = null, b = 'b4' where id = 4;
update t set id = 40 where id = 4;
select refreshed('va'), refreshed('vbc');
delete from t where id < 3;
select refreshed('va'), refreshed('vbc');

-- In one transaction with writes on either side.
begin;
insert into t values (7, 7, 'b7', 7, '2007-07-07');
call follow('vd', 'select d, id from t');
insert into t values (8, 8, 'b8', 8, '2008-08-08');
rollback;
begin;
insert into t values (7, 7, 'b7', 7, '2007-07-07');
call follow('vd', 'select d, id from t');
insert into t values (8, 8, 'b8', 8, '2008-08-08');
select refreshed('vd'), refreshed('va'), refreshed('vbc');
commit;
select refreshed('vd'), refreshed('va'), refreshed('vbc');

-- A consumer that needs a notice of every change, also of columns that no consumer reads.
alter table t add column e integer default 7, add column f timestamptz default clock_timestamp();
call follow('vfull', 'select e, f from t', 'FULL');
update t set e = 8 where id = 8;
select refreshed_how('vfull'), refreshed_how('va');
update t set a = 8 where id = 8;
select refreshed_how('vfull'), refreshed_how('va');

-- Columns added with a default exist in old rows; others are added, moved and dropped.
call follow('ve', 'select id, e from t');
update t set a = a + 1;
delete from t where id = 3;
select refreshed('ve'), refreshed('va');
alter table t add column g integer;
insert into t (id, a, g) values (9, 9, 9);
alter table t drop column g;
insert into t (id, a) values (10, 10);
alter table t rename column d to dd;
update t set dd = '2020-02-02' where id = 10;
select refreshed('vd'), refreshed('va'), refreshed('ve');
alter table t rename to tt;
update tt set a = -a, dd = '2021-01-01';
select refreshed('vd'), refreshed('va'), refreshed('ve');

-- Types of captured columns cannot change.
-- expect-error
alter table tt alter column a type bigint;
-- expect-error
alter table tt alter column e type bigint;
-- expect-error
alter table tt drop column c;

-- Capture ends with the last consumer.
select pgtrickle.drop_stream_table(v) from unnest(array['va', 'vbc', 'vd', 've']) v;
update tt set e = 9;
select refreshed_how('vfull');
select pgtrickle.drop_stream_table('vfull');
select count(*) from pgtrickle.pgt_sources;
select tgname from pg_trigger where tgrelid = 'tt'::regclass;
select relname from pg_class where relnamespace = 'pgtrickle_changes'::regnamespace and relkind <> 'i';
update tt set a = 1;
