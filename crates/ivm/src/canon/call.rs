//! Calls: functions, aggregates and windows, and the constructs that look like calls.

use sqlparser::ast;

use super::expr::{boxed, expr, operator, orders, window};
use super::names::{ident, parts, qname, syntax};
use super::query::{absent, query};
use super::tokens::CALL;
use crate::error::{Error, Result};
use crate::expr::{Argument, Call, Expr as Generic, Keyword, Literal, Over, Special, TrimSide};
use crate::sql::ast::{Expr, Name, Order, Query};
use crate::sql::ident::QName;
use crate::sql::print::is_keyword_call;

/// The arguments, and whether they are a lone `*`.
pub fn arguments(args: Vec<ast::FunctionArg>) -> Result<(Vec<Argument<Name, Query>>, bool)> {
    use ast::{FunctionArg, FunctionArgExpr, FunctionArgOperator};
    if let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = &args[..] {
        return Ok((vec![], true));
    }
    let argument = |arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => {
            let (value, variadic) = variadic(e)?;
            Ok(Argument { name: None, variadic, value })
        }
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(e), operator: FunctionArgOperator::RightArrow } => {
            Ok(Argument { name: Some(ident(name)?), variadic: false, value: expr(e)? })
        }
        other => syntax(other),
    };
    Ok((args.into_iter().map(argument).collect::<Result<_>>()?, false))
}

fn variadic(e: ast::Expr) -> Result<(Expr, bool)> {
    match e {
        ast::Expr::Function(function) if mark(&function) == Some("variadic") => {
            let mut values = marked_arguments(function)?;
            Ok((expr(values.remove(0))?, true))
        }
        other => Ok((expr(other)?, false)),
    }
}

/// The name of a marked call.
pub fn mark(function: &ast::Function) -> Option<&str> {
    match &function.name.0[..] {
        [ast::ObjectNamePart::Identifier(name)] if name.quote_style == Some(CALL) => Some(&name.value),
        _ => None,
    }
}

/// The arguments of a marked call; the dialect made it, with at least one.
pub fn marked_arguments(function: ast::Function) -> Result<Vec<ast::Expr>> {
    let ast::FunctionArguments::List(list) = function.args else { return syntax("call") };
    let argument = |arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Ok(e),
        other => syntax(other),
    };
    list.args.into_iter().map(argument).collect()
}

pub fn call(function: ast::Function) -> Result<Expr> {
    if let Some(mark) = mark(&function) {
        let mark = mark.to_owned();
        return marked(&mark, marked_arguments(function)?);
    }
    let ast::Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
        function;
    let plain = !uses_odbc_syntax && matches!(parameters, ast::FunctionArguments::None) && null_treatment.is_none();
    absent(plain, "word after a call")?;
    let bare = within_group.is_empty() && filter.is_none() && over.is_none();
    if let [ast::Ident { value, quote_style: None, span: _ }] = &parts(name.clone())?[..] {
        absent(bare, "word after a call")?;
        return construct(value, args);
    }
    let name = function_name(name)?;
    let ast::FunctionArguments::List(list) = args else { return syntax(name) };
    let ast::FunctionArgumentList { duplicate_treatment, args, clauses } = list;
    let distinct = match duplicate_treatment {
        None => false,
        Some(ast::DuplicateTreatment::Distinct) => true,
        Some(ast::DuplicateTreatment::All) => return syntax("ALL"),
    };
    let (args, star) = arguments(args)?;
    Ok(Generic::Call(Box::new(Call {
        name,
        args,
        star,
        distinct,
        order_by: argument_order(clauses)?,
        within_group: orders(within_group)?,
        filter: filter.map(|e| expr(*e)).transpose()?,
        over: over.map(window_of).transpose()?,
    })))
}

/// A function named like a construct of the grammar would print as that construct.
fn function_name(name: ast::ObjectName) -> Result<QName> {
    let name = qname(name)?;
    if is_keyword_call(&name) {
        return Err(Error::unsupported(
            &format!("a function named {name}"),
            "its name is a construct of SQL",
            "Rename the function.",
        ));
    }
    Ok(name)
}

