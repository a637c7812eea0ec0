//! FROM: each item a plan, and the names under which its columns are known.

use super::scope::{Ctes, Scope};
use super::{Binder, refuse};
use crate::error::{Error, Result};
use crate::plan::{ColId, Expr, Plan, Relation, Scan, Values};
use crate::sql::ast::{Alias, Cte, From, JoinKind, JoinOn};
use crate::sql::ident::{Ident, QName};

impl Binder<'_> {
    /// The product of all items; one row without columns when there are none.
    pub fn product(&mut self, items: &[From], ctes: Ctes) -> Result<(Plan, Scope)> {
        let mut plans = vec![];
        let mut scope = Scope::default();
        for item in items {
            let (plan, own) = self.from(item, ctes)?;
            plans.push(plan);
            scope = scope.and(own);
        }
        let plan = match plans.len() {
            0 => Plan::Values(Values { columns: vec![], rows: vec![vec![]] }),
            1 => plans.remove(0),
            _ => Plan::join(plans, vec![]),
        };
        Ok((plan, scope))
    }

    fn from(&mut self, item: &From, ctes: Ctes) -> Result<(Plan, Scope)> {
        match item {
            From::Table { name, alias } => match ctes.find(name)? {
                Some((cte, visible)) => self.cte(cte, visible, alias.as_ref()),
                None => self.table(name, alias.as_ref()),
            },
            From::Derived { lateral: true, .. } => Err(refuse::lateral()),
            From::Derived { query, alias, .. } => {
                let plan = self.query(query, ctes)?;
                let scope = named(named_columns(&plan), Some(alias), &alias.name)?;
                Ok((plan, scope))
            }
            From::Function { .. } => Err(refuse::function_in_from()),
            From::Join { kind: JoinKind::Left | JoinKind::Right | JoinKind::Full, .. } => Err(refuse::outer_join()),
            From::Join { kind: JoinKind::Inner | JoinKind::Cross, left, right, on, alias } => {
                let (left, right) = (self.from(left, ctes)?, self.from(right, ctes)?);
                self.join(left, right, on, alias.as_ref())
            }
        }
    }

    fn table(&mut self, name: &QName, alias: Option<&Alias>) -> Result<(Plan, Scope)> {
        let columns = self.catalog.columns(name)?;
        let columns = columns.into_iter().map(|column| (self.ids.column(column.name.as_str()), column.name)).collect();
        let plan = Plan::Scan(Scan { relation: Relation::Source(name.clone()), columns });
        let scope = named(named_columns(&plan), alias, &name.name)?;
        Ok((plan, scope))
    }

    fn cte(&mut self, cte: &Cte, visible: Ctes, alias: Option<&Alias>) -> Result<(Plan, Scope)> {
        let plan = self.query(&cte.query, visible)?;
        let columns = renamed(named_columns(&plan), cte.columns.iter())?;
        Ok((plan, named(columns, alias, &cte.name)?))
    }

    fn join(
        &mut self,
        l: (Plan, Scope),
        r: (Plan, Scope),
        on: &JoinOn,
        alias: Option<&Alias>,
    ) -> Result<(Plan, Scope)> {
        let ((left, left_scope), (right, right_scope)) = (l, r);
        let using: &[Ident] = if let JoinOn::Using(columns) = on { columns } else { &[] };
        let mut predicates = vec![];
        let mut merged = vec![];
        for name in using {
            let bare = crate::sql::ast::Name { relation: None, column: name.clone() };
            let (l, r) = (left_scope.column(&bare)?, right_scope.column(&bare)?);
            predicates.push(Expr::equals(Expr::Column(l), Expr::Column(r)));
            merged.push((name.clone(), l));
        }
        let mut scope = left_scope.and(right_scope);
        merged.into_iter().for_each(|(name, id)| scope.merge(name, id));
        if let JoinOn::On(condition) = on {
            predicates.extend(self.expr(condition, &scope)?.conjuncts());
        }
        let plan = Plan::join(vec![left, right], predicates);
        match alias {
            None => Ok((plan, scope)),
            Some(alias) => Ok((plan, named(scope.columns(using)?, Some(alias), &alias.name)?)),
        }
    }
}

fn named_columns(plan: &Plan) -> Vec<(Ident, ColId)> {
    plan.columns().into_iter().map(|column| (column.name, column.id)).collect()
}

/// A FROM item by its alias, or by its own name.
fn named(columns: Vec<(Ident, ColId)>, alias: Option<&Alias>, own: &Ident) -> Result<Scope> {
    match alias {
        None => Ok(Scope::item(own.clone(), columns)),
        Some(alias) => {
            Ok(Scope::item(alias.name.clone(), renamed(columns, alias.columns.iter().map(|(name, _)| name))?))
        }
    }
}

/// The first columns under other names.
fn renamed<'a>(
    mut columns: Vec<(Ident, ColId)>,
    names: impl Iterator<Item = &'a Ident>,
) -> Result<Vec<(Ident, ColId)>> {
    for (at, name) in names.enumerate() {
        let column = columns.get_mut(at).ok_or_else(|| Error::Syntax("more column aliases than columns".to_owned()))?;
        column.0 = name.clone();
    }
    Ok(columns)
}
