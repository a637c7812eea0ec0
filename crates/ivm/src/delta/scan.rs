//! scan.   Linear:  Δ(scan R) = scan ΔR
//!
//! The delta of a source holds the changes that capture recorded since the frontier; that of a node holds the changes
//! that this refresh applied to it. Both have the columns of the relation and a weight. Steps and deltas
//! do not change while a refresh runs.

use crate::plan::{Plan, Relation, Scan};

use super::{Cx, Delta, bounds};

pub fn delta(scan: &Scan, cx: &mut Cx) -> Option<Delta> {
    if !cx.mask.contains(&scan.relation) {
        return None;
    }
    let relation = match &scan.relation {
        Relation::Source(name) => Relation::SourceDelta(name.clone()),
        Relation::Node(index) => Relation::NodeDelta(*index),
        Relation::Clock => return Some(bounds::delta(scan, cx)),
        _ => return None,
    };
    let name = cx.view.weight(&relation);
    let w = cx.ids.column(name.as_str());
    let mut columns = scan.columns.clone();
    columns.push((w.clone(), name));
    Some(Delta::new(Plan::Scan(Scan { relation, columns }), w))
}
