//! The display scale of numerics: `sum` shows as many decimals as the value with the most of them.
//!
//! Where the plan proves that all values have one scale, addition preserves it. Otherwise the state counts
//! its values by scale in one number that is linear in them: `Σ w · 10^(18 · scale)`. Its digits, eighteen
//! at a time, are the counts; the largest scale still present is the place of the first digit. Scales
//! from [`CAP`] on share a place, and a group that has such values is recomputed.

use crate::catalog::FunctionKind;
use crate::expr::{Call, Literal, Special, TypeName};
use crate::plan::{ColId, Expr, Plan, Relation};
use crate::types::Types;

use super::Cutter;

/// The largest scale with a counter of its own.
pub const CAP: i64 = 38;

/// Decimal digits of one counter.
const DIGITS: i64 = 18;

/// The contribution of one value to the counter of values by scale. NaN and infinities, which have no scale, count
/// as beyond the cap; NULL does not count.
pub fn contribution(value: Expr) -> Expr {
    let place = Expr::call("least", vec![Expr::call("scale", vec![value.clone()]), Expr::number(CAP)]);
    let exponent = Expr::binary("*", Expr::number(DIGITS), place).cast("text");
    // From text: reading a power of ten is several times as fast as computing it.
    let power = Expr::binary("||", Expr::string("1e").cast("text"), exponent).cast("numeric");
    Expr::case(vec![(value.is_present(), power)], Expr::null().cast("numeric"))
}

/// The largest scale that a counter holds.
pub fn largest(counter: Expr) -> Expr {
    let digits = Expr::call("length", vec![counter.cast("text")]);
    Expr::binary("/", Expr::binary("-", digits, Expr::number(1)), Expr::number(DIGITS))
}

/// Whether a counter holds values beyond the cap.
pub fn beyond_cap(counter: Expr) -> Expr {
    Expr::binary(">=", largest(counter), Expr::number(CAP))
}

/// The one scale of every value of a column, where the plan proves it.
pub fn fixed(plan: &Plan, id: ColId, cx: &Cutter) -> Option<u32> {
    match plan.maker(id)? {
        Plan::Scan(scan) if matches!(scan.relation, Relation::Source(_)) => of_type(id, cx.types),
        Plan::Project(p) | Plan::Expand(p) => {
            let (_, e) = p.columns.iter().find(|(column, _)| column.id == id)?;
            of_expr(e, &p.input, cx)
        }
        Plan::UnionAll(u) => {
            let at = u.columns.iter().position(|column| column.id == id)?;
            same(u.inputs.iter().map(|(input, ids)| fixed(input, ids[at], cx)))
        }
        Plan::Aggregate(a) => {
            let call = a.calls.iter().find(|call| call.column.id == id)?;
            match (call.function.name.as_str(), call.args.as_slice()) {
                ("sum" | "min" | "max", [arg]) if call.function.schema.is_none() => fixed(&a.input, *arg, cx),
                _ => of_type(id, cx.types),
            }
        }
        // Both arms have the modifier of the first.
        Plan::Fixpoint(_) => of_type(id, cx.types),
        _ => None,
    }
}

fn of_type(id: ColId, types: &Types) -> Option<u32> {
    of_name(&types.get(id).ok()?.name)
}

/// `numeric(p,s)` has scale `s`; an integer, seen as a numeric, has none.
fn of_name(name: &str) -> Option<u32> {
    if matches!(name, "smallint" | "integer" | "bigint") {
        return Some(0);
    }
    let modifier = name.strip_prefix("numeric(")?.strip_suffix(')')?;
    let scale = modifier.split_once(',').map_or("0", |(_, scale)| scale).trim();
    Some(scale.parse::<i32>().ok()?.max(0).unsigned_abs())
}

fn of_expr(expr: &Expr, input: &Plan, cx: &Cutter) -> Option<u32> {
    match expr {
        Expr::Column(id) => fixed(input, *id, cx),
        Expr::Literal(Literal::Number(digits)) => of_digits(digits),
        Expr::Cast(e, TypeName(ty)) if ty == "numeric" => match &**e {
            Expr::Literal(Literal::String(digits)) => of_digits(digits.trim_start_matches('-')),
            e => of_expr(e, input, cx),
        },
        Expr::Cast(_, TypeName(ty)) => of_name(ty),
        Expr::Unary(op, e) if op.is("-") => of_expr(e, input, cx),
        Expr::Binary(op, l, r) if op.schema.is_none() => {
            let (l, r) = (of_expr(l, input, cx)?, of_expr(r, input, cx)?);
            match op.symbol.as_str() {
                "+" | "-" => Some(l.max(r)),
                "*" => Some(l + r),
                _ => None,
            }
        }
        Expr::Case(case) => {
            let otherwise = case.otherwise.iter();
            let arms = case.arms.iter().map(|(_, then)| then).chain(otherwise);
            same(arms.filter(|arm| !is_null(arm)).map(|arm| of_expr(arm, input, cx)))
        }
        Expr::Call(call) => of_call(call, input, cx),
        Expr::Special(Special::Extract(field), _) => {
            WHOLE_FIELDS.split(' ').any(|known| known == field.as_str()).then_some(0)
        }
        _ => None,
    }
}

/// Fields of dates, times and intervals that are whole numbers.
const WHOLE_FIELDS: &str =
    "century day decade dow doy hour isodow isoyear microseconds millennium minute month quarter week year";

fn of_call(call: &Call<ColId, Plan>, input: &Plan, cx: &Cutter) -> Option<u32> {
    let plain = call.name.schema.is_none() && call.over.is_none();
    let known = plain && matches!(cx.types.catalog.function(&call.name), Ok(FunctionKind::Scalar));
    let keyword = matches!(call.name.name.as_str(), "coalesce" | "greatest" | "least");
    match call.name.name.as_str() {
        "coalesce" | "greatest" | "least" | "abs" if plain && (keyword || known) => {
            same(call.args.iter().map(|arg| &arg.value).filter(|e| !is_null(e)).map(|e| of_expr(e, input, cx)))
        }
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal::Null) => true,
        Expr::Cast(e, _) => is_null(e),
        _ => false,
    }
}

/// Decimals of a number as PostgreSQL prints it; `None` for exponents and names.
fn of_digits(digits: &str) -> Option<u32> {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = whole.chars().chain(decimals.chars()).all(|c| c.is_ascii_digit());
    plain.then(|| u32::try_from(decimals.len()).ok()).flatten()
}

/// The scale that all have; `None` when they differ or there are none.
fn same(mut scales: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = scales.next()??;
    scales.all(|scale| scale == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{of_digits, of_name};

    #[test]
    fn scales_of_type_names() {
        assert_eq!(of_name("numeric(15,2)"), Some(2));
        assert_eq!(of_name("numeric(5,-2)"), Some(0));
        assert_eq!(of_name("numeric(5)"), Some(0));
        assert_eq!(of_name("bigint"), Some(0));
        assert_eq!(of_name("numeric"), None);
        assert_eq!(of_name("double precision"), None);
    }

    #[test]
    fn scales_of_literals() {
        assert_eq!(of_digits("1"), Some(0));
        assert_eq!(of_digits("0.05"), Some(2));
        assert_eq!(of_digits("1e5"), None);
        assert_eq!(of_digits("NaN"), None);
    }
}
