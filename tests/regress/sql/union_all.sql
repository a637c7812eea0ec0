-- ∪: every arm counts for itself; equal rows of several arms stay apart.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table here (id int primary key, v text);
create table there (id int, v text);
insert into here values (1, 'x'), (2, 'y');
insert into there values (1, 'x'), (1, 'x'), (null, null);
call follow('all_rows', 'select id, v from here union all select id, v from there', 'DIFFERENTIAL');
call follow('twice', 'select v from here union all select v from here where id > 1', 'DIFFERENTIAL');
call follow('counted', 'select v, count(*) as n from (select v from here union all select v from there) u group by v', 'DIFFERENTIAL');
call follow('constant', 'select id from here union all values (0), (0)', 'DIFFERENTIAL');
select * from all_rows order by id, v;

-- Exactly one of three equal rows is deleted.
delete from there where ctid = (select min(ctid) from there);
select refreshed_how('all_rows');
select count(*) from all_rows where id = 1;
delete from here where id = 1;
select refreshed_how('all_rows');
select count(*) from all_rows where id = 1;
update there set v = 'z' where v = 'x';
insert into here values (3, 'z'), (1, 'q');
select refreshed_how('all_rows'), refreshed_how('twice'), refreshed_how('counted'), refreshed_how('constant');
select * from all_rows order by id, v;
select * from twice order by v;
select * from counted order by v;

-- A row moves from one arm to the other: nothing changes, nothing is written.
with gone as (delete from here where id = 3 returning *) insert into there select * from gone;
select refreshed_how('all_rows');
select rows_inserted, rows_updated, rows_deleted, delta_rows from pgtrickle.get_refresh_history('all_rows', 1);

-- A row that is inserted into one arm only.
call follow('either', 'select v from here union select v from there', 'DIFFERENTIAL');
call follow('only_here', 'select v from here except select v from there', 'DIFFERENTIAL');
insert into here values (9, 'new'), (10, 'new');
select refreshed_how('either'), refreshed_how('only_here');
select * from only_here order by v;
select rows_inserted, rows_deleted from pgtrickle.get_refresh_history('only_here', 1);
