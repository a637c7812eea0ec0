//! Offsets: the clock, moved and rounded by constants.

use std::ops::ControlFlow;

use crate::clock;
use crate::expr::{Call, Expr as Generic, Keyword, Special, Step, TypeName};
use crate::plan::{ColId, Column, Expr, Plan};
use crate::words::Word;

/// Strict functions that move or round a time by constants.
const OFFSETS: [&str; 4] = ["date_trunc", "date_bin", "make_interval", "timezone"];

/// Whether an expression reads the clock, outside of its subqueries.
pub fn reads_clock(e: &Expr) -> bool {
    e.any(&mut |e| reading(e).is_some())
}

/// How an expression that reads the clock is spelled; `None` for any other.
pub fn reading<C, Q>(e: &Generic<C, Q>) -> Option<String> {
    match e {
        Generic::Keyword(keyword, _) if type_of(*keyword).is_some() => Some(keyword.text().to_owned()),
        Generic::Call(call) if call.args.is_empty() && is_now(call) => Some(format!("{}()", call.name)),
        _ => None,
    }
}

fn is_now<C, Q>(call: &Call<C, Q>) -> bool {
    let names = ["now", "transaction_timestamp", "statement_timestamp"];
    call.name.schema.is_none() && names.contains(&call.name.name.as_str())
}

/// The type of the keyword's value, where that is a time that never decreases.
fn type_of(keyword: Keyword) -> Option<&'static str> {
    match keyword {
        Keyword::CurrentTimestamp => Some(clock::TYPE),
        Keyword::Localtimestamp => Some("timestamp without time zone"),
        Keyword::CurrentDate => Some("date"),
        _ => None,
    }
}

/// How the first clock function in these expressions is spelled.
pub fn spelling(exprs: &[Expr]) -> String {
    let mut found = None;
    exprs.iter().for_each(|e| e.visit(&mut |e| found = found.take().or_else(|| reading(e))));
    found.unwrap_or_default()
}

/// Whether an expression is made of the clock and constants by strict operators and functions.
pub fn is_offset(e: &Expr) -> bool {
    if reading(e).is_some() {
        return true;
    }
    match e {
        Generic::Literal(_) => true,
        Generic::Cast(e, ty) if reads_clock(e) => is_quantity(ty) && is_offset(e),
        Generic::Cast(e, ty) => is_built_in(ty) && is_offset(e),
        Generic::Unary(op, e) => op.is("-") && is_offset(e),
        Generic::Binary(op, l, r) => {
            ["+", "-", "*", "/"].iter().any(|known| op.is(known)) && is_offset(l) && is_offset(r)
        }
        Generic::Call(call) => {
            let known = call.name.schema.is_none() && OFFSETS.contains(&call.name.name.as_str());
            known && call.args.iter().all(|arg| !arg.variadic && is_offset(&arg.value))
        }
        Generic::Special(Special::AtTimeZone | Special::Extract(_), operands) => operands.iter().all(is_offset),
        _ => false,
    }
}

/// Types with one order; that of texts depends on their collation.
fn is_quantity(ty: &TypeName) -> bool {
    let known = ["date", "time", "interval", "numeric", "integer", "bigint", "double precision", "real"];
    known.iter().any(|known| ty.0.starts_with(known)) && is_built_in(ty)
}

/// User-defined types are printed with their schema.
fn is_built_in(ty: &TypeName) -> bool {
    !ty.0.contains('.')
}

/// The clock's column in place of a clock function.
pub fn with_clock_column(e: Expr, now: &Column) -> Step<ColId, Plan, ColId, Plan> {
    let now = now.expr();
    match &e {
        Generic::Keyword(keyword, precision) => match (type_of(*keyword), precision) {
            (Some(clock::TYPE), None) => ControlFlow::Break(now),
            (Some(ty), None) => ControlFlow::Break(now.cast(ty)),
            (Some(ty), Some(digits)) => ControlFlow::Break(now.cast(&ty.replacen(' ', &format!("({digits}) "), 1))),
            (None, _) => ControlFlow::Continue(e),
        },
        Generic::Call(call) if is_now(call) => ControlFlow::Break(now),
        _ => ControlFlow::Continue(e),
    }
}
