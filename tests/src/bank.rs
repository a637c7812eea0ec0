//! A bank and a shop under concurrent writers, with sums that every committed state keeps.
//!
//! Invariants of every snapshot: money is only moved; an order's total is the sum of its lines; events come in
//! pairs that cancel. A stream table that mixed two snapshots would break them, and readers can see it without
//! stopping the writers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::session::{Failure, Session};
use crate::traffic::{Changes, Traffic};
use crate::{Database, Dice, exact};

const ACCOUNTS: i64 = 200;
const BANKS: i64 = 12;

pub const SETUP: &str = "
    create table banks (id int primary key, name text not null);
    create table accounts (id int primary key, bank int, owner text, balance numeric(12,2) not null);
    create table orders (id bigint generated always as identity primary key, customer int, total int not null);
    create table lines (order_id bigint not null references orders on delete cascade, line int, amount int not null);
    create index on lines (order_id);
    create table events (kind text, n int);
    insert into banks select g, 'bank ' || g % 9 from generate_series(1, 12) g;
    insert into accounts select g, g % 12 + 1, 'owner ' || g % 40, 100 from generate_series(1, 200) g;
";

/// Name, schedule, query.
pub const STREAM_TABLES: [(&str, &str, &str); 16] = [
    ("total", "0s", "select sum(balance) as total, count(*) as n from accounts"),
    (
        "by_bank",
        "0s",
        "select bank, sum(balance) as total, count(*) as n, min(balance) as lo, max(balance) as hi from accounts group by bank",
    ),
    (
        "by_name",
        "1s",
        "select b.name, sum(a.balance) as total, avg(a.balance) as mean from accounts a join banks b on b.id = a.bank group by b.name",
    ),
    (
        "rich",
        "0s",
        "select a.id, a.owner, a.balance, b.name from accounts a join banks b on b.id = a.bank where a.balance > 120",
    ),
    ("owners", "1s", "select distinct bank, owner from accounts"),
    (
        "equals",
        "1h",
        "select x.id as x, y.id as y from accounts x join accounts y on x.bank = y.bank and x.balance = y.balance and x.id < y.id",
    ),
    (
        "broken_orders",
        "0s",
        "select o.id, o.total, l.s from orders o join (select order_id, sum(amount) as s from lines group by order_id) l on l.order_id = o.id where o.total <> l.s",
    ),
    ("order_lines", "0s", "select o.id, o.customer, l.line, l.amount from orders o join lines l on l.order_id = o.id"),
    (
        "by_lines",
        "0s",
        "select o.customer, sum(l.amount) as spent from orders o join lines l on l.order_id = o.id group by o.customer",
    ),
    ("by_totals", "1s", "select customer, sum(total) as spent, count(*) as n from orders group by customer"),
    (
        "broken_customers",
        "0s",
        "select a.customer, a.spent, b.spent as other from by_lines a join by_totals b on b.customer = a.customer where a.spent <> b.spent",
    ),
    (
        "sizes",
        "1s",
        "select n, count(*) as orders from (select order_id, count(*) as n from lines group by order_id) l group by n",
    ),
    ("balance_of_events", "0s", "select sum(n) as n, count(*) as c from events"),
    ("by_kind", "1h", "select kind, n, count(*) as c from events group by kind, n"),
    ("all_banks", "0s", "select count(*) as banks, sum(total) as total from by_bank"),
    (
        "recomputed",
        "1s",
        "select owner, total, count(*) over (order by total desc, owner rows unbounded preceding exclude ties) as place from (select owner, sum(balance) as total from accounts group by owner) o",
    ),
];

/// Queries that are true at any moment, during any refreshes and commits.
pub const INVARIANTS: [&str; 9] = [
    "select total = 20000 and n = 200 from total",
    "select sum(total) = 20000 and sum(n) = 200 from by_bank",
    "select sum(total) = 20000 from by_name",
    "select count(*) = 0 from broken_orders",
    "select count(*) = 0 from broken_customers",
    "select coalesce(n, 0) = 0 and c % 2 = 0 from balance_of_events",
    "select coalesce(sum(n * c), 0) = 0 from by_kind",
    "select total = 20000 from all_banks",
    "select sum(total) = 20000 from recomputed",
];

