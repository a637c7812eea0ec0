//! Expressions: the parser's tree taken apart, variant by variant.

use sqlparser::ast;

use super::call::{call, keyword};
use super::from::type_name;
use super::names::{ident, qname, syntax};
use super::query::{absent, query};
use super::tokens::{QUOTED, ROW, SCHEMA_END};
use crate::error::Result;
use crate::expr::{
    Bound, Case, Direction, Expr as Generic, Frame, FrameUnit, Index, IsTest, Literal, Op, Quantified, Special, Window,
};
use crate::sql::ast::{self as own, Expr, Group, Name, Order, Query};
use crate::sql::ident::Ident;

pub fn exprs(list: Vec<ast::Expr>) -> Result<Vec<Expr>> {
    list.into_iter().map(expr).collect()
}

/// The items of a list in which `t.*` would be all columns of `t`: there it is no value, and PostgreSQL
/// prints whole rows with a cast.
pub fn columns(list: Vec<ast::Expr>) -> Result<Vec<Expr>> {
    let items = exprs(list)?;
    match items.iter().any(|item| matches!(item, Generic::WholeRow(_))) {
        true => syntax("*"),
        false => Ok(items),
    }
}

pub fn boxed(e: ast::Expr) -> Result<Box<Expr>> {
    Ok(Box::new(expr(e)?))
}

pub fn expr(e: ast::Expr) -> Result<Expr> {
    use ast::Expr as S;
    Ok(match e {
        S::Nested(e) => expr(*e)?,
        S::Identifier(name) => word(name)?,
        S::CompoundIdentifier(parts) => match <[ast::Ident; 2]>::try_from(parts) {
            Ok([relation, column]) => {
                Generic::Column(Name { relation: Some(ident(relation)?), column: ident(column)? })
            }
            Err(_) => return syntax("column name of three parts"),
        },
        S::CompoundFieldAccess { root, access_chain } => access(*root, access_chain)?,
        S::Value(value) => Generic::Literal(literal(value.value)?),
        S::Cast { kind: ast::CastKind::DoubleColon, expr: e, data_type, format: None } => {
            Generic::Cast(boxed(*e)?, type_name(data_type)?)
        }
        S::IsNull(e) => is(*e, IsTest::Null)?,
        S::IsNotNull(e) => is(*e, IsTest::NotNull)?,
        S::IsTrue(e) => is(*e, IsTest::True)?,
        S::IsNotTrue(e) => is(*e, IsTest::NotTrue)?,
        S::IsFalse(e) => is(*e, IsTest::False)?,
        S::IsNotFalse(e) => is(*e, IsTest::NotFalse)?,
        S::IsUnknown(e) => is(*e, IsTest::Unknown)?,
        S::IsNotUnknown(e) => is(*e, IsTest::NotUnknown)?,
        S::IsDistinctFrom(l, r) => Generic::Distinct(boxed(*l)?, boxed(*r)?),
        S::IsNotDistinctFrom(l, r) => Expr::not_distinct(expr(*l)?, expr(*r)?),
        S::IsNormalized { expr: e, form, negated } => {
            let form = form.map(|form| form.to_string());
            Generic::Special(Box::new(Special::IsNormalized(expr(*e)?, form, negated)))
        }
        S::UnaryOp { op: ast::UnaryOperator::Not, expr: e } => Generic::Not(boxed(*e)?),
        S::BinaryOp { left, op, right } => binary(*left, op, *right)?,
        S::AnyOp { left, compare_op, right, is_some: false } => quantified(*left, compare_op, false, *right)?,
        S::AllOp { left, compare_op, right } => quantified(*left, compare_op, true, *right)?,
        S::InSubquery { expr: e, subquery, negated: false } => {
            Generic::InQuery(Box::new(operand(*e)?), Box::new(query(*subquery)?))
        }
        S::Exists { subquery, negated } => match negated {
            false => Generic::Exists(Box::new(query(*subquery)?)),
            true => Generic::Not(Box::new(Generic::Exists(Box::new(query(*subquery)?)))),
        },
        S::Subquery(subquery) => Generic::Scalar(Box::new(query(*subquery)?)),
        S::AtTimeZone { timestamp, time_zone } => {
            Generic::Special(Box::new(Special::AtTimeZone(expr(*timestamp)?, expr(*time_zone)?)))
        }
        S::Collate { expr: e, collation } => Generic::Collate(boxed(*e)?, qname(collation)?),
        S::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
            let arm = |ast::CaseWhen { condition, result }| Ok((expr(condition)?, expr(result)?));
            Generic::Case(Box::new(Case {
                operand: operand.map(|e| expr(*e)).transpose()?,
                arms: conditions.into_iter().map(arm).collect::<Result<_>>()?,
                otherwise: else_result.map(|e| expr(*e)).transpose()?,
            }))
        }
        S::Array(ast::Array { elem, named: true }) => Generic::Array(exprs(elem)?),
        S::Function(function) => call(function)?,
        other => return syntax(other),
    })
}

