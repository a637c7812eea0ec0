//! Types, operators and functions of extensions and of users, in any schema.
//! `{x}` stands for the schema of the extensions; see `Home::place`.

use super::{Query, delta};
use crate::exact::Equality::{Text, Values};

pub static EXTENSIONS: &[Query] = &[
    delta("x_rows", Values, "select id, h, l, w from tagged"),
    delta("x_bag", Values, "select h, l, v from tags_bag where v is distinct from 3"),
    delta("x_value", Text, "select h operator({x}.->) 'a' as a, count(*) as n, max(v) as m from tagged group by 1"),
    delta("x_store_key", Values, "select h, count(*) as n, sum(v) as s from tagged group by h"),
    delta("x_store_distinct", Values, "select distinct h, l from tags_bag"),
    delta(
        "x_store_in",
        Values,
        "select id, h from tagged where h operator({x}.=) any (select h from tags_bag where v > 1)",
    ),
    delta(
        "x_store_join",
        Values,
        "select a.id, b.v from tagged a left join tags_bag b on b.h operator({x}.=) a.h and b.v > a.v",
    ),
    delta("x_contains", Text, "select id, v from tagged where h operator({x}.@>) 'a=>1'::{x}.hstore"),
    delta("x_exists", Text, "select id, h operator({x}.?) 'b' as b, {x}.akeys(h) as keys from tagged"),
    delta("x_minus", Values, "select id, h operator({x}.-) 'a'::text as rest from tagged where v > 0"),
    delta("x_each", Text, "select t.id, e.key, e.value from tagged t, {x}.each(t.h) e where t.v > 0"),
    delta("x_tree", Values, "select l, count(*) as n from tagged group by l"),
    delta("x_under", Text, "select a.id, b.id as other from tagged a join tagged b on a.l operator({x}.<@) b.l"),
    delta(
        "x_under_none",
        Text,
        "select id from tagged t where not exists (select from tags_bag b where b.l operator({x}.@>) t.l)",
    ),
    delta(
        "x_top",
        Values,
        "select {x}.subpath(l, 0, 1) as top, max({x}.nlevel(l)) as deep from tagged where {x}.nlevel(l) > 0 group by 1",
    ),
    delta(
        "x_tree_last",
        Values,
        "select id, l from (select id, l, row_number() over (order by l desc, id) as n from tagged) q where n <= 3",
    ),
    delta(
        "x_similar",
        Text,
        "select id, {x}.similarity(w, 'abc') as s from tagged where {x}.similarity(w, 'ab') > 0.2",
    ),
    delta("x_nearest", Text, "select id, w from tagged order by w operator({x}.<->) 'abc', id limit 3"),
    delta("x_near", Text, "select v operator({x}.<->) 3 as d, count(*) as n from tagged group by 1"),
    delta(
        "x_folded",
        Values,
        "select c operator({x}.=) 'X'::{x}.citext as x, min(c) as c, count(*) as n from folded group by 1",
    ),
    delta("x_folded_min", Values, "select v, {x}.min(c) as least from folded group by v"),
    delta("x_folded_like", Values, "select id, c from folded where c operator({x}.~~) 'x%'::{x}.citext"),
    delta(
        "x_own_function",
        Text,
        "select grade(val) as g, count(*) as n, abs(min(val)) as least from items group by grade(val)",
    ),
    delta("x_own_operator", Text, "select a.id, b.v from items a join parts b on a.val =~= b.v"),
    delta("x_own_cast", Text, "select id, (row(v)::celsius)::int as warm from parts where v is not null"),
    delta("x_own_name", Text, "select id, upper(v) as u, lower(w) as w from tagged"),
];
