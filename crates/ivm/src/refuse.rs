//! Queries that cannot be maintained by their deltas. Each text says what it is, why the change of one row is not enough
//! to maintain it, and what to write instead.

use crate::error::Error;
use crate::sql::ident::{Ident, QName};

const VIEW_ON_TOP: &str =
    "Maintain the rest of the query as a stream table, and read it through a view that adds this construct.";
pub const UNKNOWN: &str = "the incremental compiler does not know this construct";

/// A function for each refusal, which returns the error.
macro_rules! refusals {
    ($($name:ident($($arg:ident: $ty:ty),*) $construct:literal $reason:expr, $hint:expr;)*) => {$(
        pub fn $name($($arg: $ty),*) -> Error {
            Error::unsupported(format_args!($construct), $reason, $hint)
        }
    )*};
}

// What cannot be read.
refusals! {
    too_deep(depth: usize) "a query nested more than {depth} levels deep"
        "each level takes stack, of which a server process has little",
        "Split the query into several stream tables.";
    no_columns() "a select list without columns"
        "its rows hold nothing to store",
        "Select at least one column.";
    unknown(construct: &str) "{construct}"
        UNKNOWN,
        "Use a function of the same meaning.";
    not_a_call(construct: &str) "{construct} in FROM"
        "it is not a call of a function",
        "Put it into the select list of a subquery.";
    using_alias() "JOIN USING with an alias"
        UNKNOWN,
        "Name the columns by the joined tables.";
    keyword_name(function: &QName) "a function named {function}"
        "its name is a construct of SQL",
        "Rename the function.";
}

// What a stored result cannot hold, or no change of a table announces.
refusals! {
    whole_row() "a whole row used as a value"
        "it changes with columns of the table that the query does not name",
        "Name the columns, as in ROW(t.a, t.b).";
    system_column(name: &Ident) "the system column {name}"
        "its value changes without a change of the row's data, and change capture does not see it",
        "Use a column of the table.";
    session_value(keyword: &str) "{keyword}"
        "its value changes without any change of a table",
        "Compare with it when reading the stream table.";
    clock(spelling: &str) "{spelling}"
        "the clock is read outside of a comparison of a column with it",
        "Compare a column with a constant distance from now, as in created_at > now() - interval '1 day' or day = current_date.";
    clock_values(most: usize) "more than {most} comparisons with the clock in one clause"
        "each doubles the number of parts into which the rows are divided",
        "Compute some of them in a subquery in FROM that groups by a key, or in another stream table, and join with it.";
    unnamed_row_type() "a row without a named type that must be stored"
        "an internal table holds it, and PostgreSQL stores rows of named types only",
        "Cast it to a composite type, or group by its columns.";
    mixed_group_types() "keys of types that can only be sorted together with others that can only be hashed"
        "PostgreSQL cannot group by both together, which a delta requires",
        "Cast one of them to text where it is compared or grouped by.";
}

// Subqueries, aggregates and grouping.
refusals! {
    correlated() "a UNION, a FULL JOIN or an ungrouped column in a subquery that refers to the query around it"
        "the types of its columns depend on that query",
        "Join with a subquery in FROM that does not refer to its neighbours.";
    hypothetical(function: &QName) "the hypothetical-set aggregate {function}"
        "its name does not tell it from the window function of the same name",
        VIEW_ON_TOP;
    outer_aggregate(function: &QName) "the aggregate {function} of columns of an outer query"
        "it belongs to the groups of that query, not to those of the subquery in which it stands",
        "Compute it in a subquery in FROM, and refer to its column.";
    named_argument(function: &QName) "a named argument of the aggregate {function}"
        "arguments of aggregates are matched by their positions",
        "Pass the arguments in their order.";
    direct_argument(function: &QName) "a direct argument of {function} that is not a constant"
        "each group would have an aggregate of its own",
        "Use a constant before WITHIN GROUP.";
    ungrouped(column: &Ident) "the column {column} outside GROUP BY"
        "no key among the grouped columns is known to determine it",
        "Add the column to GROUP BY.";
    ungroupable(column: &Ident) "the column {column} outside GROUP BY"
        "its type has no equality, so it cannot be grouped with the key that determines it",
        "Cast the column to a type with equality, such as jsonb or text.";
    too_many_grouping_sets(most: usize) "more than {most} grouping sets"
        "every set has a state table of its own, and a changed row changes a group in each",
        "Use ROLLUP or fewer columns, or a stream table for each set.";
    constant_among_sets() "a constant among several grouping sets"
        "it is NULL where a set leaves it out, which PostgreSQL's planner ignores when a query around it compares it",
        "Group by columns, and add the constant in a query around this one.";
    rows_without_columns() "INTERSECT or EXCEPT of rows without columns"
        "there is no column by which to count the rows of either side",
        "Name a column on both sides.";
}

