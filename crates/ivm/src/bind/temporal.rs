//! Temporal filters: conditions that compare a column with the clock, `created_at > now() - interval '1 day'`.
//!
//! Such a comparison is `e op f`, where `e` reads columns and no clock, and `f` is an *offset*: the clock, moved and
//! rounded by constants. It is solved for the column where both are on one side, as in `now() - created_at < '1 day'`. A condition may
//! join comparisons with each other and with what does not read the clock, by AND, OR, NOT, IS, CASE and COALESCE. It becomes
//! the predicate of a join with the clock, whose columns no other operator reads. An offset is strict, so it is NULL at all
//! times or at none.

use crate::clock;
use crate::error::Result;
use crate::expr::{Case, Expr as Generic, Op};
use crate::plan::{ColId, Column, Expr, Ids, Plan, reads};
use crate::refuse;
use crate::sql::ident::QName;

use super::distance;
use super::offset::{is_offset, reads_clock, spelling, with_clock_column};

/// σ; conditions on the clock become a join with it.
pub fn filter(plan: Plan, predicate: Expr, ids: &mut Ids) -> Result<Plan> {
    let (on_clock, plain): (Vec<Expr>, Vec<Expr>) = predicate.clone().conjuncts().into_iter().partition(reads_clock);
    if on_clock.is_empty() {
        return Ok(plan.filter(predicate));
    }
    let columns = plan.columns();
    let (clock, now) = clock::scan(ids);
    let predicates = on_clock.into_iter().map(|e| condition(e, &columns, &now)).collect::<Result<_>>()?;
    let plan = if plain.is_empty() { plan } else { plan.filter(Expr::all(plain)) };
    Ok(Plan::join(vec![plan, clock], predicates).project(columns.iter().map(Column::pass).collect()))
}

/// Whether a condition can be the predicate of a join of rows of these columns with the clock.
pub fn is_filter(e: &Expr, columns: &[Column]) -> bool {
    let is_own = |id: &ColId| columns.iter().any(|column| column.id == *id);
    e.subqueries().is_empty() && reads(e).iter().all(is_own) && solved(e.clone()).is_some()
}

/// A condition over the clock's column.
fn condition(e: Expr, columns: &[Column], now: &Column) -> Result<Expr> {
    let spelled = spelling(std::slice::from_ref(&e));
    let solved = Some(e).filter(|e| is_filter(e, columns)).and_then(solved).ok_or_else(|| refuse::clock(&spelled))?;
    solved.try_replace(&mut |e| Ok(with_clock_column(e, now)))
}

/// The same condition with each comparison as `e op f`; none where the clock is read in another way.
fn solved(e: Expr) -> Option<Expr> {
    if !reads_clock(&e) {
        return Some(e);
    }
    let all = |list: Vec<Expr>| list.into_iter().map(solved).collect::<Option<Vec<Expr>>>();
    Some(match e {
        Generic::And(list) => Generic::And(all(list)?),
        Generic::Or(list) => Generic::Or(all(list)?),
        Generic::Not(e) => Generic::Not(Box::new(solved(*e)?)),
        Generic::Is(e, test) => solved(*e)?.is(test),
        Generic::Case(case) if case.operand.is_none() => {
            let arms = case.arms.into_iter().map(|(holds, value)| Some((solved(holds)?, solved(value)?)));
            let arms = arms.collect::<Option<_>>()?;
            let otherwise = case.otherwise.map(|e| solved(e).ok_or(())).transpose().ok()?;
            Generic::Case(Box::new(Case { operand: None, arms, otherwise }))
        }
        Generic::Call(mut call) if call.name == QName::bare("coalesce") => {
            for arg in &mut call.args {
                arg.value = solved(arg.value.clone())?;
            }
            Generic::Call(call)
        }
        Generic::Binary(op, l, r) => comparison(&op, *l, *r)?,
        _ => return None,
    })
}

/// A comparison of something with the clock, as its sides: what is compared, and the offset.
pub fn sides(e: &Expr) -> Option<(Expr, Expr)> {
    match e {
        Generic::Binary(op, l, r) if reads_clock(e) => match comparison(op, (**l).clone(), (**r).clone())? {
            Generic::Not(e) => sides(&e),
            Generic::Binary(_, e, f) => Some((*e, *f)),
            _ => None,
        },
        _ => None,
    }
}

