//! The graph of stream tables: an edge from each table to its consumers.
//!
//! **Invariant:** it has no cycle; an edge that would close one is refused, with the path named.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{astar, toposort};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, IntoNeighbors, Reversed, VisitMap, Visitable};
use petgraph::{Incoming, Outgoing};

use crate::error::{Error, Result};

/// Stream tables, identified by `K`.
#[derive(Clone, Debug)]
pub struct Dag<K> {
    graph: DiGraph<K, ()>,
    places: BTreeMap<K, NodeIndex>,
}

impl<K> Default for Dag<K> {
    fn default() -> Self {
        Dag { graph: DiGraph::new(), places: BTreeMap::new() }
    }
}

impl<K: Clone + Ord + ToString> Dag<K> {
    /// Adds a table, or replaces its edges to the tables that it reads, which are added where they are new.
    ///
    /// # Errors
    /// [`Error::Cycle`] with its path where an edge would close one; then nothing changes.
    pub fn put(&mut self, table: &K, reads: &[K]) -> Result<()> {
        for read in reads {
            if let Some(path) = self.path(table, read) {
                return Err(Error::Cycle(path.iter().chain([table]).map(K::to_string).collect()));
            }
        }
        let to = self.place(table);
        while let Some(edge) = self.graph.first_edge(to, Incoming) {
            self.graph.remove_edge(edge);
        }
        for read in reads {
            let from = self.place(read);
            self.graph.update_edge(from, to, ());
        }
        Ok(())
    }

    /// The tables that a table reads directly.
    pub fn reads(&self, table: &K) -> BTreeSet<K> {
        self.neighbours(table, Incoming)
    }

    /// The tables that read a table directly.
    pub fn readers(&self, table: &K) -> BTreeSet<K> {
        self.neighbours(table, Outgoing)
    }

    /// Some tables and all tables that they read, directly or through others.
    pub fn upstream(&self, tables: &BTreeSet<K>) -> BTreeSet<K> {
        self.reached(Reversed(&self.graph), tables)
    }

    /// Some tables and all tables that read them, directly or through others.
    pub fn downstream(&self, tables: &BTreeSet<K>) -> BTreeSet<K> {
        self.reached(&self.graph, tables)
    }

    fn reached(
        &self,
        graph: impl IntoNeighbors<NodeId = NodeIndex> + Visitable<Map: VisitMap<NodeIndex>>,
        tables: &BTreeSet<K>,
    ) -> BTreeSet<K> {
        let mut found = tables.clone();
        let mut walk = Dfs::empty(graph);
        for at in tables.iter().filter_map(|table| self.places.get(table)) {
            walk.move_to(*at);
            while let Some(at) = walk.next(graph) {
                found.insert(self.graph[at].clone());
            }
        }
        found
    }

    /// Every table, each after all that it reads.
    pub fn all(&self) -> Vec<K> {
        toposort(&self.graph, None).unwrap_or_default().into_iter().map(|at| self.graph[at].clone()).collect()
    }

    /// Some tables in groups without an edge between them, which can be refreshed independently.
    pub fn components(&self, tables: &BTreeSet<K>) -> Vec<BTreeSet<K>> {
        let mut left = tables.clone();
        let mut components = vec![];
        while let Some(start) = left.pop_first() {
            let (mut members, mut open) = (BTreeSet::new(), vec![start]);
            while let Some(table) = open.pop() {
                let near = self.reads(&table).into_iter().chain(self.readers(&table));
                open.extend(near.filter(|near| left.remove(near)));
                members.insert(table);
            }
            components.push(members);
        }
        components
    }

    fn place(&mut self, table: &K) -> NodeIndex {
        let graph = &mut self.graph;
        *self.places.entry(table.clone()).or_insert_with(|| graph.add_node(table.clone()))
    }

    /// The path on which `to` reads `from`; from a table to itself it is the table.
    fn path(&self, from: &K, to: &K) -> Option<Vec<K>> {
        if from == to {
            return Some(vec![from.clone()]);
        }
        let (from, to) = (*self.places.get(from)?, *self.places.get(to)?);
        self.graph.first_edge(from, Outgoing)?;
        let (_, path) = astar(&self.graph, from, |at| at == to, |_| 1, |_| 0)?;
        Some(path.into_iter().map(|at| self.graph[at].clone()).collect())
    }

    fn neighbours(&self, table: &K, direction: petgraph::Direction) -> BTreeSet<K> {
        let at = self.places.get(table).into_iter();
        at.flat_map(|&at| self.graph.neighbors_directed(at, direction)).map(|at| self.graph[at].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dag(edges: &[(&'static str, &[&'static str])]) -> Dag<&'static str> {
        let mut dag = Dag::default();
        edges.iter().for_each(|(table, reads)| dag.put(table, reads).unwrap());
        dag
    }

    fn set(tables: &[&'static str]) -> BTreeSet<&'static str> {
        tables.iter().copied().collect()
    }

    /// Some tables, each after all that it reads.
    fn order(dag: &Dag<&'static str>, tables: &BTreeSet<&'static str>) -> Vec<&'static str> {
        dag.all().into_iter().filter(|table| tables.contains(table)).collect()
    }

    #[test]
    fn a_table_comes_after_its_upstream() {
        let dag = dag(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]);
        assert_eq!(order(&dag, &set(&["d", "a"])), ["a", "d"]);
        let order = order(&dag, &set(&["a", "b", "c", "d"]));
        assert_eq!((order[0], order[3]), ("a", "d"));
        assert_eq!(dag.upstream(&set(&["b"])), set(&["a", "b"]));
        assert_eq!(dag.downstream(&set(&["b"])), set(&["b", "d"]));
        assert_eq!(dag.reads(&"d"), set(&["b", "c"]));
        assert_eq!(dag.readers(&"a"), set(&["b", "c"]));
    }

    #[test]
    fn a_cycle_is_refused_and_named() {
        let mut dag = dag(&[("b", &["a"]), ("c", &["b"])]);
        let error = dag.put(&"a", &["c"]).unwrap_err();
        assert_eq!(error, Error::Cycle(vec!["a".into(), "b".into(), "c".into(), "a".into()]));
        assert_eq!(order(&dag, &set(&["a", "b", "c"])), ["a", "b", "c"]);
        assert_eq!(dag.put(&"x", &["x"]).unwrap_err(), Error::Cycle(vec!["x".into(), "x".into()]));
    }

    #[test]
    fn a_refused_change_keeps_the_old_edges() {
        let mut dag = dag(&[("b", &["a"]), ("c", &["b"])]);
        assert!(dag.put(&"b", &["a2", "c"]).is_err());
        assert_eq!(dag.reads(&"b"), set(&["a"]));
    }

    #[test]
    fn components_have_no_edge_between_them() {
        let dag = dag(&[("b", &["a"]), ("d", &["c"]), ("e", &[])]);
        let groups = |dag: &Dag<&'static str>, tables: &[&'static str]| -> Vec<Vec<&'static str>> {
            dag.components(&set(tables)).iter().map(|component| order(dag, component)).collect()
        };
        assert_eq!(groups(&dag, &["a", "b", "c", "d", "e"]), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
        assert_eq!(groups(&dag, &["b", "d"]), [vec!["b"], vec!["d"]]);
        assert_eq!(dag.reads(&"d"), set(&["c"]));
    }
}
