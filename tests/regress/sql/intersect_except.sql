-- ∩ and −: the counts of both sides decide whether a row is shown; NULL equals NULL.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table l (id int, v text);
create table r (id bigint, v text);
insert into l values (1, 'x'), (1, 'x'), (1, 'x'), (2, null), (2, null), (3, 'only left');
insert into r values (1, 'x'), (1, 'x'), (2, null), (4, 'only right');
call follow('shared', 'select id, v from l intersect select id, v from r', 'DIFFERENTIAL');
call follow('shared_all', 'select id, v from l intersect all select id, v from r', 'DIFFERENTIAL');
call follow('rest', 'select id, v from l except select id, v from r', 'DIFFERENTIAL');
call follow('rest_all', 'select id, v from l except all select id, v from r', 'DIFFERENTIAL');
-- The columns have the type that PostgreSQL finds for both sides.
select atttypid::regtype from pg_attribute where attrelid = 'rest'::regclass and attname = 'id';
select * from shared_all order by id, v;
select * from rest_all order by id, v;

-- One of the equal rows on the right is deleted: the row stays on both sides.
delete from r where ctid = (select min(ctid) from r where id = 1);
select refreshed_how('shared'), refreshed_how('shared_all'), refreshed_how('rest'), refreshed_how('rest_all');
select rows_inserted, rows_updated, rows_deleted from pgtrickle.get_refresh_history('shared', 1);
select * from rest_all order by id, v;

-- The last one is deleted.
delete from r where id = 1;
select refreshed_how('shared'), refreshed_how('shared_all'), refreshed_how('rest'), refreshed_how('rest_all');
select * from shared order by id, v;
select * from rest order by id, v;

-- A row is inserted on both sides at once, and one moves from left to right.
insert into l values (5, 'new'), (5, 'new');
insert into r values (5, 'new');
with gone as (delete from l where id = 3 returning *) insert into r select * from gone;
select refreshed_how('shared'), refreshed_how('shared_all'), refreshed_how('rest'), refreshed_how('rest_all');
select * from shared_all order by id, v;
select * from rest_all order by id, v;

-- Combined, and below other operators.
call follow('chain', '(select id from l union all select id from r) except all (select id from r intersect select id from l)', 'DIFFERENTIAL');
call follow('counted', 'select count(*) as n from (select id from l except select id from r) x', 'DIFFERENTIAL');
delete from l;
insert into l values (2, null), (4, 'only right'), (6, 'six');
select refreshed_how('chain'), refreshed_how('counted'), refreshed_how('rest'), refreshed_how('shared_all');
select * from chain order by id;
select * from counted;
