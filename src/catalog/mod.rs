//! The catalog: one file per table, each the only writer of its table.
//!
//! **Invariant:** every statement here runs under `search_path = pg_catalog` (see [`quietly`]), so names
//! are ours or the server's, never a user's.

pub mod capture_grant;
pub mod ddl;
pub mod dependency;
pub mod difference;
pub mod frontier;
pub mod history;
pub mod index;
pub mod layout;
pub mod meaning;
pub mod shape;
pub mod source;
pub mod stream_table;

use crate::error::Result;
use crate::pg::guard;

/// Runs `f` as the owner of the catalog, under a path that no user can write to. Whatever holds text of a user opens a
/// session of its owner in it.
pub fn quietly<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    guard::as_catalog(f)
}