// Subqueries that are not joined.
refusals! {
    misplaced() "a subquery at this place"
        "only those in WHERE, HAVING, inner join conditions and select lists are joined",
        "Compute it in a subquery in FROM, and refer to its column.";
    unliftable() "a subquery that refers to the query around it"
        "it depends on that query by more than conditions on its rows, so that it would run once for every row",
        "Join with a subquery in FROM on equal columns, or compare with =.";
    unliftable_few() "min(), max() or LIMIT in a subquery that compares columns of the query around it by more than equality"
        "an index may lead to the one row that decides, while a join has all rows that satisfy the condition",
        "Compare by equality, or compute it when reading the stream table.";
    unliftable_null() "a subquery that refers to the query around it"
        "it may have rows where a column of that query is NULL, which equals nothing",
        "Compare the column with =, <> or <, declare it NOT NULL, or use coalesce() in a subquery in FROM around it.";
    unliftable_value_of(ty: &str) "a subquery that computes with a column of type {ty} of the query around it"
        "equal values of the type may look different, and the subquery is computed once for all of them",
        "Only compare the column, or cast it in a subquery in FROM to a type whose equal values look alike, such as text.";
    unliftable_value() "this subquery as a value"
        "only (SELECT …), EXISTS, IN, and ANY and ALL with a comparison such as = or < are joined where they are not conditions of WHERE",
        "Join with a subquery in FROM instead.";
    several_rows() "a subquery that may return several rows where one value is wanted"
        "no key of its tables and no aggregate keeps it to one row",
        "Use an aggregate such as max(), ORDER BY with LIMIT 1, or add the unique key that makes it one row.";
    conditional() "a subquery under CASE, AND, OR or COALESCE that compares an expression over columns of the query around it"
        "joined with that query it is computed for every row, also for those that the condition excludes, where it may fail",
        "Compute it in a subquery in FROM, for the rows for which it can be computed, and compare its column.";
}

// Windows and orders.
refusals! {
    window_aggregate(function: &QName) "DISTINCT or ORDER BY in the window aggregate {function}"
        "PostgreSQL has no such window aggregates",
        "Use the ORDER BY of the window.";
    window_over_sets() "a window function in a query with several grouping sets"
        "its partitions hold rows of all the sets, and each set is computed separately",
        "Group in a subquery in FROM, and use the window function around it.";
    limit() "a LIMIT or OFFSET that is not a constant"
        "the number of rows shown changes with the rows from which it is computed",
        "Compare row_number() with it in a query around this one.";
    row_order(what: &str) "{what} over rows in the order of a subquery"
        "the order of the subquery's rows is not stored, so a changed row has no position in it",
        "Write the order where it matters: with LIMIT or DISTINCT ON, in the aggregate as in array_agg(x ORDER BY y), or in \
         the window.";
}

// Recursion.
refusals! {
    recursion(name: &Ident) "the recursive query {name}"
        "it is read before it is complete, outside of the second arm of its own UNION",
        "Write each query of WITH before those that read it, and let a recursive query read itself once, in its second arm.";
    recursion_twice() "a recursive query that joins its rows with each other"
        "each round joins the rows of one round only, so the result depends on when a row is found",
        "Join with the table that the recursion walks along instead.";
    recursion_union() "a union in the recursive part of a query"
        "its rows are maintained along one path of joins",
        "Move arms that do not read the recursion to the first part; make one join of the others, over a UNION ALL of the \
         relations that they join with.";
    recursion_matched() "an outer, semi or anti join in the recursive part of a query"
        "a row that is inserted into the joined table can remove rows from the recursion, or change how often they count",
        "Join in the recursive part, and do the rest outside of it, over all its rows.";
    recursion_under(operator: &str) "recursion under {operator}"
        "it sees the rows of one round only, so the result depends on when a row is found",
        "Do it outside of the recursive query, over all its rows.";
    recursion_limited() "LIMIT without ORDER BY over a recursive UNION ALL"
        "it may be all that ends the recursion, whose rows are stored as a whole",
        "End the recursion in its second arm, with WHERE, or add an ORDER BY to the LIMIT.";
    recursion_image(column: &Ident) "the column {column} of a recursive UNION"
        "equal values of its type may look different, and which of them is stored depends on when it is found",
        "Cast it to a type whose equal values look alike, such as text or numeric with a fixed scale, or use UNION ALL.";
}
