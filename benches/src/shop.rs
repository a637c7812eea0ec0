//! A shop of four tables, the twelve stream tables that follow it, and clients that change single rows of it.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep_until;
use tokio_postgres::Statement;

use crate::Result;
use crate::server::Server;
use crate::session::Session;

/// Aggregates, joins and filters; the later ones over some of the earlier ones.
const TABLES: [(&str, &str); 12] = [
    ("by_customer", "select customer_id, count(*) as n, sum(amount) as total from orders group by customer_id"),
    ("by_product", "select product_id, count(*) as n, sum(quantity) as sold from orders group by product_id"),
    ("by_status", "select status, count(*) as n, sum(amount) as total, avg(quantity) as mean from orders group by status"),
    ("open_orders", "select id, customer_id, amount from orders where status = 'open'"),
    (
        "lines",
        "select o.id, c.name, c.region, p.category, o.quantity, o.amount
           from orders o join customers c on c.id = o.customer_id join products p on p.id = o.product_id",
    ),
    (
        "by_region",
        "select c.region, count(*) as n, sum(o.amount) as total
           from orders o join customers c on c.id = o.customer_id group by c.region",
    ),
    (
        "by_category",
        "select p.category, sum(o.quantity * p.price) as value
           from orders o join products p on p.id = o.product_id group by p.category",
    ),
    ("paid", "select order_id, count(*) as n, sum(paid) as paid from payments group by order_id"),
    (
        "paid_by_region",
        "select c.region, count(*) as n, sum(p.paid) as paid
           from payments p join orders o on o.id = p.order_id join customers c on c.id = o.customer_id group by c.region",
    ),
    ("large_customers", "select customer_id, total from by_customer where total > 5000"),
    ("largest_orders", "select region, max(amount) as largest from lines group by region"),
    (
        "balances",
        "select o.id, o.customer_id, o.amount - coalesce(p.paid, 0) as balance
           from orders o left join paid p on p.order_id = o.id",
    ),
];

const CLIENTS: u32 = 4;
/// Ids of one client's new rows are this far from those of the next.
const LANE: i64 = 1_000_000_000;
const ORDERS: u32 = 20_000;

/// The shop in a schema of its own.
pub struct Shop {
    session: Session,
    clients: Vec<Client>,
}

impl Shop {
    /// With the stream tables, which have these schedules in turns; without them if there is none.
    pub async fn open(server: &Server, schema: &str, schedules: &[&str]) -> Result<Shop> {
        let session = server.session(schema).await?;
        session.batch(&format!("create schema {schema}")).await?;
        session.batch(include_str!("../sql/shop.sql")).await?;
        for table in ["customers", "products", "orders", "payments"] {
            session.batch(&format!("vacuum analyze {table}")).await?;
        }
        for ((name, query), schedule) in TABLES.iter().zip(schedules.iter().cycle()) {
            session.create_as(name, query, schedule, "DIFFERENTIAL").await?;
        }
        let mut clients = vec![];
        for lane in 0..CLIENTS {
            clients.push(Client::over(server.session(schema).await?, lane).await?);
        }
        Ok(Shop { session, clients })
    }

    /// The clients take turns at `rate` commits a second for some time; the number of commits.
    pub async fn trade(&mut self, rate: u32, time: Duration) -> Result<u32> {
        let (began, turn) = (Instant::now(), Duration::from_secs(1) / rate);
        let each = self.clients.iter_mut().zip(0..).map(|(client, place)| async move {
            let (mut commits, mut due) = (0, began + turn * place);
            while due < began + time {
                sleep_until(due.into()).await;
                client.commit().await?;
                commits += 1;
                due += turn * CLIENTS;
            }
            Ok::<u32, crate::Error>(commits)
        });
        Ok(try_join_all(each).await?.iter().sum())
    }

    /// An error unless every stream table becomes equal to its query.
    pub async fn verify(&self) -> Result<()> {
        for (name, query) in TABLES {
            self.session.client.execute("select pgtrickle.refresh_stream_table($1)", &[&name]).await?;
            self.session.equal(name, query).await?;
        }
        Ok(())
    }

    /// Waits until the background has shown everything.
    pub async fn settle(&self) -> Result<()> {
        for (name, query) in TABLES {
            let row = self.session.client.query_one("select pgtrickle.wait_for_stream_table($1)", &[&name]).await?;
            if !row.get::<_, bool>(0) {
                return Err(format!("{name} is not refreshed").into());
            }
            self.session.equal(name, query).await?;
        }
        Ok(())
    }
}

/// Takes orders, changes them, has them paid, deletes them; now and then a customer moves or a price changes.
struct Client {
    session: Session,
    lane: u32,
    commits: u32,
    order: Statement,
    change: Statement,
    pay: Statement,
    correct: Statement,
    cancel: Statement,
    relocate: Statement,
    reprice: Statement,
}

impl Client {
    async fn over(session: Session, lane: u32) -> Result<Client> {
        session.batch("set synchronous_commit = off").await?;
        let client = &session.client;
        Ok(Client {
            lane,
            commits: 0,
            order: client.prepare("insert into orders values ($1::bigint, 1 + $1::bigint % 2000, 1 + $1::bigint % 500, 1, 25, 'open')").await?,
            change: client.prepare("update orders set amount = amount + 1, quantity = quantity % 9 + 1 where id = $1").await?,
            pay: client.prepare("insert into payments values ($1::bigint, $1::bigint, 20)").await?,
            correct: client.prepare("update payments set paid = paid + 1 where id = $1").await?,
            cancel: client.prepare("delete from orders where id = $1").await?,
            relocate: client
                .prepare("update customers set region = 'region ' || (substr(region, 8)::integer + 1) % 25 where id = $1")
                .await?,
            reprice: client.prepare("update products set price = price % 97 + 1 where id = $1").await?,
            session,
        })
    }

    async fn commit(&mut self) -> Result<()> {
        let commit = self.commits;
        self.commits += 1;
        // Far from what the other clients change at this time.
        let any = 1 + i64::from(commit.wrapping_mul(7919).wrapping_add(self.lane * 5003) % ORDERS);
        let own = LANE * (1 + i64::from(self.lane)) + i64::from(commit / 10);
        let client = &self.session.client;
        let changed = match commit % 10 {
            0 => client.execute(&self.order, &[&own]).await?,
            2 => client.execute(&self.pay, &[&own]).await?,
            4 | 6 => client.execute(&self.correct, &[&any]).await?,
            8 if commit % 20 == 8 => client.execute(&self.cancel, &[&own]).await?,
            9 if commit % 40 == 9 => client.execute(&self.relocate, &[&((any % 2000 + 1) as i32)]).await?,
            9 if commit % 40 == 29 => client.execute(&self.reprice, &[&((any % 500 + 1) as i32)]).await?,
            _ => client.execute(&self.change, &[&any]).await?,
        };
        match changed {
            1 => Ok(()),
            _ => Err(format!("commit {commit} of client {} changed {changed} rows", self.lane).into()),
        }
    }
}
