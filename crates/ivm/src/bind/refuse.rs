//! What cannot be maintained by its delta, and what to tell whoever wrote it.
//!
//! Each text answers: what it is, why a change of one row is not enough to follow it, what to write instead.

use crate::error::Error;
use crate::sql::ast::SetOp;
use crate::sql::ident::{Ident, QName};

const JOIN_INSTEAD: &str = "Join with the subquery in FROM instead, if each row finds at most one partner there.";
const VIEW_ON_TOP: &str =
    "Maintain the rest of the query as a stream table, and read it through a view that adds this construct.";

pub fn outer_join() -> Error {
    Error::unsupported(
        "an outer join",
        "a row without a match shows NULLs, and any row of the other side can give it its first match or take its last",
        "Use an inner join if every row has a match.",
    )
}

pub fn lateral() -> Error {
    Error::unsupported(
        "LATERAL",
        "the subquery is a different one for every row on its left",
        "Join with a subquery that does not refer to its neighbours, on their columns.",
    )
}

pub fn function_in_from() -> Error {
    Error::unsupported(
        "a function in FROM",
        "which rows the function returns is not visible to change capture",
        "Keep the function's result in a table, and refer to the table.",
    )
}

pub fn exists() -> Error {
    Error::unsupported(
        "EXISTS (subquery)",
        "whether a row qualifies depends on all rows of the subquery, not on a pair of rows",
        "Join with a SELECT DISTINCT of the subquery's columns in FROM instead of EXISTS; NOT EXISTS has no such form.",
    )
}

pub fn in_query() -> Error {
    Error::unsupported(
        "IN (subquery)",
        "whether a row qualifies depends on all rows of the subquery, not on a pair of rows",
        "Join with a SELECT DISTINCT of the subquery in FROM instead of IN; NOT IN has no such form.",
    )
}

pub fn scalar_query() -> Error {
    Error::unsupported(
        "a subquery used as a value",
        "one changed row of the subquery changes the value in every row that shows it",
        JOIN_INSTEAD,
    )
}

pub fn quantified_query() -> Error {
    Error::unsupported(
        "ANY or ALL (subquery)",
        "whether a row qualifies depends on all rows of the subquery, not on a pair of rows",
        "Join with an aggregate in FROM, such as the minimum or maximum of the subquery.",
    )
}

pub fn array_of_query() -> Error {
    Error::unsupported(
        "ARRAY(subquery)",
        "one changed row of the subquery changes the whole array",
        "Join with a subquery in FROM that uses array_agg and GROUP BY.",
    )
}

pub fn window() -> Error {
    Error::unsupported(
        "a window function",
        "one changed row can change the result of every other row of its partition",
        VIEW_ON_TOP,
    )
}

pub fn set_function(name: &QName) -> Error {
    Error::unsupported(
        &format!("the set-returning function {name}"),
        "one row becomes several in the select list",
        VIEW_ON_TOP,
    )
}

pub fn distinct_on() -> Error {
    Error::unsupported(
        "DISTINCT ON",
        "when a shown row goes, the next one in order takes its place, and it is not among the changes",
        "Use min or max with GROUP BY if the order is that of a shown column.",
    )
}

pub fn limit() -> Error {
    Error::unsupported(
        "LIMIT or OFFSET",
        "when a shown row goes, the next one in order takes its place, and it is not among the changes",
        "Maintain all rows as a stream table, and apply the limit when reading it.",
    )
}

pub fn set_operation(op: SetOp) -> Error {
    let (construct, hint) = match op {
        SetOp::Intersect => {
            ("INTERSECT", "Use SELECT DISTINCT from an inner join on all columns if none of them is null.")
        }
        SetOp::Union | SetOp::Except => ("EXCEPT", VIEW_ON_TOP),
    };
    Error::unsupported(construct, "whether a row is shown depends on how often it is in both inputs", hint)
}

pub fn grouping_sets() -> Error {
    Error::unsupported(
        "GROUPING SETS, ROLLUP or CUBE",
        "a row belongs to several groups of different columns",
        "Use UNION ALL of one GROUP BY query for each grouping.",
    )
}

pub fn recursion(name: &Ident) -> Error {
    Error::unsupported(
        &format!("the recursive query {name}"),
        "one changed row can change rows that are any number of steps away",
        "Write a fixed number of steps as joins.",
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