/// The writers of the bank.
#[derive(Clone)]
pub struct Bank;

pub async fn create(session: &Session) {
    session.run(SETUP).await;
    for (name, schedule, query) in STREAM_TABLES {
        session.run(&format!("select pgtrickle.create_stream_table('{name}', $q${query}$q$, '{schedule}')")).await;
    }
}

/// Waits for the workers to refresh everything; by hand only the tables with a schedule of hours.
pub async fn settle(session: &Session) {
    for (name, ..) in STREAM_TABLES.iter().filter(|(_, schedule, _)| *schedule == "1h") {
        exact::refresh(session, name).await;
    }
    exact::wait_fresh(session).await;
}

impl Changes for Bank {
    async fn change(&self, session: &Session, dice: &mut Dice) -> Result<bool, Failure> {
        change(session, dice).await
    }
}

/// One change that keeps the invariants; false when it did only a part.
async fn change(session: &Session, dice: &mut Dice) -> Result<bool, Failure> {
    let (one, two) = (dice.between(1, ACCOUNTS), dice.between(1, ACCOUNTS));
    let (cents, bank, customer) = (dice.between(-3000, 3000), dice.between(0, BANKS), dice.between(1, 15));
    let order =
        "select id from orders where id >= (select (random() * max(id))::bigint from orders) order by id limit 1";
    let sql = match dice.weighted(&[30, 8, 6, 5, 8, 6, 10, 10, 10, 6]) {
        0 => {
            let add =
                |id: i64, cents: i64| format!("update accounts set balance = balance + {cents} * 0.01 where id = {id}");
            return Ok(session.affect(&add(one, cents)).await? + session.affect(&add(two, -cents)).await? == 2);
        }
        1 => format!(
            "update accounts set bank = nullif({bank}, 0) % {BANKS} + 1, owner = 'owner {customer}' where id = {one} and {bank} > 0"
        ),
        2 => {
            let taking = format!(
                "delete from accounts where id = {one} returning format('(%s, %L, %L, %s)', id, bank, owner, balance)"
            );
            let Some(row) = only_value(session, &taking).await? else { return Ok(false) };
            return Ok(session.affect(&format!("insert into accounts values {row}")).await? == 1);
        }
        3 => format!("update banks set name = 'bank {}' where id = {}", bank % 9, dice.between(1, BANKS)),
        4 | 5 => format!(
            "with o as (insert into orders (customer, total) values ({customer}, 60) returning id)
             insert into lines select id, l, l * 10 from o, generate_series(1, 3) l"
        ),
        6 => {
            let line = dice.between(1, 3);
            let Some(id) = only_value(session, order).await? else { return Ok(true) };
            let header = session.affect(&format!("update orders set total = total + {bank} where id = {id}")).await?;
            let detail = format!("update lines set amount = amount + {bank} where order_id = {id} and line = {line}");
            return Ok(header == 0 || session.affect(&detail).await? == 1);
        }
        7 => format!("delete from orders where id = ({order})"),
        8 => format!("insert into events values ('{}', {bank}), ('{}', -{bank})", customer % 4, bank % 4),
        _ => {
            let gone = |n: i64| {
                format!(
                    "delete from events where ctid = (select ctid from events where n = {n} limit 1 for update skip locked)"
                )
            };
            return Ok(session.affect(&gone(bank)).await? + session.affect(&gone(-bank)).await? == 2);
        }
    };
    session.attempt(&sql).await?;
    Ok(true)
}

async fn only_value(session: &Session, sql: &str) -> Result<Option<String>, Failure> {
    Ok(session.try_rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
}

/// Checks the invariants until the traffic stops; how often.
pub async fn reader(database: Arc<Database>, traffic: Arc<Traffic>, seed: u64) -> Result<u64, Failure> {
    let session = database.try_connect().await?;
    let mut dice = Dice::new(seed);
    let mut reads = 0;
    while !traffic.stopped() {
        let invariant = *dice.pick(&INVARIANTS);
        let value = only_value(&session, invariant).await?;
        assert_eq!(value.as_deref(), Some("t"), "broken while refreshes run: {invariant}");
        reads += 1;
        traffic.compared.fetch_add(1, Relaxed);
    }
    Ok(reads)
}
