//! When an expression cannot be null, and which columns a condition excludes from being null.

use std::collections::BTreeSet;

use crate::expr::{Expr as Generic, IsTest, Literal, TypeName};
use crate::plan::{ColId, Expr};

/// Whether an expression is never null where these columns are not.
pub fn is_not_null(e: &Expr, not_null: &BTreeSet<ColId>) -> bool {
    let holds = |e: &Expr| is_not_null(e, not_null);
    match e {
        Generic::Column(id) => not_null.contains(id),
        Generic::Literal(literal) => *literal != Literal::Null,
        Generic::Cast(..) => is_constant(e),
        Generic::And(parts) | Generic::Or(parts) => parts.iter().all(holds),
        Generic::Not(e) | Generic::Collate(e, _) => holds(e),
        Generic::Is(..) | Generic::Distinct(..) | Generic::Row(_) | Generic::Array(_) | Generic::Exists(_) => true,
        Generic::Binary(op, l, r) if op.is_comparison() => match (&**l, &**r) {
            (Generic::Row(_), _) | (_, Generic::Row(_)) => false,
            (l, r) => holds(l) && holds(r),
        },
        Generic::Case(case) => {
            let arms = case.arms.iter().all(|(_, then)| holds(then));
            arms && case.otherwise.as_ref().is_some_and(holds)
        }
        Generic::Call(call) if call.name.schema.is_none() && call.over.is_none() => match call.name.name.as_str() {
            "coalesce" | "greatest" | "least" => call.args.iter().any(|arg| holds(&arg.value)),
            _ => false,
        },
        _ => false,
    }
}

/// The columns that are not null wherever the condition is true.
pub fn implied(condition: &Expr) -> BTreeSet<ColId> {
    match condition {
        Generic::And(parts) => parts.iter().flat_map(implied).collect(),
        Generic::Or(parts) => {
            parts.iter().map(implied).reduce(|l, r| l.intersection(&r).copied().collect()).unwrap_or_default()
        }
        Generic::Is(e, IsTest::NotNull | IsTest::True | IsTest::False) => strict(e),
        Generic::Distinct(e, null) if is_null(null) => strict(e),
        Generic::Column(id) => [*id].into(),
        Generic::Binary(op, l, r) if op.is_comparison() => &strict(l) | &strict(r),
        _ => BTreeSet::new(),
    }
}

/// The columns whose null makes an expression null: through arithmetic and casts between plain types.
fn strict(e: &Expr) -> BTreeSet<ColId> {
    match e {
        Generic::Column(id) => [*id].into(),
        Generic::Cast(e, TypeName(ty)) if is_plain_type(ty) => strict(e),
        Generic::Binary(op, l, r) if ["+", "-", "*", "/"].iter().any(|symbol| op.is(symbol)) => &strict(l) | &strict(r),
        _ => BTreeSet::new(),
    }
}

/// A literal under casts that cannot make it null. Casts of other values can: that of the
/// `jsonb` value `null` to an integer does.
fn is_constant(e: &Expr) -> bool {
    match e {
        Generic::Literal(literal) => *literal != Literal::Null,
        Generic::Cast(e, TypeName(ty)) => is_plain_type(ty) && is_constant(e),
        _ => false,
    }
}

fn is_null(e: &Expr) -> bool {
    *e == Generic::Literal(Literal::Null)
}

fn is_plain_type(ty: &str) -> bool {
    const PLAIN: &str = "smallint,integer,bigint,numeric,real,double precision,text,boolean,character varying";
    let base = ty.split('(').next().unwrap_or(ty);
    PLAIN.split(',').any(|plain| plain == base)
}
