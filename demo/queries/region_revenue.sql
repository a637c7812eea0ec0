-- On top of q5: the revenue of each region, with its weakest and its strongest nation.
select
    r_name,
    sum(revenue) as revenue,
    count(*) as nations,
    min(revenue) as weakest,
    max(revenue) as strongest
from q5
join nation on nation.n_nationkey = q5.n_nationkey
join region on r_regionkey = n_regionkey
group by r_name