fn argument_order(clauses: Vec<ast::FunctionArgumentClause>) -> Result<Vec<Order>> {
    match <[ast::FunctionArgumentClause; 1]>::try_from(clauses) {
        Ok([ast::FunctionArgumentClause::OrderBy(keys)]) => orders(keys),
        Ok([other]) => syntax(other),
        Err(none) if none.is_empty() => Ok(vec![]),
        Err(_) => syntax("clause of a call"),
    }
}

fn window_of(over: ast::WindowType) -> Result<Over<Name, Query>> {
    Ok(match over {
        ast::WindowType::NamedWindow(name) => Over::Named(ident(name)?),
        ast::WindowType::WindowSpec(spec) => Over::Window(window(spec)?),
    })
}

/// What keywords in the place of a function's name mean.
fn construct(word: &str, args: ast::FunctionArguments) -> Result<Expr> {
    let list = match args {
        ast::FunctionArguments::Subquery(subquery) if word == "ARRAY" => {
            return Ok(Generic::ArrayOf(Box::new(query(*subquery)?)));
        }
        ast::FunctionArguments::None => vec![],
        ast::FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment: None, args, clauses })
            if clauses.is_empty() =>
        {
            args
        }
        _ => return syntax(word),
    };
    let (args, star) = arguments(list)?;
    absent(!star && args.iter().all(|arg| arg.name.is_none() && !arg.variadic), word)?;
    let mut values: Vec<Expr> = args.into_iter().map(|arg| arg.value).collect();
    Ok(match word {
        "ROW" if values.iter().any(|value| matches!(value, Generic::WholeRow(_))) => return syntax("*"),
        "ROW" => Generic::Row(values),
        "GROUPING" => Generic::Grouping(values),
        "COALESCE" | "GREATEST" | "LEAST" | "NULLIF" => Expr::call(&word.to_ascii_lowercase(), values),
        _ => match (keyword(word), values.pop(), values.is_empty()) {
            (Some(keyword), None, true) => Generic::Keyword(keyword, None),
            (Some(keyword), Some(Generic::Literal(Literal::Number(digits))), true) => {
                Generic::Keyword(keyword, Some(digits.parse().or_else(|_| syntax(digits))?))
            }
            _ => {
                return Err(Error::unsupported(
                    word,
                    "the incremental compiler does not know this construct",
                    "Use a function of the same meaning.",
                ));
            }
        },
    })
}

pub fn keyword(word: &str) -> Option<Keyword> {
    Keyword::ALL.into_iter().find(|keyword| keyword.text() == word)
}

fn marked(name: &str, args: Vec<ast::Expr>) -> Result<Expr> {
    let mut args = args.into_iter();
    let mut next = || args.next().map_or_else(|| syntax(name), Ok);
    let special = match name {
        "unary" => return Ok(Generic::Unary(operator(&text(next()?)?), boxed(next()?)?)),
        "EXTRACT" => Special::Extract(text(next()?)?, expr(next()?)?),
        "POSITION" => Special::Position(expr(next()?)?, expr(next()?)?),
        "SUBSTRING" => Special::Substring(expr(next()?)?, optional(next()?)?, optional(next()?)?),
        "OVERLAY" => Special::Overlay(expr(next()?)?, expr(next()?)?, expr(next()?)?, optional(next()?)?),
        "TRIM" => {
            let side = match text(next()?)?.as_str() {
                "BOTH" => TrimSide::Both,
                "LEADING" => TrimSide::Leading,
                "TRAILING" => TrimSide::Trailing,
                other => return syntax(other),
            };
            Special::Trim(side, optional(next()?)?, expr(next()?)?)
        }
        "NORMALIZE" => {
            let value = expr(next()?)?;
            let form = next()?;
            let form = if form == ast::Expr::Tuple(vec![]) { None } else { Some(text(form)?) };
            Special::Normalize(value, form)
        }
        other => return syntax(other),
    };
    Ok(Generic::Special(Box::new(special)))
}

fn optional(e: ast::Expr) -> Result<Option<Expr>> {
    match e {
        ast::Expr::Tuple(items) if items.is_empty() => Ok(None),
        other => Ok(Some(expr(other)?)),
    }
}

fn text(e: ast::Expr) -> Result<String> {
    match e {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), span: _ }) => Ok(text),
        other => syntax(other),
    }
}
