//! Expressions as text: every operator in its own parentheses, so no precedence is relied on.

use std::fmt::Display;

use super::Printer;
use crate::expr::{
    Argument, Bound, Case, Direction, Expr as Generic, Frame, FrameUnit, Index, IsTest, Keyword, Literal, Op, Over,
    Quantified, Special, TrimSide,
};
use crate::sql::ast::{Call, Expr, Name, Order, Query, Window};
use crate::sql::ident::{Ident, QName};

impl Printer {
    pub(super) fn expr(&mut self, e: &Expr) {
        match e {
            Generic::Column(Name { relation: Some(relation), column }) => {
                self.put(format_args!("{relation}.{column}"));
            }
            Generic::Column(Name { relation: None, column }) => self.put(column),
            Generic::WholeRow(relation) => self.put(format_args!("{relation}.*")),
            Generic::Literal(literal) => self.literal(literal),
            Generic::Cast(e, ty) => {
                match **e {
                    Generic::Literal(_) => self.expr(e),
                    _ => self.parens(e),
                }
                self.put(format_args!("::{ty}"));
            }
            Generic::Unary(op, e) => self.sequence(&[&operator(op), e]),
            Generic::Binary(op, l, r) => self.sequence(&[l, &operator(op), r]),
            Generic::And(parts) => self.connect(parts, "AND", "TRUE"),
            Generic::Or(parts) => self.connect(parts, "OR", "FALSE"),
            Generic::Not(e) => self.sequence(&[&"NOT", e]),
            Generic::Is(e, test) => self.sequence(&[e, &is_test(*test)]),
            Generic::Distinct(l, r) => self.sequence(&[l, &"IS DISTINCT FROM", r]),
            Generic::Case(case) => self.case(case),
            Generic::Call(call) => self.call(call),
            Generic::Special(special) => self.special(special),
            Generic::Keyword(keyword, precision) => self.keyword(*keyword, *precision),
            Generic::Array(items) => self.enclosed("ARRAY[", items, "]"),
            Generic::Row(items) => self.enclosed("ROW(", items, ")"),
            Generic::Subscript(e, indexes) => {
                self.parens(e);
                indexes.iter().for_each(|index| self.index(index));
            }
            Generic::Field(e, field) => {
                self.parens(e);
                self.put(format_args!(".{field}"));
            }
            Generic::Collate(e, collation) => self.sequence(&[e, &format!("COLLATE {collation}")]),
            Generic::Quantified(q) => {
                let Quantified { left, op, all, right } = &**q;
                self.sequence(&[left, &operator(op), &quantifier(*all), &InParens(right)]);
            }
            Generic::QuantifiedQuery(q) => {
                let Quantified { left, op, all, right } = &**q;
                self.sequence(&[left, &operator(op), &quantifier(*all), right]);
            }
            Generic::InQuery(e, query) => self.sequence(&[e, &"IN", query]),
            Generic::Exists(query) => self.sequence(&[&"EXISTS", query]),
            Generic::Scalar(query) => self.subquery(query),
            Generic::ArrayOf(query) => {
                self.put("ARRAY");
                self.subquery(query);
            }
            Generic::Grouping(items) => self.enclosed("GROUPING(", items, ")"),
        }
    }

    /// `(part part …)`.
    fn sequence(&mut self, parts: &[&dyn Part]) {
        self.put("(");
        for (i, part) in parts.iter().enumerate() {
            self.put(if i > 0 { " " } else { "" });
            part.print(self);
        }
        self.put(")");
    }

