//! Which stream tables show one moment of their sources to any snapshot.
//!
//! **Law:** those do that are connected by edges and have one pace, and those of one refresh group. They are refreshed in one
//! transaction under one snapshot, or not at all.
//!
//! The *pace* of a table is the least target among its schedules and those of all that read it, because it is refreshed with each
//! of them; where all of these are cron expressions, its own ones are its pace.
//!
//! A table that is not refreshed, because it or one that it reads is inactive, is bound to no other but those of its group, which
//! then stands still. A table that polls shows the moment of its last recomputation: all that share its moment are refreshed with
//! it, but it is not refreshed with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::dag::Dag;
use crate::schedule::{Micros, Schedule};
use crate::target;

/// A stream table as far as its moment is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    pub schedule: Schedule,
    /// Neither paused nor suspended.
    pub active: bool,
    /// It reads a source whose changes are not captured, and is refreshed whenever its schedule says.
    pub polls: bool,
    /// The refresh group that it belongs to.
    pub group: Option<String>,
}

/// The sets of stream tables that show one moment. A table that shows one with no other is in none.
#[derive(Debug, Default)]
pub struct Moments {
    /// The set of each table, by its place.
    places: BTreeMap<i32, usize>,
    sets: Vec<BTreeSet<i32>>,
    /// The sets with a table that belongs to a group.
    grouped: BTreeSet<usize>,
    polls: BTreeSet<i32>,
}

#[derive(Debug, PartialEq)]
enum Pace {
    Every(Micros),
    Cron(Vec<Schedule>),
}

impl Moments {
    /// The sets of these tables; `graph` may hold others, which are taken to be inactive. `default` is the schedule of
    /// `'calculated'` tables that no other reads.
    pub fn new(graph: &Dag<i32>, tables: &BTreeMap<i32, Moving>, default: &Schedule) -> Moments {
        let own = tables.iter().map(|(id, table)| (*id, &table.schedule)).collect();
        let schedules = target::schedules(graph, &own, default);
        let follows = |id: &i32| {
            let upstream = graph.upstream(&[*id].into());
            upstream.iter().all(|id| tables.get(id).is_some_and(|table| table.active))
        };
        let mut moments = Moments {
            polls: tables.iter().filter(|(_, table)| table.polls).map(|(id, _)| *id).collect(),
            ..Moments::default()
        };
        for connected in graph.components(&tables.keys().copied().collect()) {
            let mut paces: Vec<(Pace, BTreeSet<i32>)> = vec![];
            for id in connected.into_iter().filter(follows) {
                let pace = pace(graph, id, &schedules, &moments.polls);
                match paces.iter_mut().find(|(known, _)| *known == pace) {
                    Some((_, ids)) => _ = ids.insert(id),
                    None => paces.push((pace, [id].into())),
                }
            }
            paces.into_iter().for_each(|(_, ids)| moments.unite(ids));
        }
        let mut groups: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        for (id, table) in tables {
            table.group.iter().for_each(|group| _ = groups.entry(group).or_default().insert(*id));
        }
        groups.into_values().for_each(|ids| moments.unite(ids));
        let in_group = tables.iter().filter(|(_, table)| table.group.is_some()).map(|(id, _)| id);
        moments.grouped = in_group.filter_map(|id| moments.places.get(id)).copied().collect();
        moments
    }

    /// Makes one set of these tables and all that share a moment with one of them.
    fn unite(&mut self, mut ids: BTreeSet<i32>) {
        if ids.len() < 2 {
            return;
        }
        let known: BTreeSet<usize> = ids.iter().filter_map(|id| self.places.get(id)).copied().collect();
        known.into_iter().for_each(|place| ids.append(&mut self.sets[place]));
        self.places.extend(ids.iter().map(|id| (*id, self.sets.len())));
        self.sets.push(ids);
    }

    /// The number of the set whose tables are refreshed with this one, and this one with them; none for a table that polls.
    pub fn place(&self, id: i32) -> Option<usize> {
        self.places.get(&id).copied().filter(|_| !self.polls.contains(&id))
    }

    /// Whether this table may have to wait for a paused or suspended one that it does not read: one of a refresh group.
    pub fn may_be_held(&self, id: i32) -> bool {
        self.places.get(&id).is_some_and(|place| self.grouped.contains(place))
    }

