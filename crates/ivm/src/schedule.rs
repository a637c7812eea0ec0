//! When a stream table is due: the schedules, and the scheduler as a pure step function.
//!
//! A duration is a *freshness target*: a change that is committed at `t` is visible by `t + target`. A cron expression says
//! when to refresh, if a source changed. Time is a plain number, microseconds since the Unix epoch; nothing here reads a
//! clock.

mod cron;
mod step;
mod table;
#[cfg(test)]
mod tests;

pub use cron::{Cron, Zone};
pub use step::{Actions, Event, State, Workers};
pub use table::{Outcome, Table};

use crate::error::{Error, Result};

/// Microseconds since the Unix epoch, or a span of them.
pub type Micros = i64;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000 * MILLISECOND;

/// How many digits a number in a duration may have.
const MAX_DIGITS: usize = 9;

const UNITS: [(&str, Micros); 6] = [
    ("w", 7 * 24 * 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", MILLISECOND),
];

/// A schedule as the user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// A freshness target in microseconds; zero is at once after a commit.
    Every(Micros),
    /// At these times, if a source changed.
    Cron(Cron),
    /// The tightest schedule of its consumers.
    Calculated,
}

impl Schedule {
    /// Reads `'0s'`, `'500ms'`, `'1h30m'`, five or six cron fields, `'@hourly'` and the like, or `'calculated'`.
    ///
    /// # Errors
    /// [`Error::Schedule`] with what is wrong with the text.
    pub fn parse(text: &str) -> Result<Schedule> {
        let trimmed = text.trim();
        let parsed = match trimmed {
            "" => Err("it is empty".to_owned()),
            _ if trimmed.eq_ignore_ascii_case("calculated") => Ok(Schedule::Calculated),
            _ if trimmed.starts_with('@') || trimmed.contains(char::is_whitespace) => {
                Cron::parse(trimmed).map(Schedule::Cron)
            }
            _ => duration(trimmed).map(Schedule::Every),
        };
        parsed.map_err(|reason| Error::Schedule { text: text.to_owned(), reason })
    }

    /// Reads a default schedule: any but `'calculated'`.
    ///
    /// # Errors
    /// As for [`Schedule::parse`].
    pub fn parse_default(text: &str) -> Result<Schedule> {
        match Schedule::parse(text)? {
            Schedule::Calculated => Err(Error::Schedule {
                text: text.to_owned(),
                reason: "the default is the schedule of \"calculated\" stream tables that no other reads".to_owned(),
            }),
            schedule => Ok(schedule),
        }
    }

    /// When a refresh that takes about `needed` microseconds has to start so that a change known since `since` is visible in
    /// time; `None` for no time of its own.
    pub fn start(&self, since: Micros, needed: Micros, zone: &dyn Zone) -> Option<Micros> {
        match self {
            Schedule::Every(target) => Some(since.saturating_add((target - needed).max(0))),
            Schedule::Cron(cron) => cron.next(since, zone),
            Schedule::Calculated => None,
        }
    }

    /// When to refresh a table though no change is known, after the refresh at `since`: as often as its target says, but at
    /// most once a second; `None` for no time of its own.
    fn next_poll(&self, since: Micros, zone: &dyn Zone) -> Option<Micros> {
        match self {
            Schedule::Every(target) => Some(since.saturating_add((*target).max(SECOND))),
            other => other.start(since, 0, zone),
        }
    }
}

/// A duration: numbers with units, each unit smaller than the one before.
fn duration(text: &str) -> std::result::Result<Micros, String> {
    let mut rest = text;
    let mut total: Micros = 0;
    let mut last = Micros::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let &(_, size) = match UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)) {
            _ if number.is_empty() => return Err(format!("there is no number before \"{rest}\"")),
            None if unit.is_empty() => return Err(format!("{number} has no unit")),
            None => return Err(format!("\"{unit}\" is not one of the units w, d, h, m, s, ms")),
            Some(found) => found,
        };
        if number.len() > MAX_DIGITS {
            return Err(format!("{number} is too large"));
        }
        if size >= last {
            return Err("larger units come first, each once".to_owned());
        }
        let value: Micros = number.parse().map_err(|_| format!("{number} is too large"))?;
        total = value.checked_mul(size).and_then(|v| total.checked_add(v)).ok_or("it is too long")?;
        (rest, last) = (tail, size);
    }
    Ok(total)
}
