-- Subqueries that depend on the query around them, and what they mean where they have several rows.
create table customers (id int primary key, name text, credit numeric);
create table orders (id int, customer int, amount numeric, made date);
insert into customers values (1, 'Ada', 10), (2, 'Bob', null), (3, 'Cy', 25.0);
insert into orders values (1, 1, 5, '2026-01-01'), (2, 3, 20, '2026-01-02');

-- One value: as long as there is one.
select pgtrickle.create_stream_table('one', 'select id, (select amount from orders o where o.customer = c.id) as amount from customers c', '1h', 'DIFFERENTIAL');
select * from one order by id;
insert into orders values (3, 1, 7, '2026-01-03');
select pgtrickle.refresh_stream_table('one'); -- expect-error
select * from one order by id;
delete from orders where id = 1;
select pgtrickle.refresh_stream_table('one');
select * from one order by id;
-- Where the value is not read, its rows do not matter.
select pgtrickle.create_stream_table('guarded', 'select id, case when id < 3 then (select amount from orders o where o.customer = c.id) end as amount from customers c', '1h', 'DIFFERENTIAL');
insert into orders values (4, 3, 8, '2026-01-03');
select pgtrickle.refresh_stream_table('guarded');
select * from guarded order by id;
insert into orders values (5, 1, 8, '2026-01-03');
select pgtrickle.refresh_stream_table('guarded'); -- expect-error
delete from orders where id = 5;
-- Arrays of arrays have no element to be.
create table paths (id int, points int[]);
select pgtrickle.create_stream_table('path', 'select id, (select points from paths p where p.id = c.id) as points from customers c', '1h', 'DIFFERENTIAL'); -- expect-error

-- Any condition.
select pgtrickle.create_stream_table('ranks', 'select id, (select count(*) from orders o where o.amount > c.credit) as above, array(select o.id from orders o where o.customer = c.id order by o.id) as ids from customers c', '1h', 'DIFFERENTIAL');
select * from ranks order by id;
insert into orders values (6, 2, 30, '2026-01-04');
update customers set credit = 9 where id = 2;
select pgtrickle.refresh_stream_table('ranks');
select * from ranks order by id;
select * from ranks except all (select id, (select count(*) from orders o where o.amount > c.credit), array(select o.id from orders o where o.customer = c.id order by o.id) from customers c);
-- Of equal numbers that look different, one would stand for both.
select pgtrickle.create_stream_table('product', 'select id, (select sum(o.amount * c.credit) from orders o where o.id < c.id) as s from customers c', '1h', 'DIFFERENTIAL'); -- expect-error
-- A value that may fail is computed for no row for which the query does not compute it.
select pgtrickle.create_stream_table('quotient', 'select id, case when id > 1 then (select sum(o.id / (c.id - 1)) from orders o where o.id > c.id) end as s from customers c', '1h', 'DIFFERENTIAL'); -- expect-error
-- One row of many, to which an index leads.
select pgtrickle.create_stream_table('before', 'select id, (select max(amount) from orders o where o.amount < c.credit) as m from customers c', '1h', 'DIFFERENTIAL'); -- expect-error
select pgtrickle.create_stream_table('before', 'select id, (select max(amount) from orders o where o.amount < c.credit) as m from customers c', '1h');
select * from before order by id;
