//! Facts about a plan's output: columns that are never null, columns that are unique.
//!
//! Both derive from functional dependencies `X → Y`: two rows that agree on `X` agree on `Y`. Keys, `a = b`, `a = 1`
//! and computed columns give dependencies, which hold below projections that drop their columns, too.
//! "Agree" is the type's equality, as in GROUP BY: nulls agree with each other.

mod dependencies;
mod fixpoint;
mod join;
mod not_null;
mod window;

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::plan::{Aggregate, ColId, Plan, Project, Relation, Scan, Unnest};

use dependencies::Dependencies;

/// Facts about the rows of a plan.
#[derive(Clone, Default)]
pub struct Facts {
    /// Output columns that are never null.
    pub not_null: BTreeSet<ColId>,
    /// Sets of output columns of which no two rows agree; the empty set: at most one row. Preferred ones first.
    pub keys: Vec<BTreeSet<ColId>>,
    dependencies: Dependencies,
}

pub use join::{equal_columns, fixed_column};
pub use not_null::{implied as implied_not_null, is_not_null};
pub use window::count;

/// The most keys of a plan; more are ignored.
const MOST_KEYS: usize = 8;

impl Facts {
    /// The columns in which any two rows agree that agree on `given`.
    pub fn determined(&self, given: &BTreeSet<ColId>) -> BTreeSet<ColId> {
        self.dependencies.closure(given)
    }

    fn add_key(&mut self, key: BTreeSet<ColId>) {
        let implied = self.keys.iter().any(|known| known.is_subset(&key));
        if !implied && self.keys.len() < MOST_KEYS {
            self.keys.retain(|known| !key.is_subset(known));
            self.keys.push(key);
        }
    }
}

/// The facts of a plan's output.
///
/// # Errors
/// `Catalog` for a relation that the catalog does not know.
pub fn facts(plan: &Plan, catalog: &dyn Catalog) -> Result<Facts> {
    Ok(match plan {
        Plan::Scan(scan) => scanned(scan, catalog)?,
        Plan::Values(values) => {
            let mut known = Facts::default();
            for (at, column) in values.columns.iter().enumerate() {
                if values.rows.iter().all(|row| not_null::is_not_null(&row[at], &BTreeSet::new())) {
                    known.not_null.insert(column.id);
                }
            }
            if values.rows.len() <= 1 {
                known.keys.push(BTreeSet::new());
            }
            known
        }
        Plan::Filter(filter) => join::filtered(facts(&filter.input, catalog)?, std::slice::from_ref(&filter.predicate)),
        Plan::Project(project) => projected(project, facts(&project.input, catalog)?),
        Plan::Join(join) => {
            let inputs = join.inputs.iter().map(|input| facts(input, catalog)).collect::<Result<_>>()?;
            join::joined(inputs, &join.predicates)
        }
        Plan::Outer(outer) => join::left_joined(facts(&outer.left, catalog)?, facts(&outer.right, catalog)?, &outer.on),
        Plan::UnionAll(union) => {
            let inputs = union.inputs.iter().map(|(input, _)| facts(input, catalog)).collect::<Result<Vec<_>>>()?;
            let never_null = |at: usize| {
                let mut fed = inputs.iter().zip(&union.inputs);
                fed.all(|(known, (_, ids))| known.not_null.contains(&ids[at]))
            };
            let columns = union.columns.iter().enumerate().filter(|(at, _)| never_null(*at));
            Facts { not_null: columns.map(|(_, column)| column.id).collect(), ..Facts::default() }
        }
        Plan::Aggregate(aggregate) => grouped(aggregate, facts(&aggregate.input, catalog)?),
        Plan::Distinct(distinct) => {
            let mut known = facts(&distinct.input, catalog)?;
            let all = distinct.input.ids();
            known.add_key(known.dependencies.reduced(all));
            known
        }
        Plan::Semi(semi) => facts(&semi.left, catalog)?,
        Plan::Window(window) => window::windowed(window, facts(&window.input, catalog)?),
        Plan::TopK(top) => window::limited(top, facts(&top.input, catalog)?),
        // One row may become several.
        Plan::Expand(_) | Plan::Lateral(_) => Facts::default(),
        Plan::Unnest(unnest) => unnested(unnest, facts(&unnest.input, catalog)?),
        Plan::Fixpoint(fixpoint) => fixpoint::found(fixpoint, catalog)?,
    })
}

/// One row may become several, distinguished by their number.
fn unnested(unnest: &Unnest, input: Facts) -> Facts {
    let mut known = Facts { not_null: input.not_null, keys: vec![], dependencies: input.dependencies };
    let Some((place, _)) = unnest.columns.last().filter(|_| unnest.ordinality) else { return known };
    if !unnest.outer {
        known.not_null.insert(place.id);
    }
    let all: BTreeSet<ColId> = unnest.columns.iter().map(|(column, _)| column.id).collect();
    for mut key in input.keys {
        key.insert(place.id);
        known.dependencies.add(key.clone(), all.clone());
        known.add_key(key);
    }
    known
}

fn scanned(scan: &Scan, catalog: &dyn Catalog) -> Result<Facts> {
    let mut known = Facts::default();
    if scan.relation == Relation::Clock {
        known.not_null.extend(scan.columns.iter().map(|(column, _)| column.id));
        known.keys.push(BTreeSet::new());
    }
    let Relation::Source(name) = &scan.relation else { return Ok(known) };
    let declared = catalog.columns(name)?;
    for (column, own) in &scan.columns {
        if declared.iter().any(|source| source.name == *own && source.not_null) {
            known.not_null.insert(column.id);
        }
    }
    let all: BTreeSet<ColId> = scan.columns.iter().map(|(column, _)| column.id).collect();
    for key in catalog.keys(name)? {
        let id = |own| scan.columns.iter().find(|(_, name)| name == own).map(|(column, _)| column.id);
        if let Some(key) = key.iter().map(id).collect::<Option<BTreeSet<ColId>>>() {
            known.dependencies.add(key.clone(), all.clone());
            known.add_key(key);
        }
    }
    Ok(known)
}

fn projected(project: &Project, mut input: Facts) -> Facts {
    let mut not_null = BTreeSet::new();
    for (column, e) in &project.columns {
        if not_null::is_not_null(e, &input.not_null) {
            not_null.insert(column.id);
        }
        input.dependencies.add_computed(column.id, e);
    }
    let output: BTreeSet<ColId> = project.columns.iter().map(|(column, _)| column.id).collect();
    let mut known = Facts { not_null, keys: vec![], dependencies: input.dependencies };
    for key in input.keys {
        if let Some(key) = known.dependencies.within(&key, &output) {
            known.add_key(key);
        }
    }
    known
}

fn grouped(aggregate: &Aggregate, input: Facts) -> Facts {
    let keys: BTreeSet<ColId> = aggregate.keys.iter().map(|key| key.id).collect();
    let mut known = Facts {
        not_null: input.not_null.intersection(&keys).copied().collect(),
        keys: vec![],
        dependencies: input.dependencies,
    };
    let counts =
        aggregate.calls.iter().filter(|call| call.function.schema.is_none() && call.function.name.as_str() == "count");
    known.not_null.extend(counts.map(|call| call.column.id));
    let calls: BTreeSet<ColId> = aggregate.calls.iter().map(|call| call.column.id).collect();
    known.dependencies.add(keys.clone(), calls);
    for key in input.keys.into_iter().filter(|key| key.is_subset(&keys)) {
        known.add_key(key);
    }
    known.add_key(known.dependencies.reduced(keys));
    known
}

#[cfg(test)]
mod tests;
