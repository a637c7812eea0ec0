//! Batches of changes: orders are inserted and deleted as in the refresh functions RF1 and RF2, and existing ones are
//! repriced, rescheduled and delivered; parts, suppliers and customers change as well.
//!
//! Invariant: a batch is one transaction, it changes exactly as many rows as asked for, and no row twice.

use tokio_postgres::{Client, Error};

use super::orders::{OrderStream, loaded_key, loaded_orders};
use crate::copy::copy;

const DELETE_LINES: &str = "delete from lineitem where l_orderkey = any ($1)";
const DELETE_ORDERS: &str = "delete from orders where o_orderkey = any ($1)";

/// Other quantities and discounts; one order in eight becomes a large one.
const REPRICE_LINES: &str = r"
update lineitem l
set l_quantity = n.quantity,
    l_extendedprice = round(l_extendedprice / l_quantity * n.quantity, 2),
    l_discount = (n.chance % 11) / 100.0
from (
    select l_orderkey as key, l_linenumber as line, chance,
           case when l_orderkey % 8 = 0 then 50 else 1 + chance % 50 end as quantity
    from lineitem, lateral (select (l_orderkey * 7 + l_linenumber * 13 + $3::integer * 31) as chance) c
    where l_orderkey = any ($1)
    order by l_orderkey, l_linenumber
    limit $2
) n
where l_orderkey = n.key and l_linenumber = n.line";

/// Other days and other means; some have arrived and are returned.
const RESCHEDULE_LINES: &str = r"
update lineitem l
set l_shipdate = l_shipdate + n.days,
    l_receiptdate = l_receiptdate + n.days,
    l_shipmode = (array['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[1 + n.chance % 7],
    l_linestatus = case when n.chance % 3 = 0 then 'F' else l_linestatus end,
    l_returnflag = case when n.chance % 3 = 0 then 'R' else l_returnflag end
from (
    select l_orderkey as key, l_linenumber as line, chance, (chance % 61 - 30)::integer as days
    from lineitem, lateral (select (l_orderkey * 5 + l_linenumber * 17 + $3::integer * 29) as chance) c
    where l_orderkey = any ($1)
    order by l_orderkey, l_linenumber
    limit $2
) n
where l_orderkey = n.key and l_linenumber = n.line";

/// The total follows the lines, or the order is delivered, or it was another customer's, and urgent.
const UPDATE_ORDERS: &str = r"
update orders
set o_totalprice = case when o_orderkey % 3 = 0 then (
        select coalesce(round(sum(l_extendedprice * (1 + l_tax) * (1 - l_discount)), 2), 0) + 0.01
        from lineitem
        where l_orderkey = o_orderkey
    ) else o_totalprice + 0.01 end,
    o_orderstatus = case when o_orderkey % 3 = 1 then 'F' else o_orderstatus end,
    o_custkey = case when o_orderkey % 3 = 2
        then (select c_custkey from customer where c_custkey > o_custkey order by c_custkey limit 1)
        else o_custkey end,
    o_orderpriority = case when o_orderkey % 3 = 2 then '1-URGENT' else o_orderpriority end
where o_orderkey = any ($1)";

/// Changes of parts, suppliers and customers in one transaction; `$round` is a number that grows.
const CATALOGUE: &str = include_str!("../../sql/tpch/catalogue.sql");

/// The changes of one database, batch by batch.
pub struct Changes {
    incoming: OrderStream,
    loaded: u32,
    chosen: u32,
    round: i32,
}

impl Changes {
    /// Of a database that was loaded at this scale.
    pub fn new(scale: f64) -> Changes {
        Changes { incoming: OrderStream::new(scale, 1, 1), loaded: loaded_orders(scale), chosen: 0, round: 0 }
    }

    /// `rows` rows of orders and line items: about a third inserted, a third deleted, the rest updated.
    /// Returns how many rows the server says it has changed.
    pub async fn orders(&mut self, client: &Client, rows: u64) -> Result<u64, Error> {
        self.round += 1;
        client.batch_execute("begin").await?;
        let inserted = self.insert(client, rows / 3).await?;
        let deleted = self.delete(client, rows / 3).await?;
        let updated = self.update(client, rows.saturating_sub(inserted + deleted)).await?;
        client.batch_execute("commit").await?;
        Ok(inserted + deleted + updated)
    }

    /// A few rows of each of the other tables that change: inserted, deleted, updated.
    pub async fn catalogue(&mut self, client: &Client) -> Result<(), Error> {
        self.round += 1;
        client.batch_execute(&CATALOGUE.replace("$round", &self.round.to_string())).await
    }

    /// RF1: orders with one to seven line items each.
    async fn insert(&mut self, client: &Client, rows: u64) -> Result<u64, Error> {
        let (mut orders, mut lines) = (vec![], vec![]);
        while ((orders.len() + lines.len()) as u64) < rows {
            let new = self.incoming.next_order();
            orders.push(new.order.join("|"));
            lines.extend(new.lines.iter().map(|line| line.join("|")));
        }
        Ok(copy(client, "orders", orders).await? + copy(client, "lineitem", lines).await?)
    }

    /// RF2: orders go, with all their line items; on average an order has four.
    async fn delete(&mut self, client: &Client, rows: u64) -> Result<u64, Error> {
        let keys = self.choose(rows / 5);
        let lines = client.execute(DELETE_LINES, &[&keys]).await?;
        Ok(lines + client.execute(DELETE_ORDERS, &[&keys]).await?)
    }

    /// One order for every four of its line items.
    async fn update(&mut self, client: &Client, rows: u64) -> Result<u64, Error> {
        let orders = self.choose(rows / 5);
        let lines = (rows - orders.len() as u64) as i64;
        let mut changed = 0;
        for (statement, lines) in [(REPRICE_LINES, lines / 2), (RESCHEDULE_LINES, lines - lines / 2)] {
            // Twice as many line items as are needed, on average.
            let keys = self.choose(lines as u64 / 2 + 8);
            changed += client.execute(statement, &[&keys, &lines, &self.round]).await?;
        }
        Ok(changed + client.execute(UPDATE_ORDERS, &[&orders]).await?)
    }

    /// Loaded orders that nothing has happened to, from all over the table.
    fn choose(&mut self, count: u64) -> Vec<i64> {
        // A prime larger than any number of orders in use shares no factor with it.
        const STRIDE: u64 = 1_000_000_007;
        let first = u64::from(self.chosen);
        self.chosen += count as u32;
        let loaded = u64::from(self.loaded);
        (first..first + count).map(|n| loaded_key(1 + (n * STRIDE % loaded) as u32)).collect()
    }
}
