select c.region, p.category, count(*) as orders, sum(o.quantity) as quantity, sum(o.amount) as amount
from orders o
join customers c on c.id = o.customer_id
join products p on p.id = o.product_id
group by c.region, p.category
