//! The FROM clause: tables, subqueries, functions and joins.

use sqlparser::ast;

use super::call::arguments;
use super::expr::{expr, exprs};
use super::names::{ident, parts, qname, syntax};
use super::query::{absent, query};
use super::tokens::TYPE;
use crate::error::{Error, Result};
use crate::expr::{Argument, Call, TypeName};
use crate::sql::ast::{Alias, Expr, From, JoinKind, JoinOn};
use crate::sql::ident::{Ident, QName};

pub fn from_list(list: Vec<ast::TableWithJoins>) -> Result<Vec<From>> {
    list.into_iter().map(joined).collect()
}

fn joined(joined: ast::TableWithJoins) -> Result<From> {
    let ast::TableWithJoins { relation, joins } = joined;
    joins.into_iter().try_fold(factor(relation)?, join)
}

fn join(left: From, join: ast::Join) -> Result<From> {
    use ast::JoinOperator;
    let ast::Join { relation, global, join_operator } = join;
    absent(!global, "GLOBAL")?;
    let (kind, constraint) = match join_operator {
        JoinOperator::Join(constraint) => (JoinKind::Inner, constraint),
        JoinOperator::Left(constraint) => (JoinKind::Left, constraint),
        JoinOperator::Right(constraint) => (JoinKind::Right, constraint),
        JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
        JoinOperator::CrossJoin(constraint) => (JoinKind::Cross, constraint),
        _ => return syntax("kind of join"),
    };
    let on = match constraint {
        ast::JoinConstraint::On(condition) => JoinOn::On(expr(condition)?),
        ast::JoinConstraint::Using(columns) => JoinOn::Using(columns.into_iter().map(column).collect::<Result<_>>()?),
        ast::JoinConstraint::None => JoinOn::None,
        ast::JoinConstraint::Natural => return syntax("NATURAL"),
    };
    absent((kind == JoinKind::Cross) == (on == JoinOn::None), "join condition")?;
    Ok(From::Join { kind, left: Box::new(left), right: Box::new(factor(relation)?), on, alias: None })
}

fn column(name: ast::ObjectName) -> Result<Ident> {
    match qname(name)? {
        QName { schema: None, name } => Ok(name),
        qualified => syntax(qualified),
    }
}

fn factor(factor: ast::TableFactor) -> Result<From> {
    use ast::TableFactor;
    match factor {
        TableFactor::Table {
            name,
            alias: given,
            args,
            with_hints,
            version: None,
            with_ordinality,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } => {
            absent(with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty(), "word after a table")?;
            let alias = given.map(alias).transpose()?;
            match args {
                None if !with_ordinality => Ok(From::Table { name: qname(name)?, alias }),
                Some(ast::TableFunctionArgs { args, settings: None }) => {
                    let call = Box::new(function(name, args)?);
                    Ok(From::Function { call, alias, lateral: false, ordinality: with_ordinality })
                }
                _ => syntax("word after a table"),
            }
        }
        TableFactor::Derived { lateral, subquery, alias: given, sample: None } => {
            let Some(given) = given else { return syntax("subquery in FROM without an alias") };
            Ok(From::Derived { query: Box::new(query(*subquery)?), alias: alias(given)?, lateral })
        }
        TableFactor::Function { lateral, name, args, with_ordinality: ordinality, alias: given } => {
            let call = Box::new(function(name, args)?);
            Ok(From::Function { call, alias: given.map(alias).transpose()?, lateral, ordinality })
        }
        TableFactor::UNNEST {
            alias: given,
            array_exprs,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: ordinality,
        } => {
            let call = Call::new(QName::bare("unnest"), exprs(array_exprs)?);
            let alias = given.map(alias).transpose()?;
            Ok(From::Function { call: Box::new(Expr::Call(Box::new(call))), alias, lateral: false, ordinality })
        }
        TableFactor::NestedJoin { table_with_joins, alias: given } => match (joined(*table_with_joins)?, given) {
            (from, None) => Ok(from),
            (From::Join { kind, left, right, on, alias: None }, Some(given)) => {
                Ok(From::Join { kind, left, right, on, alias: Some(alias(given)?) })
            }
            (_, Some(given)) => syntax(given),
        },
        other => syntax(other),
    }
}

/// A function in FROM. `UNNEST` is what PostgreSQL prints for `unnest` of several arrays.
fn function(name: ast::ObjectName, args: Vec<ast::FunctionArg>) -> Result<Expr> {
    let name = match &parts(name.clone())?[..] {
        [ast::Ident { value, quote_style: None, span: _ }] if value == "UNNEST" => QName::bare("unnest"),
        [ast::Ident { value, quote_style: None, span: _ }] => {
            return Err(Error::unsupported(
                &format!("{value} in FROM"),
                "it is not a call of a function",
                "Put it into the select list of a subquery.",
            ));
        }
        _ => qname(name)?,
    };
    let (args, star): (Vec<Argument<_, _>>, bool) = arguments(args)?;
    absent(!star, "*")?;
    Ok(Expr::Call(Box::new(Call { args, ..Call::new(name, vec![]) })))
}

fn alias(alias: ast::TableAlias) -> Result<Alias> {
    let ast::TableAlias { explicit: _, name, columns, at } = alias;
    absent(at.is_none(), "AT")?;
    Ok(Alias { name: ident(name)?, columns: alias_columns(columns)? })
}

pub fn alias_columns(columns: Vec<ast::TableAliasColumnDef>) -> Result<Vec<(Ident, Option<TypeName>)>> {
    let column =
        |ast::TableAliasColumnDef { name, data_type }| Ok((ident(name)?, data_type.map(type_name).transpose()?));
    columns.into_iter().map(column).collect()
}

/// The type that the token pass put into one marked word.
pub fn type_name(ty: ast::DataType) -> Result<TypeName> {
    let ast::DataType::Custom(name, modifiers) = ty else { return syntax(ty) };
    absent(modifiers.is_empty(), "type modifier")?;
    match <[ast::Ident; 1]>::try_from(parts(name)?) {
        Ok([ast::Ident { value, quote_style: Some(TYPE), span: _ }]) => Ok(TypeName(value)),
        _ => syntax("type name"),
    }
}
