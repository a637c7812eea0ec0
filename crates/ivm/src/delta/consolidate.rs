//! Consolidation: one row for each image, with the sum of its weights, and none where that is zero.
//!
//! Rows are equal when they look the same: values whose equals may look different (`1.0` and
//! `1.00`) are grouped by their text as well, and values without equality by their text alone, from which
//! they are read again; so are types that cannot be sorted next to others that can only be sorted.
//!
//! Where a table has a key and equal values look the same in all columns, no grouping is needed: the delta
//! is in the order of the key and then of all other columns, and the caller adds up the weights of neighbours.

use crate::catalog::Equality;
use crate::feasible;
use crate::identity;
use crate::nodes::companion;
use crate::plan::{AggregateCall, Column, Expr, Ids, Plan};
use crate::sql::ident::Ident;
use crate::view::{Identity, Node, NodeColumn, weight_name};

use super::Delta;

/// The consolidated delta, its columns with the names and in the order of `output`, the weight last.
pub fn plan(delta: Delta, output: &[(Column, NodeColumn)], ids: &mut Ids) -> Plan {
    let (mut below, mut keys, mut above) = (vec![], vec![], vec![]);
    let mixed = !feasible::group_together(output.iter().map(|(_, known)| &known.ty));
    for (column, known) in output {
        let named = Column { id: column.id, name: known.name.clone() };
        let text = ids.column(companion(&known.name, "text"));
        let image = (text.clone(), identity::image(&known.ty, column.expr()));
        let equality = if mixed && !known.ty.sortable { Equality::Missing } else { known.ty.equality };
        match equality {
            Equality::Image => {
                below.push(column.pass());
                keys.push(column.clone());
                above.push((named, column.expr()));
            }
            Equality::Loose => {
                below.extend([column.pass(), image]);
                keys.extend([column.clone(), text]);
                above.push((named, column.expr()));
            }
            Equality::Missing => {
                below.push(image);
                keys.push(text.clone());
                above.push((ids.column(known.name.as_str()), text.expr().cast(&known.ty.name)));
            }
        }
    }
    below.push(delta.w.pass());
    let total = ids.column("total");
    let sum = AggregateCall::new(total.clone(), "sum", vec![delta.w.id]);
    let grouped = delta.plan.project(below).aggregate(keys, vec![sum]);
    let rows = grouped.filter(Expr::binary("<>", total.expr(), Expr::number(0)));
    let w = weight_name(output.iter().map(|(_, known)| &known.name));
    above.push((ids.column(w.as_str()), total.expr().cast("bigint")));
    rows.project(above)
}

/// Whether the delta of a node is consolidated by its order.
pub fn is_by_order(node: &Node) -> bool {
    let alike = node.columns.iter().all(|column| column.ty.equality == Equality::Image);
    matches!(node.identity, Identity::Key(_)) && alike
}

/// A delta that needs no grouping, in the same shape.
pub fn named(delta: Delta, output: &[(Column, NodeColumn)]) -> Plan {
    let named = |column: &Column, name: &Ident| (Column { id: column.id, name: name.clone() }, column.expr());
    let w = weight_name(output.iter().map(|(_, known)| &known.name));
    let columns = output.iter().map(|(column, known)| named(column, &known.name)).chain([named(&delta.w, &w)]);
    delta.plan.project(columns.collect())
}
