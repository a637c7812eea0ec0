-- Q4, average price for a category: of the winning bids of all its auctions.
select q.category, avg(q.final) as final
from (
    select max(b.price) as final, a.category
    from auction a, bid b
    where a.id = b.auction and b.date_time between a.date_time and a.expires
    group by a.id, a.category
) q
group by q.category
