-- μ: deletions are followed before insertions; a set is deleted and derived again.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table nodes (id int primary key, parent int, name text not null);
create index on nodes (parent);
insert into nodes values (1, null, 'root'), (2, 1, 'a'), (3, 1, 'b'), (4, 2, 'c'), (5, 4, 'd'), (6, 3, 'e');
call follow('tree', $$
  with recursive tree(id, depth, path) as (
    select id, 0, name from nodes where parent is null
    union all
    select n.id, t.depth + 1, t.path || '/' || n.name from tree t join nodes n on n.parent = t.id)
  select * from tree $$, 'DIFFERENTIAL');
select * from tree order by id;

-- A leaf moves, a subtree moves, a node is renamed, a subtree is deleted and inserted again.
update nodes set parent = 3 where id = 5;
select refreshed_how('tree');
update nodes set parent = 6 where id = 2;
select refreshed_how('tree');
update nodes set name = 'B' where id = 3;
select refreshed_how('tree');
select * from tree order by id;
delete from nodes where id = 3;
select refreshed_how('tree');
insert into nodes values (3, 1, 'b'), (7, 5, 'f');
select refreshed_how('tree');
select count(*), max(depth) from tree;

-- A subtree that becomes a cycle of its own vanishes: it is not derived from the start.
update nodes set parent = 5 where id = 3;
select refreshed_how('tree');
select * from tree order by id;
update nodes set parent = 1 where id = 3;
select refreshed_how('tree');
select count(*) from tree;

-- A set, on cycles: rows that are still derived otherwise stay, rows that only derive themselves are deleted.
create table starts (a int);
create table edges (a int, b int);
insert into starts values (1);
insert into edges values (1, 2), (2, 3), (3, 1), (3, 4), (4, 3), (1, 4), (5, 6), (6, 5);
call follow('reached', $$
  with recursive reached(a) as (
    select a from starts union select e.b from reached r join edges e on e.a = r.a)
  select a from reached $$, 'DIFFERENTIAL');
select * from reached order by a;
delete from edges where (a, b) = (2, 3);
select refreshed_how('reached');
select * from reached order by a;
delete from edges where (a, b) = (1, 4);
select refreshed_how('reached');
select * from reached order by a;
insert into edges values (2, 5), (2, 5), (6, null);
select refreshed_how('reached');
select * from reached order by a;
delete from edges where ctid = (select min(ctid) from edges where (a, b) = (2, 5));
select refreshed_how('reached');
select count(*) from reached;

-- All at once: the start is deleted, a cycle is inserted, and a row is reached by another path.
delete from starts;
insert into starts values (3), (null);
update edges set a = 3 where (a, b) = (2, 5);
insert into edges values (4, 7), (7, 4);
select refreshed_how('reached');
select * from reached order by a;

-- Rows of the recursion are joined with groups, and grouped.
call follow('lowest', $$
  with recursive walk(a) as (
    select min(a) from starts union select g.b from walk w join (select a, min(b) as b from edges group by a) g on g.a = w.a)
  select count(*) as n, sum(a) as s from walk $$, 'DIFFERENTIAL');
select * from lowest;
insert into edges values (3, 1);
select refreshed_how('lowest');
select * from lowest;

-- Recursions that are not linear, or depend on order, are recomputed, with the reason.
call follow('outer_walk', $$
  with recursive w(a) as (select a from starts union select e.b from w left join edges e on e.a = w.a) select a from w $$);
call follow('ranked', $$
  with recursive w(a, r) as (select a, 1::bigint from starts union
    select e.b, row_number() over (order by e.b) from w join edges e on e.a = w.a where w.r < 3) select * from w $$);
call follow('looks', $$
  with recursive w(n) as (select a::numeric from starts union select e.b::numeric from w join edges e on e.a = w.n) select n from w $$);
select name, full_reason from pgtrickle.pgt_status() where full_reason is not null order by 1;
delete from edges where a = 3;
select refreshed_how('outer_walk'), refreshed_how('ranked'), refreshed_how('looks');
