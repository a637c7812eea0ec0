-- Q6, average selling price by seller: of the last ten auctions to close, at each of them.
select
    q.seller,
    avg(q.final) over (
        partition by q.seller
        order by q.expires, q.id
        rows between 10 preceding and current row
    ) as final
from (
    select a.id, a.seller, a.expires, max(b.price) as final
    from auction a, bid b
    where a.id = b.auction and b.date_time between a.date_time and a.expires
    group by a.id, a.seller, a.expires
) q
