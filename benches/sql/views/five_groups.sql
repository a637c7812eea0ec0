select status, count(*) as orders, sum(quantity) as quantity, sum(amount) as amount
from orders
group by status
