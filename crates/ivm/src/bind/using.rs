//! The condition of a join. USING compares columns of one name, and makes one column of them: of their common type,
//! from the side that has a row.

use super::Binder;
use super::scope::{Context, Place, Scope};
use crate::error::Result;
use crate::expr::{Expr as Generic, Op};
use crate::operands;
use crate::plan::{Expr, Plan};
use crate::sql::ast::{JoinKind, JoinOn, Name};
use crate::sql::ident::Ident;

/// A column that USING merges: its name, and what it is on the left and on the right.
pub struct Merged {
    name: Ident,
    left: Expr,
    right: Expr,
}

impl Merged {
    /// The column as a join of this kind shows it: for an inner join, the side that needs no cast.
    pub fn shown(self, kind: JoinKind) -> (Ident, Expr) {
        let Merged { name, left, right } = self;
        let shown = match kind {
            JoinKind::Left => left,
            JoinKind::Right => right,
            JoinKind::Full => Expr::call("coalesce", vec![left, right]),
            JoinKind::Inner | JoinKind::Cross if matches!(left, Generic::Column(_)) => left,
            JoinKind::Inner | JoinKind::Cross if matches!(right, Generic::Column(_)) => right,
            JoinKind::Inner | JoinKind::Cross => left,
        };
        (name, shown)
    }
}

impl Binder<'_> {
    /// The condition of a join, and the columns that USING makes one of.
    pub fn condition(
        &mut self,
        (left, l_scope): (&Plan, &Scope),
        (right, r_scope): (&Plan, &Scope),
        on: &JoinOn,
        context: Context,
    ) -> Result<(Vec<Expr>, Vec<Merged>)> {
        let names = match on {
            JoinOn::None => return Ok((vec![], vec![])),
            JoinOn::On(condition) => {
                let scope = l_scope.clone().and(r_scope.clone());
                return Ok((self.predicate(condition, &Place { scope: &scope, context })?.conjuncts(), vec![]));
            }
            JoinOn::Using(names) => names,
        };
        self.load_types(left)?;
        self.load_types(right)?;
        let (mut predicates, mut merged) = (vec![], vec![]);
        for name in names {
            let bare = Name { relation: None, column: name.clone() };
            let (l, r) = (l_scope.column(&bare)?, r_scope.column(&bare)?);
            let types = (self.types.get(l)?, self.types.get(r)?);
            let sides = || ((Expr::Column(l), types.0), (Expr::Column(r), types.1));
            let (left, right) = operands::compared(&Op::plain("="), sides().0, sides().1, self.types.catalog)?;
            predicates.push(Expr::equals(left, right));
            let (left, right) = operands::merged(sides().0, sides().1, self.types.catalog)?;
            merged.push(Merged { name: name.clone(), left, right });
        }
        Ok((predicates, merged))
    }

    /// A join with its merged columns, computed where they are no columns of either side.
    pub fn with_merged(&mut self, plan: Plan, mut scope: Scope, merged: Vec<(Ident, Expr)>) -> (Plan, Scope) {
        let mut columns = plan.pass();
        let own = columns.len();
        for (name, e) in merged {
            let id = match e {
                Generic::Column(id) => id,
                e => {
                    let column = self.ids.column(name.as_str());
                    columns.push((column.clone(), e));
                    column.id
                }
            };
            scope.merge(name, id);
        }
        (if columns.len() > own { plan.project(columns) } else { plan }, scope)
    }
}
