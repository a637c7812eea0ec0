//! Statements that change a table, as text.

use super::{Printer, commas};
use crate::sql::ast::{Action, Arm, Merge, Statement};

impl Printer {
    pub(super) fn statement(&mut self, statement: &Statement) {
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
                    self.list(using, Self::from);
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
                self.list(assignments, |p, (column, value)| {
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
}
