//! The type of an expression, by PostgreSQL's rules for the types that tests use.

use super::infer::{self, Scope};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, Keyword, Literal, Special, TypeName};
use crate::sql::ast::{Body, Call, Expr, Query};

/// The type of NULL and of bare strings, until something else decides.
pub const UNKNOWN: &str = "unknown";

/// Numbers from narrow to wide: an operation on two has the wider type.
const NUMBERS: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double precision"];

/// The type without its modifier.
pub fn base(ty: &str) -> String {
    let (name, rest) = ty.split_once('(').unwrap_or((ty, ""));
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{}{after}", name.trim_end())
}

/// The type of an array's elements.
pub fn element(array: &str) -> String {
    array.trim_end_matches("[]").to_owned()
}

/// The type that all of these have or are converted to.
pub fn common(types: Vec<String>) -> String {
    let known: Vec<String> = types.into_iter().filter(|ty| ty != UNKNOWN).collect();
    let Some(first) = known.first() else { return UNKNOWN.to_owned() };
    if known.iter().all(|ty| ty == first) {
        return first.clone();
    }
    let rank = |ty: &String| NUMBERS.iter().position(|number| *number == base(ty));
    let widest = known.iter().map(rank).collect::<Option<Vec<_>>>().and_then(|ranks| ranks.into_iter().max());
    widest.map_or_else(|| base(first), |at| NUMBERS[at].to_owned())
}

/// The type of an expression.
pub fn infer(e: &Expr, scope: &Scope) -> Result<String> {
    let of = |e: &Expr| infer(e, scope);
    let all = |items: &[Expr]| items.iter().map(of).collect::<Result<Vec<_>>>();
    // Every column must exist, even where the type does not depend on it.
    e.children().into_iter().try_for_each(|child| of(child).map(drop))?;
    Ok(match e {
        Generic::Column(name) => scope.column(name)?,
        Generic::Literal(Literal::Null | Literal::String(_)) => UNKNOWN.to_owned(),
        Generic::Literal(Literal::Bool(_)) => "boolean".to_owned(),
        Generic::Literal(Literal::Number(digits)) => number(digits),
        Generic::Literal(Literal::Bits(..)) => "bit".to_owned(),
        Generic::Cast(_, TypeName(ty)) => ty.clone(),
        Generic::Unary(_, e) | Generic::Collate(e, _) => of(e)?,
        Generic::Binary(op, l, r) => match op.symbol.as_str() {
            "=" | "<>" | "<" | "<=" | ">" | ">=" | "~~" | "!~~" | "~" | "@>" | "<@" | "&&" => "boolean".to_owned(),
            "||" | "->>" => "text".to_owned(),
            "->" => of(l)?,
            _ => base(&common(vec![of(l)?, of(r)?])),
        },
        Generic::Case(case) => {
            let arms = case.arms.iter().map(|(_, then)| then).chain(&case.otherwise);
            common(arms.map(of).collect::<Result<_>>()?)
        }
        Generic::Call(call) => self::call(call, scope)?,
        Generic::Special(special, _) => match special {
            Special::Extract(_) => "numeric",
            Special::Position => "integer",
            Special::IsNormalized(..) | Special::Overlaps => "boolean",
            Special::AtTimeZone => "timestamp without time zone",
            Special::Substring { .. } | Special::Overlay | Special::Trim(_) | Special::Normalize(_) => "text",
        }
        .to_owned(),
        Generic::Keyword(keyword, _) => match keyword {
            Keyword::CurrentDate => "date",
            Keyword::CurrentTime => "time with time zone",
            Keyword::CurrentTimestamp => "timestamp with time zone",
            Keyword::Localtime => "time without time zone",
            Keyword::Localtimestamp => "timestamp without time zone",
            _ => "name",
        }
        .to_owned(),
        Generic::Array(items) => format!("{}[]", common(all(items)?)),
        Generic::Row(_) => "record".to_owned(),
        Generic::Subscript(e, _) => element(&of(e)?),
        Generic::Scalar(query) => {
            let columns = infer::query(query, scope)?;
            columns.into_iter().next().map_or(UNKNOWN.to_owned(), |(_, ty)| ty)
        }
        Generic::And(_)
        | Generic::Or(_)
        | Generic::Not(_)
        | Generic::Is(..)
        | Generic::Distinct(..)
        | Generic::Quantified(_)
        | Generic::QuantifiedQuery(_)
        | Generic::InQuery(..)
        | Generic::Exists(_) => "boolean".to_owned(),
        Generic::Grouping(_) => "integer".to_owned(),
        Generic::WholeRow(_) | Generic::Field(..) | Generic::ArrayOf(_) => {
            return Err(Error::Catalog(format!("no type is known for {e:?}")));
        }
    })
}

