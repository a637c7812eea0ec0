//! The difference between a stream table and its query.

use ivm::catalog::Equality;
use ivm::sql::ident::Ident;
use ivm::view::NodeColumn;
use pgrx::JsonB;

use crate::error::Result;
use crate::pg::spi::OwnerSession;
use crate::pg::tuplestore::Tuplestore;

/// The name of the ephemeral relation that holds it, with weights.
pub const NAME: &str = "pgtrickle_difference";

/// The difference without rows that are equal and look different, of the table and of the query.
pub fn without_looks(session: &OwnerSession, columns: &[NodeColumn], weight: &str) -> Result<Tuplestore> {
    let weight = Ident::new(weight);
    let (shown, keys): (Vec<_>, Vec<_>) = columns
        .iter()
        .map(|NodeColumn { name, ty, .. }| match ty.equality {
            Equality::Missing => (format!("(array_agg(d.{name}))[1] as {name}"), format!("d.{name}::text")),
            _ => (format!("d.{name}"), format!("d.{name}")),
        })
        .unzip();
    let statement = session.prepare(
        &format!(
            "select {}, sum(d.{weight})::bigint as {weight} from {NAME} d group by {} having sum(d.{weight}) <> 0",
            shown.join(", "),
            keys.join(", ")
        ),
        &[],
    )?;
    let store = statement.store()?;
    session.materialise(&statement, &store, 0)?;
    Ok(store)
}

/// Some rows of the difference, those missing in the table first; `None` if there are none.
pub fn sample(session: &OwnerSession, weight: &str, most: i32) -> Result<Option<JsonB>> {
    let (weight, key) = (Ident::new(weight), weight.replace('\'', "''"));
    let statement = session.prepare(
        &format!(
            "select jsonb_agg(r.shown)
               from (select jsonb_build_object('in', case when d.{weight} > 0 then 'query' else 'table' end,
                                               'copies', abs(d.{weight}), 'row', to_jsonb(d) - '{key}') as shown
                       from {NAME} d
                      order by d.{weight} < 0, to_jsonb(d)
                      limit {}) r",
            most.max(0)
        ),
        &[],
    )?;
    let rows = session.rows(&statement, &[], |row| Ok(row.get(1)))?;
    Ok(rows.into_iter().next().flatten())
}
