//! Plans that PostgreSQL cannot maintain because of the types of their columns, refused before a statement fails.
//!
//! It cannot store rows whose type has no name. It groups by several columns either by sorting or by hashing, so that it
//! cannot combine one that can only be sorted with one that can only be hashed; delta programs group by the keys of
//! joins, too.

use crate::catalog::{ColumnType, Equality};
use crate::error::Result;
use crate::plan::{ColId, Plan};
use crate::types::Types;
use crate::view::Node;
use crate::{keys, refuse};

/// Whether the server can group by columns of these types at once.
pub fn group_together<'a>(types: impl Iterator<Item = &'a ColumnType> + Clone) -> bool {
    let lacks = |has: fn(&ColumnType) -> bool| types.clone().any(|ty| ty.equality != Equality::Missing && !has(ty));
    !(lacks(|ty| ty.hashable) && lacks(|ty| ty.sortable))
}

/// Refuses a plan that groups by columns that the server cannot combine.
pub fn check_groups(plan: &Plan, types: &Types) -> Result<()> {
    let keys: Vec<ColId> = match plan {
        Plan::Aggregate(aggregate) => aggregate.keys.iter().map(|key| key.id).collect(),
        Plan::Distinct(distinct) => distinct.input.ids().into_iter().collect(),
        Plan::Outer(_) | Plan::Semi(_) => {
            let conditions = plan.expressions().into_iter().flat_map(|on| on.clone().conjuncts());
            conditions.filter_map(|e| keys::equal_columns(&e)).flat_map(|(l, r)| [l, r]).collect()
        }
        _ => vec![],
    };
    let keys = keys.into_iter().map(|id| types.get(id)).collect::<Result<Vec<_>>>()?;
    if !group_together(keys.into_iter()) {
        return Err(refuse::mixed_group_types());
    }
    plan.inputs().into_iter().try_for_each(|input| check_groups(input, types))
}

/// Refuses internal nodes whose rows cannot be stored; the last one is the stream table itself.
pub fn check_stored(nodes: &[Node]) -> Result<()> {
    let internal = nodes.iter().rev().skip(1).flat_map(|node| &node.columns);
    match internal.into_iter().any(|column| matches!(column.ty.base.as_str(), "record" | "record[]")) {
        true => Err(refuse::unnamed_row_type()),
        false => Ok(()),
    }
}
