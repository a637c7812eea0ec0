//! The transactions of an order desk: TPC-H's refresh functions RF1 (new order) and RF2 (delete an
//! order), and changes of orders in between.
//!
//! Invariant: a transaction locks its order first, and a customer last, so that no two of them can
//! wait for each other.

use std::collections::HashMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement, Transaction};

use pg_trickle_workloads::Dice;
use pg_trickle_workloads::tpch::{OrderStream, key_span};

use crate::load::SCALE;

/// One kind of transaction.
#[derive(Clone, Copy)]
pub enum Change {
    Place,
    /// Place an order, make a change, roll back to the savepoint, make another change.
    PlaceWithSavepoint,
    /// Place an order and delete another, then roll back.
    RollBack,
    Delete,
    Reprice,
    Reschedule,
    Deliver,
}

impl Change {
    /// As many orders are inserted as deleted, and most changes are of existing ones.
    pub fn choose(dice: &mut Dice) -> Change {
        match dice.roll(100) {
            0..26 => Change::Place,
            26..32 => Change::PlaceWithSavepoint,
            32..36 => Change::RollBack,
            36..66 => Change::Delete,
            66..80 => Change::Reprice,
            80..92 => Change::Reschedule,
            _ => Change::Deliver,
        }
    }
}

/// How a transaction wants to end.
pub enum Outcome {
    /// Commit, with so many rows changed.
    Done(u64),
    /// Roll back.
    Regretted,
}

const PLACE_ORDER: &str = r"
insert into orders
values ($1::text::bigint, $2::text::bigint, $3::text, $4::text::numeric, $5::text::date,
        $6::text, $7::text, $8::text::integer, $9::text)";

const PLACE_LINE: &str = r"
insert into lineitem
values ($1::text::bigint, $2::text::bigint, $3::text::bigint, $4::text::integer,
        $5::text::numeric, $6::text::numeric, $7::text::numeric, $8::text::numeric,
        $9::text, $10::text, $11::text::date, $12::text::date, $13::text::date,
        $14::text, $15::text, $16::text)";

/// The first order from a key on that no other transaction has locked.
const PICK: &str = r"
select o_orderkey, (select count(*)::integer from lineitem where l_orderkey = o_orderkey)
from orders
where o_orderkey >= $1
order by o_orderkey
limit 1
for update skip locked";

const DELETE_LINES: &str = "delete from lineitem where l_orderkey = $1";
const DELETE_ORDER: &str = "delete from orders where o_orderkey = $1";

const REPRICE_LINE: &str = r"
update lineitem
set l_quantity = $3::integer,
    l_extendedprice = l_extendedprice / l_quantity * $3::integer,
    l_discount = $4::integer / 100.0
where l_orderkey = $1 and l_linenumber = $2";

const RECOMPUTE_TOTAL: &str = r"
update orders
set o_totalprice = (
    select sum(l_extendedprice * (1 + l_tax) * (1 - l_discount))
    from lineitem
    where l_orderkey = o_orderkey
)
where o_orderkey = $1";

const RESCHEDULE_LINES: &str = r"
update lineitem
set l_shipdate = l_shipdate + $3::integer,
    l_receiptdate = l_receiptdate + $3::integer,
    l_shipmode = $4::text
where l_orderkey = $1 and l_linenumber >= $2";

const DELIVER_LINES: &str = r"
update lineitem
set l_linestatus = 'F',
    l_returnflag = case when l_linenumber = $2 then 'R' else 'A' end
where l_orderkey = $1";

const DELIVER_ORDER: &str = "update orders set o_orderstatus = 'F' where o_orderkey = $1";

const CHARGE_CUSTOMER: &str = r"
update customer
set c_acctbal = c_acctbal - o_totalprice
from orders
where o_orderkey = $1 and c_custkey = o_custkey";

const STATEMENTS: [&str; 11] = [
    PLACE_ORDER,
    PLACE_LINE,
    PICK,
    DELETE_LINES,
    DELETE_ORDER,
    REPRICE_LINE,
    RECOMPUTE_TOTAL,
    RESCHEDULE_LINES,
    DELIVER_LINES,
    DELIVER_ORDER,
    CHARGE_CUSTOMER,
];

const SHIP_MODES: [&str; 7] = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"];

/// An existing order, locked.
struct Order {
    key: i64,
    lines: i32,
}

/// A connection's statements, and the orders that are not yet inserted.
pub struct Desk {
    statements: HashMap<&'static str, Statement>,
    incoming: OrderStream,
}

impl Desk {
    pub async fn open(client: &Client, incoming: OrderStream) -> Result<Desk, Error> {
        let mut statements = HashMap::new();
        for sql in STATEMENTS {
            statements.insert(sql, client.prepare(sql).await?);
        }
        Ok(Desk { statements, incoming })
    }

