//! Groups of a join-and-aggregate stream table, written by one session and watched by another.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_postgres::Statement;

use crate::Result;
use crate::dataset::views;
use crate::session::{Session, Table};
use crate::timing::Commit;

/// So long a commit may stay invisible before something must be broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The stream table that is watched.
pub fn table(schedule: &'static str) -> Table {
    Table { name: "watched", query: views::JOIN3_AGGREGATE, schedule, mode: "DIFFERENTIAL" }
}

/// An order whose quantity can be raised, and the group that then shows it.
pub struct Counter {
    pub order: i64,
    region: String,
    category: String,
}

/// Some orders of many groups.
pub const SOME: &str = "orders tablesample bernoulli (1) repeatable (7) limit 1000";

/// The orders that follow FROM in `orders`.
pub async fn counters(session: &Session, orders: &str) -> Result<Vec<Counter>> {
    let query = format!(
        "select o.id, c.region, p.category
           from (select * from {orders}) o
           join customers c on c.id = o.customer_id
           join products p on p.id = o.product_id"
    );
    let rows = session.client.query(&query, &[]).await?;
    if rows.is_empty() {
        return Err("there is no order to change".into());
    }
    Ok(rows.iter().map(|row| Counter { order: row.get(0), region: row.get(1), category: row.get(2) }).collect())
}

/// Raises quantities, a transaction each.
pub struct Writer {
    session: Session,
    raise: Statement,
}

impl Writer {
    pub async fn over(session: Session, commit: Commit) -> Result<Writer> {
        let raise = session.client.prepare("update orders set quantity = quantity + 1 where id = $1").await?;
        let writer = Writer { session, raise };
        writer.commit(commit).await?;
        Ok(writer)
    }

    /// From here on commits are of this kind.
    pub async fn commit(&self, commit: Commit) -> Result<()> {
        self.session.batch(&format!("set synchronous_commit = {}", commit.setting())).await
    }

    /// Returns when the server has said that the commit is done.
    pub async fn raise(&self, order: i64) -> Result<Instant> {
        match self.session.client.execute(&self.raise, &[&order]).await? {
            1 => Ok(Instant::now()),
            _ => Err(format!("order {order} is gone").into()),
        }
    }
}

/// Reads a group by its key.
pub struct Reader {
    pub session: Session,
    read: Statement,
}

impl Reader {
    pub async fn over(session: Session) -> Result<Reader> {
        let read = session.client.prepare("select quantity from watched where region = $1 and category = $2").await?;
        Ok(Reader { session, read })
    }

    pub async fn quantity(&self, counter: &Counter) -> Result<i64> {
        Ok(self.session.client.query_one(&self.read, &[&counter.region, &counter.category]).await?.get(0))
    }

    /// Reads without a pause until the group shows at least `quantity`; when the answer was here.
    pub async fn until(&self, counter: &Counter, quantity: i64) -> Result<Instant> {
        let seen = async {
            while self.quantity(counter).await? < quantity {}
            Ok(Instant::now())
        };
        timeout(PATIENCE, seen).await.unwrap_or_else(|_| Err("a commit did not become visible".into()))
    }
}
