//! `last_write`: what another session has to read after.

use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::capture;
use crate::error::Result;
use crate::pg::writes;

/// A token of the last transaction of this session that changed a source, for `pg_trickle.read_after` in another session; of this
/// one, if it has. NULL if there is none.
#[pg_extern]
fn last_write() -> std::result::Result<Option<String>, ErrorReport> {
    Ok(token()?)
}

fn token() -> Result<Option<String>> {
    Ok(writes::token(capture::has_changes()))
}
