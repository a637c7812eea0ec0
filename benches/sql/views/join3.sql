select o.id, o.amount, o.quantity, c.name as customer, c.region, p.name as product, p.category
from orders o
join customers c on c.id = o.customer_id
join products p on p.id = o.product_id
