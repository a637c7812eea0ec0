//! The order book that all benches read, and single changes to it.

use serde_json::Value;
use tokio_postgres::Statement;

use crate::Result;
use crate::server::Server;
use crate::session::Session;

/// The defining queries.
pub mod views {
    pub const SCAN: &str = include_str!("../sql/views/scan.sql");
    pub const FILTER: &str = include_str!("../sql/views/filter.sql");
    pub const BY_KEY: &str = include_str!("../sql/views/by_key.sql");
    pub const FIVE_GROUPS: &str = include_str!("../sql/views/five_groups.sql");
    pub const JOIN2: &str = include_str!("../sql/views/join2.sql");
    pub const JOIN2_AGGREGATE: &str = include_str!("../sql/views/join2_aggregate.sql");
    pub const JOIN3: &str = include_str!("../sql/views/join3.sql");
    pub const JOIN3_AGGREGATE: &str = include_str!("../sql/views/join3_aggregate.sql");
}

/// An order book of `rows` orders in a schema of its own.
#[derive(Clone, Copy)]
pub struct Dataset {
    pub schema: &'static str,
    pub rows: u32,
}

impl Dataset {
    pub fn new(schema: &'static str, rows: u32) -> Result<Dataset> {
        if rows < 1000 {
            return Err("fewer than 1000 rows show nothing".into());
        }
        Ok(Dataset { schema, rows })
    }

    /// Fills the schema; returns how big it is.
    pub async fn load(&self, server: &Server) -> Result<Value> {
        let session = server.session(self.schema).await?;
        session.batch(&format!("create schema if not exists {}", self.schema)).await?;
        let rows = self.rows.to_string();
        session.client.execute("select set_config('bench.rows', $1, false)", &[&rows]).await?;
        session.batch(include_str!("../sql/dataset.sql")).await?;
        for table in ["customers", "products", "orders"] {
            session.batch(&format!("vacuum analyze {table}")).await?;
        }
        session.sizes().await
    }

    /// The n-th open order in an order that jumps about the table. Distinct for the first `rows / 10`.
    pub fn open_order(&self, n: u32) -> i64 {
        // A prime larger than any size in use shares no factor with it.
        const STRIDE: u64 = 1_000_000_007;
        let open = u64::from(self.rows / 10);
        10 * (1 + (u64::from(n) * STRIDE % open) as i64)
    }
}

/// One row that changes, in a way that every stream table over `orders` notices.
#[derive(Clone, Copy, PartialEq)]
pub enum Change {
    Insert,
    Update,
    Delete,
    /// One customer moves to another region: about ten orders' results change.
    Dimension,
}

impl Change {
    pub const ALL: [Change; 4] = [Change::Insert, Change::Update, Change::Delete, Change::Dimension];

    pub fn name(self) -> &'static str {
        match self {
            Change::Insert => "insert",
            Change::Update => "update",
            Change::Delete => "delete",
            Change::Dimension => "update_dimension",
        }
    }
}

/// A session that changes single rows, never the same one twice.
pub struct Changer {
    session: Session,
    dataset: Dataset,
    insert: Statement,
    update: Statement,
    delete: Statement,
    move_customer: Statement,
    changes: u32,
}

impl Changer {
    pub async fn over(session: Session, dataset: Dataset) -> Result<Changer> {
        session.batch("set synchronous_commit = off").await?;
        let client = &session.client;
        let insert = client
            .prepare(
                "insert into orders (id, customer_id, product_id, key, quantity, amount, status, placed_at)
                 select $1, customer_id, product_id, key, quantity, amount, status, now() from orders where id = $2",
            )
            .await?;
        let update =
            client.prepare("update orders set amount = amount + 1, quantity = quantity + 1 where id = $1").await?;
        let delete = client.prepare("delete from orders where id = $1").await?;
        let move_customer = client
            .prepare(
                "update customers set region = 'region ' || (substr(region, 8)::integer + 1) % 25
                  where id = (select customer_id from orders where id = $1)",
            )
            .await?;
        Ok(Changer { dataset, insert, update, delete, move_customer, changes: 0, session })
    }

    /// Commits one changed row.
    pub async fn apply(&mut self, change: Change) -> Result<()> {
        let order = self.dataset.open_order(self.changes);
        let fresh = i64::from(self.dataset.rows) * 10 + i64::from(self.changes);
        self.changes += 1;
        let client = &self.session.client;
        let changed = match change {
            Change::Insert => client.execute(&self.insert, &[&fresh, &order]).await?,
            Change::Update => client.execute(&self.update, &[&order]).await?,
            Change::Delete => client.execute(&self.delete, &[&order]).await?,
            Change::Dimension => client.execute(&self.move_customer, &[&order]).await?,
        };
        match changed {
            1 => Ok(()),
            _ => Err(format!("{} of order {order} changed {changed} rows", change.name()).into()),
        }
    }
}
