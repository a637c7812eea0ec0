//! What the change of a relation costs: which rows the programs read that follow it.
//!
//! Each class is a bound for the rows that are read where every lookup has its index ([`crate::lookup`]). Steps about keys
//! with a NULL, or about a single missing row, are left out: they seldom run.

use std::collections::BTreeMap;

use crate::delta;
use crate::error::Result;
use crate::lookup::tables_read;
use crate::plan::{Plan, Relation, TopK, Window};
use crate::sql::ident::Ident;
use crate::view::{Mask, Node, Running, Step, Successor, Upkeep, View};

/// The rows that a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Changed rows, and those that they are joined with.
    Delta,
    /// All rows of the groups that changed rows belong to.
    Groups,
    /// The rows of partitions from the first changed one on.
    Rest,
    /// All rows of the partitions that changed rows belong to.
    Partition,
    /// All rows of a table.
    Table,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Delta => "O(Δ)",
            Class::Groups => "O(touched groups)",
            Class::Rest => "O(rest of partition)",
            Class::Partition => "O(partition)",
            Class::Table => "O(table)",
        }
    }

    /// The word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Class::Delta => "delta",
            Class::Groups => "groups",
            Class::Rest => "rest",
            Class::Partition => "partition",
            Class::Table => "table",
        }
    }
}

/// The class of a change, and the greater one that it has in some cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub class: Class,
    pub rarely: Option<(Class, &'static str)>,
}

impl Cost {
    /// What the change of every source costs where a refresh recomputes.
    pub const RECOMPUTED: Cost = Cost { class: Class::Table, rarely: None };

    fn add(&mut self, class: Class, when: Option<&'static str>) {
        match when {
            None => self.class = self.class.max(class),
            Some(when) if self.rarely.is_none_or(|(known, _)| known < class) => self.rarely = Some((class, when)),
            Some(_) => {}
        }
    }
}

/// The cost of a change of a source, or of the passing of time where `changed` is the clock.
///
/// # Errors
/// `Bug` where a plan is malformed.
pub fn of(view: &View, changed: &Relation) -> Result<Cost> {
    let mut cost = Cost { class: Class::Delta, rarely: None };
    let mut reached: Mask = [changed.clone()].into();
    for (index, node) in view.nodes.iter().enumerate() {
        let mut mask: Mask = node.inputs.intersection(&reached).cloned().collect();
        if !mask.is_empty() {
            // Time has passed in each refresh.
            mask.extend(node.inputs.get(&Relation::Clock).cloned());
            add_node(view, index, &mask, &mut cost)?;
            reached.insert(Relation::Node(index));
        }
    }
    cost.rarely = cost.rarely.filter(|(class, _)| *class > cost.class);
    Ok(cost)
}

/// Adds the cost of the program by which a node follows a change mask.
fn add_node(view: &View, index: usize, mask: &Mask, cost: &mut Cost) -> Result<()> {
    let node = &view.nodes[index];
    let mut rare: BTreeMap<Ident, Rare> = BTreeMap::new();
    for step in delta::steps(view, index, mask)?.into_iter().flatten() {
        let needed = step.needs.as_ref().and_then(|name| rare.get(name)).copied();
        let when = match needed {
            Some(Rare::Ignored) => None,
            Some(Rare::When(when)) => Some(Some(when)),
            None => Some(None),
        };
        if let Some(when) = when {
            cost.add(class(view, index, &step)?, when);
        }
        if let Some(seldom) = needed.or_else(|| Rare::of(&step, node)) {
            rare.insert(step.name, seldom);
        }
    }
    Ok(())
}

