//! PostgreSQL's resources as Rust values. All `unsafe` code of the extension is below this module.

pub mod bgworker;
pub mod database;
pub mod guard;
pub mod heap;
pub mod hooks;
pub mod latch;
mod list;
pub mod object;
pub mod plan;
pub mod query;
pub mod relation;
pub mod row;
pub mod setting;
mod settled;
pub mod shmem;
pub mod snapshot;
pub mod spi;
pub mod srf;
pub mod statistics;
pub mod subxact;
pub mod syscache;
pub mod trigger;
pub mod tuplestore;
pub mod types;
pub mod wake;
pub mod weighted;
pub mod xact;
