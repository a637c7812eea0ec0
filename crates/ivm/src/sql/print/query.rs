//! Queries and statements as text.

use super::{Layout, commas};
use crate::sql::ast::{
    Alias, Body, Cte, Distinct, Expr, From, Group, Item, JoinOn, Limit, Query, Select, SetOp, Statement, With,
};
use crate::words::Word;

impl Layout {
    pub fn query(self, query: &Query) -> String {
        let Query { with, body, order_by, limit, offset } = query;
        let mut text = with.as_ref().map(|with| self.with(with)).unwrap_or_default() + &self.body(body);
        if !order_by.is_empty() {
            text += &format!("{}ORDER BY{}", self.line(), self.list(order_by, Layout::order));
        }
        if let Some(offset) = offset {
            text += &format!("{}OFFSET {}", self.line(), self.expr(offset));
        }
        if let Some(limit) = limit {
            text += &self.line();
            text += &self.limit(limit);
        }
        text
    }

    pub fn subquery(self, query: &Query) -> String {
        self.block(|within| within.query(query))
    }

    fn limit(self, Limit { count, with_ties }: &Limit) -> String {
        match (count, with_ties) {
            (None, _) => "LIMIT ALL".to_owned(),
            (Some(count), false) => format!("LIMIT {}", self.expr(count)),
            (Some(count), true) => format!("FETCH FIRST ({}) ROWS WITH TIES", self.expr(count)),
        }
    }

    fn with(self, With { recursive, ctes }: &With) -> String {
        let word = if *recursive { "WITH RECURSIVE" } else { "WITH" };
        let ctes: Vec<String> = ctes.iter().map(|cte| format!("{}{}", self.line(), self.cte(cte))).collect();
        format!("{word}{}{}", ctes.join(","), self.line())
    }

    fn cte(self, Cte { name, columns, materialized, query }: &Cte) -> String {
        let columns = if columns.is_empty() { String::new() } else { format!("({})", commas(columns)) };
        let word = match materialized {
            None => "AS",
            Some(true) => "AS MATERIALIZED",
            Some(false) => "AS NOT MATERIALIZED",
        };
        format!("{name}{columns} {word} {}", self.subquery(query))
    }

    fn body(self, body: &Body) -> String {
        match body {
            Body::Select(select) => self.select(select),
            Body::Values(rows) => format!("VALUES{}", self.list(rows, |l, row| format!("({})", l.exprs(row)))),
            Body::SetOp { op, all, left, right } => {
                let (left, right) = (self.operand(left, Some((*op, *all))), self.operand(right, None));
                format!("{left}{line}{}{}{line}{right}", op.text(), if *all { " ALL" } else { "" }, line = self.line())
            }
        }
    }

    /// One side of a set operation. A left side of the same operation needs no parentheses.
    fn operand(self, query: &Query, chain: Option<(SetOp, bool)>) -> String {
        let Query { with, body, order_by, limit, offset } = query;
        let bare = with.is_none() && order_by.is_empty() && limit.is_none() && offset.is_none();
        let simple = match body {
            Body::Select(_) | Body::Values(_) => true,
            Body::SetOp { op, all, .. } => Some((*op, *all)) == chain,
        };
        if bare && simple { self.body(body) } else { self.subquery(query) }
    }

    fn select(self, select: &Select) -> String {
        let Select { distinct, items, from, filter, group_once, group_by, having, windows } = select;
        let mut text = match distinct {
            Distinct::No => "SELECT".to_owned(),
            Distinct::Rows => "SELECT DISTINCT".to_owned(),
            Distinct::On(keys) => format!("SELECT DISTINCT ON ({})", self.exprs(keys)),
        };
        text += &self.list(items, |l, Item { expr, alias }| match alias {
            Some(alias) => format!("{} AS {alias}", l.expr(expr)),
            None => l.expr(expr),
        });
        if !from.is_empty() {
            text += &format!("{}FROM{}", self.line(), self.list(from, Layout::from));
        }
        text += &self.condition("WHERE", filter);
        if !group_by.is_empty() {
            let word = if *group_once { "GROUP BY DISTINCT" } else { "GROUP BY" };
            text += &format!("{}{word}{}", self.line(), self.list(group_by, Layout::group));
        }
        text += &self.condition("HAVING", having);
        if !windows.is_empty() {
            let window = self.list(windows, |l, (name, window)| format!("{name} AS {}", l.window(window)));
            text += &format!("{}WINDOW{window}", self.line());
        }
        text
    }

