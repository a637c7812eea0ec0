-- One in 500 parts, suppliers, customers and offers changes, and a few come and go. $round is a number that grows;
-- what comes has keys of its own, from 100,000,000 times the round, and goes two rounds later.
begin;

delete from partsupp where ps_partkey between ($round - 2) * 100000000 and ($round - 2) * 100000000 + 99999999;
delete from part where p_partkey between ($round - 2) * 100000000 and ($round - 2) * 100000000 + 99999999;
delete from customer where c_custkey between ($round - 2) * 100000000 and ($round - 2) * 100000000 + 99999999;

insert into part
select $round * 100000000::bigint + p_partkey, p_name, p_mfgr, p_brand, p_type, p_size, p_container, p_retailprice, p_comment
from part
where p_partkey % 1000 = $round % 1000 and p_partkey < 100000000;

insert into partsupp
select $round * 100000000::bigint + ps_partkey, ps_suppkey, ps_availqty, ps_supplycost - 1, ps_comment
from partsupp
where ps_partkey % 1000 = $round % 1000 and ps_partkey < 100000000;

insert into customer
select $round * 100000000::bigint + c_custkey, c_name, c_address, c_nationkey, c_phone, c_acctbal + 1, c_mktsegment, c_comment
from customer
where c_custkey % 1000 = $round % 1000 and c_custkey < 100000000;

update partsupp
set ps_supplycost = ps_supplycost * 0.9 + 1, ps_availqty = (ps_availqty * 7 + $round) % 10000
where ps_partkey % 500 = ($round * 7) % 500;

update part
set p_size = 1 + (p_size + $round) % 50,
    p_type = case when p_partkey % 2 = 0 then 'ECONOMY ANODIZED STEEL' else 'STANDARD POLISHED BRASS' end,
    p_container = 'MED BOX',
    p_name = case when p_partkey % 3 = 0 then 'forest green ' || substr(p_name, 1, 30) else p_name end
where p_partkey % 500 = ($round * 11) % 500;

update supplier
set s_acctbal = s_acctbal + 1,
    s_nationkey = (s_nationkey + 1) % 25,
    s_comment = case when s_suppkey % 2 = 0 then 'Customer wants Complaints' else 'none' end
where s_suppkey % 500 = ($round * 13) % 500 or s_suppkey = 1 + $round % 10;

update customer
set c_acctbal = c_acctbal * -0.9 + $round,
    c_mktsegment = 'BUILDING',
    c_nationkey = (c_nationkey + 1) % 25,
    c_phone = 10 + (c_nationkey + 1) % 25 || substr(c_phone, 3)
where c_custkey % 500 = ($round * 17) % 500;

commit;
