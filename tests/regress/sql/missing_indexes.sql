-- Indexes that small deltas need: a NOTICE at creation, a line of the explanation, none where nothing is missing.
\set ECHO none
\i tests/regress/preamble.sql
-- The lines of the explanation that are about indexes.
create function missing(name text) returns setof text language sql as $$
  select line from pgtrickle.explain_stream_table(name) line where line ~ '^missing index'
$$;
set client_min_messages = notice;
\set ECHO all
\pset format unaligned
\pset tuples_only on
create table customers (id int primary key, region text not null, "Zip" int not null);
create table orders (id int primary key, customer int not null, product int not null, total numeric);
create table few (id int primary key, zip int not null);
insert into customers select n, 'region ' || n % 7, n % 1000 from generate_series(1, 4000) n;
insert into orders select n, n % 4000 + 1, n % 500, n from generate_series(1, 20000) n;
insert into few select n, n from generate_series(1, 100) n;
analyze customers, orders, few;
-- A customer's orders are looked for; an order's customer has a key.
call follow('joined', 'select o.id, c.region from orders o join customers c on c.id = o.customer');
select missing('joined');
-- The suggested statement creates the missing index.
create index on public.orders (customer);
select missing('joined');
-- An index that begins with the column serves as well.
drop index orders_customer_idx;
create index on orders (customer, id);
select missing('joined');
call follow('joined_again', 'select o.id, c.region from orders o join customers c on c.id = o.customer');
-- A partial one does not.
drop index orders_customer_id_idx;
create index on orders (customer) where id > 10;
select missing('joined');
drop index orders_customer_idx;
create index on orders (customer);
-- A group whose largest value was deleted is recomputed.
call follow('largest', 'select product, max(total) as largest from orders group by product');
-- Names are quoted; a small table needs no index.
call follow('zips', 'select f.id, c.id as customer from few f join customers c on c."Zip" = f.zip');
select missing('zips');
-- Several columns at once, and expressions.
call follow('both', 'select o.id, c.id as c from orders o join customers c on c.id = o.customer and c."Zip" = o.product');
call follow('lower', 'select o.id, c.id as c from orders o join customers c on abs(c."Zip") = o.product - 1');
select missing('lower');
create index on customers (abs("Zip"));
create index on orders ((product - 1));
select missing('lower');
-- Other conditions need no index.
call follow('other', $$select o.id, c.region from orders o join customers c on c.id = o.customer
  where not (o.product between 3 and 5 or c.region like 'x%') and o.total is not null and o.product in (1, 2)$$);
select missing('other');
-- The rows of large groups and partitions are wanted in order.
create table readings (id int primary key, sensor int not null, "At" int not null);
insert into readings select n, n % 4, n from generate_series(1, 20000) n;
create index on readings (sensor);
analyze readings;
call follow('latest', 'select sensor, max("At") as latest from readings group by sensor');
call follow('steps', 'select id, sensor, "At", lag("At") over (partition by sensor order by "At", id) as before from readings');
call follow('firsts', 'select * from (select id, row_number() over (partition by sensor order by "At" desc) as n from readings) q where n < 3');
select missing('firsts');
create index on readings (sensor, "At");
select name, missing(name) from unnest(array['latest', 'steps', 'firsts']) name;
-- Partitions share an index of the partitioned table.
create table events (id int, kind int not null, at int not null, primary key (at, id)) partition by range (at);
create table events_1 partition of events for values from (0) to (10000);
create table events_2 partition of events for values from (10000) to (20001);
insert into events select n, n % 3000, n from generate_series(1, 20000) n;
analyze events;
call follow('happened', 'select e.id, f.zip from events e join few f on f.id = e.kind');
-- No key restriction: no index helps.
call follow('crossed', 'select o.id, f.id as f from orders o cross join few f where o.id < 100');
select missing('crossed');
-- Recomputed: no index helps either.
call follow('ranked', 'select id, count(*) over (order by total rows unbounded preceding exclude ties) as place from orders');
select missing('ranked');
