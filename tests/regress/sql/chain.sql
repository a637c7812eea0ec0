-- Stream tables upon stream tables: a chain, and a diamond that never mixes two snapshots.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table events (id int primary key, kind text, size int);
insert into events select n, chr(97 + n % 3), n from generate_series(1, 12) n;
call follow('by_kind', 'select kind, count(*) as n, sum(size) as size from events group by kind', 'DIFFERENTIAL');
call follow('by_count', 'select n, count(*) as kinds from by_kind group by n', 'DIFFERENTIAL');
call follow('large', 'select kind, max(size) as largest from events group by kind', 'DIFFERENTIAL');
call follow('diamond', 'select b.kind, b.size, l.largest from by_kind b join large l on l.kind = b.kind', 'DIFFERENTIAL');
call follow('top', 'select count(*) as n, max(largest) as largest from diamond', 'DIFFERENTIAL');

-- Refreshing the end of the chain refreshes everything that it reads.
insert into events values (13, 'a', 100), (14, 'new', 1);
select refreshed_how('top');
select check_stream_table('by_kind'), check_stream_table('large'), check_stream_table('diamond');
select * from diamond order by kind;
select * from top;

-- The middle was refreshed alone: its consumers read the changes later, once.
delete from events where kind = 'b';
update events set size = 0 where kind = 'c';
select refreshed_how('by_kind'), refreshed_how('large');
update events set kind = 'c' where id = 13;
select refreshed_how('diamond'), refreshed_how('by_count'), refreshed_how('top');
select refreshed_how('top');
select * from diamond order by kind;

-- Columns that are named as the weights of deltas are, of types that are none and that could be one.
create table named (id int primary key, w int, w_ text);
insert into named values (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'a');
call follow('named_w', 'select id, w from named where w > 0', 'DIFFERENTIAL');
call follow('text_w', 'select w_ as w, sum(w) as w_ from named group by w_', 'DIFFERENTIAL');
call follow('of_w', 'select count(*) as n, sum(w) as w from named_w', 'DIFFERENTIAL');
call follow('of_text_w', 'select w_, count(*) as n, max(w) as w from text_w group by w_', 'DIFFERENTIAL');
insert into named values (4, 40, 'c'), (5, 50, null);
update named set w = -1 where id = 1;
delete from named where id = 2;
select refreshed_how('named_w'), refreshed_how('text_w');
select refreshed_how('of_w'), refreshed_how('of_text_w');
select pgtrickle.drop_stream_table('named_w', true), pgtrickle.drop_stream_table('text_w', true);

-- Within a transaction, with a part of it undone.
begin;
insert into events values (20, 'x', 5);
select refreshed_how('top');
savepoint s;
delete from events;
select refreshed_how('top');
select count(*) from by_kind;
rollback to s;
select refreshed_how('top');
select count(*) from by_kind;
commit;
select refreshed_how('top'), refreshed_how('by_count');
select * from by_count order by n;

-- A truncated source makes the chain be recomputed.
truncate events;
select refreshed_how('top'), refreshed_how('by_count');
select * from top;
insert into events values (1, 'a', 1);
select refreshed_how('top'), refreshed_how('by_count');

-- Dependencies, from the tables without consumers down to the sources.
select tree, kind, schedule, status from pgtrickle.dependency_tree();

-- No cycles.
-- expect-error
select pgtrickle.alter_stream_table('by_kind', query => 'select kind, size as n, size from diamond');
-- expect-error
select pgtrickle.drop_stream_table('by_kind');
select pgtrickle.drop_stream_table('by_kind', true);
select name from pgtrickle.pgt_status() order by name;

-- Consumers use the NOT NULL columns that a query proves, as long as they are proven.
create table items (id int primary key, code text not null unique, size int);
insert into items values (1, 'x', 10), (2, 'y', 20), (3, 'z', null);
call follow('codes', 'select code, size from items where id > 0');
call follow('labels', 'select code, code || id as label from items');
call follow('labelled', 'select c.code, c.size, l.label from codes c join labels l on l.code = c.code', 'DIFFERENTIAL');
select line from pgtrickle.explain_stream_table('labelled') line where line like 'identity%';
update items set size = 30 where code = 'z';
select refreshed_how('labelled');
alter table items alter code drop not null;
insert into items values (4, null, 1), (5, null, 1);
select refreshed_how('codes'), refreshed_how('labelled');
select line from pgtrickle.explain_stream_table('labelled') line where line like 'identity%';
insert into items values (6, null, 2), (7, 'w', 2);
delete from items where id = 4;
select refreshed_how('labelled'), refreshed_how('codes');