/// Why a step has rows only in some refreshes.
#[derive(Clone, Copy)]
enum Rare {
    When(&'static str),
    Ignored,
}

impl Rare {
    fn of<Q>(step: &Step<Q>, node: &Node) -> Option<Rare> {
        let is_extremum =
            |upkeep: &Upkeep| matches!(upkeep, Upkeep::Min(Successor::Recomputed) | Upkeep::Max(Successor::Recomputed));
        match step.name.as_str() {
            delta::SHORT => Some(Rare::When("too few of the first rows are left")),
            delta::STALE if node.upkeep.contains(&Upkeep::Recompute) => None,
            delta::STALE if node.upkeep.iter().any(is_extremum) => {
                Some(Rare::When("a deleted value was a minimum or maximum"))
            }
            _ => step.seldom.then_some(Rare::Ignored),
        }
    }
}

fn class(view: &View, index: usize, step: &delta::PlanStep) -> Result<Class> {
    let node = &view.nodes[index];
    // An index has the rows up to a limit, or of a running window those up to one and from one on.
    let is_ordered =
        |relation: &Relation| node.indexed || !node.running.is_empty() && *relation == Relation::Node(index);
    if tables_read(view, &step.query)?.whole.iter().any(|relation| !is_short(view, relation) && !is_ordered(relation)) {
        return Ok(Class::Table);
    }
    let is_first = |window: &Window, input: &Relation| {
        limited(view, input).is_some_and(|top| top.partition.iter().all(|id| window.partition.contains(id)))
    };
    Ok(match operator(node) {
        _ if !step.name.as_str().starts_with(delta::RECOMPUTED) => Class::Delta,
        Plan::Aggregate(_) => Class::Groups,
        Plan::TopK(_) if node.indexed => Class::Delta,
        Plan::Window(_) if node.indexed && node.running.iter().all(|call| call.is_near()) => Class::Delta,
        Plan::Window(_) if node.indexed && !node.running.contains(&Running::Avg) => Class::Rest,
        Plan::Window(window) if node.inputs.iter().all(|input| is_first(window, input)) => Class::Delta,
        Plan::Window(_) | Plan::TopK(_) => Class::Partition,
        _ => Class::Delta,
    })
}

/// The operator that a node maintains.
fn operator(node: &Node) -> &Plan {
    if let Plan::Project(project) = &node.plan { &project.input } else { &node.plan }
}

/// Whether a table has no more rows than a limit.
fn is_short(view: &View, relation: &Relation) -> bool {
    let Relation::Node(index) = relation else { return false };
    match operator(&view.nodes[*index]) {
        Plan::Window(_) => view.nodes[*index].inputs.iter().all(|input| is_short(view, input)),
        _ => limited(view, relation).is_some_and(|top| top.partition.is_empty()),
    }
}

/// The top-k of a node's table, which has no more rows than its limit, or than that many of each partition.
fn limited<'v>(view: &'v View, relation: &Relation) -> Option<&'v TopK> {
    let Relation::Node(index) = relation else { return None };
    if let Plan::TopK(top) = operator(&view.nodes[*index]) { top.limit.as_ref().map(|_| &**top) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ident::QName;
    use crate::testing::memory::MemoryCatalog;
    use crate::{canon, compile};

    fn table(name: &str) -> QName {
        QName::qualified("public", name)
    }

    /// The costs of a change of `a`, whose columns `k`, `v` and `n` have no key, and of `b`, which has an index on `(v, k)`.
    fn costs(query: &str) -> Vec<String> {
        let columns =
            [("id", "integer", true), ("k", "integer", true), ("v", "integer", true), ("n", "integer", false)];
        let catalog = ["a", "b"].into_iter().fold(MemoryCatalog::default(), |catalog, name| {
            catalog.table(table(name), &columns).key(table(name), &["id"])
        });
        let catalog = catalog.index(table("b"), &["v", "k"]);
        let state = |number| QName::bare(format!("node{number}"));
        let view = compile::compile(&canon::parse(query).unwrap(), &catalog, &QName::bare("view"), &state).unwrap();
        let shown = |source: &crate::view::Source| {
            let Cost { class, rarely } = of(&view, &Relation::Source(source.name.clone())).unwrap();
            let rarely = rarely.map(|(class, _)| format!(", {}", class.word())).unwrap_or_default();
            format!("{}: {}{rarely}", source.name.name, class.word())
        };
        view.sources.iter().map(shown).collect()
    }

    #[test]
    fn linear_and_bilinear_operators_read_what_changed() {
        assert_eq!(costs("SELECT a.id FROM public.a WHERE (a.v > 3)"), ["a: delta"]);
        assert_eq!(costs("SELECT a.id FROM (public.a JOIN public.b ON ((a.k = b.id)))"), ["a: delta", "b: delta"]);
        assert_eq!(
            costs("SELECT a.id FROM public.a WHERE (NOT (EXISTS ( SELECT 1 FROM public.b WHERE (b.k = a.v))))"),
            ["a: delta", "b: delta"]
        );
    }

    #[test]
    fn a_join_without_an_equality_reads_the_other_table() {
        assert_eq!(costs("SELECT a.id FROM public.a, public.b WHERE (a.v < b.v)"), ["a: table", "b: table"]);
    }

    #[test]
    fn counters_are_added_up() {
        assert_eq!(costs("SELECT a.k, count(*) AS n, sum(a.v) AS s FROM public.a GROUP BY a.k"), ["a: delta"]);
        assert_eq!(costs("SELECT count(*) AS n FROM public.a"), ["a: delta"]);
    }

    #[test]
    fn aggregates_that_cannot_be_undone_read_groups() {
        assert_eq!(costs("SELECT a.k, max(a.v) AS m FROM public.a GROUP BY a.k"), ["a: delta, groups"]);
        let all = "SELECT a.k, array_agg(a.v) AS m FROM public.a GROUP BY a.k";
        assert_eq!(costs(all), ["a: groups"]);
        assert_eq!(costs("SELECT array_agg(a.v) AS m FROM public.a"), ["a: table"]);
        assert_eq!(costs("SELECT max(a.v) AS m FROM public.a"), ["a: delta, table"]);
    }

    #[test]
    fn a_key_with_nulls_costs_no_more() {
        assert_eq!(costs("SELECT a.n, array_agg(a.v) AS m FROM public.a GROUP BY a.n"), ["a: groups"]);
    }

    #[test]
    fn windows_read_partitions() {
        let ranks = |over: &str| format!("SELECT a.id, rank() OVER ({over}ORDER BY a.v) AS r FROM public.a");
        assert_eq!(costs(&ranks("PARTITION BY a.k ")), ["a: partition"]);
        assert_eq!(costs(&ranks("")), ["a: table"]);
    }

    #[test]
    fn an_index_has_the_first_rows_and_the_rest_of_partitions() {
        let first = |by: &str| {
            format!("SELECT q.id, q.r FROM ( SELECT b.id, rank() OVER ({by}) AS r FROM public.b) q WHERE (q.r <= 3)")
        };
        assert_eq!(costs(&first("PARTITION BY b.k ORDER BY b.v")), ["b: partition"]);
        assert_eq!(costs(&first("PARTITION BY b.v ORDER BY b.k")), ["b: delta"]);
        assert_eq!(costs(&first("ORDER BY b.id")), ["b: delta"]);
        let running = |by: &str| format!("SELECT b.id, b.k, b.v, rank() OVER ({by}) AS r FROM public.b");
        assert_eq!(costs(&running("PARTITION BY b.k ORDER BY b.v")), ["b: partition"]);
        assert_eq!(costs(&running("PARTITION BY b.v ORDER BY b.k")), ["b: rest"]);
        assert_eq!(costs(&running("ORDER BY b.id")), ["b: rest"]);
        assert_eq!(costs("SELECT b.id FROM public.b ORDER BY b.id LIMIT 3"), ["b: delta"]);
    }

    #[test]
    fn first_rows_are_known_from_the_table_until_too_few_are_left() {
        assert_eq!(costs("SELECT a.id, a.v FROM public.a ORDER BY a.v LIMIT 3"), ["a: delta, table"]);
        assert_eq!(costs("SELECT a.id, a.v FROM public.a ORDER BY a.v OFFSET 3"), ["a: table"]);
    }

    #[test]
    fn the_greatest_class_of_the_nodes_counts() {
        let query = "SELECT a.id, g.m FROM (public.a JOIN ( SELECT b.k, array_agg(b.v) AS m FROM public.b GROUP BY b.k) g ON ((g.k = a.k)))";
        assert_eq!(costs(query), ["a: delta", "b: groups"]);
    }
}
