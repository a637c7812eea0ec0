//! The schedules and the freshness target of each stream table.
//!
//! **Law:** a table has its own schedule; a `'calculated'` table has those of all tables that read it, directly or through
//! others, and the default for each of these that is calculated and has no consumer. Its target is the least duration
//! among its schedules; a cron expression gives none.

use std::collections::BTreeMap;

use crate::dag::Dag;
use crate::error::Result;
use crate::schedule::{Micros, Schedule};

/// A stream table with its schedule and the stream tables that it reads.
#[derive(Clone, Debug)]
pub struct Scheduled<K> {
    pub table: K,
    pub schedule: Schedule,
    pub reads: Vec<K>,
}

/// The schedules of each table. `graph` holds all tables.
pub fn schedules<K: Clone + Ord + ToString>(
    graph: &Dag<K>,
    own: &BTreeMap<K, &Schedule>,
    default: &Schedule,
) -> BTreeMap<K, Vec<Schedule>> {
    let effective = |table: &K| match own.get(table)? {
        Schedule::Calculated if graph.readers(table).is_empty() => Some(default),
        Schedule::Calculated => None,
        schedule => Some(*schedule),
    };
    let of = |(table, schedule): (&K, &&Schedule)| {
        let mut found = vec![];
        match schedule {
            Schedule::Calculated => {
                for schedule in graph.downstream(&[table.clone()].into()).iter().filter_map(effective) {
                    if !found.contains(schedule) {
                        found.push(schedule.clone());
                    }
                }
            }
            schedule => found.push((*schedule).clone()),
        }
        (table.clone(), found)
    };
    own.iter().map(of).collect()
}

/// The freshness target of each table that has one, in microseconds.
///
/// # Errors
/// `Cycle` where the tables read each other.
pub fn targets<K: Clone + Ord + ToString>(tables: &[Scheduled<K>], default: &Schedule) -> Result<BTreeMap<K, Micros>> {
    let mut graph = Dag::default();
    for scheduled in tables {
        graph.put(&scheduled.table, &scheduled.reads)?;
    }
    let own = tables.iter().map(|scheduled| (scheduled.table.clone(), &scheduled.schedule)).collect();
    let least = |(table, schedules): (K, Vec<Schedule>)| Some((table, schedules.iter().filter_map(every).min()?));
    Ok(schedules(&graph, &own, default).into_iter().filter_map(least).collect())
}

fn every(schedule: &Schedule) -> Option<Micros> {
    match schedule {
        Schedule::Every(target) => Some(*target),
        Schedule::Cron(_) | Schedule::Calculated => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets in milliseconds of tables given as name, schedule and what they read.
    fn shown_targets(tables: &[(&'static str, &str, &[&'static str])], default: &str) -> Vec<(&'static str, i64)> {
        let tables: Vec<_> = tables
            .iter()
            .map(|(table, schedule, reads)| Scheduled {
                table: *table,
                schedule: Schedule::parse(schedule).unwrap(),
                reads: reads.to_vec(),
            })
            .collect();
        let found = targets(&tables, &Schedule::parse_default(default).unwrap()).unwrap();
        found.into_iter().map(|(table, micros)| (table, micros / 1000)).collect()
    }

    #[test]
    fn a_duration_is_the_target_whatever_reads_it() {
        assert_eq!(
            shown_targets(&[("a", "5s", &[]), ("b", "1s", &["a"]), ("c", "@hourly", &["b"])], "1s"),
            [("a", 5000), ("b", 1000)]
        );
    }

    #[test]
    fn a_calculated_target_is_the_least_of_its_consumers() {
        let tables: [(_, _, &[&'static str]); 5] = [
            ("a", "calculated", &[]),
            ("b", "calculated", &["a"]),
            ("c", "5s", &["b"]),
            ("d", "2s", &["b"]),
            ("e", "@hourly", &["a"]),
        ];
        assert_eq!(shown_targets(&tables, "1s"), [("a", 2000), ("b", 2000), ("c", 5000), ("d", 2000)]);
    }

    #[test]
    fn a_calculated_table_without_consumers_has_the_default() {
        let tables: [(_, _, &[&'static str]); 3] =
            [("a", "calculated", &[]), ("b", "1m", &["a"]), ("c", "calculated", &["a"])];
        assert_eq!(shown_targets(&tables, "3s"), [("a", 3000), ("b", 60_000), ("c", 3000)]);
        assert_eq!(shown_targets(&tables, "@daily"), [("a", 60_000), ("b", 60_000)]);
        assert_eq!(shown_targets(&[("a", "calculated", &[]), ("b", "@daily", &["a"])], "1s"), []);
    }
}
