-- Rows compared with a subquery of one row: those between its old and its new value are inserted or deleted.
\set ECHO none
\i tests/regress/preamble.sql
-- Refreshes, checks, and returns the action and the rows written.
create function passed(name text) returns text language plpgsql as $$
declare
  before bigint := last_refresh();
begin
  return refreshed(name) || ' after ' || done_since(before, name, '%s +%s -%s');
end $$;
create function missing(name text) returns setof text language sql as $$
  select line from pgtrickle.explain_stream_table(name) line where line ~ '^missing index'
$$;
create view names as select name, place from unnest(array['above', 'not_below', 'between_two', 'largest', 'spread',
  'float', 'busy', 'gate', 'named', 'of_few', 'shown', 'apart', 'either', 'day', 'first']) with ordinality as n (name, place);
\set ECHO all
create table r (id int primary key, k int, v int, x float8, name text collate "C", at date);
create table s (id int primary key, v numeric, name text, at date);
create index on r (v);
create index on r (name);
insert into r select i, i % 4, i, i, 'n' || i, date '2020-01-01' + i from generate_series(1, 12) i;
insert into r values (13, 1, null, 'NaN', null, null), (14, null, 5, 'infinity', 'm', 'infinity'), (15, 1, 5, null, 'm', null);
insert into s values (1, 4, 'n3', '2020-01-05'), (2, 8, 'n5', '2020-01-09');
call follow('above', 'select id, v from r where v > (select avg(v) from r)', 'DIFFERENTIAL');
call follow('not_below', 'select id from r where (select 2 * avg(s.v) - 4 from s) <= v + 1', 'DIFFERENTIAL');
call follow('between_two', 'select id from r where v between (select min(v) from s) and (select max(v) from s)', 'DIFFERENTIAL');
call follow('largest', 'select k from r where v = (select max(v) from r)', 'DIFFERENTIAL');
call follow('spread', 'select r.id, t.id as t from r join r t on t.id = r.k where r.v > (select avg(v) from s) - (select stddev(v) from s) and t.v < (select count(*) from s)', 'DIFFERENTIAL');
call follow('float', 'select id from r where x >= (select max(x) from r where k = 1)', 'DIFFERENTIAL');
call follow('busy', 'select k, sum(v) as v from r group by k having sum(v) > (select avg(v) * 4 from s)', 'DIFFERENTIAL');
call follow('gate', 'select id from r where (select count(*) from s) > 1', 'DIFFERENTIAL');
call follow('named', 'select id from r where name < (select max(name) from s)', 'DIFFERENTIAL');
call follow('of_few', 'select r.id from r, (select min(v) as v from s having count(*) < 3) few where r.v <> 5 and r.v < few.v', 'DIFFERENTIAL');
call follow('shown', 'select id, (select max(v) from s) as most from r where v > (select avg(v) from s)', 'DIFFERENTIAL');
call follow('apart', 'select id from r where v - k > (select avg(v) from s) or k is null', 'DIFFERENTIAL');
call follow('either', 'select count(*) as n, sum(v) as v from r where v > (select avg(v) from s) or v < (select count(*) from s)', 'DIFFERENTIAL');
call follow('day', 'select id from r where at > (select max(at) from s)', 'DIFFERENTIAL');
call follow('first', 'select id from r where v >= (select v from s order by v desc, id limit 1)', 'DIFFERENTIAL');
-- Up.
update s set v = v + 2, name = 'n7', at = at + 3;
update r set v = v + 8 where id = 12;
select name, passed(name) from names order by place;
-- Down, with rows of the other side inserted, deleted and moved meanwhile.
update s set v = v - 5, name = 'N' where id = 2;
update r set v = 2 where id in (12, 3);
delete from r where id = 11;
insert into r values (20, 2, 6, 6, 'n6', '2020-01-06'), (21, 2, 6, 6, 'n6', '2020-01-06');
select name, passed(name) from names order by place;
-- A bound that stays where it is.
insert into s values (3, 5.0, 'n4', '2020-01-01'), (4, 7.00, 'N', '2020-01-01');
delete from s where id = 4;
select name, passed(name) from names order by place;
-- The bound becomes NULL, or its row is deleted.
update s set v = null, name = null, at = null;
select name, passed(name) from names order by place;
delete from s;
select name, passed(name) from names order by place;
-- It is inserted again.
insert into s values (1, 4, 'n3', '2020-01-05'), (2, 9, 'n6', '2020-01-03');
select name, passed(name) from names order by place;
-- No rows to compare; rows again.
create table kept as select * from r;
delete from r;
select name, passed(name) from names order by place;
insert into r select * from kept;
update s set v = v - 1;
select name, passed(name) from names order by place;
-- A rollback undoes the rows that crossed.
begin;
update s set v = v * 3;
select passed('not_below');
rollback;
select passed('not_below');
-- Indexes that find the rows in between, one for each expression that is compared.
create table big (id int primary key, v int not null, w numeric not null);
insert into big select i, i % 1000, i % 1000 from generate_series(1, 20000) i;
analyze big;
\pset format unaligned
\pset tuples_only on
call follow('far', 'select id from big where v > (select avg(v) * 2 - 10 from big) and w <= (select max(w) from big)', 'DIFFERENTIAL');
select missing('far');
create index on big ((v::numeric));
create index on big (w);
select missing('far');
update big set v = v + 100, w = 1000 where id <= 200;
select passed('far');
