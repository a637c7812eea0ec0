//! Queries: the parser's tree taken apart, field by field.

use sqlparser::ast;

use super::call::{mark, marked_arguments};
use super::expr::{columns, expr, exprs, group, orders, window};
use super::from::{alias_columns, from_list};
use super::names::{ident, syntax};
use super::tokens::{GROUPED_ONCE, TIES};
use super::{DEPTH, too_deep};
use crate::error::Result;
use crate::expr::Literal;
use crate::sql::ast::{Body, Cte, Distinct, Expr, Item, Limit, Order, Query, Select, SetOp, Window, With};
use crate::sql::ident::Ident;

/// Refuses a clause that no canonical SQL has.
pub fn absent(is_absent: bool, what: &str) -> Result<()> {
    if is_absent { Ok(()) } else { syntax(what) }
}

pub fn query(query: ast::Query) -> Result<Query> {
    let ast::Query {
        with: ctes,
        body: set,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    absent(fetch.is_none(), "FETCH")?;
    absent(locks.is_empty() && for_clause.is_none(), "FOR")?;
    absent(settings.is_none() && format_clause.is_none() && pipe_operators.is_empty(), "SETTINGS")?;
    let (limit, offset) = limit_clause.map_or(Ok((None, None)), limits)?;
    let own = Query {
        with: ctes.map(with).transpose()?,
        body: Body::Values(vec![]),
        order_by: ordering(order_by)?,
        limit,
        offset,
    };
    let inner = set_expr(*set)?;
    if own.with.is_none() && own.order_by.is_empty() && own.limit.is_none() && own.offset.is_none() {
        return Ok(inner);
    }
    // `(query) ORDER BY …`: the parentheses hold clauses of their own.
    absent(inner.with.is_none() && inner.order_by.is_empty() && inner.limit.is_none() && inner.offset.is_none(), "(")?;
    Ok(Query { body: inner.body, ..own })
}

fn ordering(order_by: Option<ast::OrderBy>) -> Result<Vec<Order>> {
    match order_by {
        None => Ok(vec![]),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), interpolate: None }) => orders(keys),
        Some(other) => syntax(other),
    }
}

fn limits(clause: ast::LimitClause) -> Result<(Option<Limit>, Option<Expr>)> {
    let ast::LimitClause::LimitOffset { limit, offset, limit_by } = clause else { return syntax("LIMIT with a comma") };
    absent(limit_by.is_empty(), "LIMIT BY")?;
    let offset = match offset {
        None => None,
        Some(ast::Offset { value, rows: ast::OffsetRows::None }) => Some(expr(value)?),
        Some(other) => return syntax(other),
    };
    Ok((limit.map(limited).transpose()?, offset))
}

fn limited(count: ast::Expr) -> Result<Limit> {
    if let ast::Expr::Function(function) = &count
        && mark(function) == Some(TIES)
    {
        let mut counts = marked_arguments(function.clone())?;
        return Ok(Limit { count: counts.pop().map(expr).transpose()?, with_ties: true });
    }
    let count = expr(count)?;
    let all = count == Expr::Literal(Literal::Null);
    Ok(Limit { count: (!all).then_some(count), with_ties: false })
}

fn with(with: ast::With) -> Result<With> {
    let ast::With { with_token: _, recursive, cte_tables } = with;
    Ok(With { recursive, ctes: cte_tables.into_iter().map(cte).collect::<Result<_>>()? })
}

fn cte(cte: ast::Cte) -> Result<Cte> {
    let ast::Cte { alias, query: inner, from, materialized, closing_paren_token: _ } = cte;
    let ast::TableAlias { explicit: _, name, columns, at } = alias;
    absent(from.is_none() && at.is_none(), "clause after WITH")?;
    let columns = alias_columns(columns)?.into_iter().map(|(name, ty)| match ty {
        None => Ok(name),
        Some(ty) => syntax(ty),
    });
    Ok(Cte {
        name: ident(name)?,
        columns: columns.collect::<Result<_>>()?,
        materialized: materialized.map(|choice| match choice {
            ast::CteAsMaterialized::Materialized => true,
            ast::CteAsMaterialized::NotMaterialized => false,
        }),
        query: query(*inner)?,
        comment: None,
    })
}

