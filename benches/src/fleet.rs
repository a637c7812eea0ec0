//! Clients that commit single rows of the order book, as fast as they can or at a given rate.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep_until;
use tokio_postgres::Statement;

use crate::Result;
use crate::dataset::Dataset;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::Session;
use crate::timing::Commit;

/// Ids of one client's new orders are this far from those of the next.
const LANE: i64 = 10_000_000_000;

/// Clients of one table.
pub struct Fleet(Vec<Client>);

/// What a fleet did at a given rate.
pub struct March {
    /// Commits a second.
    pub rate: f64,
    /// From the moment that a commit was due until it was answered.
    pub answered: Sample,
}

impl Fleet {
    /// `lane` is the number of the first client; a number must not be used twice for one table.
    pub async fn over(server: &Server, dataset: Dataset, lanes: std::ops::Range<u32>, commit: Commit) -> Result<Fleet> {
        let mut clients = vec![];
        for lane in lanes {
            let session = server.session(dataset.schema).await?;
            session.batch(&format!("set synchronous_commit = {}", commit.setting())).await?;
            clients.push(Client::over(session, dataset, lane).await?);
        }
        Ok(Fleet(clients))
    }

    /// Each client commits as soon as its last commit is answered; commits a second.
    pub async fn rush(&mut self, time: Duration) -> Result<f64> {
        let began = Instant::now();
        let each = self.0.iter_mut().map(|client| async move {
            let mut commits = 0.0;
            while began.elapsed() < time {
                client.commit().await?;
                commits += 1.0;
            }
            Ok::<f64, crate::Error>(commits)
        });
        let commits: f64 = try_join_all(each).await?.iter().sum();
        Ok(commits / began.elapsed().as_secs_f64())
    }

    /// The clients take turns at `rate` commits a second. A late client commits at once and skips nothing.
    pub async fn march(&mut self, rate: u32, time: Duration) -> Result<March> {
        let began = Instant::now();
        let turn = Duration::from_secs(1) / rate;
        let round = turn * self.0.len() as u32;
        let each = self.0.iter_mut().zip(0..).map(|(client, place)| async move {
            let mut answered = Sample::default();
            let mut due = began + turn * place;
            while due < began + time && began.elapsed() < time {
                sleep_until(due.into()).await;
                client.commit().await?;
                answered.push(due.elapsed().as_secs_f64() * 1000.0);
                due += round;
            }
            Ok::<Sample, crate::Error>(answered)
        });
        let mut answered = Sample::default();
        try_join_all(each).await?.into_iter().for_each(|one| answered.append(one));
        Ok(March { rate: answered.len() as f64 / began.elapsed().as_secs_f64(), answered })
    }
}

/// Changes orders by turns: updates one, inserts one, updates one, deletes the one that it inserted.
struct Client {
    session: Session,
    dataset: Dataset,
    lane: u32,
    update: Statement,
    insert: Statement,
    delete: Statement,
    commits: u32,
}

impl Client {
    async fn over(session: Session, dataset: Dataset, lane: u32) -> Result<Client> {
        let client = &session.client;
        let update = "update orders set amount = amount + 1, quantity = quantity % 10 + 1 where id = $1";
        let insert = "insert into orders (id, customer_id, product_id, key, quantity, amount, status, placed_at)
                      select $1, customer_id, product_id, key, quantity, amount, status, now() from orders where id = $2";
        let (update, insert) = (client.prepare(update).await?, client.prepare(insert).await?);
        let delete = client.prepare("delete from orders where id = $1").await?;
        Ok(Client { session, dataset, lane, update, insert, delete, commits: 0 })
    }

    async fn commit(&mut self) -> Result<()> {
        // Far from what the other clients change at this time.
        let order = self.dataset.open_order(self.commits.wrapping_add(self.lane * 1009));
        let own = LANE * (1 + i64::from(self.lane)) + i64::from(self.commits / 4);
        let client = &self.session.client;
        let changed = match self.commits % 4 {
            1 => client.execute(&self.insert, &[&own, &order]).await?,
            3 => client.execute(&self.delete, &[&own]).await?,
            _ => client.execute(&self.update, &[&order]).await?,
        };
        self.commits += 1;
        match changed {
            1 => Ok(()),
            _ => Err(format!("a commit of client {} changed {changed} rows", self.lane).into()),
        }
    }
}
