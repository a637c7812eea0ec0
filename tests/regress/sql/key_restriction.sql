-- Groups that no row of the join refers to are not stored; others are added and removed with the rows that refer to them.
\set ECHO none
\i tests/regress/preamble.sql
create function state(name text) returns setof text language sql as $$
  select substr(line, 3)
    from (select line, bool_or(line = 'nodes:') over (order by place) as is_node
            from pgtrickle.explain_stream_table(name, verbose => true) with ordinality as e (line, place)) e
   where is_node and line ~ '^ +(γ|⋈|σ|⋉|scan public.customers)'
$$;
create view names as select name, place from unnest(array['spent', 'counted', 'mean', 'best', 'any_row', 'unindexed', 'by_name']) with ordinality as n (name, place);
\set ECHO all
create table customers (id int primary key, country text not null, name text unique);
create table orders (id int primary key, customer int, amount numeric(10, 2), place int, of_name text);
create index on orders (customer);
insert into customers select i, case i % 3 when 0 then 'DE' else 'FR' end, 'c' || i from generate_series(1, 9) i;
insert into orders select i, nullif(i % 11, 0), i * 1.5, i % 4, 'c' || i % 11 from generate_series(1, 60) i;
-- Columns of the customer, in the select list too.
call follow('spent', $$ select c.id, c.name, o.total from customers c
  join (select customer, sum(amount) as total, count(*) as n from orders group by customer) o on o.customer = c.id
  where c.country = 'DE' and o.n > 2 $$, 'DIFFERENTIAL');
-- Only the key: the customers are read once, below the groups.
call follow('counted', $$ select o.customer, o.n from customers c
  join (select customer, count(*) as n from orders group by customer) o on o.customer = c.id
  where c.country = 'DE' and c.name < 'c7' $$, 'DIFFERENTIAL');
-- A subquery for each row.
call follow('mean', $$ select o.id, o.amount from orders o join customers c on c.id = o.customer
  where c.country = 'DE' and o.amount > (select 0.9 * avg(amount) from orders i where i.customer = c.id) $$, 'DIFFERENTIAL');
-- Two aggregates that the same rows refer to.
call follow('best', $$ select c.id, a.most, b.places from customers c
  join (select customer, max(amount) as most from orders group by customer) a on a.customer = c.id
  join (select customer, place, count(*) as places from orders group by customer, place) b on b.customer = c.id
  where c.country <> 'FR' $$, 'DIFFERENTIAL');
-- None of these stores fewer groups: every row refers to one, no index finds the orders, several rows may refer to one group.
call follow('any_row', $$ select c.name, o.n from customers c
  join (select customer, count(*) as n from orders group by customer) o on o.customer = c.id $$, 'DIFFERENTIAL');
call follow('unindexed', $$ select o.place, o.n from customers c
  join (select place, count(*) as n from orders group by place) o on o.place = c.id where c.country = 'FR' $$, 'DIFFERENTIAL');
call follow('by_name', $$ select c.id, o.n from customers c
  join (select of_name, count(*) as n from orders group by of_name) o on o.of_name = c.name where c.country = 'DE' $$, 'DIFFERENTIAL');
select name, line from names, state(name) line where name in ('spent', 'counted', 'mean') order by place;
select name, count(*) filter (where line ~ 'scan public.customers') as reads from names, state(name) line group by name, place order by place;
select name, refreshed_how(name) from names order by place;
-- Orders of customers that are joined and that are not, and of no customer.
update orders set amount = amount + 100 where customer in (3, 4);
insert into orders values (100, 6, 7, 1, 'c6'), (101, 5, 7, 1, 'c5'), (102, null, 7, 1, null);
delete from orders where customer = 9 and place > 1;
select name, refreshed_how(name) from names order by place;
-- A row that refers to a group is inserted, deleted, and moved to another group.
update customers set country = case country when 'DE' then 'FR' else 'DE' end where id in (3, 4, 5);
insert into customers values (10, 'DE', 'c0'), (11, 'DE', 'd');
delete from customers where id = 9;
select name, refreshed_how(name) from names order by place;
update customers set id = 12 where id = 6;
update orders set customer = 12 where customer = 5;
select name, refreshed_how(name) from names order by place;
-- Both at once, and all of it.
update customers set country = 'DE', name = name || 'x' where id < 8;
update orders set customer = customer + 1, amount = -amount;
select name, refreshed_how(name) from names order by place;
truncate orders;
select name, refreshed_how(name) from names order by place;
insert into orders select i, i % 13, i * 1.5, i % 4, 'c' || i % 11 from generate_series(1, 60) i;
delete from customers where country = 'DE' and id % 2 = 0;
select name, refreshed_how(name) from names order by place;
