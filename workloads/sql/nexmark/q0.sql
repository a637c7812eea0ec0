-- Q0, pass through: what it costs to do nothing.
select auction, bidder, price, date_time, extra
from bid
