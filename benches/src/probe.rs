//! The age of commits when they are first seen: while one session raises a counter at a steady pace, another reads it.
//!
//! Law: nobody else raises the counter, so its value says which of the commits are visible.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Result;
use crate::dataset::Dataset;
use crate::sample::Sample;
use crate::server::Server;
use crate::session::{Session, Table};
use crate::timing::Commit;
use crate::watch::{self, Counter, PATIENCE, Reader, Writer};

/// How exactly the moment is known at which something became visible.
const POLL: Duration = Duration::from_millis(1);
/// Between two commits.
const PACE: Duration = Duration::from_millis(10);

/// The order book with the watched stream table, and a counter in a group that nobody else changes.
pub struct Probe {
    pub owner: Session,
    pub table: Table,
    writer: Writer,
    reader: Reader,
    counter: Counter,
}

impl Probe {
    /// Fills the order book and creates the stream table with schedule `'0s'`.
    pub async fn over(server: &Server, dataset: Dataset) -> Result<Probe> {
        dataset.load(server).await?;
        let owner = server.session(dataset.schema).await?;
        let counter = lone_counter(&owner).await?;
        let table = watch::table("0s");
        owner.create(&table).await?;
        let reader = Reader::over(server.session(dataset.schema).await?).await?;
        let writer = Writer::over(server.session(dataset.schema).await?, Commit::Async).await?;
        server.outside.batch_execute("checkpoint").await?;
        let probe = Probe { owner, table, writer, reader, counter };
        // Plans are made and pages are in memory before anybody measures.
        probe.follow(Duration::from_secs(1), Commit::Async).await?;
        Ok(probe)
    }

    /// How old commits of this kind are when they are first seen, over some time.
    pub async fn follow(&self, time: Duration, commit: Commit) -> Result<Sample> {
        self.writer.commit(commit).await?;
        follow(&self.writer, &self.reader, &self.counter, PACE, time).await
    }

    /// An error unless the stream table comes to equal its query.
    pub async fn verify(&self) -> Result<()> {
        self.owner.settled(&self.table).await
    }
}

/// A new order in a group of its own: whoever else changes orders leaves its quantity alone.
async fn lone_counter(session: &Session) -> Result<Counter> {
    let row = session
        .one(
            "with buyer as (insert into customers values (0, 'nobody else', 'region alone') returning id, region),
                  bought as (select id, category from products where id = 1),
                  ordered as (insert into orders select 0, buyer.id, bought.id, 0, 1, 1, 'open', now() from buyer, bought)
             select region, category from buyer, bought",
        )
        .await?;
    Ok(Counter { order: 0, region: row.get(0), category: row.get(1) })
}

/// Commits at a steady pace for some time. How old each commit was when it was first seen, in milliseconds; nobody else
/// may raise the counter.
pub async fn follow(
    writer: &Writer,
    reader: &Reader,
    counter: &Counter,
    pace: Duration,
    time: Duration,
) -> Result<Sample> {
    let base = reader.quantity(counter).await?;
    let (told, heard) = unbounded_channel();
    let writes = write(writer, counter, (pace, time), told);
    let (written, ages) = tokio::join!(writes, observe(reader, counter, base, heard));
    let ages = ages?;
    written.map(|()| ages)
}

async fn write(
    writer: &Writer,
    counter: &Counter,
    (pace, time): (Duration, Duration),
    told: UnboundedSender<Instant>,
) -> Result<()> {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    while began.elapsed() < time {
        ticks.tick().await;
        told.send(writer.raise(counter).await?)?;
    }
    Ok(())
}

/// Reads until there is no more to see.
async fn observe(
    reader: &Reader,
    counter: &Counter,
    base: i64,
    mut heard: UnboundedReceiver<Instant>,
) -> Result<Sample> {
    let (mut ages, mut unseen, mut seen) = (Sample::default(), VecDeque::new(), 0);
    loop {
        let visible = reader.quantity(counter).await? - base;
        let now = Instant::now();
        while let Ok(committed) = heard.try_recv() {
            unseen.push_back(committed);
        }
        // The answer to a commit may still be under way when its effect is read: its turn comes.
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
