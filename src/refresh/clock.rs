//! The clock of a refresh: the relation in which the programs of a stream table read the present time and the one of the last
//! refresh.
//!
//! **Invariant:** a table equals its query with `now()` being the time of its frontier.

use chunk::Target;
use ivm::clock::{BEFORE, CLOCK, NOW};
use pgrx::IntoDatum;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::row::Values;
use crate::pg::spi::OwnerSession;
use crate::pg::tuplestore::{ColumnDef, Desc, Tuplestore};

/// The clock's one row.
pub fn at(now: TimestampWithTimeZone, before: TimestampWithTimeZone) -> Result<Tuplestore> {
    let column = |name: &str| ColumnDef {
        name: name.to_owned(),
        ty: pg_sys::TIMESTAMPTZOID,
        modifier: -1,
        collation: pg_sys::InvalidOid,
    };
    let store = Tuplestore::new(Desc::new(&[NOW, BEFORE].map(column))?);
    let mut row = Values::new(2);
    for (place, time) in [now, before].into_iter().enumerate() {
        let datum = time.into_datum().ok_or(Error::Bug("a time is a value"))?;
        row.set_word(place, datum.value());
    }
    store.append(&mut row)?;
    Ok(store)
}

/// Makes the clock readable by the statements of a session.
pub fn register(session: &OwnerSession, clock: &Tuplestore) -> Result<()> {
    session.register(CLOCK, clock, BEFORE, 1.0)
}
