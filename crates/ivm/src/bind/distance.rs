//! Distances from the clock, solved for the column: `now() - e < '1 day'` is `e > now() - '24:00:00'`.
//!
//! The difference of two times is a number of microseconds, shown as days and hours, and intervals are compared as such numbers: a day
//! has 24 hours, a month 30 days (`interval_cmp_value` in `utils/adt/timestamp.c`). To move a time by days and months is another
//! thing, in which months have 28 to 31 days and a day may have 23 hours. So the constant becomes hours, which move a time by as many
//! microseconds. The difference of two dates is a number of days.

use crate::expr::{Expr as Generic, Keyword, Literal, Op, Special, TypeName};
use crate::plan::Expr;
use crate::sql::ident::QName;

use super::offset::{is_offset, reads_clock};

const INTERVAL: &str = "interval";
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// What a distance is shown as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// An interval, or days.
    Difference,
    /// Seconds as `numeric`.
    Seconds,
    /// Seconds as a floating point number, which is exact enough to compare it with a whole number.
    Float,
}

/// `constant op f`, where `f` is the difference of an offset and of something that reads columns, as `e op f` with an offset.
pub fn solved(constant: Expr, op: Op, f: Expr) -> Option<(Expr, Op, Expr)> {
    let (difference, shown) = match f {
        Generic::Special(Special::Extract(field), mut operands) if field.as_str() == "epoch" => {
            (operands.pop()?, Shown::Seconds)
        }
        Generic::Call(mut call) if call.name == QName::bare("date_part") && call.args.len() == 2 => {
            let difference = call.args.pop()?.value;
            let field = call.args.pop()?.value;
            (difference, Some(Shown::Float).filter(|_| is_epoch(&field))?)
        }
        other => (other, Shown::Difference),
    };
    let Generic::Binary(minus, l, r) = difference else { return None };
    if !minus.is("-") {
        return None;
    }
    let (offset, e, is_left) = if reads_clock(&l) { (*l, *r, true) } else { (*r, *l, false) };
    if !is_offset(&offset) {
        return None;
    }
    let moved = match (is_date(&offset), shown) {
        (true, Shown::Difference) => Expr::number(integer(&constant)?),
        (true, _) => return None,
        (false, Shown::Difference) => hours(interval(&constant)?),
        (false, Shown::Seconds) => hours(seconds(&constant)?),
        (false, Shown::Float) => hours(integer(&constant)?.checked_mul(SECOND)?),
    };
    // c < f - e is e < f - c, and c < e - f is e > f + c.
    Some(match is_left {
        true => (e, op, Expr::binary("-", offset, moved)),
        false => (e, op.exchanged()?, Expr::binary("+", offset, moved)),
    })
}

fn is_epoch(field: &Expr) -> bool {
    match field {
        Generic::Cast(e, _) => is_epoch(e),
        Generic::Literal(Literal::String(text)) => text == "epoch",
        _ => false,
    }
}

/// Whether an offset is a date.
fn is_date(offset: &Expr) -> bool {
    match offset {
        Generic::Keyword(keyword, _) => *keyword == Keyword::CurrentDate,
        Generic::Cast(_, ty) => ty.0 == "date",
        Generic::Binary(op, l, _) => (op.is("+") || op.is("-")) && is_date(l),
        _ => false,
    }
}

fn integer(e: &Expr) -> Option<i64> {
    match e {
        Generic::Literal(Literal::Number(digits)) => digits.parse().ok(),
        Generic::Unary(op, e) if op.is("-") => integer(e).map(|n| -n),
        Generic::Cast(e, ty) if ["integer", "bigint", "double precision"].contains(&ty.0.as_str()) => match &**e {
            Generic::Literal(Literal::String(text)) => text.parse().ok(),
            e => integer(e),
        },
        _ => None,
    }
}

/// The microseconds of a number of seconds.
fn seconds(e: &Expr) -> Option<i64> {
    match e {
        Generic::Cast(e, ty) if ["integer", "bigint", "numeric"].contains(&ty.0.as_str()) => match &**e {
            Generic::Literal(Literal::String(text)) => fraction(text),
            e => seconds(e),
        },
        Generic::Unary(op, e) if op.is("-") => seconds(e).map(|n| -n),
        Generic::Literal(Literal::Number(digits)) => fraction(digits),
        _ => None,
    }
}

/// The millionths of a decimal number; none if it is no whole number of them.
fn fraction(text: &str) -> Option<i64> {
    let (text, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest = rest.trim_end_matches('0');
    if rest.len() > 6 || !whole.chars().chain(rest.chars()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let millionths: i64 = format!("{rest:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(SECOND)?.checked_add(millionths)?.checked_mul(sign)
}

/// The microseconds of a constant interval as it is compared, from the text that PostgreSQL prints: `1 year 2 mons -3 days 04:05:06.7`.
fn interval(e: &Expr) -> Option<i64> {
    let Generic::Cast(e, ty) = e else { return None };
    let Generic::Literal(Literal::String(text)) = &**e else { return None };
    let mut total: i64 = 0;
    let mut words = text.split(' ').filter(|_| ty.0 == INTERVAL);
    let mut any = false;
    while let Some(word) = words.next() {
        any = true;
        let part = match word.contains(':') {
            true => time(word)?,
            false => {
                let unit = match words.next()? {
                    "year" | "years" => 360 * DAY,
                    "mon" | "mons" => 30 * DAY,
                    "day" | "days" => DAY,
                    _ => return None,
                };
                word.parse::<i64>().ok()?.checked_mul(unit)?
            }
        };
        total = total.checked_add(part)?;
    }
    any.then_some(total)
}

/// The microseconds of `-04:05:06.7`.
fn time(text: &str) -> Option<i64> {
    let (text, sign) = match text.split_at_checked(1)? {
        ("-", rest) => (rest, -1),
        ("+", rest) => (rest, 1),
        _ => (text, 1),
    };
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = hours.parse::<i64>().ok()?.checked_mul(60)?.checked_add(minutes.parse().ok()?)?;
    whole.checked_mul(60 * SECOND)?.checked_add(fraction(seconds)?)?.checked_mul(sign)
}

/// So many microseconds, as an interval of hours.
fn hours(microseconds: i64) -> Expr {
    let sign = if microseconds < 0 { "-" } else { "" };
    let all = microseconds.unsigned_abs();
    let (second, hour) = (SECOND as u64, HOUR as u64);
    let (minutes, seconds, rest) = (all / (60 * second) % 60, all / second % 60, all % second);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:06}") };
    let text = format!("{sign}{:02}:{minutes:02}:{seconds:02}{fraction}", all / hour);
    Generic::Cast(Box::new(Generic::Literal(Literal::String(text))), TypeName(INTERVAL.to_owned()))
}
