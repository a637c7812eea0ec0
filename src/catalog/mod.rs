//! The catalog: one file per table, each the only writer of its table.
//!
//! **Invariant:** every statement here runs under `search_path = pg_catalog` (see [`quietly`]), so names
//! are ours or the server's, never a user's.

pub mod admission;
pub mod capture_grant;
pub mod cluster;
pub mod constraint;
pub mod ddl;
pub mod definition;
pub mod dependency;
pub mod described;
pub mod difference;
pub mod frontier;
pub mod history;
pub mod index;
pub mod layout;
pub mod places;
pub mod restored;
pub mod shape;
pub mod source;
pub mod stream_table;
pub mod ticks;

use crate::error::Result;
use crate::pg::guard;

/// Runs `f` as the owner of the catalog, under a path that no user can write to. Text of a user is only run in a session of
/// its owner, opened inside `f`.
pub fn quietly<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    guard::as_catalog(f)
}
