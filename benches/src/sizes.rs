//! The size of the catalog and of the change buffers.

use serde_json::{Value, json};

use crate::Result;
use crate::session::Session;

/// Bytes on disk at one moment; for change buffers also their unpruned rows.
#[derive(Clone, Copy, Default)]
pub struct Sizes {
    pub pending_rows: i64,
    pub buffers: i64,
    pub frontiers: i64,
    pub history: i64,
    pub table: i64,
}

impl Sizes {
    /// `table` is a stream table.
    pub async fn read(session: &Session, table: &str) -> Result<Sizes> {
        let query = "
            select sum(pending_rows)::bigint, sum(bytes)::bigint,
                   pg_total_relation_size('pgtrickle.pgt_frontiers'),
                   pg_total_relation_size('pgtrickle.pgt_refresh_history'),
                   pg_total_relation_size($1::text::regclass)
              from pgtrickle.change_buffer_sizes()";
        let row = session.client.query_one(query, &[&table]).await?;
        Ok(Sizes {
            pending_rows: row.get(0),
            buffers: row.get(1),
            frontiers: row.get(2),
            history: row.get(3),
            table: row.get(4),
        })
    }

    /// The greatest of each.
    pub fn max(self, other: Sizes) -> Sizes {
        Sizes {
            pending_rows: self.pending_rows.max(other.pending_rows),
            buffers: self.buffers.max(other.buffers),
            frontiers: self.frontiers.max(other.frontiers),
            history: self.history.max(other.history),
            table: self.table.max(other.table),
        }
    }

    pub fn summary(&self) -> Value {
        json!({
            "pending_rows": self.pending_rows,
            "buffer_bytes": self.buffers,
            "frontiers_bytes": self.frontiers,
            "history_bytes": self.history,
            "stream_table_bytes": self.table,
        })
    }
}
