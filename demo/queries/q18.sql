-- Large volume customers: the orders of more than 250 pieces and their customers.
select
    c_name,
    c_custkey,
    o_orderkey,
    o_orderdate,
    o_totalprice,
    sum(l_quantity) as quantity
from customer
join orders on o_custkey = c_custkey
join (
    select l_orderkey as large_orderkey
    from lineitem
    group by l_orderkey
    having sum(l_quantity) > 250
) large on large_orderkey = o_orderkey
join lineitem on l_orderkey = o_orderkey
group by c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
