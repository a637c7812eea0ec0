//! Subqueries that depend on the query around them by more than equalities.

use super::{Query, delta};
use crate::exact::Equality::Text;

pub static CORRELATED: &[Query] = &[
    delta("c_count", Text, "select id, val, (select count(*) from link l where l.qty > i.val) as n from items i"),
    delta(
        "c_several",
        Text,
        "select id, (select sum(l.qty) from link l where l.item <> i.id and l.qty <= i.val) as m,
                (select count(*) from keyless k where k.a < i.grp or k.a > i.val) as n from items i",
    ),
    delta("c_numeric", Text, "select a, n, (select count(*) from items i where i.amt < k.n * 2) as n2 from keyless k"),
    delta(
        "c_mixed",
        Text,
        "select id, (select count(l.ref) from link l where l.item = i.id and l.qty <> i.val) as m from items i",
    ),
    delta("c_computed", Text, "select a, (select sum(l.qty * k.a) from link l where l.item < 9) as s from keyless k"),
    delta(
        "c_nulls",
        Text,
        "select a, b, (select count(*) from ref r where r.name is distinct from k.b) as n from keyless k",
    ),
    delta(
        "c_or_exists",
        Text,
        "select id, val from items i where flag or exists (select from link l where l.qty > i.val and l.ref = i.grp)",
    ),
    delta(
        "c_or_not_exists",
        Text,
        "select a, b from keyless k where k.b is null or not exists (select from items i where i.val < k.a)",
    ),
    delta("c_or_all", Text, "select id from items where flag or val > all (select qty from link where ref = 2)"),
    delta(
        "c_values",
        Text,
        "select a, a > any (select qty from link) as more, a <= all (select val from items) as least,
                b < any (select name from ref r where r.id > k.a) as before from keyless k",
    ),
    delta("c_rows", Text, "select item, ref, (item, ref) in (select id, id + 1 from parts) as found from link"),
    delta("c_in", Text, "select id, grp in (select l.qty from link l where l.item > i.val) as found from items i"),
    delta(
        "c_case",
        Text,
        "select id, case when val > 1 then (select count(*) from link l where l.qty < i.val) end as n from items i",
    ),
    delta(
        "c_having",
        Text,
        "select grp, count(*) as n from items group by grp having count(*) >= (select count(*) from ref where ref.id < grp)",
    ),
    delta(
        "c_arms",
        Text,
        "select id from items i where (select count(*) from link l
            where l.item = i.id and l.qty > 2 or l.item = i.id and l.ref = i.grp) > 0",
    ),
    delta(
        "c_distinct",
        Text,
        "select id, (select count(distinct cat) from items j where j.val > i.val and j.grp = i.grp) as n from items i",
    ),
    delta(
        "c_array",
        Text,
        "select id, array(select qty from link l where l.item = i.id order by qty, ref) as qtys from items i",
    ),
    delta(
        "c_array_limit",
        Text,
        "select id, array(select r.name from ref r where r.id = p.v order by r.id limit 2) as next from parts p",
    ),
    delta(
        "c_first",
        Text,
        "select i.id, q.qty from items i left join lateral
           (select qty from link l where l.item = i.val order by l.ref desc, l.qty limit 1) q on true",
    ),
    delta(
        "c_lateral",
        Text,
        "select a, x.n, x.least from keyless k cross join lateral (select count(*) as n, min(val) as least from items i where i.val > k.a) x",
    ),
    delta(
        "c_lateral_groups",
        Text,
        "select a, x.cat, x.n from keyless k, lateral (select cat, count(*) as n from items i where i.val < k.a group by cat) x",
    ),
    delta(
        "c_lateral_distinct",
        Text,
        "select k.a, x.cat from keyless k left join lateral (select distinct cat from items i where i.val < k.a) x on x.cat > 'a'",
    ),
    delta(
        "c_lateral_window",
        Text,
        "select r.id, x.qty, x.place from ref r, lateral (select qty, rank() over (order by qty) as place from link l where l.item > r.id) x",
    ),
    delta(
        "c_nested",
        Text,
        "select id from ref r where exists (select from items i where i.grp = r.id
            and (i.flag or i.val > (select count(*) from link l where l.qty > i.val)))",
    ),
];
