//! The age of commits when they are first seen: while one session raises a counter at a steady pace,
//! another reads it.
//!
//! Law: no other session raises the counter, so its value says which of the commits are visible.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_postgres::Statement;

use crate::Result;
use crate::dataset::Dataset;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::Commit;
use crate::watch::{self, PATIENCE, Writer};

/// How exactly the moment is known at which something became visible.
const POLL: Duration = Duration::from_millis(1);
/// Between two commits.
const PACE: Duration = Duration::from_millis(10);

/// The order book with the watched stream table, and a region of it that only the probe changes: one order in each of its
/// groups, raised in turn, so that no row is changed so often that the server itself would be slow to read it.
pub struct Probe {
    pub owner: Session,
    pub table: Table,
    writer: Writer,
    orders: u32,
    reader: Session,
    read: Statement,
}

impl Probe {
    /// Fills the order book and creates the stream table with schedule `'0s'`.
    pub async fn over(server: &Server, dataset: Dataset) -> Result<Probe> {
        dataset.load(server).await?;
        let owner = server.session(dataset.schema).await?;
        owner.batch("insert into customers values (0, 'no other', 'region alone')").await?;
        let insert = "insert into orders select -id, 0, id, 0, 1, 1, 'open', now() from products where id <= 40";
        let orders = u32::try_from(owner.client.execute(insert, &[]).await?)?;
        let table = watch::table("0s");
        owner.create(&table).await?;
        owner.batch("create index on watched (region)").await?;
        let writer = Writer::over(server.session(dataset.schema).await?, Commit::Async).await?;
        let reader = server.session(dataset.schema).await?;
        let read = "select sum(quantity)::bigint from watched where region = 'region alone'";
        let read = reader.client.prepare(read).await?;
        server.outside.batch_execute("checkpoint").await?;
        let probe = Probe { owner, table, writer, orders, reader, read };
        // Plans are cached and pages are in memory before the measurement.
        probe.follow(Duration::from_secs(1), Commit::Async).await?;
        Ok(probe)
    }

    /// How old commits of this kind are when they are first seen, over some time.
    pub async fn follow(&self, time: Duration, commit: Commit) -> Result<Sample> {
        self.writer.commit(commit).await?;
        let raise = async |number: u32| self.writer.raise(-i64::from(1 + number % self.orders)).await;
        let read = async || Ok(self.reader.client.query_one(&self.read, &[]).await?.get(0));
        follow(raise, read, PACE, time).await
    }

    /// An error unless the stream table becomes equal to its query.
    pub async fn verify(&self) -> Result<()> {
        self.owner.settled(&self.table).await
    }
}

/// Commits at a steady pace for some time. How old each commit was when it was first seen, in milliseconds. `raise` commits
/// the n-th and `read` reads the counter, which each raises by one.
pub async fn follow(
    raise: impl AsyncFn(u32) -> Result<Instant>,
    read: impl AsyncFn() -> Result<i64>,
    pace: Duration,
    time: Duration,
) -> Result<Sample> {
    let base = read().await?;
    let (told, heard) = unbounded_channel();
    let (written, ages) = tokio::join!(write(raise, (pace, time), told), observe(read, base, heard));
    let ages = ages?;
    written.map(|()| ages)
}

async fn write(
    raise: impl AsyncFn(u32) -> Result<Instant>,
    (pace, time): (Duration, Duration),
    told: UnboundedSender<Instant>,
) -> Result<()> {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    for number in 0.. {
        if began.elapsed() >= time {
            break;
        }
        ticks.tick().await;
        told.send(raise(number).await?)?;
    }
    Ok(())
}

/// Reads until there is no more to see.
async fn observe(
    read: impl AsyncFn() -> Result<i64>,
    base: i64,
    mut heard: UnboundedReceiver<Instant>,
) -> Result<Sample> {
    let (mut ages, mut unseen, mut seen) = (Sample::default(), VecDeque::new(), 0);
    loop {
        let visible = read().await? - base;
        let now = Instant::now();
        while let Ok(committed) = heard.try_recv() {
            unseen.push_back(committed);
        }
        // The answer to a commit may arrive after its effect was read: then it is handled in the next iteration.
        while seen < visible
            && let Some(committed) = unseen.pop_front()
        {
            ages.push(now.saturating_duration_since(committed).as_secs_f64() * 1000.0);
            seen += 1;
        }
        match unseen.front() {
            None if heard.is_closed() && heard.is_empty() => return Ok(ages),
            Some(oldest) if oldest.elapsed() > PATIENCE => return Err("a commit did not become visible".into()),
            _ => sleep(POLL).await,
        }
    }
}
