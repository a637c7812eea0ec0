//! PostgreSQL's resources as Rust values. All `unsafe` code of the extension is below this module.

/// The name of the extension, and of its library.
pub const EXTENSION: &std::ffi::CStr = c"pg_trickle";

pub mod applying;
pub mod bgworker;
pub mod call;
pub mod counted;
pub mod counters;
pub mod database;
pub mod defer;
pub mod event;
pub mod failures;
pub mod guard;
pub mod heap;
pub mod index;
pub mod invalidation;
pub mod latch;
pub mod limit;
pub mod lock;
mod node;
pub mod object;
pub mod plan;
pub mod planner;
pub mod progress;
pub mod query;
pub mod relation;
pub mod row;
pub mod setting;
pub mod settled;
pub mod shmem;
pub mod snapshot;
pub mod spi;
mod statement;
pub mod subxact;
mod syscache;
pub mod template;
mod text;
pub mod trigger;
pub mod tuplestore;
pub mod types;
mod unread;
pub mod utility;
mod version;
pub mod view;
pub mod wake;
pub mod weighted;
pub mod xact;