    /// The tables that show one moment with one of these.
    pub fn mates(&self, ids: &BTreeSet<i32>) -> impl Iterator<Item = i32> {
        let places: BTreeSet<usize> = ids.iter().filter_map(|id| self.places.get(id)).copied().collect();
        places.into_iter().flat_map(|place| &self.sets[place]).copied()
    }

    /// Everything that a refresh of these tables refreshes: what they read, and all that show one moment with one of those.
    pub fn closed(&self, graph: &Dag<i32>, ids: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut found = ids.clone();
        loop {
            let is_moved = |id: &i32| ids.contains(id) || !self.polls.contains(id);
            let with_upstream: BTreeSet<i32> = graph.upstream(&found).into_iter().filter(is_moved).collect();
            let mates = self.mates(&with_upstream).filter(is_moved);
            let all: BTreeSet<i32> = mates.chain(with_upstream.iter().copied()).collect();
            if all.len() == found.len() {
                return found;
            }
            found = all;
        }
    }

    /// Some tables in groups that can be refreshed independently: without an edge between them, and without a common moment.
    pub fn groups(&self, graph: &Dag<i32>, ids: &BTreeSet<i32>) -> Vec<BTreeSet<i32>> {
        let mut groups: Vec<BTreeSet<i32>> = vec![];
        let mut of_set: BTreeMap<usize, usize> = BTreeMap::new();
        for component in graph.components(ids) {
            let places: BTreeSet<usize> = component.iter().filter_map(|id| self.places.get(id)).copied().collect();
            let known: BTreeSet<usize> = places.iter().filter_map(|place| of_set.get(place)).copied().collect();
            let at = groups.len();
            of_set.values_mut().filter(|group| known.contains(group)).for_each(|group| *group = at);
            of_set.extend(places.into_iter().map(|place| (place, at)));
            let joined =
                known.into_iter().flat_map(|group| std::mem::take(&mut groups[group])).chain(component).collect();
            groups.push(joined);
        }
        groups.retain(|group| !group.is_empty());
        groups
    }

    /// Some tables that were refreshed together, of which some failed: those that must not be refreshed either. They show one
    /// moment with one of these, or read one of these.
    pub fn held(&self, graph: &Dag<i32>, ids: &BTreeSet<i32>, failed: &BTreeSet<i32>) -> BTreeSet<i32> {
        let mut held = failed.clone();
        loop {
            let all = self.mates(&held).chain(graph.downstream(&held));
            let all: BTreeSet<i32> = all.filter(|id| ids.contains(id) || held.contains(id)).collect();
            if all.len() == held.len() {
                return held;
            }
            held = all;
        }
    }
}