/// A query with the casts of the operators and calls in its select list: numbers of two kinds meet in the wider one.
pub fn with_casts(query: &Query, scope: &Scope) -> Result<Query> {
    let Body::Select(select) = &query.body else { return Ok(query.clone()) };
    let inner = infer::within(select, scope)?;
    let kind =
        |ty: &str| NUMBERS.iter().position(|number| *number == base(ty)).map(|rank| rank.saturating_sub(2).min(2));
    let cast = |e: &Expr, to: &str| -> Result<Expr> {
        let from = infer(e, &inner)?;
        Ok(if kind(&from) == kind(to) { e.clone() } else { e.clone().cast(to) })
    };
    let mut select = (**select).clone();
    for item in &mut select.items {
        match &mut item.expr {
            Generic::Binary(_, l, r) => {
                let ty = common(vec![infer(l, &inner)?, infer(r, &inner)?]);
                (**l, **r) = (cast(l, &ty)?, cast(r, &ty)?);
            }
            Generic::Call(call) => {
                let ty = common(call.args.iter().map(|arg| infer(&arg.value, &inner)).collect::<Result<_>>()?);
                for arg in &mut call.args {
                    arg.value = match base(&infer(&arg.value, &inner)?) == ty {
                        true => arg.value.clone(),
                        false => arg.value.clone().cast(&ty),
                    };
                }
            }
            _ => {}
        }
    }
    Ok(Query::select(select))
}

fn number(digits: &str) -> String {
    match (digits.parse::<i32>(), digits.parse::<i64>()) {
        (Ok(_), _) => "integer",
        (_, Ok(_)) => "bigint",
        _ => "numeric",
    }
    .to_owned()
}

fn call(call: &Call, scope: &Scope) -> Result<String> {
    if let Some((_, result)) = scope.catalog.functions.get(&call.name) {
        return Ok(result.clone());
    }
    let args = call.args.iter().map(|arg| infer(&arg.value, scope)).collect::<Result<Vec<_>>>()?;
    let keys = call.within_group.iter().map(|key| infer(&key.expr, scope)).collect::<Result<Vec<_>>>()?;
    let first = args.first().or(keys.first()).map_or(String::new(), |ty| base(ty));
    let name = call.name.name.as_str();
    Ok(match (name, first.as_str()) {
        ("coalesce" | "greatest" | "least", _) => common(args),
        ("nullif" | "min" | "max" | "abs" | "any_value" | "mode" | "array_cat", _) => first,
        ("lag" | "lead" | "first_value" | "last_value" | "nth_value", _) => first,
        ("ntile", _) => "integer".to_owned(),
        ("percent_rank" | "cume_dist", _) => "double precision".to_owned(),
        ("count" | "hash_record_extended" | "row_number" | "rank" | "dense_rank", _) => "bigint".to_owned(),
        ("sum", "smallint" | "integer") => "bigint".to_owned(),
        ("sum", "bigint") => "numeric".to_owned(),
        ("sum" | "trunc" | "round", _) => match first.as_str() {
            "integer" | "smallint" | "bigint" => "double precision".to_owned(),
            _ => first,
        },
        ("avg" | "stddev" | "variance", "real" | "double precision") => "double precision".to_owned(),
        ("avg" | "stddev" | "variance" | "div" | "sign", _) => "numeric".to_owned(),
        ("percentile_cont" | "corr", _) => "double precision".to_owned(),
        ("percentile_disc", _) => keys.into_iter().next().unwrap_or_default(),
        ("bool_and" | "bool_or" | "every", _) => "boolean".to_owned(),
        ("string_agg" | "lower" | "upper" | "left" | "right" | "replace" | "substr", _) => "text".to_owned(),
        ("array_agg", _) => format!("{first}[]"),
        ("length" | "scale", _) => "integer".to_owned(),
        ("generate_series", _) => common(args),
        ("unnest", _) => element(&first),
        ("regexp_matches", _) => "text[]".to_owned(),
        ("jsonb_array_elements", _) => "jsonb".to_owned(),
        ("json_agg", _) => "json".to_owned(),
        ("jsonb_agg", _) => "jsonb".to_owned(),
        ("date_trunc", _) => args.into_iter().nth(1).unwrap_or_default(),
        _ => return Err(Error::Catalog(format!("function {} does not exist", call.name))),
    })
}
