select id, customer_id, product_id, quantity, amount, status, placed_at
from orders
