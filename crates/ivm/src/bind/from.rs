//! FROM: each item a plan, and the names under which its columns are known.

use std::collections::BTreeMap;

use super::row_order::{RowOrder, Rows};
use super::scope::{Context, Found, Place, Scope};
use super::using::Merged;
use super::{Binder, offset, temporal};
use crate::error::{Error, Result};
use crate::plan::{ColId, Column, Expr, Plan, Relation, Scan, Unnest, Values, replaced};
use crate::rewrite::unnest::lateral;
use crate::sql::ast::{self, Alias, Cte, From, JoinKind, JoinOn};
use crate::sql::ident::{Ident, QName};
use crate::types::typed_null;

impl Binder<'_> {
    /// The product of all items; one row without columns when there are none.
    pub fn product(&mut self, items: &[From], context: Context) -> Result<(Plan, Scope)> {
        let mut product: Option<(Plan, Scope)> = None;
        for item in items {
            product = Some(match product {
                None => self.from(item, context)?,
                Some(left) => self.product_with(left, item, context)?,
            });
        }
        Ok(product.unwrap_or((Plan::Values(Values { columns: vec![], rows: vec![vec![]] }), Scope::default())))
    }

    /// The product with an item to the right, which can refer to those on its left if it is LATERAL.
    fn product_with(&mut self, (left, scope): (Plan, Scope), item: &From, context: Context) -> Result<(Plan, Scope)> {
        let place = Place { scope: &scope, context };
        let (right, own) = self.from(item, Context::at(&place))?;
        let plan = match right.free().is_disjoint(&left.ids()) {
            true => Plan::join(vec![left, right], vec![]),
            false => self.lateral(left, right, None)?,
        };
        Ok((plan, scope.and(own)))
    }

    fn from(&mut self, item: &From, context: Context) -> Result<(Plan, Scope)> {
        match item {
            From::Table { name, alias } => match context.ctes.find(name)? {
                Some(Found::Cte(cte, visible)) => self.cte(cte, context.within(visible), alias.as_ref()),
                Some(Found::Own(own)) => self.own_rows(own, alias.as_ref()),
                None => self.table(name, alias.as_ref()),
            },
            From::Derived { query, alias, .. } => {
                let Rows { plan, shown, row_order } = self.ordered(query, context)?;
                let columns = named_columns(&plan).into_iter().take(shown).collect();
                Ok((plan, named(columns, Some(alias), &alias.name)?.with_row_order(row_order)))
            }
            From::Function { call, alias: Some(alias), ordinality, lateral: _ } => {
                self.returned(call, alias, *ordinality, context)
            }
            From::Function { alias: None, .. } => {
                Err(Error::Syntax("a function in FROM without the names of its columns".to_owned()))
            }
            From::Join { kind, left, right, on, alias } => {
                let left = self.from(left, context)?;
                let (plan, scope) = self.join(*kind, left, right, on, context)?;
                let using: &[Ident] = if let JoinOn::Using(columns) = on { columns } else { &[] };
                match alias {
                    None => Ok((plan, scope)),
                    Some(alias) => {
                        let named = named(scope.columns(using)?, Some(alias), &alias.name)?;
                        Ok((plan, named.with_row_order(scope.row_order)))
                    }
                }
            }
        }
    }

    fn table(&mut self, name: &QName, alias: Option<&Alias>) -> Result<(Plan, Scope)> {
        let columns = self.types.catalog.columns(name)?;
        let columns = columns.into_iter().map(|column| (self.ids.column(column.name.as_str()), column.name)).collect();
        let plan = Plan::Scan(Scan { relation: Relation::Source(name.clone()), columns });
        let scope = named(named_columns(&plan), alias, &name.name)?;
        Ok((plan, scope))
    }

    /// The rows that a function returns, as a relation that may read its neighbours. PostgreSQL prints the names
    /// of all columns of a function in FROM, the number of the row last.
    fn returned(
        &mut self,
        call: &ast::Expr,
        alias: &Alias,
        ordinality: bool,
        context: Context,
    ) -> Result<(Plan, Scope)> {
        let input = Plan::Values(Values { columns: vec![], rows: vec![vec![]] });
        let call = self.expr(call, &Place { scope: &Scope::default(), context })?;
        let columns = alias.columns.iter().map(|(name, ty)| (self.ids.column(name.as_str()), ty.clone()));
        let plan = Plan::Unnest(Box::new(Unnest { input, call, columns: columns.collect(), ordinality, outer: false }));
        let scope = named(named_columns(&plan), Some(alias), &alias.name)?;
        Ok((plan, scope))
    }

    fn cte(&mut self, cte: &Cte, context: Context, alias: Option<&Alias>) -> Result<(Plan, Scope)> {
        let Rows { plan, shown, row_order } = match context.ctes.recursive {
            true => Rows::new(self.recursive(cte, context)?, RowOrder::Any),
            false => self.ordered(&cte.query, context)?,
        };
        let columns = named_columns(&plan).into_iter().take(shown).collect();
        let columns = renamed(columns, cte.columns.iter())?;
        Ok((plan, named(columns, alias, &cte.name)?.with_row_order(row_order)))
    }

    fn lateral(&mut self, left: Plan, right: Plan, on: Option<Expr>) -> Result<Plan> {
        lateral((left, right), on, &self.types, self.ids)
    }

    fn join(
        &mut self,
        kind: JoinKind,
        (left, scope): (Plan, Scope),
        right: &From,
        on: &JoinOn,
        context: Context,
    ) -> Result<(Plan, Scope)> {
        let place = Place { scope: &scope, context };
        let (right, own) = self.from(right, Context::at(&place))?;
        let (on, merged) = self.condition((&left, &scope), (&right, &own), on, context)?;
        let (on_clock, mut on): (Vec<Expr>, Vec<Expr>) = on.into_iter().partition(offset::reads_clock);
        let (left, right, on_clock) = match kind {
            JoinKind::Inner | JoinKind::Cross => (left, right, on_clock),
            JoinKind::Left | JoinKind::Right | JoinKind::Full => {
                let (left, right, more) = self.clock_of_sides(kind, (left, right), on_clock)?;
                on.extend(more);
                (left, right, vec![])
            }
        };
        let dependent = !right.free().is_disjoint(&left.ids());
        let scope = scope.and(own);
        let plan = match kind {
            JoinKind::Inner | JoinKind::Cross if dependent => {
                let plan = self.lateral(left, right, None)?;
                if on.is_empty() { plan } else { plan.filter(Expr::all(on)) }
            }
            JoinKind::Inner | JoinKind::Cross => Plan::join(vec![left, right], on),
            JoinKind::Left if dependent => self.lateral(left, right, Some(Expr::all(on)))?,
            JoinKind::Left => left.left_join(right, Expr::all(on)),
            JoinKind::Right => {
                let columns = [left.columns(), right.columns()].concat();
                right.left_join(left, Expr::all(on)).project(columns.iter().map(Column::pass).collect())
            }
            JoinKind::Full => return self.full_join(left, right, on, scope, merged),
        };
        let plan = if on_clock.is_empty() { plan } else { self.filtered(plan, Expr::all(on_clock))? };
        Ok(self.with_merged(plan, scope, merged.into_iter().map(|merged| merged.shown(kind)).collect()))
    }

    /// The sides of an outer join without the clock in its condition: where one side may have no match, conditions on it say which of its
    /// rows can match. The values of other comparisons become columns of their sides, which the conditions read.
    fn clock_of_sides(
        &mut self,
        kind: JoinKind,
        (left, right): (Plan, Plan),
        on_clock: Vec<Expr>,
    ) -> Result<(Plan, Plan, Vec<Expr>)> {
        let optional = match kind {
            JoinKind::Left => right.columns(),
            JoinKind::Right => left.columns(),
            _ => vec![],
        };
        let (of_optional, mut rest): (Vec<Expr>, Vec<Expr>) =
            on_clock.into_iter().partition(|e| temporal::is_filter(e, &optional));
        let filtered = |plan: Plan, binder: &mut Self| match of_optional.is_empty() {
            true => Ok(plan),
            false => temporal::filter(plan, Expr::all(of_optional.clone()), binder.ids),
        };
        let (left, right) = match kind {
            JoinKind::Right => (filtered(left, self)?, right),
            _ => (left, filtered(right, self)?),
        };
        let left = self.clock_values(left, &mut rest)?;
        let right = self.on_clock(right, &mut rest)?;
        Ok((left, right, rest))
    }

    /// `L ⟗ R = L ⟕ R ⊎ NULLs × (R ▷ L)`
    fn full_join(
        &mut self,
        left: Plan,
        right: Plan,
        on: Vec<Expr>,
        scope: Scope,
        merged: Vec<Merged>,
    ) -> Result<(Plan, Scope)> {
        let on = Expr::all(on);
        let (l, mut known) = left.copied(self.ids);
        let (r, more) = right.copied(self.ids);
        known.extend(more);
        let unmatched = r.semi_join(l, replaced(&on, &known), true);
        self.load_types(&left)?;
        let mut padded = vec![];
        for column in left.columns() {
            let null = typed_null(self.types.get(column.id)?);
            padded.push((self.ids.column(column.name.as_str()), null));
        }
        let copy =
            |column: &Column| Column { id: known.get(&column.id).copied().unwrap_or(column.id), ..column.clone() };
        padded.extend(right.columns().iter().map(|column| copy(column).pass()));
        let plan = self.union_all(left.left_join(right, on), unmatched.project(padded))?;
        self.full_scope(plan, scope, merged)
    }

    /// The union's columns under the names of the join's; a merged one is that of either side.
    fn full_scope(&mut self, plan: Plan, scope: Scope, merged: Vec<Merged>) -> Result<(Plan, Scope)> {
        let Plan::UnionAll(union) = &plan else { return Err(Error::Bug("a full join is a union")) };
        let fed = union.inputs.first().map(|(_, ids)| ids.clone()).unwrap_or_default();
        let of: BTreeMap<ColId, ColId> = fed.into_iter().zip(union.columns.iter().map(|column| column.id)).collect();
        let scope = scope.mapped(&|id| of.get(&id).copied().unwrap_or(id));
        let merged = merged.into_iter().map(|merged| merged.shown(JoinKind::Full));
        let merged = merged.map(|(name, e)| (name, replaced(&e, &of))).collect();
        Ok(self.with_merged(plan, scope, merged))
    }
}

pub fn named_columns(plan: &Plan) -> Vec<(Ident, ColId)> {
    plan.columns().into_iter().map(|column| (column.name, column.id)).collect()
}

/// A FROM item by its alias, or by its own name.
pub fn named(columns: Vec<(Ident, ColId)>, alias: Option<&Alias>, own: &Ident) -> Result<Scope> {
    match alias {
        None => Ok(Scope::item(own.clone(), columns)),
        Some(alias) => {
            Ok(Scope::item(alias.name.clone(), renamed(columns, alias.columns.iter().map(|(name, _)| name))?))
        }
    }
}

/// The first columns under other names.
pub fn renamed<'a>(
    mut columns: Vec<(Ident, ColId)>,
    names: impl Iterator<Item = &'a Ident>,
) -> Result<Vec<(Ident, ColId)>> {
    for (at, name) in names.enumerate() {
        let column = columns.get_mut(at).ok_or_else(|| Error::Syntax("more column aliases than columns".to_owned()))?;
        column.0 = name.clone();
    }
    Ok(columns)
}
