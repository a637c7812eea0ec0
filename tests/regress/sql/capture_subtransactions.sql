-- A captured row has the fate of the subtransaction that wrote it, whenever the chunk is written.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id integer primary key, v integer);
create table u (id integer, v integer);
call follow('vt', 'select id, v from t');
call follow('vu', 'select id, v from u');

-- Rolled back to a savepoint; released; nested; both tables at once.
begin;
insert into t values (1, 1);
savepoint a;
insert into t values (2, 2);
insert into u values (2, 2);
savepoint b;
insert into t values (3, 3);
update t set v = v + 10;
rollback to b;
insert into t values (4, 4);
release a;
savepoint c;
delete from t where id = 1;
rollback to c;
insert into u values (5, 5);
commit;
select refreshed('vt'), refreshed('vu');
select * from vt order by id;
select * from vu order by id;

-- The parent has rows pending when a child aborts, and when a child of a child commits into an aborting one.
begin;
insert into t select g, g from generate_series(10, 2000) g;
savepoint a;
insert into t select g, g from generate_series(2001, 4000) g;
savepoint b;
insert into t select g, g from generate_series(4001, 6000) g;
release b;
rollback to a;
insert into t select g, g from generate_series(6001, 6010) g;
savepoint d;
insert into t select g, g from generate_series(7001, 9000) g;
release d;
commit;
select refreshed('vt');
select count(*), sum(id) from vt;

-- A whole transaction that is rolled back.
begin;
insert into t select -g, g from generate_series(1, 3000) g;
savepoint a;
delete from t;
release a;
rollback;
select refreshed_how('vt');

-- Exception blocks, some of which fail, with chunks that fill up inside them.
do $$
begin
  for i in 1 .. 2000 loop
    insert into u values (i, 0);
    begin
      insert into u select i, g from generate_series(1, i % 7) g;
      if i % 3 = 0 then
        perform 1 / 0;
      end if;
      update u set v = v + 1 where id = i - 1;
    exception when division_by_zero then
      insert into u values (-i, i);
    end;
  end loop;
end $$;
select refreshed('vu');
select count(*), sum(id), sum(v) from vu;

-- Few chunks, not one for each block.
select (select count(*) from pgtrickle_changes.pending_2) >= 0 as readable;
do $$ begin for i in 1 .. 2000 loop begin insert into u values (i, i); exception when others then null; end; end loop; end $$;
select pending_rows, pending_rows / (select count(*) from pgtrickle_changes.changes_2) > 100 as packed
  from pgtrickle.change_buffer_sizes() where source = 'public.u';
select refreshed('vu');

-- A refresh between writes of one transaction, and inside a subtransaction that is rolled back or released.
begin;
insert into t values (20001, 1);
select refreshed('vt');
insert into t values (20002, 2);
savepoint a;
insert into t values (20003, 3);
select refreshed('vt');
select count(*) from vt where id > 20000;
rollback to a;
select count(*) from vt where id > 20000;
insert into t values (20004, 4);
savepoint b;
update t set v = 0 where id > 20000;
select refreshed('vt');
release b;
select refreshed('vt');
insert into t values (20005, 5);
commit;
select refreshed('vt');
select count(*), sum(v) from vt where id > 20000;

-- The outer level's rows, written by a refresh in a child that aborts, are still pending.
begin;
insert into t values (30001, 1);
savepoint a;
select refreshed('vt');
rollback to a;
commit;
select count(*) from vt where id = 30001;
select refreshed_how('vt');

-- Two-phase commit.
begin;
insert into t values (40001, 1);
savepoint a;
insert into t values (40002, 1);
prepare transaction 'capture_one';
begin;
insert into t values (40003, 1);
prepare transaction 'capture_two';
select refreshed('vt');
commit prepared 'capture_one';
select refreshed_how('vt');
rollback prepared 'capture_two';
select refreshed_how('vt');
select id from vt where id > 40000 order by id;
