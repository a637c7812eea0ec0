//! Temporal filters: conditions that compare a column with the clock, `created_at > now() - interval '1 day'`.
//!
//! Such a condition is `e op f`, where `e` reads columns and no clock, and `f` is an *offset*: the clock, moved and
//! rounded by constants. It becomes the predicate of a join with the clock, whose columns no other operator reads. An
//! offset is strict, so it is NULL at all times or at none.

use std::ops::ControlFlow;

use crate::clock;
use crate::error::Result;
use crate::expr::{Call, Expr as Generic, Keyword, Op, Special, Step, TypeName};
use crate::plan::{ColId, Column, Expr, Ids, Plan, reads};
use crate::refuse;
use crate::words::Word;

/// The operators whose result time changes once a row, each with its commutator.
const COMPARISONS: [(&str, &str); 5] = [("<", ">"), ("<=", ">="), (">", "<"), (">=", "<="), ("=", "=")];

/// Strict functions that move or round a time by constants.
const OFFSETS: [&str; 4] = ["date_trunc", "date_bin", "make_interval", "timezone"];

/// σ; conditions on the clock become a join with it.
pub fn filter(plan: Plan, predicate: Expr, ids: &mut Ids) -> Result<Plan> {
    let (on_clock, plain): (Vec<Expr>, Vec<Expr>) = predicate.clone().conjuncts().into_iter().partition(reads_clock);
    if on_clock.is_empty() {
        return Ok(plan.filter(predicate));
    }
    let columns = plan.columns();
    let (clock, now) = clock::scan(ids);
    let predicates = on_clock.into_iter().map(|e| compared(e, &columns, &now)).collect::<Result<_>>()?;
    let plan = if plain.is_empty() { plan } else { plan.filter(Expr::all(plain)) };
    Ok(Plan::join(vec![plan, clock], predicates).project(columns.iter().map(Column::pass).collect()))
}

/// Whether an expression reads the clock, outside of its subqueries.
pub fn reads_clock(e: &Expr) -> bool {
    e.any(&mut |e| reading(e).is_some())
}

/// How an expression that reads the clock is spelled; `None` for any other.
pub fn reading<C, Q>(e: &Generic<C, Q>) -> Option<String> {
    match e {
        Generic::Keyword(keyword, _) if type_of(*keyword).is_some() => Some(keyword.text().to_owned()),
        Generic::Call(call) if call.args.is_empty() && is_now(call) => Some(format!("{}()", call.name)),
        _ => None,
    }
}

fn is_now<C, Q>(call: &Call<C, Q>) -> bool {
    let names = ["now", "transaction_timestamp", "statement_timestamp"];
    call.name.schema.is_none() && names.contains(&call.name.name.as_str())
}

/// The type of the keyword's value, where that is a time that never decreases.
fn type_of(keyword: Keyword) -> Option<&'static str> {
    match keyword {
        Keyword::CurrentTimestamp => Some(clock::TYPE),
        Keyword::Localtimestamp => Some("timestamp without time zone"),
        Keyword::CurrentDate => Some("date"),
        _ => None,
    }
}

/// `e op f` over the clock's column.
fn compared(condition: Expr, columns: &[Column], now: &Column) -> Result<Expr> {
    let spelled = spelling(std::slice::from_ref(&condition));
    let refused = || refuse::clock(&spelled);
    let Generic::Binary(op, l, r) = condition else { return Err(refused()) };
    let known = COMPARISONS.iter().find(|(symbol, _)| op.is(symbol));
    let (symbol, swapped) = known.ok_or_else(refused)?;
    let (e, symbol, f) = if reads_clock(&r) { (l, symbol, r) } else { (r, swapped, l) };
    let read = reads(&e);
    let of_row = !read.is_empty() && read.iter().all(|id| columns.iter().any(|column| column.id == *id));
    if !of_row || reads_clock(&e) || !e.subqueries().is_empty() || !is_offset(&f) {
        return Err(refused());
    }
    Ok(Generic::Binary(Op::plain(symbol), e, Box::new(f.try_replace(&mut |e| Ok(with_clock_column(e, now)))?)))
}

/// How the first clock function in these expressions is spelled.
pub fn spelling(exprs: &[Expr]) -> String {
    let mut found = None;
    exprs.iter().for_each(|e| e.visit(&mut |e| found = found.take().or_else(|| reading(e))));
    found.unwrap_or_default()
}

/// Whether an expression is made of the clock and constants by strict operators and functions.
fn is_offset(e: &Expr) -> bool {
    if reading(e).is_some() {
        return true;
    }
    match e {
        Generic::Literal(_) => true,
        Generic::Cast(e, ty) if reads_clock(e) => is_quantity(ty) && is_offset(e),
        Generic::Cast(e, ty) => is_built_in(ty) && is_offset(e),
        Generic::Unary(op, e) => op.is("-") && is_offset(e),
        Generic::Binary(op, l, r) => {
            ["+", "-", "*", "/"].iter().any(|known| op.is(known)) && is_offset(l) && is_offset(r)
        }
        Generic::Call(call) => {
            let known = call.name.schema.is_none() && OFFSETS.contains(&call.name.name.as_str());
            known && call.args.iter().all(|arg| !arg.variadic && is_offset(&arg.value))
        }
        Generic::Special(Special::AtTimeZone | Special::Extract(_), operands) => operands.iter().all(is_offset),
        _ => false,
    }
}

