select c.region, count(*) as orders, sum(o.quantity) as quantity, sum(o.amount) as amount
from orders o
join customers c on c.id = o.customer_id
group by c.region
