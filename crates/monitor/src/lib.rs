//! What pg_trickle counts of its stream tables, and what shows it: metrics for Prometheus, health, and a live page.
//!
//! Counters are atomics of a fixed size, made for memory that processes share: written where the event happens, without a lock
//! or an allocation, and read by any process at any time. All zero is empty.
#![forbid(unsafe_code)]

pub mod cell;
pub mod databases;
pub mod failures;
pub mod histogram;
pub mod http;
pub mod messages;
pub mod metrics;
pub mod moments;
pub mod progress;
pub mod rows;
pub mod shown;
pub mod snapshot;
pub mod sources;
pub mod tables;
pub mod usage;

use serde::{Serialize, Serializer};

use databases::{DatabaseRow, Server};
use rows::{Claims, Owner, Rows};
use sources::SourceRow;
use tables::TableRow;

/// Microseconds since the Unix epoch, or a span of them.
pub type Micros = i64;

const SECOND: Micros = 1_000_000;

fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}

/// Shows microseconds as seconds.
fn in_seconds<S: Serializer>(micros: &(impl Copy + Into<Option<Micros>>), serializer: S) -> Result<S::Ok, S::Error> {
    (*micros).into().map(seconds).serialize(serializer)
}

/// Databases that are counted.
pub const DATABASES: usize = 128;

/// Everything that is counted, except for the rows of stream tables and sources, whose number is a setting.
#[repr(C)]
pub struct Counters {
    pub server: Server,
    databases: [DatabaseRow; DATABASES],
    database_owners: [Owner; DATABASES],
    database_claims: Claims,
    table_claims: Claims,
    source_claims: Claims,
}

/// All of the shared memory.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    pub server: &'a Server,
    pub databases: Rows<'a, DatabaseRow>,
    pub tables: Rows<'a, TableRow>,
    pub sources: Rows<'a, SourceRow>,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            server: Server::default(),
            databases: std::array::from_fn(|_| DatabaseRow::default()),
            database_owners: std::array::from_fn(|_| Owner::default()),
            database_claims: Claims::default(),
            table_claims: Claims::default(),
            source_claims: Claims::default(),
        }
    }
}

impl Counters {
    /// With the rows of stream tables and of sources, at least one of each, and the owners of both.
    pub fn with<'a>(&'a self, tables: &'a [TableRow], sources: &'a [SourceRow], owners: &'a [Owner]) -> Memory<'a> {
        let (table_owners, source_owners) = owners.split_at(tables.len());
        Memory {
            server: &self.server,
            databases: Rows { owners: &self.database_owners, rows: &self.databases, claims: &self.database_claims },
            tables: Rows { owners: table_owners, rows: tables, claims: &self.table_claims },
            sources: Rows { owners: source_owners, rows: sources, claims: &self.source_claims },
        }
    }
}
