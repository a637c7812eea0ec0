-- Q7, highest bid: in every window of 10 seconds.
select b.auction, b.price, b.bidder, b.date_time, b.extra
from bid b
join (
    select max(price) as maxprice, date_bin('10 seconds', date_time, timestamp '2015-07-15') as starttime
    from bid
    group by date_bin('10 seconds', date_time, timestamp '2015-07-15')
) w on date_bin('10 seconds', b.date_time, timestamp '2015-07-15') = w.starttime and b.price = w.maxprice
