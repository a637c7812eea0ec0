-- Every way to change a row, and sequences of changes that seem impossible.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id integer primary key, v integer, unread text);
call follow('v', 'select id, v from t', 'DIFFERENTIAL');
copy t (id, v) from stdin;
1	1
2	2
3	\N
\.
insert into t values (1, 10), (4, 4) on conflict (id) do update set v = excluded.v;
insert into t values (1, 11) on conflict do nothing;
merge into t using (values (1, 9), (2, 0), (7, 7)) s (id, v) on t.id = s.id
  when matched and s.v = 0 then delete when matched then update set v = s.v when not matched then insert values (s.id, s.v);
select refreshed_how('v');
select * from v order by id;

-- No change, or none of a column that is read.
update t set v = v where false;
update t set v = v;
update t set unread = 'x';
delete from t where id > 100;
select refreshed_how('v');

-- Several changes of one row in a statement, and of one table.
insert into t values (11, 1), (12, 2), (13, 3);
with d as (delete from t where id = 11 returning *), u as (update t set v = v + 10 where id = 12 returning *)
insert into t select id + 10, v from d union all select id + 10, v from u;
select refreshed('v');

-- Cascades.
create table parent (id integer primary key);
create table child (id integer primary key, parent integer references parent on delete cascade on update cascade);
call follow('vchild', 'select id, parent from child');
insert into parent values (1), (2), (3);
insert into child values (1, 1), (2, 1), (3, 2), (4, 3);
select refreshed('vchild');
delete from parent where id = 1;
update parent set id = 9 where id = 2;
select refreshed('vchild');
select * from vchild order by id;

-- Triggers before, that change the row or refuse it; generated columns.
create table g (id integer, v integer, twice integer generated always as (v * 2) stored);
create function before_g() returns trigger language plpgsql as $$
begin
  if new.v = 13 then return null; end if;
  new.v := new.v + 100;
  return new;
end $$;
create trigger before_g before insert or update on g for each row execute function before_g();
call follow('vg', 'select id, v, twice from g');
insert into g values (1, 1), (2, 2), (3, 13);
update g set v = 5 where id = 1;
update g set v = 13;
select refreshed('vg');
select * from vg order by id;

-- A trigger after, that changes the row again: its change is recorded before the one that caused it.
create table n (id integer, v integer);
create function after_n() returns trigger language plpgsql as $$
begin
  if new.v = 1 then
    update n set v = 2 where id = new.id;
  elsif new.v = 5 then
    delete from n where id = new.id;
  end if;
  return null;
end $$;
create trigger a_after_n after insert or update on n for each row execute function after_n();
call follow('vn', 'select id, v from n');
insert into n values (1, 1), (2, 5), (3, 3);
update n set v = 5 where id = 3;
update n set v = 1;
select refreshed('vn');
select * from vn order by id;

-- Deferred constraint triggers that write at commit.
create table d (id integer, v integer);
create function late() returns trigger language plpgsql as $$ begin insert into n values (new.id + 100, 0); return null; end $$;
create constraint trigger late after insert on d deferrable initially deferred for each row execute function late();
insert into d values (1, 1), (2, 2);
select refreshed('vn');
select count(*) from vn where id > 100;

-- No key, duplicates, no row at all.
create table dup (a integer, b text);
call follow('vdup', 'select a, b from dup');
insert into dup select 1, 'x' from generate_series(1, 5);
insert into dup values (null, null), (null, null);
delete from dup where ctid in (select ctid from dup limit 2);
select refreshed('vdup');
truncate dup;
select refreshed('vdup');
insert into dup values (2, 'y');
select refreshed_how('vdup');
begin;
insert into dup values (3, 'z');
truncate dup;
insert into dup values (4, 'w');
savepoint s;
truncate dup;
rollback to s;
commit;
select refreshed('vdup');
select * from vdup;
begin;
truncate dup;
rollback;
select refreshed_how('vdup');

-- Volumes: more than one chunk per statement, in every direction.
insert into t select g, g, 'x' from generate_series(1000, 20000) g;
update t set v = v + 1 where id > 1000;
delete from t where id % 3 = 0;
select refreshed_how('v');
