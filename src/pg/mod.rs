//! PostgreSQL's resources as Rust values. All `unsafe` code of the extension is below this module.

pub mod guard;
pub mod query;
pub mod spi;
pub mod subxact;
pub mod object;
pub mod types;
pub mod weighted;
pub mod heap;
pub mod relation;
pub mod row;
pub mod snapshot;
pub mod srf;
pub mod trigger;
pub mod tuplestore;
pub mod xact;
