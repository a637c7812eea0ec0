//! The graph of stream tables as people read it: an outline.
//!
//! **Law:** each table is followed by the outlines of what it reads, one level deeper, in the order of their names. What
//! several read is told below each of them, so an outline has as many lines as the graph has paths.

use crate::dag::Dag;

/// A table in an outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<K> {
    pub table: K,
    /// How many tables stand between it and the margin.
    pub depth: usize,
}

impl<K> Line<K> {
    /// `name` where it belongs.
    pub fn indented(&self, name: &str) -> String {
        match self.depth {
            0 => name.to_owned(),
            depth => format!("{}└─ {name}", "  ".repeat(depth)),
        }
    }
}

/// The outlines of some tables, one after the other.
pub fn outline<K: Clone + Ord + ToString>(graph: &Dag<K>, roots: impl IntoIterator<Item = K>) -> Vec<Line<K>> {
    let mut lines = vec![];
    roots.into_iter().for_each(|root| below(graph, root, 0, &mut lines));
    lines
}

/// Ends, because the graph has no cycle.
fn below<K: Clone + Ord + ToString>(graph: &Dag<K>, table: K, depth: usize, lines: &mut Vec<Line<K>>) {
    let reads = graph.reads(&table);
    lines.push(Line { table, depth });
    reads.into_iter().for_each(|read| below(graph, read, depth + 1, lines));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(graph: &Dag<&'static str>, roots: &[&'static str]) -> Vec<String> {
        outline(graph, roots.iter().copied()).iter().map(|line| line.indented(line.table)).collect()
    }

    #[test]
    fn what_two_read_is_told_twice() {
        let mut graph = Dag::default();
        for (table, reads) in
            [("top", &["right", "left"][..]), ("right", &["t", "s"]), ("left", &["t"]), ("alone", &[])]
        {
            graph.put(&table, reads).unwrap();
        }
        let whole = ["alone", "top", "  └─ left", "    └─ t", "  └─ right", "    └─ s", "    └─ t"];
        assert_eq!(graph.unread().into_iter().collect::<Vec<_>>(), ["alone", "top"]);
        assert_eq!(text(&graph, &["alone", "top"]), whole);
        assert_eq!(text(&graph, &["left"]), ["left", "  └─ t"]);
        assert_eq!(text(&graph, &[]), Vec::<String>::new());
    }

    #[test]
    fn a_table_that_is_not_in_the_graph_reads_nothing() {
        assert_eq!(text(&Dag::default(), &["x"]), ["x"]);
    }
}
