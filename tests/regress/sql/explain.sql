-- The explanation of a stream table, a line a row: by default a page without SQL, with `verbose` the nodes and each statement.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
\pset format unaligned
\pset tuples_only on
create table customers (id int primary key, region text not null);
create table orders (id int primary key, customer int not null, total numeric);
call follow('filtered', 'select id, total from orders where total > 10');
select pgtrickle.explain_stream_table('filtered');
call follow('joined', 'select o.id, c.region from orders o join customers c on c.id = o.customer');
select pgtrickle.explain_stream_table('joined');
call follow('counted', 'select region, count(*) as n from customers group by region');
select pgtrickle.explain_stream_table('counted');
select pgtrickle.explain_stream_table('counted', verbose => true);
-- Nodes are shown in one tree.
call follow('regions', 'select c.region, max(o.most) as most from customers c
  join (select customer, max(total) as most from orders group by customer) o on o.customer = c.id group by c.region');
select pgtrickle.explain_stream_table('regions');
-- A long operator is cut off, unless everything is asked for.
call follow('long', $$select id from customers where region in ('Africa', 'America', 'Asia', 'Australia', 'Europe', 'Oceania', 'elsewhere', 'nowhere')$$);
select line from pgtrickle.explain_stream_table('long') line where line ~ 'σ';
select line from pgtrickle.explain_stream_table('long', true) line where line ~ 'σ';
-- What cannot follow changes says why, and what to write instead.
call follow('ranked', 'select id, count(*) over (order by total rows unbounded preceding exclude ties) as place from orders');
select pgtrickle.explain_stream_table('ranked');
select count(*) from pgtrickle.explain_stream_table('ranked', true);
-- Of one that is told to recompute, the operators are shown, and what that costs.
call follow('whole', 'select id, total from orders where total > 10', 'FULL');
select pgtrickle.explain_stream_table('whole');
-- A NULL stands for the default.
select count(*) = (select count(*) from pgtrickle.explain_stream_table('joined', null, null, null)) as same
  from pgtrickle.explain_stream_table('joined');
select count(*) from pgtrickle.explain_stream_table('joined', format => 'TEXT');
\pset tuples_only off
select outcome($$select pgtrickle.explain_stream_table('joined', format => 'yaml')$$);
select outcome($$select pgtrickle.explain_stream_table('joined', format => '')$$);
select outcome($$select pgtrickle.explain_stream_table('orders')$$);
select outcome($$select pgtrickle.explain_stream_table(null, format => 'json')$$);
