//! Cron expressions, evaluated on the wall clock of one time zone. The zone is the caller's: it only has to
//! say how far its clocks are from UTC at a given instant.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};

use super::{Micros, SECOND};

const DAY: i64 = 24 * 3600;

/// A time zone: seconds to add to UTC (an instant in seconds) to get what its clocks show.
pub trait Zone {
    fn offset(&self, utc: i64) -> i64;
}

/// UTC itself.
impl Zone for () {
    fn offset(&self, _utc: i64) -> i64 {
        0
    }
}

/// A cron expression that matches some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron(Box<croner::Cron>);

impl Cron {
    pub fn parse(text: &str) -> std::result::Result<Cron, String> {
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = Cron(Box::new(parser.parse(text).map_err(|error| reason(&error))?));
        match cron.next(0, &()) {
            Some(_) => Ok(cron),
            None => Err("no time matches it".to_owned()),
        }
    }

    /// The first matching instant at or after `at`.
    pub fn next(&self, at: Micros, zone: &dyn Zone) -> Option<Micros> {
        let whole = at.div_euclid(SECOND) + i64::from(at.rem_euclid(SECOND) > 0);
        let found = self.0.find_next_occurrence(&Instant { utc: whole, zone }, true).ok()?;
        found.utc.checked_mul(SECOND)
    }
}

fn reason(error: &CronError) -> String {
    match error {
        CronError::EmptyPattern => "it is empty".to_owned(),
        CronError::InvalidPattern(text) | CronError::IllegalCharacters(text) | CronError::ComponentError(text) => {
            text.trim_end_matches('.').to_owned()
        }
        CronError::InvalidDate | CronError::InvalidTime | CronError::TimeSearchLimitExceeded => {
            "no time matches it".to_owned()
        }
    }
}

/// An instant, in seconds since the Unix epoch, as the clocks of a zone show it.
#[derive(Clone)]
struct Instant<'a> {
    utc: i64,
    zone: &'a dyn Zone,
}

impl Instant<'_> {
    fn local(&self) -> i64 {
        self.utc + self.zone.offset(self.utc)
    }
}

impl CronDateTime for Instant<'_> {
    fn to_civil(&self) -> CivilDateTime {
        let local = self.local();
        let (year, month, day) = date_of(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY) as u32;
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(year, month, day),
            CivilTime::from_parts_unchecked(second / 3600, second / 60 % 60, second % 60),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        const EPOCH: i64 = Weekday::Thursday as i64;
        Weekday::from_days_from_sunday((self.local().div_euclid(DAY) + EPOCH).rem_euclid(7) as u32)
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> std::result::Result<Resolution<Self>, CronError> {
        let seconds = (civil.hour() * 3600 + civil.minute() * 60 + civil.second()) as i64;
        let local = days_of(civil.year(), civil.month(), civil.day()) * DAY + seconds;
        // Clocks change at most once in two days, so these are the offsets that can be in force.
        let at = |offset: i64| {
            let utc = local - offset;
            (self.zone.offset(utc) == offset).then_some(Instant { utc, zone: self.zone })
        };
        let (before, after) = (self.zone.offset(local - DAY), self.zone.offset(local + DAY));
        let later = if before == after { None } else { at(after) };
        Ok(match (at(before), later) {
            (Some(a), Some(b)) if a.utc <= b.utc => Resolution::Ambiguous(a, b),
            (Some(a), Some(b)) => Resolution::Ambiguous(b, a),
            (Some(only), None) | (None, Some(only)) => Resolution::Single(only),
            (None, None) => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.utc.checked_add(seconds).map(|utc| Instant { utc, zone: self.zone })
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.utc.cmp(&other.utc)
    }
}

/// Days from 1970-01-01 to the first of March that opens the 400-year cycle of year 0.
const CYCLE_START: i64 = -719_468;
const CYCLE: i64 = 146_097;

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from March, so
/// that the leap day is the last of its year.
fn days_of(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let months_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * months_from_march + 2) / 5 + i64::from(day) - 1;
    cycle * CYCLE + year * 365 + year / 4 - year / 100 + day_of_year + CYCLE_START
}

/// The inverse of [`days_of`].
fn date_of(days: i64) -> (i32, u32, u32) {
    let days = days - CYCLE_START;
    let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let months_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_from_march + 2) / 5 + 1;
    let month = (months_from_march + 2) % 12 + 1;
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year as i32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(year: i32, month: u32, day: u32, second: i64) -> Micros {
        (days_of(year, month, day) * DAY + second) * SECOND
    }

    #[test]
    fn dates_and_day_numbers_are_inverse() {
        assert_eq!((days_of(1970, 1, 1), days_of(2000, 2, 29), days_of(2024, 12, 31)), (0, 11_016, 20_088));
        for day in (-800_000..800_000).step_by(7) {
            let (y, m, d) = date_of(day);
            assert_eq!(days_of(y, m, d), day);
        }
    }

    #[test]
    fn the_next_time_is_the_first_at_or_after() {
        let at = |text: &str, from: Micros| Cron::parse(text).unwrap().next(from, &()).unwrap();
        let noon = utc(2024, 2, 28, 12 * 3600);
        assert_eq!(at("*/5 * * * *", noon), noon);
        assert_eq!(at("*/5 * * * *", noon + 1), noon + 300 * SECOND);
        assert_eq!(at("*/10 * * * * *", noon + 1), noon + 10 * SECOND);
        assert_eq!(at("0 0 29 2 *", noon), utc(2024, 2, 29, 0));
        assert_eq!(at("@hourly", noon + 1), noon + 3600 * SECOND);
        assert_eq!(at("@daily", noon), utc(2024, 2, 29, 0));
        assert_eq!(at("@weekly", noon), utc(2024, 3, 3, 0));
        assert_eq!(at("@monthly", noon), utc(2024, 3, 1, 0));
        assert_eq!(at("@yearly", noon), utc(2025, 1, 1, 0));
    }

    /// Central Europe in 2024: forward an hour on 31 March 01:00 UTC, back on 27 October 01:00 UTC.
    struct Berlin;
    impl Zone for Berlin {
        fn offset(&self, at: i64) -> i64 {
            let summer = utc(2024, 3, 31, 3600) / SECOND..utc(2024, 10, 27, 3600) / SECOND;
            if summer.contains(&at) { 7200 } else { 3600 }
        }
    }

    #[test]
    fn clock_changes_neither_lose_nor_repeat_a_daily_time() {
        let daily = Cron::parse("30 2 * * *").unwrap();
        // 02:30 does not exist on 31 March: the first instant after the gap stands for it.
        let spring = daily.next(utc(2024, 3, 30, 12 * 3600), &Berlin).unwrap();
        assert_eq!(spring, utc(2024, 3, 31, 3600));
        assert_eq!(daily.next(spring + 1, &Berlin), Some(utc(2024, 4, 1, 1800)));
        // It exists twice on 27 October: once is enough.
        let autumn = daily.next(utc(2024, 10, 26, 12 * 3600), &Berlin).unwrap();
        assert_eq!(autumn, utc(2024, 10, 27, 1800));
        assert_eq!(daily.next(autumn + 1, &Berlin), Some(utc(2024, 10, 28, 3600 + 1800)));
    }

    #[test]
    fn schedules_without_a_time_are_refused() {
        assert_eq!(Cron::parse("0 0 31 2 *"), Err("no time matches it".to_owned()));
        assert!(Cron::parse("61 * * * *").is_err());
        assert!(Cron::parse("* * *").is_err());
        assert!(Cron::parse("0 0 0 1 1 * 2030").is_err());
        assert!(Cron::parse("@reboot").is_err());
    }
}
