-- The plan, operator by operator, with the law of each and the SQL for one changed source.
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
call follow('ranked', 'select id, count(*) over (order by total rows unbounded preceding exclude ties) as place from orders');
select pgtrickle.explain_stream_table('ranked');
