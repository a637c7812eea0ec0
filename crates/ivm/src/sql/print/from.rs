//! FROM items as text.

use super::{Printer, commas};
use crate::sql::ast::{Alias, From, JoinKind, JoinOn};

impl Printer {
    pub(super) fn from(&mut self, from: &From) {
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
                let text = self.apart(|p| p.expr(condition));
                match self.fits(std::slice::from_ref(&text)) {
                    true => self.put(format_args!(" ON {text}")),
                    false => {
                        self.put(" ON");
                        self.conjunction(condition);
                    }
                }
            }
            JoinOn::Using(columns) => self.put(format_args!(" USING ({})", commas(columns))),
        }
    }
}