fn word(name: ast::Ident) -> Result<Expr> {
    match name.quote_style {
        Some(QUOTED) => Ok(Generic::Column(Name { relation: None, column: ident(name)? })),
        Some(ROW) => Ok(Generic::WholeRow(Ident(name.value))),
        None if let Some(keyword) = keyword(&name.value) => Ok(Generic::Keyword(keyword, None)),
        _ => syntax(name.value),
    }
}

fn is(e: ast::Expr, test: IsTest) -> Result<Expr> {
    Ok(expr(e)?.is(test))
}

fn literal(value: ast::Value) -> Result<Literal> {
    use ast::Value;
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Boolean(value) => Literal::Bool(value),
        Value::Number(digits, false) => Literal::Number(digits),
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Literal::String(text),
        Value::SingleQuotedByteStringLiteral(digits) => Literal::Bits('B', digits),
        Value::HexStringLiteral(digits) => Literal::Bits('X', digits),
        other => return syntax(other),
    })
}

/// An operator token: its symbol, after its schema if it has one.
pub fn operator(text: &str) -> Op {
    match text.split_once(SCHEMA_END) {
        Some((schema, symbol)) => Op { schema: Some(Ident::new(schema)), symbol: symbol.to_owned() },
        None => Op::plain(text),
    }
}

fn binary(left: ast::Expr, op: ast::BinaryOperator, right: ast::Expr) -> Result<Expr> {
    use ast::BinaryOperator as B;
    Ok(match op {
        B::And => Generic::And(chain(B::And, left, right)?),
        B::Or => Generic::Or(chain(B::Or, left, right)?),
        B::Overlaps => Generic::Special(Box::new(Special::Overlaps(pair(left)?, pair(right)?))),
        B::Custom(text) => {
            let left = if matches!(right, ast::Expr::Subquery(_)) { operand(left)? } else { expr(left)? };
            Generic::Binary(operator(&text), Box::new(left), boxed(right)?)
        }
        other => return syntax(other),
    })
}

/// The parts of `a AND b AND c`, which the parser nests to the left; without recursion, for there may be many.
fn chain(op: ast::BinaryOperator, left: ast::Expr, right: ast::Expr) -> Result<Vec<Expr>> {
    let (mut rest, mut parts) = (left, vec![expr(right)?]);
    loop {
        match rest {
            ast::Expr::BinaryOp { left, op: inner, right } if inner == op => {
                parts.push(expr(*right)?);
                rest = *left;
            }
            first => {
                parts.push(expr(first)?);
                parts.reverse();
                return Ok(parts);
            }
        }
    }
}

fn pair(e: ast::Expr) -> Result<[Expr; 2]> {
    let ast::Expr::Tuple(items) = e else { return syntax(e) };
    <[Expr; 2]>::try_from(exprs(items)?).or_else(|_| syntax("OVERLAPS"))
}

/// The left side of a comparison with a subquery: only here is `(a, b)` a row.
fn operand(e: ast::Expr) -> Result<Expr> {
    match e {
        ast::Expr::Tuple(items) if !items.is_empty() => Ok(Generic::Row(columns(items)?)),
        other => expr(other),
    }
}

fn quantified(left: ast::Expr, op: ast::BinaryOperator, all: bool, right: ast::Expr) -> Result<Expr> {
    let ast::BinaryOperator::Custom(text) = op else { return syntax(op) };
    let op = operator(&text);
    Ok(match right {
        ast::Expr::Subquery(subquery) => {
            let right: Query = query(*subquery)?;
            Generic::QuantifiedQuery(Box::new(Quantified { left: operand(left)?, op, all, right }))
        }
        right => Generic::Quantified(Box::new(Quantified { left: expr(left)?, op, all, right: expr(right)? })),
    })
}

