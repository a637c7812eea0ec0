select o.id, o.amount, o.quantity, c.name as customer, c.region
from orders o
join customers c on c.id = o.customer_id
