//! A query, and what it takes for a table to hold its answer.
//!
//! Law: a table is right when it equals the query as a multiset. Where ORDER BY … LIMIT leaves open which of
//! several equally ranked rows come last, the query has several right answers. T is one of them exactly when
//! T ⊆ the query without its LIMIT, and the sort keys of T are those of the query: then every row that ranks
//! before the last one is in T as often as it should be, and the others rank with the last one.

/// A query by its name.
#[derive(Clone, Copy)]
pub struct Query {
    pub name: &'static str,
    pub sql: &'static str,
    /// The output columns of an ORDER BY … LIMIT that is not a total order.
    pub ties: Option<&'static str>,
}

impl Query {
    /// A query whose answer is one multiset.
    pub const fn exact(name: &'static str, sql: &'static str) -> Query {
        Query { name, sql, ties: None }
    }

    /// A query that ends in a LIMIT after a sort by output columns in which rows may be equal.
    pub const fn tied(name: &'static str, sql: &'static str, keys: &'static str) -> Query {
        Query { name, sql, ties: Some(keys) }
    }

    /// SQL with one row for each of up to five differences of either kind between `table` and the query, of
    /// which `answer` is SQL too: the query itself, or one that reads what it answered in the same snapshot.
    /// Rows are compared as text, which is equal only where the values are.
    pub fn differences(&self, table: &str, answer: &str) -> String {
        match self.ties {
            None => format!(
                "with answer as materialized ({answer})
                 {}
                 union all
                 {}",
                surplus("only in the table", &rows(table, "t"), &rows("answer", "a")),
                surplus("only in the query", &rows("answer", "a"), &rows(table, "t")),
            ),
            Some(keys) => format!(
                "with answer as materialized ({answer}),
                      candidates as materialized ({})
                 {}
                 union all
                 {}
                 union all
                 {}",
                self.unlimited(),
                surplus("not in the query", &rows(table, "t"), &rows("candidates", "c")),
                surplus("ranks too low", &ranks(table, keys), &ranks("answer", keys)),
                surplus("ranks and is missing", &ranks("answer", keys), &ranks(table, keys)),
            ),
        }
    }

    /// The query without its LIMIT.
    fn unlimited(&self) -> &'static str {
        self.sql.rsplit_once("limit ").map_or(self.sql, |(before, _)| before)
    }
}

fn rows(relation: &str, alias: &str) -> String {
    format!("select {alias}::text as r from {relation} as {alias}")
}

fn ranks(relation: &str, keys: &str) -> String {
    format!("select row({keys})::text as r from {relation}")
}

fn surplus(what: &str, left: &str, right: &str) -> String {
    format!("(select '{what}: ' || r from ({left} except all {right}) as surplus limit 5)")
}

#[cfg(test)]
mod tests {
    use crate::{nexmark, tpch};

    #[test]
    fn only_ties_lose_their_limit() {
        for query in tpch::QUERIES.iter().chain(&nexmark::QUERIES) {
            let limited = query.sql.contains("limit ");
            assert_eq!(query.unlimited() != query.sql, limited, "{}", query.name);
            assert!(limited || query.ties.is_none(), "{} has ties and no limit", query.name);
        }
    }
}
