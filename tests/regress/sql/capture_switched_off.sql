-- Tables whose capture was disabled for a while are rebuilt.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id integer, v integer);
call follow('v', 'select id, v from t');

-- As the apply worker of logical replication works.
set session_replication_role = replica;
insert into t values (1, 1), (2, 2);
reset session_replication_role;
select refreshed_how('v');

-- As pg_restore --disable-triggers works: off, load, on again.
alter table t disable trigger user;
insert into t values (3, 3);
alter table t enable trigger user;
select refreshed('v');
insert into t values (4, 4);
select refreshed_how('v');

-- Still disabled: repaired by the refresh.
alter table t disable trigger all;
delete from t where id = 1;
select refreshed('v');
insert into t values (5, 5);
select refreshed_how('v');
select tgname, tgenabled from pg_trigger where tgname ~ '^pgtrickle_' and tgrelid = 't'::regclass order by 1;

-- Only one of them, or dropped.
do $$ begin execute format('alter table t disable trigger %I', (select tgname from pg_trigger where tgname ~ '^pgtrickle_truncate')); end $$;
truncate t;
insert into t values (6, 6);
select refreshed('v');
do $$ begin execute format('drop trigger %I on t', (select tgname from pg_trigger where tgname ~ '^pgtrickle_capture')); end $$;
insert into t values (7, 7);
select refreshed('v');
insert into t values (8, 8);
select refreshed_how('v');

-- In the transaction that writes.
begin;
insert into t values (9, 9);
alter table t disable trigger user;
insert into t values (10, 10);
select refreshed('v');
insert into t values (11, 11);
commit;
select refreshed('v');
select refreshed_how('v');

-- With two consumers, the one that notices repairs it for both.
create table two (id integer, v integer);
call follow('one', 'select id from two');
call follow('other', 'select v, id from two');
insert into two values (1, 1);
select refreshed('one'), refreshed('other');
alter table two disable trigger user;
insert into two values (2, 2);
select refreshed('one');
insert into two values (3, 3);
select refreshed('other');
select refreshed('one'), refreshed('other');
alter table two disable trigger user;
insert into two values (4, 4);
begin;
select refreshed('other');
insert into two values (5, 5);
select refreshed('one');
commit;
insert into two values (6, 6);
select refreshed('one'), refreshed('other');
insert into two values (7, 7);
select refreshed_how('one'), refreshed_how('other');

-- On one partition.
create table p (id integer, v integer) partition by range (id);
create table p1 partition of p for values from (0) to (10);
call follow('vp', 'select id, v from p');
alter table p1 disable trigger user;
insert into p values (1, 1);
select refreshed('vp');
insert into p values (2, 2);
select refreshed_how('vp');

-- A generated column that is computed anew without a trigger.
create table g (id integer, v integer, twice integer generated always as (v * 2) stored);
call follow('vg', 'select id, twice from g');
insert into g values (1, 1);
select refreshed_how('vg');
vacuum full g;
update g set v = 2;
select refreshed_how('vg');
select * from vg;

-- The trigger function cannot be called, and records nothing for triggers that pg_trickle did not make.
-- expect-error
select pgtrickle.capture();
create table stranger (id integer);
create trigger stranger after insert on stranger for each row execute function pgtrickle.capture('4711');
create trigger nonsense after insert on stranger for each row execute function pgtrickle.capture('nonsense');
create trigger nothing after insert on stranger for each row execute function pgtrickle.capture();
insert into stranger values (1);
select count(*) from stranger;
