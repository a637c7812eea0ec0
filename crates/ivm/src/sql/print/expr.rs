//! Expressions as text: every operator in its own parentheses, so no precedence is relied on.

use std::fmt::Display;

use super::Printer;
use crate::expr::{Case, Expr as Generic, Index, IsTest, Keyword, Literal, Op, Quantified};
use crate::sql::ast::{Expr, Name, Query};

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
    pub(super) fn sequence(&mut self, parts: &[&dyn Part]) {
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
        let mut parts: Vec<String> = vec![];
        self.depth += 1;
        for (when, then) in arms {
            let (when, then) = (self.apart(|p| p.expr(when)), self.apart(|p| p.expr(then)));
            parts.push(format!("WHEN {when} THEN {then}"));
        }
        parts.extend(otherwise.iter().map(|e| format!("ELSE {}", self.apart(|p| p.expr(e)))));
        self.depth -= 1;
        self.put("CASE");
        if let Some(operand) = operand {
            self.put(" ");
            self.expr(operand);
        }
        match self.fits(&parts) {
            true => self.put(format_args!(" {} END", parts.join(" "))),
            false => {
                self.nested(|p| {
                    for part in parts {
                        p.line();
                        p.put(part);
                    }
                });
                self.line();
                self.put("END");
            }
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
}

/// A piece of a parenthesised sequence.
pub(super) trait Part {
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

pub(super) fn operator(op: &Op) -> String {
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