    /// Makes a change inside a transaction, and returns how the transaction should end.
    pub async fn perform(
        &mut self,
        change: Change,
        transaction: &mut Transaction<'_>,
        dice: &mut Dice,
    ) -> Result<Outcome, Error> {
        let changes = match change {
            Change::Place => self.place(transaction).await?.1,
            Change::PlaceWithSavepoint => self.place_with_savepoint(transaction, dice).await?,
            Change::RollBack => {
                self.place(transaction).await?;
                self.delete(transaction, dice).await?;
                return Ok(Outcome::Regretted);
            }
            Change::Delete => self.delete(transaction, dice).await?,
            Change::Reprice => match self.pick(transaction, dice).await? {
                Some(order) => self.reprice(transaction, &order, dice).await?,
                None => 0,
            },
            Change::Reschedule => match self.pick(transaction, dice).await? {
                Some(order) => self.reschedule(transaction, &order, dice).await?,
                None => 0,
            },
            Change::Deliver => self.deliver(transaction, dice).await?,
        };
        Ok(Outcome::Done(changes))
    }

    /// RF1: an order with one to seven line items.
    async fn place(&mut self, transaction: &Transaction<'_>) -> Result<(Order, u64), Error> {
        let new = self.incoming.next_order();
        let mut changes = self.insert(transaction, PLACE_ORDER, &new.order).await?;
        for line in &new.lines {
            changes += self.insert(transaction, PLACE_LINE, line).await?;
        }
        let order = Order { key: new.key, lines: new.lines.len() as i32 };
        Ok((order, changes))
    }

    async fn place_with_savepoint(&mut self, transaction: &mut Transaction<'_>, dice: &mut Dice) -> Result<u64, Error> {
        let (order, placed) = self.place(transaction).await?;
        let attempt = transaction.savepoint("attempt").await?;
        self.reprice(&attempt, &order, dice).await?;
        attempt.rollback().await?;
        Ok(placed + self.reschedule(transaction, &order, dice).await?)
    }

    /// RF2: an order is deleted, with all its line items.
    async fn delete(&self, transaction: &Transaction<'_>, dice: &mut Dice) -> Result<u64, Error> {
        let Some(order) = self.pick(transaction, dice).await? else {
            return Ok(0);
        };
        let lines = self.run(transaction, DELETE_LINES, &[&order.key]).await?;
        Ok(lines + self.run(transaction, DELETE_ORDER, &[&order.key]).await?)
    }

    /// Another quantity and discount for one line item; the order's total follows.
    async fn reprice(&self, transaction: &Transaction<'_>, order: &Order, dice: &mut Dice) -> Result<u64, Error> {
        let line = any_line(order, dice);
        let quantity = 1 + dice.roll(50) as i32;
        let discount = dice.roll(11) as i32;
        let repriced = self.run(transaction, REPRICE_LINE, &[&order.key, &line, &quantity, &discount]).await?;
        Ok(repriced + self.run(transaction, RECOMPUTE_TOTAL, &[&order.key]).await?)
    }

    /// The later line items of an order ship on other days, by other means.
    async fn reschedule(&self, transaction: &Transaction<'_>, order: &Order, dice: &mut Dice) -> Result<u64, Error> {
        let line = any_line(order, dice);
        let days = dice.roll(61) as i32 - 30;
        let mode = SHIP_MODES[dice.roll(SHIP_MODES.len() as u32) as usize];
        self.run(transaction, RESCHEDULE_LINES, &[&order.key, &line, &days, &mode]).await
    }

    /// An order is delivered, one line item is returned, the customer pays.
    async fn deliver(&self, transaction: &Transaction<'_>, dice: &mut Dice) -> Result<u64, Error> {
        let Some(order) = self.pick(transaction, dice).await? else {
            return Ok(0);
        };
        let returned = any_line(&order, dice);
        let lines = self.run(transaction, DELIVER_LINES, &[&order.key, &returned]).await?;
        let status = self.run(transaction, DELIVER_ORDER, &[&order.key]).await?;
        let paid = self.run(transaction, CHARGE_CUSTOMER, &[&order.key]).await?;
        Ok(lines + status + paid)
    }

    async fn pick(&self, transaction: &Transaction<'_>, dice: &mut Dice) -> Result<Option<Order>, Error> {
        let from = i64::from(dice.roll(key_span(SCALE)));
        let row = transaction.query_opt(&self.statements[PICK], &[&from]).await?;
        Ok(row.map(|row| Order { key: row.get(0), lines: row.get(1) }))
    }

    async fn insert(&self, transaction: &Transaction<'_>, sql: &str, columns: &[String]) -> Result<u64, Error> {
        let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
        self.run(transaction, sql, &values).await
    }

    async fn run(
        &self,
        transaction: &Transaction<'_>,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        transaction.execute(&self.statements[sql], values).await
    }
}

fn any_line(order: &Order, dice: &mut Dice) -> i32 {
    1 + dice.roll(order.lines.unsigned_abs()) as i32
}
