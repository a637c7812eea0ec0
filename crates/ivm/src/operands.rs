//! The operands of comparisons whose implicit casts PostgreSQL does not print: `x IN (SELECT y …)` and `USING (x)`.
//!
//! Equality depends on the operator that PostgreSQL chooses and on the types that it casts both sides to:
//! of a `double precision` and a `numeric`, 1 and 1.000000000000000000001 are equal. Rows are counted by the compared
//! values, so the casts must be explicit. PostgreSQL supplies them: it prints a comparison of columns of these types.

use crate::catalog::{Catalog, ColumnType, Equality};
use crate::error::{Error, Result};
use crate::expr::{Expr as Generic, Op};
use crate::plan::Expr;
use crate::sql::ast::{self, Body, From, Item, Query, Select, col};
use crate::types::typed_null;

/// An expression and its type.
pub type Typed<'a> = (Expr, &'a ColumnType);

/// Both sides of `left op right`, cast as PostgreSQL casts them.
pub fn compared(op: &Op, left: Typed, right: Typed, catalog: &dyn Catalog) -> Result<(Expr, Expr)> {
    let comparison = Generic::Binary(op.clone(), Box::new(col("l", "x")), Box::new(col("r", "x")));
    cast(comparison, left, right, catalog)
}

/// Both sides of a column that USING merges, cast to its type.
pub fn merged(left: Typed, right: Typed, catalog: &dyn Catalog) -> Result<(Expr, Expr)> {
    cast(Generic::call("coalesce", vec![col("l", "x"), col("r", "x")]), left, right, catalog)
}

fn cast(comparison: ast::Expr, (l, left): Typed, (r, right): Typed, catalog: &dyn Catalog) -> Result<(Expr, Expr)> {
    if left.name == right.name && left.equality != Equality::Missing {
        return Ok((l, r));
    }
    let typed = |ty: &ColumnType| Select { items: vec![Item::named(typed_null(ty), "x")], ..Select::default() };
    let from = [("l", left), ("r", right)].map(|(name, ty)| From::derived(Query::select(typed(ty)), name));
    let items = vec![Item::named(comparison, "c")];
    let query = Query::select(Select { items, from: from.into(), ..Select::default() });
    let unexpected = || Error::Bug("a comparison is printed as something else");
    let Body::Select(select) = catalog.printed(&query)?.body else { return Err(unexpected()) };
    let printed = select.items.into_iter().next().ok_or_else(unexpected)?.expr;
    let [left, right] = <[ast::Expr; 2]>::try_from(match printed {
        Generic::Binary(_, left, right) => vec![*left, *right],
        Generic::Call(call) => call.args.into_iter().map(|arg| arg.value).collect(),
        _ => vec![],
    })
    .map_err(|_| unexpected())?;
    Ok((placed(left, &l)?, placed(right, &r)?))
}

/// A printed side, with `e` in the place of its column.
fn placed(side: ast::Expr, e: &Expr) -> Result<Expr> {
    let mut query = |_: Query| Err(Error::Bug("a column that is cast by a query"));
    side.try_map(&mut |_| Ok(e.clone()), &mut query)
}
