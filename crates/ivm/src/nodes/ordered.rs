//! Rows that an index has in order: those of one source, with equal values of some columns.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Ordered};
use crate::error::Result;
use crate::expr::{Direction, Order};
use crate::plan::{ColId, Expr, Plan, Relation};
use crate::sql::ident::{Ident, QName};

/// Whether an index has the rows of a plan with equal values of `keys` in the order of `value`: it begins with the keys, in any
/// order, and goes on with the value.
pub fn finds(plan: &Plan, keys: &[ColId], value: ColId, catalog: &dyn Catalog) -> Result<bool> {
    has_index((plan, keys, value), |_| true, catalog)
}

/// Whether an index has the rows of a plan with equal values of `keys` in this order, as far as its first key decides that
/// is none of them: the server sorts the rows that are equal in it.
pub fn sorts(plan: &Plan, keys: &[ColId], order: &[Order<ColId, Plan>], catalog: &dyn Catalog) -> Result<bool> {
    let is_key = |key: &&Order<ColId, Plan>| matches!(key.expr, Expr::Column(id) if keys.contains(&id));
    let first = order.iter().find(|key| !is_key(key));
    let Some(Order { expr: Expr::Column(first), direction, nulls_first }) = first else { return Ok(false) };
    let descending = *direction == Direction::Descending;
    let nulls_least = nulls_first.unwrap_or(descending) != descending;
    let alike = |column: &Ordered| !matches!(direction, Direction::Using(_)) && column.nulls_least == nulls_least;
    has_index((plan, keys, *first), alike, catalog)
}

/// The source that a plan reads alone, and of that the columns of the keys and of a value.
pub fn origins<'p>(
    plan: &'p Plan,
    keys: &[ColId],
    value: ColId,
) -> Option<(&'p QName, BTreeSet<&'p Ident>, &'p Ident)> {
    let (source, value) = origin(plan, value)?;
    let keys = keys.iter().map(|key| Some(origin(plan, *key)?.1)).collect::<Option<_>>()?;
    Some((source, keys, value))
}

/// The column that comes first in an order besides the keys, if an ordinary index has rows in its order: one without NULLS FIRST
/// and the like.
pub fn leading(keys: &[ColId], order: &[Order<ColId, Plan>]) -> Option<ColId> {
    let is_key = |key: &&Order<ColId, Plan>| matches!(key.expr, Expr::Column(id) if keys.contains(&id));
    let Order { expr: Expr::Column(first), direction, nulls_first } = order.iter().find(|key| !is_key(key))? else {
        return None;
    };
    let descending = *direction == Direction::Descending;
    let is_plain = !matches!(direction, Direction::Using(_)) && nulls_first.unwrap_or(descending) == descending;
    is_plain.then_some(*first)
}

/// Whether an index begins with the keys and goes on with the value, as a column that `serves`.
fn has_index(
    (plan, keys, value): (&Plan, &[ColId], ColId),
    serves: impl Fn(&Ordered) -> bool,
    catalog: &dyn Catalog,
) -> Result<bool> {
    let Some((source, keys, value)) = origins(plan, keys, value) else { return Ok(false) };
    let finds = |index: Vec<Ordered>| {
        let (first, rest) = index.split_at(keys.len().min(index.len()));
        let next = rest.first().filter(|column| column.name == *value);
        first.iter().map(|column| &column.name).collect::<BTreeSet<&Ident>>() == keys && next.is_some_and(&serves)
    };
    Ok(catalog.orders(source)?.into_iter().any(finds))
}

/// The column of a source that a column is, where the plan reads that source alone.
fn origin(plan: &Plan, id: ColId) -> Option<(&QName, &Ident)> {
    match plan {
        Plan::Scan(scan) => match &scan.relation {
            Relation::Source(name) => {
                scan.columns.iter().find(|(column, _)| column.id == id).map(|(_, own)| (name, own))
            }
            _ => None,
        },
        Plan::Filter(filter) if filter.predicate.subqueries().is_empty() => origin(&filter.input, id),
        Plan::Project(project) if project.columns.iter().all(|(_, e)| e.subqueries().is_empty()) => {
            match &project.columns.iter().find(|(column, _)| column.id == id)?.1 {
                Expr::Column(id) => origin(&project.input, *id),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::ident::QName;
    use crate::testing::memory::MemoryCatalog;
    use crate::view::{Successor, Upkeep};
    use crate::{canon, compile};

    /// How the next maximum of `t.v` is found, with an index on `t (a, k, v)` and one on `t (v)`.
    fn next(query: &str) -> Successor {
        let t = QName::qualified("public", "t");
        let columns = [("id", true), ("a", true), ("k", false), ("v", false), ("n", false)];
        let columns = columns.map(|(name, not_null)| (name, "integer", not_null));
        let catalog = MemoryCatalog::default().table(t.clone(), &columns);
        let catalog = catalog.index(t.clone(), &["a", "k", "v"]).index(t, &["v"]);
        let state = |k: usize| QName::qualified("state", format!("n{k}"));
        let view = compile::compile(&canon::parse(query).unwrap(), &catalog, &QName::bare("v"), &state).unwrap();
        let found = view.nodes[0].upkeep.iter().find_map(|upkeep| match upkeep {
            Upkeep::Max(next) => Some(*next),
            _ => None,
        });
        found.unwrap()
    }

    #[test]
    fn keys_come_first_in_any_order_and_then_the_value() {
        for query in [
            "SELECT max(t.v) AS m FROM public.t",
            "SELECT t.k, t.a, max(t.v) AS m, sum(t.n) AS s FROM public.t GROUP BY t.k, t.a",
            "SELECT t.k, t.a, max(t.v) FILTER (WHERE (t.n > 1)) AS m FROM public.t WHERE (t.id > 3) GROUP BY t.k, t.a",
        ] {
            assert_eq!(next(query), Successor::Indexed, "{query}");
        }
        for query in [
            "SELECT max(t.n) AS m FROM public.t",
            "SELECT t.a, max(t.v) AS m FROM public.t GROUP BY t.a",
            "SELECT max((t.v + 1)) AS m FROM public.t",
            "SELECT max(t.v) AS m FROM public.t, public.t u WHERE (u.id = t.k)",
            "SELECT max(t.v) AS m FROM public.t WHERE (EXISTS ( SELECT 1 FROM public.t u WHERE (u.id = t.k)))",
        ] {
            assert_eq!(next(query), Successor::Recomputed, "{query}");
        }
    }
}