    fn connect(&mut self, parts: &[Expr], connective: &str, empty: &str) {
        if parts.is_empty() {
            return self.put(empty);
        }
        self.put("(");
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.put(format_args!(" {connective} "));
            }
            self.expr(part);
        }
        self.put(")");
    }

    fn enclosed(&mut self, open: &str, items: &[Expr], close: &str) {
        self.put(open);
        self.exprs(items);
        self.put(close);
    }

    fn parens(&mut self, e: &Expr) {
        self.put("(");
        self.expr(e);
        self.put(")");
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Null => self.put("NULL"),
            Literal::Bool(value) => self.put(value),
            Literal::Number(digits) => self.put(digits),
            Literal::String(value) => self.put(quoted(value)),
            Literal::Bits(prefix, digits) => self.put(format_args!("{prefix}{}", quoted(digits))),
        }
    }

    fn keyword(&mut self, keyword: Keyword, precision: Option<u32>) {
        self.put(keyword.text());
        if let Some(precision) = precision {
            self.put(format_args!("({precision})"));
        }
    }

    fn case(&mut self, Case { operand, arms, otherwise }: &Case<Name, Query>) {
        self.put("CASE");
        if let Some(operand) = operand {
            self.put(" ");
            self.expr(operand);
        }
        for (when, then) in arms {
            self.put(" WHEN ");
            self.expr(when);
            self.put(" THEN ");
            self.expr(then);
        }
        if let Some(otherwise) = otherwise {
            self.put(" ELSE ");
            self.expr(otherwise);
        }
        self.put(" END");
    }

    fn call(&mut self, call: &Call) {
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

    fn index(&mut self, index: &Index<Name, Query>) {
        self.put("[");
        match index {
            Index::At(at) => self.expr(at),
            Index::Slice(from, to) => {
                from.iter().for_each(|from| self.expr(from));
                self.put(":");
                to.iter().for_each(|to| self.expr(to));
            }
        }
        self.put("]");
    }

    fn special(&mut self, special: &Special<Name, Query>) {
        match special {
            Special::Extract(field, e) => {
                self.put(format_args!("EXTRACT({} FROM ", Ident::new(field)));
                self.expr(e);
                self.put(")");
            }
            Special::Position(needle, hay) => self.phrase("POSITION((", needle, &[(") IN (", Some(hay))], "))"),
            Special::Substring(e, from, count) => {
                self.phrase("SUBSTRING(", e, &[(" FROM ", from.as_ref()), (" FOR ", count.as_ref())], ")");
            }
            Special::Overlay(e, new, from, count) => {
                let rest = [(" PLACING ", Some(new)), (" FROM ", Some(from)), (" FOR ", count.as_ref())];
                self.phrase("OVERLAY(", e, &rest, ")");
            }
            Special::Trim(side, what, e) => {
                self.put(match side {
                    TrimSide::Both => "TRIM(BOTH",
                    TrimSide::Leading => "TRIM(LEADING",
                    TrimSide::Trailing => "TRIM(TRAILING",
                });
                if let Some(what) = what {
                    self.put(" ");
                    self.expr(what);
                }
                self.phrase(" FROM ", e, &[], ")");
            }
            Special::AtTimeZone(e, zone) => self.sequence(&[e, &"AT TIME ZONE", zone]),
            Special::Normalize(e, form) => {
                let form = form.as_ref().map(|form| format!(", {form}")).unwrap_or_default();
                self.phrase("NORMALIZE(", e, &[], &format!("{form})"));
            }
            Special::IsNormalized(e, form, negated) => {
                let not = if *negated { "NOT " } else { "" };
                let form = form.as_ref().map(|form| format!("{form} ")).unwrap_or_default();
                self.sequence(&[e, &format!("IS {not}{form}NORMALIZED")]);
            }
            Special::Overlaps([a, b], [c, d]) => {
                self.phrase("((", a, &[(", ", Some(b)), (") OVERLAPS (", Some(c)), (", ", Some(d))], "))");
            }
        }
    }

    /// A function whose arguments are separated by keywords.
    fn phrase(&mut self, open: &str, first: &Expr, rest: &[(&str, Option<&Expr>)], close: &str) {
        self.put(open);
        self.expr(first);
        for (keyword, e) in rest {
            if let Some(e) = e {
                self.put(keyword);
                self.expr(e);
            }
        }
        self.put(close);
    }
}

/// A piece of a parenthesised sequence.
trait Part {
    fn print(&self, p: &mut Printer);
}

struct InParens<'a>(&'a Expr);

impl Part for &str {
    fn print(&self, p: &mut Printer) {
        p.put(self);
    }
}

impl Part for String {
    fn print(&self, p: &mut Printer) {
        p.put(self);
    }
}

impl Part for Expr {
    fn print(&self, p: &mut Printer) {
        p.expr(self);
    }
}

impl Part for Box<Expr> {
    fn print(&self, p: &mut Printer) {
        p.expr(self);
    }
}

impl Part for Query {
    fn print(&self, p: &mut Printer) {
        p.subquery(self);
    }
}

impl Part for Box<Query> {
    fn print(&self, p: &mut Printer) {
        p.subquery(self);
    }
}

impl Part for InParens<'_> {
    fn print(&self, p: &mut Printer) {
        p.parens(self.0);
    }
}

impl Keyword {
    /// The word itself.
    pub fn text(self) -> &'static str {
        match self {
            Keyword::CurrentDate => "CURRENT_DATE",
            Keyword::CurrentTime => "CURRENT_TIME",
            Keyword::CurrentTimestamp => "CURRENT_TIMESTAMP",
            Keyword::Localtime => "LOCALTIME",
            Keyword::Localtimestamp => "LOCALTIMESTAMP",
            Keyword::CurrentRole => "CURRENT_ROLE",
            Keyword::CurrentUser => "CURRENT_USER",
            Keyword::User => "USER",
            Keyword::SessionUser => "SESSION_USER",
            Keyword::SystemUser => "SYSTEM_USER",
            Keyword::CurrentCatalog => "CURRENT_CATALOG",
            Keyword::CurrentSchema => "CURRENT_SCHEMA",
        }
    }
}

/// Expressions of the grammar that look like calls: their names are keywords, not identifiers.
pub(crate) fn is_keyword_call(name: &QName) -> bool {
    name.schema.is_none() && ["coalesce", "greatest", "least", "nullif"].contains(&name.name.as_str())
}

fn operator(op: &Op) -> String {
    match &op.schema {
        Some(schema) => format!("OPERATOR({schema}.{})", op.symbol),
        None => op.symbol.clone(),
    }
}

fn quantifier(all: bool) -> &'static str {
    if all { "ALL" } else { "ANY" }
}

fn is_test(test: IsTest) -> &'static str {
    match test {
        IsTest::Null => "IS NULL",
        IsTest::NotNull => "IS NOT NULL",
        IsTest::True => "IS TRUE",
        IsTest::NotTrue => "IS NOT TRUE",
        IsTest::False => "IS FALSE",
        IsTest::NotFalse => "IS NOT FALSE",
        IsTest::Unknown => "IS UNKNOWN",
        IsTest::NotUnknown => "IS NOT UNKNOWN",
    }
}

/// A string constant under `standard_conforming_strings = on`: only quotes are special.
fn quoted(value: &str) -> impl Display {
    format!("'{}'", value.replace('\'', "''"))
}
