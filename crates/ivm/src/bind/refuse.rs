//! What cannot be maintained by its delta, and what to tell whoever wrote it.
//!
//! Each text answers: what it is, why a change of one row is not enough to follow it, what to write instead.

use crate::error::Error;
use crate::sql::ident::{Ident, QName};

const VIEW_ON_TOP: &str =
    "Maintain the rest of the query as a stream table, and read it through a view that adds this construct.";

pub fn correlated() -> Error {
    Error::unsupported(
        "a UNION, a FULL JOIN or an ungrouped column in a subquery that refers to the query around it",
        "its types are not known apart from that query",
        "Join with a subquery in FROM that does not refer to its neighbours.",
    )
}

pub fn array_of_query() -> Error {
    Error::unsupported(
        "ARRAY(subquery)",
        "one changed row of the subquery changes the whole array",
        "Join with a subquery in FROM that uses array_agg and GROUP BY.",
    )
}

pub fn hypothetical(function: &QName) -> Error {
    Error::unsupported(
        &format!("the hypothetical-set aggregate {function}"),
        "it is told from the window function of the same name only by what follows it",
        VIEW_ON_TOP,
    )
}

pub fn window_aggregate(function: &QName) -> Error {
    Error::unsupported(
        &format!("DISTINCT or ORDER BY in the window aggregate {function}"),
        "PostgreSQL has no such window aggregates",
        "Use the ORDER BY of the window.",
    )
}

pub fn window_over_sets() -> Error {
    Error::unsupported(
        "a window function in a query with several grouping sets",
        "its partitions hold rows of all the sets, each of which is computed apart",
        "Group in a subquery in FROM, and use the window function around it.",
    )
}

pub fn limit() -> Error {
    Error::unsupported(
        "a LIMIT or OFFSET that is not a constant",
        "how many rows are shown changes with the rows that it is computed from",
        "Compare row_number() with it in a query around this one.",
    )
}

pub fn arrival(what: &str) -> Error {
    Error::unsupported(
        &format!("{what} over rows in the order of a subquery"),
        "a changed row takes its place in an order that is kept nowhere",
        "Say the order where it counts: beside LIMIT or DISTINCT ON, in the aggregate as in array_agg(x ORDER BY y), or in \
         the window.",
    )
}

pub fn constant_among_sets() -> Error {
    Error::unsupported(
        "a constant among several grouping sets",
        "where a set leaves it out it is NULL, which PostgreSQL itself forgets when a query around compares with it",
        "Group by columns, and add the constant in a query around.",
    )
}

pub fn rows_without_columns() -> Error {
    Error::unsupported(
        "INTERSECT or EXCEPT of rows without columns",
        "there is nothing by which to count the rows of either side",
        "Name a column on both sides.",
    )
}

pub fn too_many_grouping_sets(most: usize) -> Error {
    Error::unsupported(
        &format!("more than {most} grouping sets"),
        "every set keeps a table of its own, and a changed row changes a group in each",
        "Use ROLLUP or fewer columns, or a stream table for each set.",
    )
}

pub fn recursion(name: &Ident) -> Error {
    Error::unsupported(
        &format!("the recursive query {name}"),
        "it is read before it is complete, outside of the second arm of its own UNION",
        "Put queries before those that read them, and let a recursion read itself once, in its second arm.",
    )
}

pub fn recursion_twice() -> Error {
    Error::unsupported(
        "a recursive query that joins its rows with each other",
        "each round joins the rows of one round only, so that the result depends on when a row is found",
        "Join with the table that the recursion walks along instead.",
    )
}

pub fn recursion_union() -> Error {
    Error::unsupported(
        "a union in the recursive part of a query",
        "it follows its rows along one path of joins",
        "Move arms that do not read the recursion to the first part; make one join of the others, over a UNION ALL \
         of what they join with.",
    )
}

pub fn recursion_matched() -> Error {
    Error::unsupported(
        "an outer, semi or anti join in the recursive part of a query",
        "a row that comes to the joined table can take rows from the recursion, or change how often they count",
        "Join in the recursive part, and do the rest outside of it, over all its rows.",
    )
}

pub fn recursion_under(operator: &str) -> Error {
    Error::unsupported(
        &format!("recursion under {operator}"),
        "it sees the rows of one round only, so that the result depends on when a row is found",
        "Do it outside of the recursive query, over all its rows.",
    )
}

pub fn recursion_limited() -> Error {
    Error::unsupported(
        "LIMIT without ORDER BY over a recursive UNION ALL",
        "it may be all that ends the recursion, whose rows are kept as a whole",
        "End the recursion in its second arm, with WHERE, or say in which ORDER BY its rows are the first.",
    )
}

pub fn recursion_looks(column: &Ident) -> Error {
    Error::unsupported(
        &format!("the column {column} of a recursive UNION"),
        "equal values of its type may look different, and which one is kept depends on when it is found",
        "Cast it to a type whose equal values look alike, such as text or numeric with a fixed scale, or use UNION ALL.",
    )
}

pub fn whole_row() -> Error {
    Error::unsupported(
        "a whole row used as a value",
        "it changes with columns of the table that the query does not name",
        "Name the columns, as in ROW(t.a, t.b).",
    )
}

pub fn system_column(name: &Ident) -> Error {
    Error::unsupported(
        &format!("the system column {name}"),
        "its value changes without a change of the row's data, and change capture does not see it",
        "Use a column of the table.",
    )
}

pub fn session_value(keyword: &str) -> Error {
    Error::unsupported(
        keyword,
        "its value changes without any change of a table",
        "Compare with it when reading the stream table.",
    )
}

pub fn clock(spelled: &str) -> Error {
    Error::unsupported(
        spelled,
        "the clock is read outside of a comparison of a column with it",
        "Compare a column with a constant distance from now, as in created_at > now() - interval '1 day' or \
         day = current_date, in WHERE, HAVING or the condition of a join, joined to others by AND.",
    )
}

pub fn outer_aggregate(function: &QName) -> Error {
    Error::unsupported(
        &format!("the aggregate {function} of columns of an outer query"),
        "it belongs to the groups of that query, not to those of the subquery that it stands in",
        "Compute it in a subquery in FROM, and refer to its column.",
    )
}

pub fn named_argument(function: &QName) -> Error {
    Error::unsupported(
        &format!("a named argument of the aggregate {function}"),
        "arguments of aggregates are known by their place",
        "Pass the arguments by their order.",
    )
}

pub fn direct_argument(function: &QName) -> Error {
    Error::unsupported(
        &format!("a direct argument of {function} that is not a constant"),
        "it would be another aggregate in each group",
        "Use a constant before WITHIN GROUP.",
    )
}

pub fn ungrouped(column: &Ident) -> Error {
    Error::unsupported(
        &format!("the column {column} outside GROUP BY"),
        "no key among the grouped columns is known to determine it",
        "Add the column to GROUP BY.",
    )
}

pub fn ungroupable(column: &Ident) -> Error {
    Error::unsupported(
        &format!("the column {column} outside GROUP BY"),
        "its type has no equality, so that it cannot be grouped with the key that determines it",
        "Cast the column to a type with equality, such as jsonb or text.",
    )
}
