//! SQL text from the syntax tree, in layout that people read: one clause per line, nested by indentation.
//!
//! The text means the same whatever surrounds it: every operator is parenthesised, every name and
//! constant quoted here. Keywords are capitals, as PostgreSQL prints them: `canon::parse` reads the
//! text back to the same tree.

mod expr;

use std::fmt::{self, Display};

pub(crate) use expr::is_keyword_call;

use crate::expr::TypeName;
use crate::sql::ast::{
    Action, Alias, Arm, Body, Cte, Distinct, Expr, From, Group, Item, JoinKind, JoinOn, Limit, Merge, Order,
    Query, Select, SetOp, Statement, With,
};

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

    /// Items after a clause's keyword: on its line when they fit, else a line each.
    fn list<T>(&mut self, items: &[T], separator: &str, print: impl Fn(&mut Self, &T)) {
        self.nested(|p| {
            let texts: Vec<String> = items.iter().map(|item| p.apart(|p| print(p, item))).collect();
            let width = texts.iter().map(|text| text.len() + separator.len() + 1).sum::<usize>();
            let one_line = width + 2 * p.depth <= WIDTH && !texts.iter().any(|text| text.contains('\n'));
            let leading = separator == "AND";
            for (i, text) in texts.iter().enumerate() {
                match (i, one_line) {
                    (0, _) if one_line || leading || texts.len() == 1 => p.put(" "),
                    (0, _) => p.line(),
                    (_, true) if leading => p.put(" AND "),
                    (_, false) if leading => {
                        p.line();
                        p.put("AND ");
                    }
                    (_, true) => p.put(", "),
                    (_, false) => {
                        p.put(",");
                        p.line();
                    }
                }
                p.put(text);
            }
        });
    }

    fn query(&mut self, q: &Query) {
        let Query { with, body, order_by, limit, offset } = q;
        self.with(with);
        self.body(body);
        if !order_by.is_empty() {
            self.line();
            self.put("ORDER BY");
            self.list(order_by, ",", Self::order);
        }
        if let Some(offset) = offset {
            self.line();
            self.put("OFFSET ");
            self.expr(offset);
        }
        if let Some(limit) = limit {
            self.line();
            self.limit(limit);
        }
    }

    fn limit(&mut self, limit: &Limit) {
        let Limit { count, with_ties } = limit;
        match (count, with_ties) {
            (None, _) => self.put("LIMIT ALL"),
            (Some(count), false) => {
                self.put("LIMIT ");
                self.expr(count);
            }
            (Some(count), true) => {
                self.put("FETCH FIRST (");
                self.expr(count);
                self.put(") ROWS WITH TIES");
            }
        }
    }

    fn with(&mut self, with: &Option<With>) {
        let Some(With { recursive, ctes }) = with else { return };
        self.put(if *recursive { "WITH RECURSIVE" } else { "WITH" });
        for (i, cte) in ctes.iter().enumerate() {
            if i > 0 {
                self.put(",");
            }
            self.line();
            self.cte(cte);
        }
        self.line();
    }

    fn cte(&mut self, cte: &Cte) {
        let Cte { name, columns, materialized, query, comment } = cte;
        if let Some(comment) = comment {
            self.put(format_args!("/* {} */", comment.replace("*/", "* /").replace("/*", "/ *")));
            self.line();
        }
        self.put(name);
        if !columns.is_empty() {
            self.put(format_args!("({})", commas(columns)));
        }
        self.put(match materialized {
            None => " AS (",
            Some(true) => " AS MATERIALIZED (",
            Some(false) => " AS NOT MATERIALIZED (",
        });
        self.block(|p| p.query(query));
        self.put(")");
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

    fn body(&mut self, body: &Body) {
        match body {
            Body::Select(select) => self.select(select),
            Body::Values(rows) => {
                self.put("VALUES");
                self.list(rows, ",", |p, row| {
                    p.put("(");
                    p.exprs(row);
                    p.put(")");
                });
            }
            Body::SetOp { op, all, left, right } => {
                self.operand(left, Some((*op, *all)));
                self.line();
                self.put(match op {
                    SetOp::Union => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                });
                self.put(if *all { " ALL" } else { "" });
                self.line();
                self.operand(right, None);
            }
        }
    }

    /// One side of a set operation. A left side of the same operation needs no parentheses.
    fn operand(&mut self, query: &Query, chain: Option<(SetOp, bool)>) {
        let Query { with, body, order_by, limit, offset } = query;
        let bare = with.is_none() && order_by.is_empty() && limit.is_none() && offset.is_none();
        let simple = match body {
            Body::Select(_) | Body::Values(_) => true,
            Body::SetOp { op, all, .. } => Some((*op, *all)) == chain,
        };
        match bare && simple {
            true => self.body(body),
            false => self.subquery(query),
        }
    }

    fn select(&mut self, select: &Select) {
        let Select { distinct, items, from, filter, group_by, having, windows } = select;
        self.put("SELECT");
        match distinct {
            Distinct::No => {}
            Distinct::Rows => self.put(" DISTINCT"),
            Distinct::On(keys) => {
                self.put(" DISTINCT ON (");
                self.exprs(keys);
                self.put(")");
            }
        }
        self.list(items, ",", |p, Item { expr, alias }| {
            p.expr(expr);
            if let Some(alias) = alias {
                p.put(format_args!(" AS {alias}"));
            }
        });
        if !from.is_empty() {
            self.line();
            self.put("FROM");
            self.list(from, ",", Self::from);
        }
        self.condition("WHERE", filter);
        if !group_by.is_empty() {
            self.line();
            self.put("GROUP BY");
            self.list(group_by, ",", Self::group);
        }
        self.condition("HAVING", having);
        if !windows.is_empty() {
            self.line();
            self.put("WINDOW");
            self.list(windows, ",", |p, (name, window)| {
                p.put(format_args!("{name} AS "));
                p.window(window);
            });
        }
    }

    /// A clause that is one condition; a conjunction is a line per part.
    fn condition(&mut self, keyword: &str, condition: &Option<Expr>) {
        let Some(condition) = condition else { return };
        self.line();
        self.put(keyword);
        match condition {
            Expr::And(parts) if !parts.is_empty() => self.list(parts, "AND", Self::expr),
            other => self.list(std::slice::from_ref(other), "AND", Self::expr),
        }
    }

    fn group(&mut self, group: &Group) {
        let (keyword, sets) = match group {
            Group::Expr(e) => return self.expr(e),
            Group::Empty => return self.put("()"),
            Group::Rollup(sets) => ("ROLLUP", sets),
            Group::Cube(sets) => ("CUBE", sets),
            Group::Sets(sets) => ("GROUPING SETS", sets),
        };
        self.put(format_args!("{keyword} ("));
        for (i, set) in sets.iter().enumerate() {
            self.put(if i > 0 { ", (" } else { "(" });
            self.exprs(set);
            self.put(")");
        }
        self.put(")");
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Table { name, alias } => {
                self.put(name);
                self.alias(alias);
            }
            From::Derived { query, alias, lateral } => {
                self.put(if *lateral { "LATERAL " } else { "" });
                self.subquery(query);
                self.put(" AS ");
                self.alias_name(alias);
            }
            From::Function { call, alias, lateral, ordinality } => {
                self.put(if *lateral { "LATERAL " } else { "" });
                self.expr(call);
                self.put(if *ordinality { " WITH ORDINALITY" } else { "" });
                self.alias(alias);
            }
            From::Join { alias: None, .. } => self.join(from),
            From::Join { alias, .. } => {
                self.put("(");
                self.block(|p| p.join(from));
                self.put(")");
                self.alias(alias);
            }
        }
    }

    fn alias(&mut self, alias: &Option<Alias>) {
        if let Some(alias) = alias {
            self.put(" AS ");
            self.alias_name(alias);
        }
    }

    fn alias_name(&mut self, Alias { name, columns }: &Alias) {
        self.put(name);
        if !columns.is_empty() {
            let columns = columns.iter().map(|(name, ty)| match ty {
                Some(ty) => format!("{name} {ty}"),
                None => name.to_string(),
            });
            self.put(format_args!("({})", commas(&columns.collect::<Vec<_>>())));
        }
    }

    /// A join, whatever its alias. Joins lean left, so only a join on the right needs parentheses.
    fn join(&mut self, from: &From) {
        let From::Join { kind, left, right, on, alias: _ } = from else { return self.from(from) };
        self.from(left);
        self.line();
        self.put(match kind {
            JoinKind::Inner => "JOIN ",
            JoinKind::Cross => "CROSS JOIN ",
            JoinKind::Left => "LEFT JOIN ",
            JoinKind::Right => "RIGHT JOIN ",
            JoinKind::Full => "FULL JOIN ",
        });
        match &**right {
            From::Join { alias: None, .. } => {
                self.put("(");
                self.block(|p| p.join(right));
                self.put(")");
            }
            other => self.from(other),
        }
        match on {
            JoinOn::None => {}
            JoinOn::On(condition) => {
                self.put(" ON ");
                self.expr(condition);
            }
            JoinOn::Using(columns) => self.put(format_args!(" USING ({})", commas(columns))),
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert { table, columns, query } => {
                self.put(format_args!("INSERT INTO {table} ({})", commas(columns)));
                self.line();
                self.query(query);
            }
            Statement::Delete { table, alias, using, filter, with } => {
                self.with(with);
                self.put(format_args!("DELETE FROM {table} AS {alias}"));
                if !using.is_empty() {
                    self.line();
                    self.put("USING");
                    self.list(using, ",", Self::from);
                }
                self.condition("WHERE", &Some(filter.clone()));
            }
            Statement::Merge(merge) => self.merge(merge),
        }
    }

    fn merge(&mut self, merge: &Merge) {
        let Merge { with, table, alias, source, on, arms } = merge;
        self.with(with);
        self.put(format_args!("MERGE INTO {table} AS {alias}"));
        self.line();
        self.put("USING ");
        self.from(source);
        self.line();
        self.put("ON ");
        self.expr(on);
        for arm in arms {
            self.line();
            self.arm(arm);
        }
    }

    fn arm(&mut self, Arm { matched, condition, action }: &Arm) {
        self.put(if *matched { "WHEN MATCHED" } else { "WHEN NOT MATCHED" });
        if let Some(condition) = condition {
            self.put(" AND ");
            self.expr(condition);
        }
        self.put(" THEN ");
        match action {
            Action::Update(assignments) => {
                self.put("UPDATE SET");
                self.list(assignments, ",", |p, (column, value)| {
                    p.put(format_args!("{column} = "));
                    p.expr(value);
                });
            }
            Action::Delete => self.put("DELETE"),
            Action::Insert(columns, values) => {
                self.put(format_args!("INSERT ({}) VALUES (", commas(columns)));
                self.exprs(values);
                self.put(")");
            }
            Action::Nothing => self.put("DO NOTHING"),
        }
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