/// `e op f`
fn comparison(op: &Op, l: Expr, r: Expr) -> Option<Expr> {
    let exchanged = op.exchanged()?;
    let (e, op, f) = if reads_clock(&r) { (l, op.clone(), r) } else { (r, exchanged, l) };
    let (e, op, f) = if reads(&e).is_empty() { distance::solved(e, op, f)? } else { (e, op, f) };
    if reads(&e).is_empty() || reads_clock(&e) || !is_offset(&f) {
        return None;
    }
    Some(match op.is("<>") {
        true => Generic::Not(Box::new(Expr::equals(e, f))),
        false => Generic::Binary(op, Box::new(e), Box::new(f)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::plan::Relation;
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
    fn distances_from_the_clock_are_solved_for_the_column() {
        for (sql, condition_of_join) in [
            ("((now() - at) < '1 day'::interval)", "(e.at > (c.now - '24:00:00'::interval))"),
            (
                "('1 mon 3 days -01:00:00.5'::interval >= (now() - at))",
                "(e.at >= (c.now - '790:59:59.500000'::interval))",
            ),
            ("((at - now()) <= '-1 days'::interval)", "(e.at <= (c.now + '-24:00:00'::interval))"),
            ("((CURRENT_DATE - day) <= 30)", "(e.day >= ((c.now)::date - 30))"),
            ("((day - CURRENT_DATE) = '-7'::integer)", "(e.day = ((c.now)::date + (- 7)))"),
            ("((day - (CURRENT_DATE + 1)) > 2)", "(e.day > (((c.now)::date + 1) + 2))"),
            ("(EXTRACT(epoch FROM (now() - at)) < (36000)::numeric)", "(e.at > (c.now - '10:00:00'::interval))"),
            (
                "(date_part('epoch'::text, (now() - at)) < (90)::double precision)",
                "(e.at > (c.now - '00:01:30'::interval))",
            ),
            ("(EXTRACT(epoch FROM (now() - at)) >= 0.5)", "(e.at <= (c.now - '00:00:00.500000'::interval))"),
            ("((now() - at) <> '00:00:10'::interval)", "(NOT (e.at = (c.now - '00:00:10'::interval)))"),
        ] {
            assert_eq!(condition(sql), condition_of_join, "{sql}");
        }
    }

    #[test]
    fn comparisons_with_the_clock_are_parts_of_conditions() {
        for (sql, condition_of_join) in [
            ("((at IS NULL) OR (at > now()))", "((e.at IS NULL) OR (e.at > c.now))"),
            ("(NOT (now() > at))", "(NOT (e.at < c.now))"),
            ("((at > now()) IS NOT TRUE)", "((e.at > c.now) IS NOT TRUE)"),
            (
                "CASE WHEN (id > 1) THEN (at > now()) ELSE (day = CURRENT_DATE) END",
                "CASE WHEN (e.id > 1) THEN (e.at > c.now) ELSE (e.day = (c.now)::date) END",
            ),
            ("COALESCE((at > now()), true)", "COALESCE((e.at > c.now), true)"),
        ] {
            assert_eq!(condition(sql), condition_of_join, "{sql}");
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
            "(CASE WHEN (id = 1) THEN now() ELSE at END > at)",
            "(COALESCE(at, now()) > '2020-01-01 00:00:00+00'::timestamp with time zone)",
            "((now() - at) < (id * '1 day'::interval))",
            "((now() - at) < '@ 1 day'::interval)",
            "(age(now(), at) < '1 day'::interval)",
            "(EXTRACT(day FROM (now() - at)) < (3)::numeric)",
            "(EXTRACT(epoch FROM (now() - at)) < 0.0000001)",
            "(date_part('epoch'::text, (now() - at)) < (0.5)::double precision)",
            "(date_part('day'::text, (now() - at)) < (5)::double precision)",
            "(now() > '2020-01-01 00:00:00+00'::timestamp with time zone)",
            "(at > (now() - (id * '1 day'::interval)))",
            "(at > (now() - public.pause()))",
            "(at > (now())::public.moment)",
            "((at)::text > (now())::text)",
            "(at > NULLIF(now(), '2020-01-01 00:00:00+00'::timestamp with time zone))",
            "(now() > CURRENT_DATE)",
            "(at OPERATOR(public.>) now())",
            "(id IN ( SELECT x.id FROM public.e x WHERE (e.at > now())))",
            "((id = 1) = (at > (now() - (NULL::interval))))",
        ] {
            let Err(Error::Unsupported { construct, .. }) = bound(sql) else { panic!("{sql}") };
            assert_eq!(construct, "now()", "{sql}");
        }
    }
}
