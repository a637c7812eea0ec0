//! The stream tables that this session is refreshing or verifying. Functions in a query, and triggers on the table, run within
//! that: they must not refresh the same table, whose rows are partly changed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pgrx::PgSqlErrorCode::ERRCODE_OBJECT_IN_USE;

use crate::catalog::stream_table;
use crate::error::{Error, Result};
use crate::pg::spi;

thread_local! {
    static CLAIMED: RefCell<BTreeSet<i32>> = const { RefCell::new(BTreeSet::new()) };
}

/// Stream tables that are claimed until this is dropped.
#[must_use]
pub struct Claim(Vec<i32>);

impl Claim {
    /// An error where an outer call has claimed one of them.
    pub fn on(ids: &[i32]) -> Result<Claim> {
        ids.iter().try_for_each(|id| require_free(*id))?;
        CLAIMED.with_borrow_mut(|claimed| claimed.extend(ids));
        Ok(Claim(ids.to_vec()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.with_borrow_mut(|claimed| claimed.retain(|id| !self.0.contains(id)));
    }
}

/// An error where an outer call has claimed this stream table.
pub fn require_free(id: i32) -> Result<()> {
    if !CLAIMED.with_borrow(|claimed| claimed.contains(&id)) {
        return Ok(());
    }
    let table = spi::connect(None, |session| stream_table::get(session, id))?;
    let message = format!("stream table {} is being refreshed or verified by this session", table.display());
    Err(Error::new(ERRCODE_OBJECT_IN_USE, message)
        .detail("A function that its query calls, or a trigger on it, asks for this in the midst of it.")
        .hint("Do it after the refresh: functions in queries must not change anything."))
}
