//! SQL text from the syntax tree, in layout that people read: one clause per line, nested by indentation.
//!
//! The text means the same whatever surrounds it: every operator is parenthesised, every name and
//! constant quoted here. Keywords are capitals, as PostgreSQL prints them: `canon::parse` reads the
//! text back to the same tree.

mod call;
mod expr;
mod from;
mod query;
mod special;
mod statement;

use std::fmt::{self, Display};

pub(crate) use call::is_keyword_call;

use crate::expr::TypeName;
use crate::sql::ast::{Expr, Order, Query, Statement};

/// Lists longer than this get a line per item.
const WIDTH: usize = 100;

/// The text of a query.
pub fn query(query: &Query) -> String {
    Printer::print(|p| p.query(query))
}

/// The text of a statement, without a semicolon.
pub fn statement(statement: &Statement) -> String {
    Printer::print(|p| p.statement(statement))
}

/// The text of an expression.
pub fn expr(expr: &Expr) -> String {
    Printer::print(|p| p.expr(expr))
}

impl Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Default)]
struct Printer {
    out: String,
    depth: usize,
}

impl Printer {
    fn print(f: impl FnOnce(&mut Printer)) -> String {
        let mut printer = Printer::default();
        f(&mut printer);
        printer.out
    }

    fn put(&mut self, text: impl Display) {
        self.out.push_str(&text.to_string());
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn nested(&mut self, f: impl FnOnce(&mut Self)) {
        self.depth += 1;
        f(self);
        self.depth -= 1;
    }

    /// `f`'s text, apart.
    fn apart(&mut self, f: impl FnOnce(&mut Self)) -> String {
        let saved = std::mem::take(&mut self.out);
        f(self);
        std::mem::replace(&mut self.out, saved)
    }

    /// Whether the texts, side by side, make a line.
    fn fits(&self, texts: &[String]) -> bool {
        let width: usize = texts.iter().map(|text| text.len() + 2).sum();
        width + 2 * self.depth <= WIDTH && !texts.iter().any(|text| text.contains('\n'))
    }

    /// Items after a clause's keyword: on its line when they fit, else a line each.
    fn list<T>(&mut self, items: &[T], print: impl Fn(&mut Self, &T)) {
        self.nested(|p| {
            let texts: Vec<String> = items.iter().map(|item| p.apart(|p| print(p, item))).collect();
            if p.fits(&texts) || texts.len() == 1 {
                return p.put(format_args!(" {}", texts.join(", ")));
            }
            for (i, text) in texts.iter().enumerate() {
                p.put(if i > 0 { "," } else { "" });
                p.line();
                p.put(text);
            }
        });
    }

    /// A condition after its keyword; a conjunction that does not fit is a line per part.
    fn conjunction(&mut self, condition: &Expr) {
        let parts = match condition {
            Expr::And(parts) if !parts.is_empty() => &parts[..],
            other => std::slice::from_ref(other),
        };
        self.nested(|p| {
            let texts: Vec<String> = parts.iter().map(|part| p.apart(|p| p.expr(part))).collect();
            let one_line = p.fits(&texts);
            for (i, text) in texts.iter().enumerate() {
                if i > 0 && !one_line {
                    p.line();
                    p.put("AND");
                } else if i > 0 {
                    p.put(" AND");
                }
                p.put(format_args!(" {text}"));
            }
        });
    }

    /// `f`'s text on lines of its own, one level deeper.
    fn block(&mut self, f: impl FnOnce(&mut Self)) {
        self.nested(|p| {
            p.line();
            f(p);
        });
        self.line();
    }

    fn subquery(&mut self, query: &Query) {
        self.put("(");
        self.block(|p| p.query(query));
        self.put(")");
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        for (i, e) in exprs.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.expr(e);
        }
    }

    fn orders(&mut self, keys: &[Order]) {
        for (i, key) in keys.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.order(key);
        }
    }
}

fn commas<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::canon;
    use crate::expr::Expr as Generic;
    use crate::sql::ast::{Action, Arm, From, Merge, Statement, bare, col};
    use crate::sql::ident::{Ident, QName};

    #[test]
    fn clauses_and_nesting_have_lines_of_their_own() {
        let mut query = canon::parse(
            "WITH d AS (SELECT t.a, sum(t.w) AS w FROM s.t GROUP BY t.a) SELECT d.a, CASE WHEN (d.w > 0) THEN 1 ELSE 2 END \
             AS b FROM (d JOIN s.u ON (((u.a = d.a) AND (u.b = d.a)))) WHERE ((d.w <> 0) AND (EXISTS ( SELECT 1 FROM s.v \
             WHERE (v.a = d.a)))) UNION ALL (SELECT 1, 2 LIMIT 1) ORDER BY 1",
        )
        .unwrap();
        query.with.as_mut().unwrap().ctes[0].comment = Some("Δ */ γ".to_owned());
        let expected = "\
WITH
/* Δ * / γ */
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
        query.with.as_mut().unwrap().ctes[0].comment = None;
        assert_eq!(canon::parse(expected).unwrap(), query);
    }

    #[test]
    fn statements_print() {
        let id = || Ident::new("id");
        let same = Generic::equals(col("t", "id"), col("d", "id"));
        let merge = Statement::Merge(Box::new(Merge {
            with: None,
            table: QName::qualified("s", "t"),
            alias: Ident::new("t"),
            source: From::table(QName::bare("delta"), "d"),
            on: same.clone(),
            arms: vec![
                Arm { matched: true, condition: Some(bare("gone")), action: Action::Delete },
                Arm { matched: true, condition: None, action: Action::Update(vec![(id(), col("d", "id"))]) },
                Arm { matched: false, condition: None, action: Action::Insert(vec![id()], vec![col("d", "id")]) },
            ],
        }));
        let expected = "\
MERGE INTO s.t AS t
USING delta AS d
ON (t.id = d.id)
WHEN MATCHED AND gone THEN DELETE
WHEN MATCHED THEN UPDATE SET id = d.id
WHEN NOT MATCHED THEN INSERT (id) VALUES (d.id)";
        assert_eq!(super::statement(&merge), expected);
        let delete = Statement::Delete {
            table: QName::qualified("s", "t"),
            alias: Ident::new("t"),
            using: vec![From::table(QName::bare("delta"), "d")],
            filter: same,
            with: None,
        };
        assert_eq!(super::statement(&delete), "DELETE FROM s.t AS t\nUSING delta AS d\nWHERE (t.id = d.id)");
        let query = canon::parse("SELECT 1 AS id").unwrap();
        let insert = Statement::Insert { table: QName::bare("user"), columns: vec![id()], query };
        assert_eq!(super::statement(&insert), "INSERT INTO \"user\" (id)\nSELECT 1 AS id");
    }
}
