//! Calls, windows and sort keys as text.

use super::Printer;
use super::expr::operator;
use crate::expr::{Argument, Bound, Direction, Frame, FrameUnit, Over};
use crate::sql::ast::{Call, Name, Order, Query, Window};
use crate::sql::ident::{Ident, QName};

impl Printer {
    pub(super) fn call(&mut self, call: &Call) {
        let Call { name, args, star, distinct, order_by, within_group, filter, over } = call;
        match is_keyword_call(name) {
            true => self.put(name.name.as_str().to_ascii_uppercase()),
            false => self.put(name),
        }
        self.put(if *distinct { "(DISTINCT " } else { "(" });
        self.put(if *star { "*" } else { "" });
        for (i, Argument { name, variadic, value }) in args.iter().enumerate() {
            self.put(if i > 0 { ", " } else { "" });
            self.put(if *variadic { "VARIADIC " } else { "" });
            if let Some(name) = name {
                self.put(format_args!("{name} => "));
            }
            self.expr(value);
        }
        if !order_by.is_empty() {
            self.put(" ORDER BY ");
            self.orders(order_by);
        }
        self.put(")");
        if !within_group.is_empty() {
            self.put(" WITHIN GROUP (ORDER BY ");
            self.orders(within_group);
            self.put(")");
        }
        if let Some(filter) = filter {
            self.put(" FILTER (WHERE ");
            self.expr(filter);
            self.put(")");
        }
        match over {
            None => {}
            Some(Over::Named(name)) => self.put(format_args!(" OVER {name}")),
            Some(Over::Window(window)) => {
                self.put(" OVER ");
                self.window(window);
            }
        }
    }

    pub(super) fn window(&mut self, window: &Window) {
        let Window { base, partition_by, order_by, frame } = window;
        let mut clauses: Vec<String> = base.iter().map(Ident::to_string).collect();
        if !partition_by.is_empty() {
            clauses.push(format!("PARTITION BY {}", self.apart(|p| p.exprs(partition_by))));
        }
        if !order_by.is_empty() {
            clauses.push(format!("ORDER BY {}", self.apart(|p| p.orders(order_by))));
        }
        if let Some(frame) = frame {
            clauses.push(self.apart(|p| p.frame(frame)));
        }
        self.put(format_args!("({})", clauses.join(" ")));
    }

    fn frame(&mut self, Frame { unit, start, end }: &Frame<Name, Query>) {
        self.put(match unit {
            FrameUnit::Rows => "ROWS ",
            FrameUnit::Range => "RANGE ",
            FrameUnit::Groups => "GROUPS ",
        });
        self.put(if end.is_some() { "BETWEEN " } else { "" });
        self.bound(start);
        if let Some(end) = end {
            self.put(" AND ");
            self.bound(end);
        }
    }

    fn bound(&mut self, bound: &Bound<Name, Query>) {
        match bound {
            Bound::UnboundedPreceding => self.put("UNBOUNDED PRECEDING"),
            Bound::CurrentRow => self.put("CURRENT ROW"),
            Bound::UnboundedFollowing => self.put("UNBOUNDED FOLLOWING"),
            Bound::Preceding(offset) => {
                self.expr(offset);
                self.put(" PRECEDING");
            }
            Bound::Following(offset) => {
                self.expr(offset);
                self.put(" FOLLOWING");
            }
        }
    }

    pub(super) fn order(&mut self, Order { expr, direction, nulls_first }: &Order) {
        self.expr(expr);
        match direction {
            Direction::Ascending => {}
            Direction::Descending => self.put(" DESC"),
            Direction::Using(op) => self.put(format_args!(" USING {}", operator(op))),
        }
        match nulls_first {
            None => {}
            Some(true) => self.put(" NULLS FIRST"),
            Some(false) => self.put(" NULLS LAST"),
        }
    }
}

/// Expressions of the grammar that look like calls: their names are keywords, not identifiers.
pub(crate) fn is_keyword_call(name: &QName) -> bool {
    name.schema.is_none() && ["coalesce", "greatest", "least", "nullif"].contains(&name.name.as_str())
}
