-- Q5, hot items: the auctions with the most bids in windows of 10 seconds, one every 2 seconds.
with auction_bids as (
    select b.auction, w.starttime, count(*) as num
    from bid b
    cross join lateral generate_series(
        date_bin('2 seconds', b.date_time, timestamp '2015-07-15') - interval '8 seconds',
        date_bin('2 seconds', b.date_time, timestamp '2015-07-15'),
        interval '2 seconds'
    ) as w (starttime)
    group by b.auction, w.starttime
)
select auction_bids.auction, auction_bids.num, auction_bids.starttime
from auction_bids
join (
    select max(num) as maxn, starttime
    from auction_bids
    group by starttime
) max_bids on auction_bids.starttime = max_bids.starttime and auction_bids.num >= max_bids.maxn
