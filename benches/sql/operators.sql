-- left_join
select c.id, c.name, o.id as order_id, o.amount
from customers c
left join orders o on o.customer_id = c.id and o.status = 'open'

-- full_join
select o.id as order_id, o.amount, c.id, c.name
from (select * from orders where quantity < 9) o
full join (select * from customers where id % 5 > 0) c on c.id = o.customer_id

-- semi_join
select c.id, c.name
from customers c
where exists (select from orders o where o.customer_id = c.id and o.status = 'open' and o.amount > 500)

-- anti_join
select c.id, c.name
from customers c
where not exists (select from orders o where o.customer_id = c.id and o.amount > 500)

-- in_or
select o.id, o.amount
from orders o
where o.amount > 990 or o.product_id in (select p.id from products p where p.category = 'category 3')

-- not_in
select o.id, o.amount
from orders o
where o.product_id not in (select p.id from products p where p.category = 'category 7')

-- exists_in_case
select o.id, case when exists (select from products p where p.id = o.product_id and p.category = 'category 1')
  then o.amount else -o.amount end as amount
from orders o

-- scalar_subquery
select o.id, o.amount
from orders o
where o.amount > (select 1.99 * avg(amount) from orders)

-- correlated_subquery
select c.id, c.name, (select sum(o.amount) from orders o where o.customer_id = c.id) as total
from customers c

-- lateral_top
select c.id, o.id as order_id, o.amount
from customers c
cross join lateral (
  select id, amount from orders where customer_id = c.id order by amount desc, id limit 1
) o

-- unnest_rows
select o.id, w.part, w.place
from orders o, unnest(string_to_array(o.status || o.quantity, 'e')) with ordinality as w (part, place)

-- series_in_select
select id, generate_series(1, quantity % 4) as n
from orders

-- rank
select id, rank() over (partition by customer_id order by amount) as place
from orders

-- running_sum
select id, sum(amount) over (partition by customer_id order by placed_at, id) as so_far
from orders

-- latest_of_each
select id, customer_id, amount
from (select *, row_number() over (partition by customer_id order by placed_at desc, id desc) as n from orders) ranked
where n = 1

-- distinct_on
select distinct on (customer_id) customer_id, id, amount
from orders
order by customer_id, amount desc, id

-- distinct_rows
select distinct customer_id, quantity
from orders

-- union_rows
select customer_id, quantity from orders where status = 'open'
union
select id, 0 from customers where region = 'region 1'

-- intersect_rows
select customer_id from orders where status = 'open'
intersect
select customer_id from orders where quantity = 3

-- except_all_rows
select customer_id from orders where quantity < 9
except all
select customer_id from orders where status = 'paid'

-- rollup
select key % 100 as part, status, grouping(key % 100, status) as level, count(*) as orders, sum(amount) as amount
from orders
group by rollup (key % 100, status)

-- top
select id, amount
from orders
order by amount desc, id
limit 10

-- top_offset
select id, amount
from orders
order by amount desc, id
offset 5 limit 10

-- statistics
select customer_id, stddev(amount) as spread, count(distinct product_id) as products,
       percentile_cont(0.5) within group (order by amount) as median
from orders
group by customer_id

-- ordered_array
select customer_id, array_agg(id order by placed_at, id) as orders, string_agg(status, ',' order by id) as states
from orders
group by customer_id

-- float_sum
select key, sum(quantity::float8 / 4) as quarters, max(amount) as most
from orders
group by key

-- temporal_filter
select id, amount
from orders
where placed_at < current_date - 400
