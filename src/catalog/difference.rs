//! The difference between a stream table and its query.

use ivm::sql::ident::Ident;
use pgrx::JsonB;

use crate::error::Result;
use crate::pg::spi::OwnerSession;

/// The name of the ephemeral relation that holds it, with weights.
pub const NAME: &str = "pgtrickle_difference";

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
