select id, customer_id, product_id, amount, placed_at
from orders
where status = 'open'
