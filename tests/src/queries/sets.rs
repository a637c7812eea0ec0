//! Set operations, grouping sets, set-returning functions, constant rows, and every kind of aggregate.

use super::{Query, delta};
use crate::exact::Equality::{Text, Values};

pub static SETS: &[Query] = &[
    delta("ie_intersect", Values, "select grp, cat from items intersect select a, b from keyless"),
    delta("ie_intersect_all", Values, "select a, b from keyless intersect all select grp, cat from items"),
    delta("ie_except", Values, "select grp, cat from items except select a, b from keyless"),
    delta("ie_except_all", Values, "select a, b from keyless except all select grp, cat from items"),
    delta("ie_numeric", Values, "select n from keyless except all select amt from items"),
    delta("ie_mixed", Values, "select grp from items except select n from keyless"),
    delta("ie_folded", Values, "select c, t from folded except all select c, t from folded where v > 1"),
    delta(
        "ie_rich",
        Values,
        "select mood, pos, flag from items where val > 0 intersect select mood, pos, flag from items where val < 3",
    ),
    delta(
        "ie_chain",
        Values,
        "(select grp from items union select a from keyless) except all (select qty from link intersect all select ref from link)",
    ),
    delta(
        "ie_below",
        Text,
        "select r.id, count(*) as n from ref r join (select item as k from link except select id from items where flag) x on x.k = r.id group by r.id",
    ),
    delta(
        "r_rollup",
        Text,
        "select grp, cat, grouping(grp, cat) as g, count(*) as n, sum(val) as s from items group by rollup (grp, cat)",
    ),
    delta("r_cube", Text, "select mood, flag, count(*) as n, max(id) as m from items group by cube (mood, flag)"),
    delta(
        "r_sets",
        Text,
        "select grp, flag is null as nothing, grouping(flag is null) as g, avg(val) as a from items group by grouping sets ((grp), (flag is null), (), (grp))",
    ),
    delta(
        "r_beside",
        Text,
        "select cat, grp, flag, count(*) as n from items group by cat, rollup (grp, flag) having count(*) > 1",
    ),
    delta("r_distinct", Values, "select distinct grp, count(*) > 3 as many from items group by cube (grp, cat)"),
    delta("r_folded", Values, "select c, t, count(*) as n, grouping(c) as g from folded group by rollup (c, t)"),
    delta(
        "r_domain",
        Values,
        "select pos, mood, price, count(*) as n from items group by grouping sets (pos, mood, price)",
    ),
    delta("r_empty", Values, "select cat, count(*) as n from items where val > 1000 group by rollup (cat)"),
    delta(
        "r_below",
        Text,
        "select g, sum(n) as n from (select grouping(region, name) as g, count(*) as n from ref group by cube (region, name)) x group by g",
    ),
    delta("w_unnest", Text, "select d.id, t.tag, t.place from docs d, unnest(d.tags) with ordinality t(tag, place)"),
    delta("w_left", Text, "select d.id, t from docs d left join lateral unnest(d.tags) t on true"),
    delta("w_series", Text, "select i.id, n from items i cross join lateral generate_series(1, least(i.val, 3)) n"),
    delta("w_list", Text, "select id, unnest(tags) as tag, generate_series(1, 2) as n from docs"),
    delta("w_group", Text, "select unnest(tags) as tag, count(*) as n from docs group by 1"),
    delta(
        "w_json",
        Values,
        "select d.id, e.value from docs d, jsonb_array_elements(case jsonb_typeof(d.js) when 'array' then d.js else '[]' end) e",
    ),
    delta(
        "w_each",
        Text,
        "select d.id, e.key, e.value from docs d, jsonb_each_text(case jsonb_typeof(d.js) when 'object' then d.js else '{}' end) e",
    ),
    delta(
        "w_record",
        Text,
        "select d.id, r.a, r.b from docs d, jsonb_to_recordset(jsonb_build_array(d.js, '{\"b\": 2}'::jsonb)) r(a numeric, b int) where jsonb_typeof(d.js) = 'object'",
    ),
    delta("w_regexp", Text, "select id, m[1] as letter from items, regexp_matches(cat, '([a-z])', 'g') m"),
    delta("w_arrays", Text, "select d.id, u.x, u.y from docs d, unnest(d.tags, array[7, 8]) u(x, y)"),
    delta(
        "w_lateral",
        Text,
        "select d.id, x.twice from docs d, lateral (select t.tag * 2 as twice from unnest(d.tags) t(tag) where t.tag > 1) x",
    ),
    delta("w_exists", Text, "select id from docs d where exists (select from unnest(d.tags) t where t > 1)"),
    delta("w_constant", Text, "select i.id, n from items i join generate_series(1, 3) n on n = i.grp"),
    delta("w_counts", Text, "select grp, generate_series(1, count(*)) as n from items group by grp"),
    delta(
        "k_values",
        Text,
        "select i.id, v.name from items i join (values (1, 'one'), (2, 'two'), (null, 'none')) v(k, name) on v.k = i.grp",
    ),
    delta("k_arm", Values, "select grp from items union values (1), (77), (null)"),
    delta("k_no_from", Text, "select 1 as one, 'x'::text as x"),
    delta(
        "b_strings",
        Text,
        "select grp, string_agg(cat, ',' order by id) as s, array_agg(id order by id desc) as a, jsonb_agg(val order by id) filter (where flag) as j from items group by grp",
    ),
    delta(
        "b_distinct",
        Text,
        "select grp, count(distinct cat) as n, sum(distinct val) as s, string_agg(distinct cat, ',' order by cat) as c, array_agg(distinct val) as a from items group by grp",
    ),
    delta(
        "b_within",
        Text,
        "select grp, percentile_cont(0.5) within group (order by val) as m, percentile_disc(array[0.25, 0.75]) within group (order by id) as d, mode() within group (order by cat) as c from items group by grp",
    ),
    delta(
        "b_hypothetical",
        Text,
        "select grp, rank(3) within group (order by val) as r, dense_rank(3) within group (order by val) as d, percent_rank(3) within group (order by val) as p, cume_dist(3) within group (order by val) as c from items group by grp",
    ),
    delta(
        "b_bools",
        Text,
        "select grp, bool_and(flag) as a, bool_or(flag) filter (where val > 1) as o, every(val > 0) as e, bit_and(val) as ba, bit_or(val) as bo, bit_xor(val) as bx from items group by grp",
    ),
    delta(
        "b_statistics",
        Text,
        "select cat, stddev(val) as s, var_pop(val) as v, regr_count(val, id) as c, stddev_samp(price) as p from items group by cat",
    ),
    delta(
        "b_own",
        Text,
        "select grp, total(price) as t, total(price) filter (where flag) as f, range_agg(int4range(id, id + 2)) as r from items group by grp",
    ),
    delta(
        "b_global",
        Text,
        "select count(distinct val) as n, bool_or(flag) as o, string_agg(cat, '' order by id) as s from items",
    ),
];
