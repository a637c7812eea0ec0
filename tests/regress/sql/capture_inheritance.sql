-- Inheritance: rows of the children are rows of the parent.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table i (id integer, v integer);
create table c1 (extra text) inherits (i);
create table other (z integer);
create table c2 () inherits (other, i);
create table c11 (more text) inherits (c1);
call follow('vi', 'select id, v from i', 'DIFFERENTIAL');
call follow('vc1', 'select extra, v from c1', 'DIFFERENTIAL');

insert into i values (1, 1);
insert into c1 values (2, 2, 'x');
insert into c2 values (3, 3, 3);
insert into c11 values (4, 4, 'y', 'z');
update i set v = v + 1;
update only i set v = v + 1;
delete from c1 where id = 4;
insert into c11 values (5, 5, 'y', 'z');
update c2 set z = 4;
select refreshed_how('vi'), refreshed_how('vc1');
select tgrelid::regclass::text as on_table, tgname from pg_trigger where tgname ~ '^pgtrickle' order by 1, 2;

truncate c11;
select refreshed('vi'), refreshed('vc1');
truncate only i;
select refreshed('vi'), refreshed_how('vc1');
insert into i values (1, 1);
insert into c2 values (3, 3, 3);
select refreshed_how('vi'), refreshed_how('vc1');

-- Children are added and removed.
create table c3 () inherits (i);
insert into c3 values (6, 6);
select refreshed('vi');
insert into c3 values (7, 7);
select refreshed_how('vi');
alter table c3 no inherit i;
insert into c3 values (8, 8);
select refreshed('vi');
insert into c3 values (9, 9);
select refreshed('vi');
alter table c3 inherit i;
select refreshed('vi');
drop table c3;
select refreshed('vi');
alter table c1 add column w integer;
alter table i add column w integer;
update i set w = 1, v = v + 1;
select refreshed('vi'), refreshed('vc1');
select * from vi order by id;
