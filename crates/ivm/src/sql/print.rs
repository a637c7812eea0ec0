//! SQL text from the syntax tree, in a layout for readers: one clause a line, nested by indentation.
//!
//! The text means the same whatever surrounds it: every operator is parenthesised, every name and constant quoted here.
//! Keywords are capitals, as PostgreSQL prints them: `canon::parse` reads the text back to the same tree.

mod expr;
mod query;

use std::fmt::Display;

use crate::expr::TypeName;
use crate::sql::ast::{Expr, Query, Statement};
use crate::sql::ident::QName;

/// Lists longer than this get a line per item.
const WIDTH: usize = 100;

/// The text of a query.
pub fn query(query: &Query) -> String {
    Layout::default().query(query)
}

/// The text of a statement, without a semicolon.
pub fn statement(statement: &Statement) -> String {
    Layout::default().statement(statement)
}

/// The text of an expression.
pub fn expr(expr: &Expr) -> String {
    Layout::default().expr(expr)
}

/// Whether a call of this name is an expression of the grammar, whose name is a keyword and no identifier.
pub(crate) fn is_keyword_call(name: &QName) -> bool {
    name.schema.is_none() && ["coalesce", "greatest", "least", "nullif"].contains(&name.name.as_str())
}

/// Where text begins: how many levels deep.
#[derive(Clone, Copy, Default)]
struct Layout {
    depth: usize,
}

impl Layout {
    fn deeper(self) -> Layout {
        Layout { depth: self.depth + 1 }
    }

    /// A line break and the indentation.
    fn line(self) -> String {
        format!("\n{}", "  ".repeat(self.depth))
    }

    /// Whether the texts, side by side, make a line.
    fn fits(self, texts: &[String]) -> bool {
        let width: usize = texts.iter().map(|text| text.len() + 2).sum();
        width + 2 * self.depth <= WIDTH && !texts.iter().any(|text| text.contains('\n'))
    }

    /// Items after a clause's keyword: on its line where they fit, else a line each.
    fn list<T>(self, items: &[T], print: impl Fn(Layout, &T) -> String) -> String {
        let within = self.deeper();
        let texts: Vec<String> = items.iter().map(|item| print(within, item)).collect();
        match within.fits(&texts) || texts.len() == 1 {
            true => format!(" {}", texts.join(", ")),
            false => format!("{0}{1}", within.line(), texts.join(&format!(",{}", within.line()))),
        }
    }

    /// `(`, text on lines of its own, `)`.
    fn block(self, print: impl FnOnce(Layout) -> String) -> String {
        let within = self.deeper();
        format!("({}{}{})", within.line(), print(within), self.line())
    }
}

/// The items with commas between them.
pub fn commas<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

impl Display for TypeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::canon;
    use crate::expr::Expr as Generic;
    use crate::sql::ast::{From, Statement, col};
    use crate::sql::ident::{Ident, QName};

    #[test]
    fn clauses_and_nesting_have_lines_of_their_own() {
        let query = canon::parse(
            "WITH d AS (SELECT t.a, sum(t.w) AS w FROM s.t GROUP BY t.a) SELECT d.a, CASE WHEN (d.w > 0) THEN 1 ELSE 2 END \
             AS b FROM (d JOIN s.u ON (((u.a = d.a) AND (u.b = d.a)))) WHERE ((d.w <> 0) AND (EXISTS ( SELECT 1 FROM s.v \
             WHERE (v.a = d.a)))) UNION ALL (SELECT 1, 2 LIMIT 1) ORDER BY 1",
        )
        .unwrap();
        let expected = "\
WITH
d AS (
  SELECT t.a, sum(t.w) AS w
  FROM s.t
  GROUP BY t.a
)
SELECT d.a, CASE WHEN (d.w > 0) THEN 1 ELSE 2 END AS b
FROM d
  JOIN s.u ON ((u.a = d.a) AND (u.b = d.a))
WHERE (d.w <> 0)
  AND (EXISTS (
    SELECT 1
    FROM s.v
    WHERE (v.a = d.a)
  ))
UNION ALL
(
  SELECT 1, 2
  LIMIT 1
)
ORDER BY 1";
        assert_eq!(super::query(&query), expected);
        assert_eq!(canon::parse(expected).unwrap(), query);
    }

    #[test]
    fn statements_print() {
        let id = || Ident::new("id");
        let same = Generic::equals(col("t", "id"), col("d", "id"));
        let merge = Statement::Update {
            table: QName::qualified("s", "t"),
            alias: Ident::new("t"),
            source: From::table(QName::bare("delta"), "d"),
            on: same.clone(),
            changes: vec![(id(), col("d", "id"))],
        };
        let expected = "\
MERGE INTO s.t AS t
USING delta AS d
ON (t.id = d.id)
WHEN MATCHED THEN UPDATE SET id = d.id";
        assert_eq!(super::statement(&merge), expected);
        let delete = Statement::Delete {
            table: QName::qualified("s", "t"),
            alias: Ident::new("t"),
            using: From::table(QName::bare("delta"), "d"),
            filter: same,
        };
        assert_eq!(super::statement(&delete), "DELETE FROM s.t AS t\nUSING delta AS d\nWHERE (t.id = d.id)");
        let query = canon::parse("SELECT 1 AS id").unwrap();
        let insert = Statement::Insert { table: QName::bare("user"), columns: vec![id()], query };
        assert_eq!(super::statement(&insert), "INSERT INTO \"user\" (id)\nSELECT 1 AS id");
    }
}
