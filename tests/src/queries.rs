//! Defining queries over the tables of `world`: every construct, and what to expect of it.

mod correlated;
mod extensions;
mod meanings;
mod sets;
mod windows;

use crate::exact::Equality::{self, Text, TextOnly, Values};

pub use correlated::CORRELATED;
pub use extensions::EXTENSIONS;
pub use meanings::MEANINGS;
pub use sets::SETS;
pub use windows::WINDOWS;

/// A stream table.
pub struct Query {
    pub name: &'static str,
    pub sql: &'static str,
    pub equality: Equality,
    /// Must be maintained from changes; the others may be recomputed.
    pub incremental: bool,
}

const fn delta(name: &'static str, equality: Equality, sql: &'static str) -> Query {
    Query { name, sql, equality, incremental: true }
}

const fn any(name: &'static str, equality: Equality, sql: &'static str) -> Query {
    Query { name, sql, equality, incremental: false }
}

/// In the order of their creation: later ones may read earlier ones.
pub static QUERIES: &[Query] = &[
    delta("s_filter", Text, "select id, val, upper(cat) as cat from items where val > 1"),
    delta("s_project", Text, "select id, coalesce(val, 0) * 2 as v2, amt, ts at time zone 'UTC' as utc, f from items"),
    delta(
        "s_case",
        Text,
        "select case when val > 2 then 'big' when val is null then null else cat end as c, flag and val > 0 as b from items",
    ),
    delta("s_zone", Text, "select id, ts, ts::date as d, ts::text as t from items where ts < 'infinity'"),
    delta("s_bag", Values, "select a, b, n from keyless where a is distinct from 2"),
    delta("s_copy", Values, "select * from keyless"),
    delta("s_constant", Text, "select 1 as one from keyless"),
    delta("s_never", Text, "select id, val from items where false"),
    delta("s_rich", Values, "select id, mood, pos, flag, price from items where mood > 'sad' or pos in (1, 2)"),
    delta("s_docs", TextOnly, "select id, tags, js, doc from docs"),
    delta("s_json", TextOnly, "select doc, tags[1] as first from docs where id < 30"),
    delta("s_jsonb", Values, "select js, tags from docs where js is not null"),
    delta("j_two", Text, "select i.id, i.val, r.name from items i join ref r on r.id = i.grp"),
    delta(
        "j_three",
        Text,
        "select i.id, l.qty, r.region from link l join items i on i.id = l.item join ref r on r.id = l.ref",
    ),
    delta("j_bag", Values, "select k.b, l.qty, k.n from keyless k join link l on l.item = k.a"),
    delta("j_cross", Text, "select r.id, k.a from ref r cross join keyless k where k.a < 2"),
    delta(
        "j_self",
        Text,
        "select a.id as x, b.id as y, a.cat from items a join items b on a.grp = b.grp and a.id < b.id",
    ),
    delta("j_self_keyless", Text, "select x.a, y.b from keyless x join keyless y on x.a = y.a"),
    delta("j_range", Text, "select i.id, r.id as rid from items i join ref r on i.val between r.id and r.id + 2"),
    delta(
        "j_using",
        Text,
        "select id, i.val, r.region, p.g from items i join ref r using (id) join parts p using (id)",
    ),
    delta(
        "j_comma",
        Text,
        "select i.id, f.id as fid from items i, folded f, ref r where i.grp = f.v and f.v = r.id and r.region = 'north'",
    ),
    delta(
        "j_four_self",
        Text,
        "select a.qty, d.qty as q from link a join link b on a.item = b.ref join link c on b.item = c.ref join link d on c.item = d.ref where a.qty = 1",
    ),
    delta("u_all", Values, "select a, b from keyless union all select grp, cat from items"),
    delta(
        "u_same",
        Values,
        "select a, n from keyless where a > 0 union all select a, n from keyless where a < 3 union all select null, 1",
    ),
    delta(
        "u_mixed",
        Text,
        "select id, cat from items where flag union all select i.id, r.name from items i join ref r on r.id = i.val",
    ),
    delta(
        "a_group",
        Text,
        "select grp, count(*) as n, count(val) as nv, sum(val) as s, avg(val) as a, min(val) as lo, max(val) as hi from items group by grp",
    ),
    delta(
        "a_filter",
        Text,
        "select grp, count(*) filter (where flag) as n, sum(val) filter (where val > 2) as s, min(id) filter (where cat = 'a') as m from items group by grp",
    ),
    delta("a_numeric", Text, "select grp, sum(amt) as s, avg(amt) as a from items group by grp"),
    delta("a_numeric_extremes", Values, "select grp, min(amt) as lo, max(amt) as hi from items group by grp"),
    delta(
        "a_price",
        Text,
        "select flag, sum(price) as s, avg(price) as a, min(price) as lo, max(price) as hi from items group by flag",
    ),
    delta("a_float", Text, "select grp, sum(f) as s, avg(f) as a from items group by grp"),
    delta("a_float_extremes", Values, "select grp, min(f) as lo, max(f) as hi, count(f) as n from items group by grp"),
    delta(
        "a_expression",
        Text,
        "select val % 3 as k, date_trunc('day', ts) as d, count(*) as n from items group by val % 3, date_trunc('day', ts)",
    ),
    delta(
        "a_enum",
        Text,
        "select mood, flag, count(*) as n, max(mood) as m, min(ts) as t from items group by mood, flag",
    ),
    delta("a_keyless", Text, "select b, count(*) as n, sum(a) as s, sum(n) as sn from keyless group by b"),
    delta("a_numeric_key", Values, "select n, count(*) as c from keyless group by n"),
    delta("a_float_key", Values, "select f, count(*) as c, sum(val) as s from items group by f"),
    delta("a_hidden_key", Text, "select count(*) as n, sum(val) as s from items group by grp, cat"),
    delta("a_only_keys", Values, "select b from keyless group by b"),
    delta(
        "a_arithmetic",
        Text,
        "select grp, sum(val * 2) + count(*) as x, coalesce(max(cat), '-') as m from items group by grp",
    ),
    delta(
        "a_big",
        Text,
        "select grp, sum(id::bigint * 1000000000000) as s, avg(id::bigint) as a, sum(pos::smallint) as p from items group by grp",
    ),
    delta("g_global", Text, "select count(*) as n, sum(val) as s, avg(price) as a, max(ts) as t from items"),
    delta("g_empty", Text, "select count(*) as n, sum(qty) as s, min(qty) as lo from link where qty > 100"),
    delta("g_having", Text, "select sum(qty) as s from link having count(*) > 10"),
    delta("g_having_hidden", Values, "select cat from items group by cat having sum(val) > 5 and count(*) > 1"),
    delta(
        "g_having_group",
        Text,
        "select grp, count(*) as n, min(val) as lo from items where flag is not false group by grp having count(*) > 2",
    ),
    delta("d_distinct", Values, "select distinct grp, cat from items"),
    delta("d_keyless", Values, "select distinct a, b from keyless"),
    delta("d_numeric", Values, "select distinct n, a is null as nothing from keyless"),
    delta("d_join", Values, "select distinct r.region, i.cat from items i join ref r on r.id = i.grp"),
    delta("d_count", Text, "select count(*) as n from (select distinct a, b from keyless) d"),
    delta(
        "c_cte",
        Text,
        "with big as (select id, grp, val from items where val > 0), few as (select grp, count(*) as n from big group by grp) select b.id, f.n from big b join few f on f.grp = b.grp",
    ),
    delta(
        "c_cte_twice",
        Text,
        "with x as (select a, count(*) as n from keyless group by a) select p.a, p.n + q.n as n from x p join x q on p.n = q.n",
    ),
    delta(
        "c_from",
        Values,
        "select s.c, s.total from (select cat as c, sum(val) as total from (select cat, val from items where val is not null) q group by cat) s where s.total <> 0",
    ),
    delta(
        "n_histogram",
        Text,
        "select n, count(*) as groups from (select grp, count(*) as n from items group by grp) g group by n",
    ),
    delta(
        "n_max_of_sum",
        Values,
        "select max(s) as hi, min(s) as lo, count(*) as n from (select grp, sum(amt) as s from items group by grp) g",
    ),
    delta(
        "n_three",
        Text,
        "select count(*) as n, sum(m) as s from (select n, max(s) as m from (select grp, cat, count(*) as n, sum(val) as s from items group by grp, cat) x group by n) y",
    ),
    delta(
        "n_of_join",
        Text,
        "select r.region, count(*) as n, sum(l.qty * i.val) as s, sum(i.amt) as amt, max(i.cat) as c from link l join items i on i.id = l.item join ref r on r.id = l.ref group by r.region",
    ),
    delta(
        "n_join_of_two",
        Text,
        "select a.grp, a.n, b.q from (select grp, count(*) as n from items group by grp) a join (select ref, sum(qty) as q from link group by ref) b on b.ref = a.grp",
    ),
    delta(
        "n_top_rows",
        Text,
        "select i.id, i.val from items i join (select grp, max(val) as m from items group by grp) x on x.grp = i.grp and x.m = i.val",
    ),
    delta("n_share", Text, "select i.id, i.price, t.s from items i cross join (select sum(price) as s from items) t"),
    delta(
        "n_union",
        Values,
        "select cat, sum(n) as n from (select cat, count(*) as n from items group by cat union all select b, count(*) from keyless group by b) u group by cat",
    ),
    delta("v_view", Text, "select grp, count(*) as n from items_view group by grp"),
    delta("v_nested", Text, "select n.grp, n.n, n.amt, r.name from nested_view n join ref r on r.id = n.grp"),
    delta("f_folded", Values, "select c, count(*) as n, sum(v) as s from folded group by c"),
    delta("f_collation", Values, "select distinct t from folded"),
    delta("f_join", Values, "select a.id, b.id as other from folded a join folded b on a.t = b.t and a.c = b.c"),
    delta("p_parts", Text, "select g, count(*) as n, sum(v) as s from parts group by g"),
    delta("p_inherit", Text, "select a, b, count(*) as n from base group by a, b"),
    any("p_only", Values, "select a, b from only base where a is not null"),
    delta("t_chain", Text, "select n, count(*) as groups, sum(s) as s from a_group group by n"),
    delta("t_diamond", Text, "select g.grp, g.n, f.n as flagged from a_group g join a_filter f on f.grp = g.grp"),
    delta("t_top", Text, "select max(d.n) as hi, count(*) as c from t_diamond d join t_chain t on t.n = d.n"),
    delta("o_left", Text, "select i.id, i.val, r.name from items i left join ref r on r.id = i.grp"),
    delta("o_right", Text, "select l.item, l.qty, i.cat from items i right join link l on l.item = i.id and i.val > 0"),
    delta("o_full", Text, "select k.a, k.b, l.qty from keyless k full join link l on l.item = k.a"),
    delta(
        "o_full_using",
        Text,
        "select id, i.val, r.name, p.g from items i full join ref r using (id) left join parts p using (id)",
    ),
    delta("o_range", Text, "select i.id, r.id as rid from items i left join ref r on r.id between i.val and i.val + 1"),
    delta("o_true", Text, "select r.id, k.a from ref r left join keyless k on k.a = 5"),
    delta(
        "o_chain",
        Text,
        "select i.id, l.qty, r.name from items i left join link l on l.item = i.id left join ref r on r.id = l.ref",
    ),
    delta(
        "o_group",
        Text,
        "select r.id, count(l.item) as n, sum(l.qty) as q from ref r left join link l on l.ref = r.id group by r.id",
    ),
    delta("o_where", Text, "select i.id from items i left join link l on l.item = i.id where l.item is null"),
    delta("o_self", Text, "select a.id, b.id as next from items a left join items b on b.id = a.id + 1"),
    delta(
        "o_folded",
        Values,
        "select f.id, g.id as other from folded f left join folded g on g.c = f.c and g.id < f.id",
    ),
    delta("e_exists", Text, "select id from items i where exists (select from link l where l.item = i.id)"),
    delta(
        "e_not_exists",
        Text,
        "select * from keyless k where not exists (select from ref r where r.id = k.a and r.region = 'north')",
    ),
    delta(
        "e_residual",
        Text,
        "select * from link l where exists (select from link m where m.item = l.item and m.ref <> l.ref)",
    ),
    delta(
        "e_residual_not",
        Text,
        "select * from link l where not exists (select from link m where m.item = l.item and m.qty > l.qty)",
    ),
    delta(
        "e_residual_repeated",
        Text,
        "select * from keyless k where exists (select from link l where l.item = k.a and l.qty::text <> k.b)",
    ),
    delta(
        "e_residual_json",
        TextOnly,
        "select id, doc from docs d where not exists (select from items i where i.id = d.id and i.val <> coalesce(d.tags[1], 0))",
    ),
    delta(
        "e_joined",
        Text,
        "select i.id, l.qty from items i join link l on l.item = i.id where l.ref in (select id from ref where region = 'north') and i.flag",
    ),
    delta(
        "e_joined_not",
        Text,
        "select i.id, l.qty, k.b from items i join link l on l.item = i.id join keyless k on k.a = l.qty where not exists (select from ref r where r.id = l.ref) and k.a in (select grp from items)",
    ),
    delta("e_range", Text, "select id, val from items i where not exists (select from ref r where r.id > i.val)"),
    delta("e_constant", Text, "select id from items where exists (select from ref where region = 'south')"),
    delta("e_in", Text, "select * from keyless where a in (select grp from items where flag)"),
    delta("e_not_in", Text, "select * from keyless where a not in (select grp from items where flag)"),
    delta("e_not_in_key", Text, "select id, name from ref where id not in (select id from parts where v > 1)"),
    delta("e_not_in_both", Text, "select * from link where (item, ref) not in (select grp, val from items)"),
    delta("e_in_correlated", Text, "select * from keyless k where a in (select grp from items i where i.cat = k.b)"),
    delta("e_any", Text, "select id, val from items where val > any (select qty from link where ref = 1)"),
    delta("e_all", Text, "select id, val from items i where val >= all (select qty from link l where l.item = i.grp)"),
    delta(
        "e_total",
        Text,
        "select id from items i where not exists (select from (select max(qty) as most from link) l where l.most <= i.val)",
    ),
    delta("e_numeric", Text, "select a, n from keyless where n in (select amt from items)"),
    delta("e_or", Text, "select id from items i where flag or exists (select from link l where l.item = i.id)"),
    delta(
        "e_or_in",
        Text,
        "select id from items where val = 1 or grp in (select a from keyless) or id in (select id from ref)",
    ),
    delta(
        "e_value",
        Text,
        "select id, grp in (select a from keyless) as i, val not in (select qty from link) as n from items",
    ),
    delta(
        "e_case",
        Text,
        "select id, case when exists (select from link l where l.item = i.id) then 'linked' else cat end as c from items i",
    ),
    delta("e_grouped", Text, "select grp, sum(val) as s from items where id in (select item from link) group by grp"),
    delta(
        "e_having",
        Text,
        "select grp, count(*) as n from items i group by grp having exists (select from ref r where r.id = i.grp)",
    ),
    delta("u_max", Text, "select id, val, (select max(qty) from link) as m from items"),
    delta("u_correlated", Text, "select id, (select max(qty) from link l where l.item = i.id) as m from items i"),
    delta(
        "u_count",
        Text,
        "select id, (select count(*) from link l where l.item = i.id and l.ref = i.grp) as n from items i",
    ),
    delta("u_lookup", Text, "select l.item, (select name from ref r where r.id = l.ref) as name from link l"),
    delta(
        "u_lookup_computed",
        Text,
        "select l.item, (select r.name || l.qty from ref r where r.id = l.ref) as name from link l",
    ),
    delta(
        "u_where",
        Text,
        "select id, val from items i where val > (select avg(val) from items j where j.grp = i.grp)",
    ),
    delta(
        "u_having",
        Text,
        "select grp, sum(val) as s from items group by grp having sum(val) > (select avg(qty) from link)",
    ),
    delta("u_equal", Text, "select id, val from items where val = (select max(val) from items)"),
    delta(
        "u_nested",
        Text,
        "select id from ref where id in (select item from link l where qty > (select min(val) from items i where i.grp = l.ref))",
    ),
    delta(
        "l_join",
        Text,
        "select i.id, x.qty from items i cross join lateral (select qty from link l where l.item = i.id) x",
    ),
    delta(
        "l_group",
        Text,
        "select r.id, x.n, x.s from ref r, lateral (select count(*) as n, sum(qty) as s from link l where l.ref = r.id) x",
    ),
    delta(
        "l_left",
        Text,
        "select i.id, x.qty from items i left join lateral (select qty + i.val as qty from link l where l.item = i.id) x on x.qty > 1",
    ),
    delta(
        "r_reached",
        Values,
        "with recursive up(a) as (select 1 union select l.ref from up join link l on l.item = up.a) select a from up",
    ),
    delta(
        "r_pairs",
        Values,
        "with recursive w(a, b) as (select a, b from keyless union select l.ref, w.b from w join link l on l.item = w.a where l.qty > 1) select b, a from w",
    ),
    delta(
        "r_counted",
        Text,
        "with recursive w(a, d) as (select grp, 0 from items where flag union all select l.ref, d + 1 from w join link l on l.item = w.a and l.ref > w.a where d < 2) select a, d, count(*) as n from w group by a, d",
    ),
    delta(
        "r_bag",
        Values,
        "with recursive w(a, n) as (select a, n from keyless where a < 3 union all select i.id, w.n + i.amt from w join items i on i.grp = w.a and i.id > w.a + 20) select a, n from w",
    ),
    delta(
        "r_parts",
        Values,
        "with recursive w(id, v) as (select id, val from items where flag union select i.id, r.id from w join link l on l.item = w.id join items i on i.id = l.ref join ref r on r.id = i.grp) select id, v from w",
    ),
    delta(
        "r_semi",
        Values,
        "with recursive w(a) as (select id from ref where region = 'north' union select l.ref from w join link l on l.item = w.a where exists (select from items i where i.id = l.ref and i.val > 1)) select a from w",
    ),
    delta(
        "r_anti",
        Values,
        "with recursive w(a) as (select id from ref where region = 'north' union select l.ref from w join link l on l.item = w.a where not exists (select from items i where i.id = l.ref)) select a from w",
    ),
    delta(
        "r_groups",
        Values,
        "with recursive w(a) as (select min(id) from items union select g.r from w join (select item, max(ref) as r from link group by item) g on g.item = w.a) select a from w",
    ),
    delta(
        "r_functions",
        Values,
        "with recursive w(id, tag) as (select id, tags[1] from docs union select d.id, u.x from w join docs d on d.id = w.tag cross join lateral unnest(d.tags) as u(x)) select id, tag from w",
    ),
];

/// Constructs that need not be incremental.
pub static FULL: &[Query] = &[
    any(
        "y_exclude",
        Text,
        "select id, count(*) over (partition by grp order by val rows unbounded preceding exclude ties) as r from items",
    ),
    any("y_below_full", Text, "select r, count(*) as n from y_exclude group by r"),
];
