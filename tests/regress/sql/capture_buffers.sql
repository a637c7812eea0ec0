-- Pending rows of change buffers can be read, are pruned when all consumers have read them, and cannot be changed.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id integer primary key, action text, v numeric(10, 2), note text);
call follow('va', 'select id, action from t');
call follow('vb', 'select id, v from t');
insert into t values (1, 'run', 1.5, 'x'), (2, null, null, 'y');
update t set note = 'not read';
update t set v = 2.5 where id = 1;
delete from t where id = 2;
select attname, format_type(atttypid, atttypmod) as type from pg_attribute
 where attrelid = 'pgtrickle_changes.pending_1'::regclass and attnum > 0 order by attnum;
select action_, copies, id, action, v from pgtrickle_changes.pending_1;
select what, copies, id from pgtrickle.pending_changes(1) as t (what text, copies bigint, xid xid8, id integer) where what = 'D' order by id;
-- expect-error
select pgtrickle.pending_changes(1);
-- expect-error
select * from pgtrickle.pending_changes(4711) as t (action text);

-- Rows of the own transaction are visible before it commits.
begin;
insert into t values (3, 'own', 3, null);
select action_, id, v from pgtrickle_changes.pending_1 where id = 3;
rollback;

-- Pruned when the last consumer has read them.
select refreshed('va');
select count(*) > 0 as waiting from pgtrickle_changes.changes_1;
select refreshed('vb');
select count(*) from pgtrickle_changes.changes_1;
select refreshed_how('va'), refreshed_how('vb');

-- Reading needs the privilege on the source. Writing a source needs no privilege on objects of the extension.
create role capture_writer;
create role capture_reader;
grant select, insert, update, delete, truncate on t to capture_writer;
set role capture_writer;
insert into t values (5, 'w', 5, null);
update t set v = 6;
select count(*) from pgtrickle_changes.pending_1;
-- expect-error
insert into pgtrickle_changes.changes_1 values ('');
-- expect-error
select * from pgtrickle_changes.changes_1;
set role capture_reader;
-- expect-error
select count(*) from pgtrickle_changes.pending_1;
reset role;
select refreshed('va'), refreshed('vb');
set role capture_writer;
truncate t;
reset role;
select refreshed('va'), refreshed('vb');
revoke all on t from capture_writer;
drop role capture_writer, capture_reader;

-- Unlogged like an unlogged source, and logged when that becomes logged.
create unlogged table u (id integer);
call follow('vu', 'select id from u');
insert into u values (1), (2);
select relpersistence from pg_class where relname = 'changes_2';
select refreshed_how('vu');
insert into u values (3);
alter table u set logged;
insert into u values (4);
select refreshed('vu');
select relpersistence from pg_class where relname = 'changes_2';
insert into u values (5);
select refreshed_how('vu');

-- A very long transaction of very small subtransactions does not fill the buffer with small rows.
do $$ begin for i in 1 .. 3000 loop begin insert into u values (i); exception when others then null; end; end loop; end $$;
select (select count(*) from pgtrickle_changes.changes_2) < 50 as packed, pending_rows from pgtrickle.change_buffer_sizes() where source = 'public.u';
select refreshed('vu');

-- Nothing is left behind, and dropping a source with CASCADE drops its stream tables.
-- expect-error
drop table u;
drop table u cascade;
select pgtrickle.drop_stream_table('va');
select pgtrickle.drop_stream_table('vb');
select count(*) from pgtrickle.pgt_sources;
select relname from pg_class where relnamespace = 'pgtrickle_changes'::regnamespace and relkind <> 'i';
select tgname from pg_trigger where tgrelid = 't'::regclass;
insert into t values (9, 'x', 1, null);