fn pace(graph: &Dag<i32>, id: i32, schedules: &BTreeMap<i32, Vec<Schedule>>, polls: &BTreeSet<i32>) -> Pace {
    // Nothing that reads a table that polls has it refreshed.
    let moved_by = if polls.contains(&id) { [id].into() } else { graph.downstream(&[id].into()) };
    let all = moved_by.iter().filter_map(|id| schedules.get(id)).flatten();
    let least =
        all.filter_map(|schedule| if let Schedule::Every(target) = schedule { Some(*target) } else { None }).min();
    least.map_or_else(|| Pace::Cron(schedules.get(&id).cloned().unwrap_or_default()), Pace::Every)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables given as id, schedule and what they read.
    struct World {
        graph: Dag<i32>,
        tables: BTreeMap<i32, Moving>,
    }

    fn world(list: &[(i32, &str, &[i32])]) -> World {
        let mut world = World { graph: Dag::default(), tables: BTreeMap::new() };
        for (id, schedule, reads) in list {
            world.graph.put(id, reads).unwrap();
            let schedule = Schedule::parse(schedule).unwrap();
            world.tables.insert(*id, Moving { schedule, active: true, polls: false, group: None });
        }
        world
    }

    impl World {
        fn with(mut self, id: i32, change: impl FnOnce(&mut Moving)) -> World {
            change(self.tables.get_mut(&id).unwrap());
            self
        }

        fn moments(&self) -> Moments {
            Moments::new(&self.graph, &self.tables, &Schedule::Every(1_000_000))
        }

        fn sets(&self) -> Vec<Vec<i32>> {
            let moments = self.moments();
            let sets = moments.sets.iter().filter(|set| !set.is_empty());
            sets.map(|set| set.iter().copied().collect()).collect()
        }

        fn refreshed_with(&self, ids: &[i32]) -> Vec<i32> {
            self.moments().closed(&self.graph, &ids.iter().copied().collect()).into_iter().collect()
        }
    }

    #[test]
    fn connected_tables_of_one_target_share_a_moment() {
        let world = world(&[(1, "1s", &[]), (2, "1s", &[1]), (3, "1s", &[1]), (4, "1h", &[3]), (5, "1s", &[])]);
        assert_eq!(world.sets(), [[1, 2, 3]]);
        assert_eq!(world.refreshed_with(&[1]), [1, 2, 3]);
        assert_eq!(world.refreshed_with(&[4]), [1, 2, 3, 4]);
        assert_eq!(world.refreshed_with(&[5]), [5]);
    }

    /// Through a table of another target as well, above or below.
    #[test]
    fn the_way_between_two_tables_may_be_of_any_target() {
        assert_eq!(world(&[(1, "0s", &[]), (2, "1s", &[1]), (3, "1s", &[1])]).sets(), [[2, 3]]);
        assert_eq!(world(&[(1, "0s", &[]), (2, "0s", &[]), (3, "1h", &[1, 2])]).sets(), [[1, 2]]);
    }

    #[test]
    fn a_table_moves_with_the_fastest_that_reads_it() {
        let world = world(&[(1, "1h", &[]), (2, "1s", &[1]), (3, "1h", &[1]), (4, "calculated", &[1])]);
        assert_eq!(world.sets(), [[1, 2, 4]]);
        assert_eq!(world.refreshed_with(&[3]), [1, 2, 3, 4]);
    }

    #[test]
    fn expressions_are_compared() {
        let world = world(&[(1, "@hourly", &[]), (2, "0 * * * *", &[1]), (3, "@daily", &[1])]);
        assert_eq!(world.sets(), [[1, 2]]);
    }

    #[test]
    fn a_group_joins_all_that_move_with_its_members() {
        let grouped = |table: &mut Moving| table.group = Some("g".into());
        let world = world(&[(1, "0s", &[]), (2, "0s", &[1]), (3, "1h", &[]), (4, "1h", &[3]), (5, "1h", &[])]);
        let world = world.with(2, grouped).with(3, grouped);
        assert_eq!(world.sets(), [[1, 2, 3, 4]]);
        assert_eq!(world.refreshed_with(&[4]), [1, 2, 3, 4]);
        let all = [1, 2, 3, 4, 5].into();
        let groups: Vec<_> = world.moments().groups(&world.graph, &all).into_iter().map(Vec::from_iter).collect();
        assert_eq!(groups, [vec![1, 2, 3, 4], vec![5]]);
    }

    #[test]
    fn a_table_that_is_not_refreshed_holds_its_group_and_no_other() {
        let list: [(_, _, &[i32]); 4] = [(1, "0s", &[]), (2, "0s", &[1]), (3, "0s", &[1]), (4, "0s", &[2, 3])];
        let paused = world(&list).with(2, |table| table.active = false);
        assert_eq!(paused.sets(), [[1, 3]]);
        let grouped =
            paused.with(2, |table| table.group = Some("g".into())).with(3, |table| table.group = Some("g".into()));
        assert_eq!(grouped.sets(), [[1, 2, 3]]);
        assert_eq!([1, 2, 3, 4].map(|id| grouped.moments().may_be_held(id)), [true, true, true, false]);
    }

    #[test]
    fn a_table_that_polls_takes_others_along_and_is_not_taken() {
        let world = world(&[(1, "1m", &[]), (2, "1m", &[1]), (3, "0s", &[1])]).with(1, |table| table.polls = true);
        assert_eq!(world.sets(), [[1, 2]]);
        assert_eq!(world.refreshed_with(&[1]), [1, 2]);
        assert_eq!(world.refreshed_with(&[2]), [2]);
        assert_eq!(world.refreshed_with(&[3]), [3]);
    }

    #[test]
    fn what_failed_holds_its_consumers_and_their_moments() {
        let world = world(&[(1, "0s", &[]), (2, "0s", &[1]), (3, "1s", &[2]), (4, "1s", &[3]), (5, "0s", &[])]);
        let held = |failed: i32| -> Vec<i32> {
            world.moments().held(&world.graph, &[1, 2, 3, 4, 5].into(), &[failed].into()).into_iter().collect()
        };
        assert_eq!(held(1), [1, 2, 3, 4]);
        assert_eq!(held(4), [3, 4]);
        assert_eq!(held(5), [5]);
    }
}
