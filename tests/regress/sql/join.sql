-- ⋈: inner and cross joins, self joins, conditions of every kind; NULL never joins.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table customers (id int primary key, name text, region int);
create table orders (id int primary key, customer int, total int);
create table regions (id int, name text);
insert into customers values (1, 'ada', 1), (2, 'bob', 2), (3, 'cy', null);
insert into orders values (10, 1, 5), (11, 1, 7), (12, 2, 9), (13, null, 1);
insert into regions values (1, 'north'), (2, 'south'), (2, 'south too'), (null, 'nowhere');
call follow('two', 'select o.id, c.name from orders o join customers c on c.id = o.customer', 'DIFFERENTIAL');
call follow('three', 'select o.id, c.name, r.name as region from orders o join customers c on c.id = o.customer join regions r on r.id = c.region', 'DIFFERENTIAL');
call follow('crossed', 'select c.id, r.name from customers c cross join regions r', 'DIFFERENTIAL');
call follow('pairs', 'select a.id as a, b.id as b from orders a join orders b on a.customer = b.customer and a.id < b.id', 'DIFFERENTIAL');
call follow('ranges', 'select o.id, c.id as c from orders o join customers c on o.total between c.id and c.id + 5', 'DIFFERENTIAL');
call follow('same', 'select x.id, y.name from regions x join regions y using (id)', 'DIFFERENTIAL');

-- One side changes: one term.
insert into orders values (14, 2, 3), (15, 99, 3);
select refreshed_how('two'), refreshed_how('three'), refreshed_how('pairs'), refreshed_how('ranges');
select * from two order by id;

-- Both sides change, and only changed rows join.
insert into customers values (99, 'dee', 2);
update orders set customer = 99 where id = 10;
delete from orders where id = 12;
update customers set region = 2 where id = 1;
delete from regions where name = 'south too';
insert into regions values (2, 'south again'), (2, 'south again');
select refreshed_how('three'), refreshed_how('two'), refreshed_how('pairs');
select * from three order by id, region;
select refreshed_how('crossed'), refreshed_how('ranges'), refreshed_how('same');

-- A changed key deletes one row and inserts another.
update customers set id = id + 100;
select refreshed_how('two');
select count(*) from two;
update orders set customer = customer + 100;
select refreshed_how('two'), refreshed_how('three');
select * from two order by id;

-- A change that touches no column of the join, and one that changes nothing.
update orders set total = total + 1;
update customers set name = name;
select refreshed_how('two'), refreshed_how('ranges');

-- Emptied and filled again.
delete from customers;
select refreshed_how('two'), refreshed_how('three');
select count(*) from three;
insert into customers values (101, 'ada', 1);
select refreshed_how('two'), refreshed_how('three'), refreshed_how('crossed');
select * from three order by id;

-- FULL JOIN reads each side twice, with its subqueries.
call follow('full_exists', 'select c.id, o.id as o from customers c full join (select * from orders o where exists (select from regions r where r.id = o.total)) o on o.customer = c.id', 'DIFFERENTIAL');
call follow('full_value', 'select c.n, o.id as o from (select id, (select max(total) from orders o where o.customer = c.id) as n from customers c where id not in (select total from orders)) c full join orders o on o.customer = c.id', 'DIFFERENTIAL');
insert into regions values (3, 'east'), (7, 'west');
update orders set total = 3 where id in (11, 13);
insert into customers values (3, 'eve', 1), (102, 'bo', 2);
select refreshed_how('full_exists'), refreshed_how('full_value');
delete from regions where id in (2, 3);
delete from orders where id = 14;
select refreshed_how('full_exists'), refreshed_how('full_value');