/// `root.field[1].field`: a column if the root is a name, then fields and subscripts.
fn access(root: ast::Expr, chain: Vec<ast::AccessExpr>) -> Result<Expr> {
    let mut chain = chain.into_iter().peekable();
    let mut e = match (root, chain.peek()) {
        (ast::Expr::Identifier(relation), Some(ast::AccessExpr::Dot(ast::Expr::Identifier(column)))) => {
            let column = ident(column.clone())?;
            chain.next();
            Generic::Column(Name { relation: Some(ident(relation)?), column })
        }
        (root, _) => expr(root)?,
    };
    // Adjacent subscripts are one: `a[1:2][1]` is a slice of both dimensions, `(a[1:2])[1]` is not.
    let mut subscripts = vec![];
    for step in chain {
        match step {
            ast::AccessExpr::Subscript(subscript) => subscripts.push(index(subscript)?),
            ast::AccessExpr::Dot(ast::Expr::Identifier(field)) => {
                e = Generic::Field(Box::new(subscripted(e, &mut subscripts)), ident(field)?);
            }
            ast::AccessExpr::Dot(other) => return syntax(other),
        }
    }
    Ok(subscripted(e, &mut subscripts))
}

fn subscripted(e: Expr, subscripts: &mut Vec<Index<Name, Query>>) -> Expr {
    match subscripts.is_empty() {
        true => e,
        false => Generic::Subscript(Box::new(e), std::mem::take(subscripts)),
    }
}

fn index(subscript: ast::Subscript) -> Result<Index<Name, Query>> {
    Ok(match subscript {
        ast::Subscript::Index { index } => Index::At(expr(index)?),
        ast::Subscript::Slice { lower_bound, upper_bound, stride: None } => {
            Index::Slice(lower_bound.map(expr).transpose()?, upper_bound.map(expr).transpose()?)
        }
        other => return syntax(other),
    })
}

pub fn orders(keys: Vec<ast::OrderByExpr>) -> Result<Vec<Order>> {
    keys.into_iter().map(order).collect()
}

fn order(key: ast::OrderByExpr) -> Result<Order> {
    let ast::OrderByExpr { expr: e, options: ast::OrderByOptions { sort, nulls_first }, with_fill } = key;
    absent(with_fill.is_none(), "WITH FILL")?;
    let direction = match sort {
        None => Direction::Ascending,
        Some(ast::OrderBySort::Desc) => Direction::Descending,
        Some(ast::OrderBySort::Using(name)) => match &name.0[..] {
            [ast::ObjectNamePart::Identifier(symbol)] => Direction::Using(operator(&symbol.value)),
            _ => return syntax(name),
        },
        Some(ast::OrderBySort::Asc) => return syntax("ASC"),
    };
    Ok(Order { expr: expr(e)?, direction, nulls_first })
}

pub fn group(key: ast::Expr) -> Result<Group> {
    let sets = |sets: Vec<Vec<ast::Expr>>| sets.into_iter().map(exprs).collect::<Result<Vec<_>>>();
    Ok(match key {
        ast::Expr::Rollup(list) => Group::Rollup(sets(list)?),
        ast::Expr::Cube(list) => Group::Cube(sets(list)?),
        ast::Expr::GroupingSets(list) => Group::Sets(sets(list)?),
        ast::Expr::Tuple(list) if list.is_empty() => Group::Empty,
        other => Group::Expr(expr(other)?),
    })
}

pub fn window(spec: ast::WindowSpec) -> Result<own::Window> {
    let ast::WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
    Ok(Window {
        base: window_name.map(ident).transpose()?,
        partition_by: exprs(partition_by)?,
        order_by: orders(order_by)?,
        frame: window_frame.map(frame).transpose()?,
    })
}

fn frame(frame: ast::WindowFrame) -> Result<Frame<Name, Query>> {
    let ast::WindowFrame { units, start_bound, end_bound } = frame;
    let unit = match units {
        ast::WindowFrameUnits::Rows => FrameUnit::Rows,
        ast::WindowFrameUnits::Range => FrameUnit::Range,
        ast::WindowFrameUnits::Groups => FrameUnit::Groups,
    };
    Ok(Frame { unit, start: bound(start_bound)?, end: end_bound.map(bound).transpose()? })
}

fn bound(bound: ast::WindowFrameBound) -> Result<Bound<Name, Query>> {
    use ast::WindowFrameBound as B;
    Ok(match bound {
        B::CurrentRow => Bound::CurrentRow,
        B::Preceding(None) => Bound::UnboundedPreceding,
        B::Following(None) => Bound::UnboundedFollowing,
        B::Preceding(Some(offset)) => Bound::Preceding(expr(*offset)?),
        B::Following(Some(offset)) => Bound::Following(expr(*offset)?),
    })
}
