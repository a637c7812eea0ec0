-- Shipping modes and order priority: late line items, urgent ones apart from the others.
select
    l_shipmode,
    count(*) filter (where o_orderpriority in ('1-URGENT', '2-HIGH')) as high_line_count,
    sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low_line_count
from orders
join lineitem on l_orderkey = o_orderkey
where l_commitdate < l_receiptdate
  and l_shipdate < l_commitdate
  and l_receiptdate >= date '1994-01-01'
  and l_receiptdate < date '1994-01-01' + interval '1' year
group by l_shipmode