fn bare(body: Body) -> Query {
    Query { with: None, body, order_by: vec![], limit: None, offset: None }
}

fn set_expr(set: ast::SetExpr) -> Result<Query> {
    match set {
        ast::SetExpr::Select(inner) => Ok(bare(Body::Select(Box::new(select(*inner)?)))),
        ast::SetExpr::Query(inner) => query(*inner),
        ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
            if operands(&left) >= DEPTH {
                return Err(too_deep());
            }
            let op = match op {
                ast::SetOperator::Union => SetOp::Union,
                ast::SetOperator::Intersect => SetOp::Intersect,
                ast::SetOperator::Except => SetOp::Except,
                ast::SetOperator::Minus => return syntax("MINUS"),
            };
            let all = match set_quantifier {
                ast::SetQuantifier::All => true,
                ast::SetQuantifier::None => false,
                other => return syntax(other),
            };
            let (left, right) = (Box::new(set_expr(*left)?), Box::new(set_expr(*right)?));
            Ok(bare(Body::SetOp { op, all, left, right }))
        }
        ast::SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows }) => {
            let rows = rows.into_iter().map(|row| columns(row.content));
            Ok(bare(Body::Values(rows.collect::<Result<_>>()?)))
        }
        other => syntax(other),
    }
}

/// How many queries a chain of set operations combines.
fn operands(mut set: &ast::SetExpr) -> usize {
    let mut count = 1;
    while let ast::SetExpr::SetOperation { left, .. } = set {
        (set, count) = (left, count + 1);
    }
    count
}

fn select(select: ast::Select) -> Result<Select> {
    let ast::Select {
        select_token: _,
        optimizer_hints: _,
        distinct: duplicates,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    absent(select_modifiers.is_none() && top.is_none() && value_table_mode.is_none(), "word after SELECT")?;
    absent(exclude.is_none() && into.is_none() && flavor == ast::SelectFlavor::Standard, "word before FROM")?;
    absent(lateral_views.is_empty() && prewhere.is_none() && connect_by.is_empty(), "word before WHERE")?;
    absent(cluster_by.is_empty() && distribute_by.is_empty() && sort_by.is_empty(), "word after GROUP BY")?;
    absent(qualify.is_none(), "QUALIFY")?;
    let ast::GroupByExpr::Expressions(mut keys, modifiers) = group_by else { return syntax("GROUP BY ALL") };
    let once = |key: &ast::Expr| matches!(key, ast::Expr::Function(call) if mark(call) == Some(GROUPED_ONCE));
    let group_once = keys.first().is_some_and(once);
    if group_once {
        keys.remove(0);
    }
    absent(modifiers.is_empty(), "WITH after GROUP BY")?;
    Ok(Select {
        distinct: distinct(duplicates)?,
        items: projection.into_iter().map(item).collect::<Result<_>>()?,
        from: from_list(from)?,
        filter: selection.map(expr).transpose()?,
        group_once,
        group_by: keys.into_iter().map(group).collect::<Result<_>>()?,
        having: having.map(expr).transpose()?,
        windows: named_window.into_iter().map(named).collect::<Result<_>>()?,
    })
}

fn distinct(distinct: Option<ast::Distinct>) -> Result<Distinct> {
    match distinct {
        None => Ok(Distinct::No),
        Some(ast::Distinct::Distinct) => Ok(Distinct::Rows),
        Some(ast::Distinct::On(keys)) => Ok(Distinct::On(exprs(keys)?)),
        Some(ast::Distinct::All) => syntax("SELECT ALL"),
    }
}

fn item(item: ast::SelectItem) -> Result<Item> {
    match item {
        ast::SelectItem::UnnamedExpr(e) => Ok(Item { expr: columns(vec![e])?.remove(0), alias: None }),
        ast::SelectItem::ExprWithAlias { expr: e, alias } => Ok(Item { expr: expr(e)?, alias: Some(ident(alias)?) }),
        other => syntax(other),
    }
}

fn named(definition: ast::NamedWindowDefinition) -> Result<(Ident, Window)> {
    let ast::NamedWindowDefinition(name, definition) = definition;
    match definition {
        ast::NamedWindowExpr::WindowSpec(spec) => Ok((ident(name)?, window(spec)?)),
        ast::NamedWindowExpr::NamedWindow(other) => syntax(other),
    }
}
