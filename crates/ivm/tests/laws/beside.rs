//! What transactions that do not see each other do to a view beside each other: the changes of one are to the other as if they were not there.

use std::collections::BTreeSet;

use ivm::beside::Beside;
use ivm::sql::ident::{Ident, QName};
use ivm::testing::value::{Row, Value};
use ivm::testing::zset::Zset;
use ivm::view::{Identity, Node};

use crate::plans::TABLES;
use crate::tape::Tape;
use crate::world::{World, columns, fresh};

/// The values of a row in some columns, as they are compared.
fn values(row: &Row, places: &[usize]) -> Vec<Value> {
    places.iter().map(|at| row[*at].canonical()).collect()
}

fn places(all: &[Ident], some: &[Ident]) -> Vec<usize> {
    (0..all.len()).filter(|at| some.contains(&all[*at])).collect()
}

impl World {
    /// Checks the laws of each source with random changes of two transactions; how many of the sources had writers beside each other.
    pub fn check_beside(&mut self, tape: &mut Tape) -> Result<usize, String> {
        let mut checked = 0;
        for (name, _) in TABLES {
            let Some(beside) = self.view.beside(&QName::qualified("public", name)) else { continue };
            let apart = match beside {
                // A row of a source is changed by one of them: only `t` has a key that says which row is which.
                Beside::All => vec![Ident::new("id")],
                Beside::Keys(columns) => columns,
            };
            self.check_apart(name, &places(&columns(name), &apart), tape)?;
            checked += 1;
        }
        Ok(checked)
    }

    /// Two transactions change rows of a source that differ in the columns at these places.
    fn check_apart(&mut self, name: &'static str, apart: &[usize], tape: &mut Tape) -> Result<(), String> {
        let before = self.sources[name].clone();
        let mut others: BTreeSet<Vec<Value>> = BTreeSet::new();
        let mut is_second = |row: &Row, tape: &mut Tape| {
            let key = values(row, apart);
            let second = others.contains(&key);
            second || (tape.flip() && others.insert(key))
        };
        // All keys are of one or the other from here on.
        let mut inserted: Vec<Row> = vec![];
        for row in std::iter::repeat_with(|| fresh(name, tape)).take(6).collect::<Vec<_>>() {
            let is_taken = |other: &Row| name == "t" && other[0] == row[0];
            if !before.iter().chain(&inserted).any(is_taken) {
                inserted.push(row);
            }
        }
        before.iter().chain(&inserted).for_each(|row| _ = is_second(row, tape));
        let is_second = |row: &Row| others.contains(&values(row, apart));
        let kept: Vec<(Row, bool)> = before.iter().map(|row| (row.clone(), tape.pick(3) == 0)).collect();
        let with = |first: bool, second: bool| {
            let changes = |row: &Row| if is_second(row) { second } else { first };
            let kept = kept.iter().filter(|(row, deleted)| !(*deleted && changes(row))).map(|(row, _)| row.clone());
            kept.chain(inserted.iter().filter(|row| changes(row)).cloned()).collect::<Vec<Row>>()
        };
        let [none, one, other, both] =
            [(false, false), (true, false), (false, true), (true, true)].map(|(first, second)| with(first, second));
        let [none, one, other, both] =
            [self.states(name, none)?, self.states(name, one)?, self.states(name, other)?, self.states(name, both)?];
        for (k, node) in self.view.nodes.iter().enumerate() {
            let change = |after: &[Zset], before: &[Zset]| after[k].clone().plus(before[k].clone().negated());
            let (first, second) = (change(&one, &none), change(&other, &none));
            if change(&both, &other) != first {
                return Err(format!(
                    "node {k}: {first:?} alone, {:?} beside {second:?}: {node:?}",
                    change(&both, &other)
                ));
            }
            if !rows(node, &first).is_disjoint(&rows(node, &second)) {
                return Err(format!("node {k}: both change a row: {first:?}, {second:?}: {node:?}"));
            }
        }
        self.states(name, before).map(drop)
    }

    /// The rows of each node with these of a source.
    fn states(&mut self, name: &'static str, rows: Vec<Row>) -> Result<Vec<Zset>, String> {
        self.set_source(name, rows);
        for k in 0..self.view.nodes.len() {
            let rows = self.eval(&self.view.nodes[k].plan)?;
            self.set_node(k, rows)?;
        }
        Ok(self.nodes.clone())
    }
}

/// Which rows of a node a delta changes, by their identity.
fn rows(node: &Node, delta: &Zset) -> BTreeSet<Vec<Value>> {
    let names: Vec<Ident> = node.columns.iter().map(|column| column.name.clone()).collect();
    let identity = match &node.identity {
        Identity::Key(key) | Identity::HashedKey(key) => places(&names, key),
        Identity::Bag => (0..names.len()).collect(),
    };
    delta.iter().map(|(row, _)| values(row, &identity)).collect()
}
