//! ⊎ flattens, and `δ(δ(R) ⊎ S) = δ(R ⊎ S)`.

use crate::plan::{ColId, Column, Plan, UnionAll};

pub fn union_all(columns: Vec<Column>, inputs: Vec<(Plan, Vec<ColId>)>) -> Plan {
    let mut flat = vec![];
    for (input, ids) in inputs {
        match input {
            Plan::UnionAll(inner) => {
                let places: Option<Vec<usize>> =
                    ids.iter().map(|id| inner.columns.iter().position(|column| column.id == *id)).collect();
                match places {
                    Some(places) => flat.extend(inner.inputs.into_iter().map(|(input, fed)| {
                        let ids = places.iter().map(|at| fed[*at]).collect();
                        (input, ids)
                    })),
                    None => flat.push((Plan::UnionAll(inner), ids)),
                }
            }
            other => flat.push((other, ids)),
        }
    }
    Plan::UnionAll(UnionAll { columns, inputs: flat })
}

/// The input of a δ, without the δs directly below that change nothing for it.
pub fn without_distinct(input: Plan) -> Plan {
    match input {
        Plan::Distinct(d) => without_distinct(d.input),
        Plan::UnionAll(u) => {
            let inputs = u.inputs.into_iter().map(|(input, ids)| (without_distinct(input), ids)).collect();
            union_all(u.columns, inputs)
        }
        other => other,
    }
}
