-- Partitions: reached through their root or directly, with other column orders, attached and detached.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table p (id integer, v integer, note text) partition by range (id);
create table p1 partition of p for values from (0) to (10);
create table p2 (note text, gone integer, v integer, id integer not null);
alter table p2 drop column gone;
alter table p attach partition p2 for values from (10) to (20);
create table p3 partition of p for values from (20) to (40) partition by list (id);
create table p3a partition of p3 default;
call follow('vp', 'select id, v from p');
call follow('vp2', 'select v, note from p2');

insert into p select g, g, 'n' from generate_series(0, 25) g;
insert into p1 values (5, 50, 'direct');
insert into p2 (id, v, note) values (15, 150, 'direct');
insert into p3 values (35, 350, 'direct');
update p set v = v + 1 where id % 2 = 0;
update p set id = id + 10 where id between 5 and 8;
update p set id = id + 10 where id = 19;
update p2 set note = 'only the leaf is read with notes';
delete from p3a where id = 22;
select refreshed_how('vp'), refreshed_how('vp2');
select tgrelid::regclass::text as on_table, tgname from pg_trigger where tgname ~ '^pgtrickle' order by 1, 2;

-- TRUNCATE of a leaf, of a branch, of all.
truncate p1;
select refreshed('vp'), refreshed_how('vp2');
truncate p3;
select refreshed('vp');
insert into p values (1, 1), (11, 11), (21, 21);
truncate p;
select refreshed('vp'), refreshed('vp2');
insert into p values (1, 1), (11, 11), (21, 21);
select refreshed_how('vp'), refreshed_how('vp2');

-- New partitions: empty, or with rows that were not captured.
create table p4 partition of p for values from (40) to (50);
insert into p values (41, 41);
select refreshed('vp');
create table p5 (id integer, v integer, note text);
insert into p5 values (51, 51), (52, 52);
alter table p attach partition p5 for values from (50) to (60);
insert into p5 values (53, 53);
select refreshed('vp');
truncate p4, p5;
select refreshed('vp');

-- Detached, changed meanwhile, attached again.
insert into p values (54, 54), (55, 55), (2, 2);
select refreshed('vp');
alter table p detach partition p5;
select refreshed('vp');
insert into p5 values (56, 56);
alter table p attach partition p5 for values from (50) to (60);
select refreshed('vp');
alter table p detach partition p5;
delete from p5;
alter table p attach partition p5 for values from (50) to (60);
select refreshed('vp');
drop table p4;
insert into p values (3, 3);
select refreshed('vp');
select refreshed_how('vp');
select * from vp order by id;
