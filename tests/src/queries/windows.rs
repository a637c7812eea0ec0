//! Window functions, the first rows of an order, and the first row of each key. Where the place of a row counts, the
//! order is total: what SQL leaves open is not tested.

use super::{Query, delta};
use crate::exact::Equality::{Text, Values};

pub static WINDOWS: &[Query] = &[
    delta("w_number", Values, "select id, row_number() over (partition by grp order by id) as r from items"),
    delta("w_rank", Values, "select id, val, rank() over (order by val desc nulls last) as r from items"),
    delta(
        "w_totals",
        Values,
        "select grp, cat, sum(val) over (partition by grp) as s, count(*) filter (where flag) over (partition by grp) as n, avg(amt) over (partition by cat) as a from items",
    ),
    delta(
        "w_running",
        Values,
        "select id, sum(val) over w as s, lag(cat) over w as before, lead(val, 2, 0) over w as after, first_value(id) over w as first from items window w as (partition by cat order by ts, id)",
    ),
    delta(
        "w_frames",
        Values,
        "select id, sum(val) over (order by id rows between 2 preceding and 1 following) as near, count(*) over (order by val range between 1 preceding and current row) as alike, max(id) over (order by grp groups 1 preceding) as m from items",
    ),
    delta(
        "w_shares",
        Values,
        "select id, ntile(3) over (order by id) as third, cume_dist() over (order by val, id) as c, percent_rank() over (order by val, id) as p, nth_value(cat, 2) over (order by id) as second from items",
    ),
    delta(
        "w_refined",
        Values,
        "select id, dense_rank() over (w order by val) as r, count(*) over w as n from items window w as (partition by mood, flag)",
    ),
    delta(
        "w_expression",
        Values,
        "select id, val - coalesce(lag(val) over (partition by grp % 2 order by id), 0) as step from items where val > 0",
    ),
    delta(
        "w_groups",
        Values,
        "select cat, sum(val) as s, rank() over (order by sum(val), cat) as r from items group by cat",
    ),
    delta("w_sum_of_sums", Values, "select grp, sum(count(*)) over (order by grp) as n from items group by grp"),
    delta(
        "w_first_of_each",
        Values,
        "select id, grp from (select id, grp, row_number() over (partition by grp order by amt desc nulls last, id) as r from items) x where r <= 2",
    ),
    delta(
        "w_best",
        Values,
        "select * from (select id, grp, val, rank() over (partition by grp order by val desc) as r from items where flag) x where r <= 2 and id > 3",
    ),
    delta(
        "w_values",
        Values,
        "select * from (select id, cat, grp, dense_rank() over (partition by grp order by id desc) as r from items) x where r <= 2",
    ),
    delta(
        "w_equal_values",
        Values,
        "select item, qty, r from (select item, qty, dense_rank() over (partition by item order by qty nulls first) as r from link) x where r < 3",
    ),
    delta(
        "w_first_values",
        Values,
        "select id, r from (select id, dense_rank() over (order by region, name nulls first) as r, id % 2 = 0 as even from ref) x where r <= 2 and even",
    ),
    delta(
        "w_run",
        Text,
        "select id, grp, sum(val) over w as s, sum(amt) over w as a, sum(f) over w as f, count(*) filter (where flag) over w as n, min(val) over w as least, max(ts) over w as most from items window w as (partition by grp order by id)",
    ),
    delta(
        "w_run_exact",
        Text,
        "select id, grp, sum(val) over w as s, sum(amt) over w as a, count(*) filter (where flag) over w as n, min(val) over w as least, max(ts) over w as most, row_number() over w as nth from items window w as (partition by grp order by id desc)",
    ),
    delta(
        "w_run_peers",
        Values,
        "select item, ref, qty, sum(ref) over w as s, max(ref) over w as m, count(*) over w as n, rank() over w as r, dense_rank() over w as d from link where qty is not null window w as (partition by item order by qty desc)",
    ),
    delta(
        "w_run_rows",
        Values,
        "select id, cat, sum(val) over (order by id rows unbounded preceding) as s, 2 * count(cat) over (order by id) as n, sum(pos) over (order by id) as p from items where id > 3",
    ),
    delta("w_run_text", Values, "select id, cat, sum(price) over (partition by cat order by id) as s from items"),
    delta(
        "w_run_several",
        Values,
        "select id, region, name, count(*) over (order by region, name nulls first) as n, rank() over (order by region, name nulls first) as r from ref",
    ),
    delta(
        "w_run_more",
        Text,
        "select id, grp, avg(val) over w as a, avg(amt) over w as b, avg(price) filter (where flag) over w as c, first_value(cat) over w as first, lag(cat) over w as before, count(*) over w as n from items window w as (partition by grp order by id desc)",
    ),
    delta(
        "w_near",
        Text,
        "select id, grp, val - coalesce(lag(val) over w, 0) as step, lead(cat, 2, 'none') over w as after, avg(amt) over (w rows 2 preceding) as a, sum(f) over (w rows between 1 preceding and 1 following) as f, array_agg(val) over (w rows between 2 following and 3 following) as next, nth_value(cat, 2) over (w rows between 1 preceding and current row) as second from items window w as (partition by grp order by id)",
    ),
    delta(
        "w_near_all",
        Text,
        "select id, lag(amt, 3) over (order by id desc) as before, last_value(cat) over (order by id desc rows between current row and 2 following) as last from items where flag",
    ),
    delta(
        "w_near_text",
        Text,
        "select id, cat, lag(val) over w as before, count(val) over w as n from items window w as (partition by cat, flag order by id)",
    ),
    delta(
        "w_near_name",
        Text,
        "select region, id, lead(name) over w as after, lag(id, 2) over w as before from ref window w as (order by region desc, id, name)",
    ),
    delta("w_bag", Values, "select a, b, count(*) over (partition by a, b) as n from keyless"),
    delta(
        "w_join",
        Values,
        "select r.region, i.id, rank() over (partition by r.region order by i.val, i.id) as p from items i join ref r on r.id = i.grp",
    ),
    delta(
        "w_folded",
        Values,
        "select c, count(*) over (partition by c) as n, count(*) over (partition by t) as m from folded",
    ),
    delta("w_numeric", Values, "select n, count(*) over (partition by n) as c from keyless"),
    delta("l_top", Text, "select id, val from items order by val desc nulls last, id limit 5"),
    delta("l_hidden", Text, "select cat from items order by amt, id limit 4"),
    delta("l_offset", Text, "select id from items order by val, id limit 3 offset 2"),
    delta("l_rest", Text, "select id, cat from items order by id offset 7"),
    delta("l_ties", Values, "select val, cat from items order by val desc fetch first 3 rows with ties"),
    delta("l_groups", Text, "select grp, count(*) as n from items group by grp order by count(*) desc, grp limit 2"),
    delta("l_union", Text, "select a from keyless union all select id from ref order by 1 desc nulls last limit 4"),
    delta("l_distinct", Text, "select distinct cat from items order by cat limit 2"),
    delta("l_bag", Values, "select a, b from keyless order by a, b limit 6"),
    delta(
        "l_below",
        Text,
        "select r.name, x.id from (select id, grp from items order by val desc nulls last, id limit 6) x join ref r on r.id = x.grp",
    ),
    delta(
        "l_lateral",
        Text,
        "select i.id, x.qty from items i cross join lateral (select qty from link l where l.item = i.id order by qty limit 1) x",
    ),
    delta(
        "l_lateral_ties",
        Values,
        "select r.name, x.id, x.val from ref r left join lateral (select id, val from items i where i.grp = r.id and i.flag order by val desc fetch first 2 rows with ties) x on true",
    ),
    delta("d_on", Text, "select distinct on (grp) grp, id, val from items order by grp, val desc nulls last, id"),
    delta("d_on_index", Text, "select distinct on (grp) grp, id, val from items order by grp, id desc"),
    delta("d_on_hidden", Text, "select distinct on (grp, flag) id from items order by grp, flag, id desc"),
    delta("d_on_limit", Text, "select distinct on (cat) cat, id from items order by cat nulls first, id limit 3"),
    delta(
        "w_on_groups",
        Text,
        "select cat, grp, n, sum(n) over (partition by cat order by grp) as s, lag(n) over (partition by cat order by grp) as l
           from (select cat, grp, count(*) as n from items where grp is not null group by cat, grp) q",
    ),
    delta("w_on_stream", Text, "select grp, rank() over (order by n, grp) as r from a_group"),
    delta("w_below", Text, "select r, count(*) as n from w_number group by r"),
];