/// Types with one order; that of texts depends on their collation.
fn is_quantity(ty: &TypeName) -> bool {
    let known = ["date", "time", "interval", "numeric", "integer", "bigint", "double precision", "real"];
    known.iter().any(|known| ty.0.starts_with(known)) && is_built_in(ty)
}

/// User-defined types are printed with their schema.
fn is_built_in(ty: &TypeName) -> bool {
    !ty.0.contains('.')
}

/// The clock's column in place of a clock function.
fn with_clock_column(e: Expr, now: &Column) -> Step<ColId, Plan, ColId, Plan> {
    let now = now.expr();
    match &e {
        Generic::Keyword(keyword, precision) => match (type_of(*keyword), precision) {
            (Some(clock::TYPE), None) => ControlFlow::Break(now),
            (Some(ty), None) => ControlFlow::Break(now.cast(ty)),
            (Some(ty), Some(digits)) => ControlFlow::Break(now.cast(&ty.replacen(' ', &format!("({digits}) "), 1))),
            (None, _) => ControlFlow::Continue(e),
        },
        Generic::Call(call) if is_now(call) => ControlFlow::Break(now),
        _ => ControlFlow::Continue(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::plan::Relation;
    use crate::sql::ident::QName;
    use crate::sql::print;
    use crate::testing::memory::MemoryCatalog;
    use crate::{bind, canon, render, rewrite};

    fn bound(condition: &str) -> Result<Plan> {
        let columns = [("id", "integer", true), ("at", clock::TYPE, false), ("day", "date", false)];
        let catalog = MemoryCatalog::default().table(QName::qualified("public", "e"), &columns);
        let sql = format!("SELECT e.id FROM public.e WHERE {condition}");
        bind::bind(&canon::parse(&sql)?, &catalog, &mut Ids::default())
    }

    /// The condition of the join with the clock.
    fn condition(sql: &str) -> String {
        let names = |relation: &Relation| match relation {
            Relation::Clock => QName::bare("c"),
            _ => QName::bare("e"),
        };
        let query = render::query(&rewrite::simplify(bound(sql).unwrap()), &names).unwrap();
        let text = print::query(&query).replace('\n', " ");
        text.split_once("FROM e AS e, c AS c WHERE ").map(|(_, condition)| condition.to_owned()).unwrap_or(text)
    }

    #[test]
    fn comparisons_with_the_clock_are_joins_with_it() {
        let hour = "'01:00:00'::interval";
        for (sql, condition_of_join) in [
            (format!("(at > (now() - {hour}))"), format!("(e.at > (c.now - {hour}))")),
            (format!("((statement_timestamp() - {hour}) >= at)"), format!("(e.at <= (c.now - {hour}))")),
            (
                format!("((at + {hour}) < CURRENT_TIMESTAMP(0))"),
                format!("((e.at + {hour}) < (c.now)::timestamp(0) with time zone)"),
            ),
            ("(day = (CURRENT_DATE - 7))".to_owned(), "(e.day = ((c.now)::date - 7))".to_owned()),
            (
                "(at < date_trunc('day'::text, LOCALTIMESTAMP))".to_owned(),
                "(e.at < date_trunc('day'::text, (c.now)::timestamp without time zone))".to_owned(),
            ),
            (
                "(EXTRACT(epoch FROM at) > (EXTRACT(epoch FROM transaction_timestamp()) - (60)::numeric))".to_owned(),
                "(EXTRACT(epoch FROM e.at) > (EXTRACT(epoch FROM c.now) - 60::numeric))".to_owned(),
            ),
        ] {
            assert_eq!(condition(&sql), condition_of_join, "{sql}");
        }
    }

    #[test]
    fn conjuncts_share_one_reading() {
        let sql = "((at >= (now() - '01:00:00'::interval)) AND (id > 5) AND (at < now()))";
        assert_eq!(condition(sql), "(e.id > 5) AND (e.at >= (c.now - '01:00:00'::interval)) AND (e.at < c.now)");
    }

    #[test]
    fn the_clock_elsewhere_is_refused() {
        for sql in [
            "((id = 1) OR (at > now()))",
            "(NOT (at > now()))",
            "(at <> now())",
            "((now() - at) < '1 day'::interval)",
            "(now() > '2020-01-01 00:00:00+00'::timestamp with time zone)",
            "(at > (now() - (id * '1 day'::interval)))",
            "(at > (now() - public.pause()))",
            "(at > (now())::public.moment)",
            "((at)::text > (now())::text)",
            "(at > NULLIF(now(), '2020-01-01 00:00:00+00'::timestamp with time zone))",
            "(now() > CURRENT_DATE)",
            "(at OPERATOR(public.>) now())",
            "(id IN ( SELECT x.id FROM public.e x WHERE (e.at > now())))",
        ] {
            let Err(Error::Unsupported { construct, .. }) = bound(sql) else { panic!("{sql}") };
            assert_eq!(construct, "now()", "{sql}");
        }
    }
}
