//! Values that are rows, comparisons across types, columns that are passed on, expressions that are protected from evaluation, and orders
//! that are relied on.

use super::{Query, any, delta};
use crate::exact::Equality::{Text, Values};

pub static MEANINGS: &[Query] = &[
    delta(
        "m_pair_count",
        Text,
        "select g, count(v) as n, count(v) filter (where near > 0) as m, count((g, near)) filter (where g > 0) as r from pairs group by g",
    ),
    delta("m_pair_key", Values, "select v, count(*) as n, max(id) as m from pairs group by v"),
    delta("m_pair_distinct", Values, "select distinct v, g from pairs"),
    delta(
        "m_pair_join",
        Values,
        "select a.id, b.id as other, a.v from pairs a left join pairs b on b.v = a.v and b.id > a.id",
    ),
    delta("m_pair_not_in", Values, "select id, v from pairs where v not in (select v from pairs where g > 2)"),
    delta(
        "m_pair_window",
        Values,
        "select id, v, row_number() over (partition by v order by id) as nth, count(v) over (partition by g) as n from pairs",
    ),
    delta("m_pair_except", Values, "select v from pairs where g < 3 except all select v from pairs where near > 0"),
    delta(
        "m_pair_null",
        Values,
        "select id, v is null as none, v is not null as every, v is distinct from null as there from pairs",
    ),
    delta("m_in_numeric", Values, "select id, near from pairs where near in (select far from pairs)"),
    delta("m_in_bigint", Values, "select id, near from pairs where near in (select whole from pairs where g > 0)"),
    delta("m_not_in", Values, "select id, near from pairs where near not in (select far from pairs where g = 1)"),
    delta(
        "m_in_value",
        Values,
        "select id, near in (select whole from pairs where g > 1) as i, far in (select near from pairs where g < 1) as j from pairs",
    ),
    delta("m_row_in", Values, "select id from pairs where (near, g) in (select far, whole from pairs)"),
    delta(
        "m_any",
        Values,
        "select id from items where pos = any (select far from pairs) or f <> all (select whole from pairs where g > 2)",
    ),
    delta(
        "m_using",
        Values,
        "select near, a.id, b.id as other from pairs a join (select far as near, id from pairs) b using (near)",
    ),
    delta(
        "m_full_using",
        Values,
        "select x, a.id, b.id as other from (select whole as x, id from pairs) a full join (select val as x, id from items) b using (x)",
    ),
    delta(
        "m_lateral",
        Values,
        "select i.id, i.val, v.* from items i left join lateral (select i.val as passed, k.n from keyless k where k.a = i.grp) v on true",
    ),
    delta(
        "m_lateral_deep",
        Values,
        "select r.id, r.name, v.* from ref r left join lateral (select r.name as n1, l.qty, w.* from link l left join lateral (select r.name as n2, l.qty as q, i.cat from items i where i.id = l.item) w on true where l.ref = r.id) v on v.qty > 0",
    ),
    delta(
        "m_lateral_count",
        Values,
        "select i.id, i.grp, v.* from items i left join lateral (select i.grp as passed, count(*) as n, sum(l.qty) as s from link l where l.item = i.id) v on true",
    ),
    delta(
        "m_ratio",
        Text,
        "select grp, sum(id / val) filter (where val <> 0) as s, count(id / val) filter (where val > 0) as n, max(id / val) filter (where val <> 0) as m from items group by grp",
    ),
    delta(
        "m_ratio_framed",
        Text,
        "select id, sum(100 / val) filter (where val <> 0) over (partition by grp) as s from items",
    ),
    delta("m_ratio_case", Text, "select cat, sum(case when val <> 0 then 100 / val end) as s from items group by cat"),
    delta(
        "m_ordered",
        Text,
        "select grp, string_agg(cat, ',') as cats from (select grp, cat from items order by grp, cat, id) q group by grp",
    ),
    delta(
        "m_ordered_all",
        Text,
        "select array_agg(id) as ids from (select id from items where flag order by val desc, id) q",
    ),
    delta(
        "m_ordered_limit",
        Text,
        "select * from (select id, val from items order by val desc nulls last, id) q limit 5",
    ),
    any(
        "m_ordered_apart",
        Text,
        "select count(*) as n, string_agg(cat, '' order by cat) as cats from (select cat from items order by id) q",
    ),
    delta("m_sets_in_order", Values, "select a from keyless order by generate_series(1, a)"),
    delta(
        "m_sets_cubed",
        Values,
        "select a, generate_series(1, a) as s, count(*) as n from keyless group by cube (1, 2)",
    ),
];