    fn condition(self, keyword: &str, condition: &Option<Expr>) -> String {
        let text = |condition| format!("{}{keyword}{}", self.line(), self.conjunction(condition));
        condition.as_ref().map(text).unwrap_or_default()
    }

    /// A condition after its keyword; a conjunction that does not fit is a line per part.
    fn conjunction(self, condition: &Expr) -> String {
        let parts = match condition {
            Expr::And(parts) if !parts.is_empty() => &parts[..],
            other => std::slice::from_ref(other),
        };
        let within = self.deeper();
        let texts: Vec<String> = parts.iter().map(|part| within.expr(part)).collect();
        let between = if within.fits(&texts) { " AND ".to_owned() } else { format!("{}AND ", within.line()) };
        format!(" {}", texts.join(&between))
    }

    fn group(self, group: &Group) -> String {
        let (keyword, sets) = match group {
            Group::Expr(e) => return self.expr(e),
            Group::Empty => return "()".to_owned(),
            Group::Rollup(sets) => ("ROLLUP", sets),
            Group::Cube(sets) => ("CUBE", sets),
            Group::Sets(sets) => ("GROUPING SETS", sets),
        };
        format!("{keyword} ({})", commas(sets.iter().map(|set| format!("({})", self.exprs(set)))))
    }

    fn from(self, from: &From) -> String {
        let is_lateral = |lateral: &bool| if *lateral { "LATERAL " } else { "" };
        match from {
            From::Table { name, alias } => format!("{name}{}", aliased(alias.as_ref())),
            From::Derived { query, alias, lateral } => {
                format!("{}{}{}", is_lateral(lateral), self.subquery(query), aliased(Some(alias)))
            }
            From::Function { call, alias, lateral, ordinality } => {
                let ordinality = if *ordinality { " WITH ORDINALITY" } else { "" };
                format!("{}{}{ordinality}{}", is_lateral(lateral), self.expr(call), aliased(alias.as_ref()))
            }
            From::Join { alias: None, .. } => self.join(from),
            From::Join { alias, .. } => {
                format!("{}{}", self.block(|within| within.join(from)), aliased(alias.as_ref()))
            }
        }
    }

    /// A join without its alias. Joins lean left, so only a join on the right needs parentheses.
    fn join(self, from: &From) -> String {
        let From::Join { kind, left, right, on, alias: _ } = from else { return self.from(from) };
        let right = match &**right {
            From::Join { alias: None, .. } => self.block(|within| within.join(right)),
            other => self.from(other),
        };
        let on = match on {
            JoinOn::None => String::new(),
            JoinOn::On(condition) => {
                let text = self.expr(condition);
                match self.fits(std::slice::from_ref(&text)) {
                    true => format!(" ON {text}"),
                    false => format!(" ON{}", self.conjunction(condition)),
                }
            }
            JoinOn::Using(columns) => format!(" USING ({})", commas(columns)),
        };
        format!("{}{}{} {right}{on}", self.from(left), self.line(), kind.text())
    }

    pub fn statement(self, statement: &Statement) -> String {
        let line = self.line();
        match statement {
            Statement::Insert { table, columns, query } => {
                format!("INSERT INTO {table} ({}){line}{}", commas(columns), self.query(query))
            }
            Statement::Delete { table, alias, using, filter } => {
                let using = self.list(std::slice::from_ref(using), Layout::from);
                format!("DELETE FROM {table} AS {alias}{line}USING{using}{line}WHERE{}", self.conjunction(filter))
            }
            Statement::Update { table, alias, source, on, changes } => {
                let (source, on) = (self.from(source), self.expr(on));
                let changes = self.list(changes, |l, (column, value)| format!("{column} = {}", l.expr(value)));
                format!(
                    "MERGE INTO {table} AS {alias}{line}USING {source}{line}ON {on}{line}WHEN MATCHED THEN UPDATE SET{changes}"
                )
            }
        }
    }
}

fn aliased(alias: Option<&Alias>) -> String {
    let Some(Alias { name, columns }) = alias else { return String::new() };
    if columns.is_empty() {
        return format!(" AS {name}");
    }
    let columns = columns.iter().map(|(name, ty)| match ty {
        Some(ty) => format!("{name} {ty}"),
        None => name.to_string(),
    });
    format!(" AS {name}({})", commas(columns))
}
