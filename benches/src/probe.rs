//! The age of commits when they are first seen: while one session raises counters at a steady pace,
//! another reads them.
//!
//! Law: no other session raises the counters, so their values say which of the commits are visible.

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

/// The order book with the watched stream table, and a region of it that only the probe changes: one order in each of its
/// groups, raised in turn. The next group to change is read by its key, for which the table has an index: without it the server
/// scans the table, with all versions of rows that an old snapshot retains.
pub struct Probe {
    pub owner: Session,
    pub table: Table,
    writer: Writer,
    reader: Reader,
    counters: Vec<Counter>,
}

impl Probe {
    /// Fills the order book and creates the stream table with schedule `'0s'`.
    pub async fn over(server: &Server, dataset: Dataset) -> Result<Probe> {
        dataset.load(server).await?;
        let owner = server.session(dataset.schema).await?;
        owner.batch("insert into customers values (0, 'no other', 'region alone')").await?;
        let insert = "insert into orders select -id, 0, id, 0, 1, 1, 'open', now() from products where id <= 40";
        owner.batch(insert).await?;
        let counters = watch::counters(&owner, "orders where id < 0").await?;
        let table = watch::table("0s");
        owner.create(&table).await?;
        owner.batch("create index on watched (region, category)").await?;
        let writer = Writer::over(server.session(dataset.schema).await?, Commit::Async).await?;
        let reader = Reader::over(server.session(dataset.schema).await?).await?;
        server.outside.batch_execute("checkpoint").await?;
        let probe = Probe { owner, table, writer, reader, counters };
        // Plans are cached and pages are in memory before the measurement.
        probe.follow(Duration::from_secs(1), Commit::Async).await?;
        Ok(probe)
    }

    /// How old commits of this kind are when they are first seen, over some time.
    pub async fn follow(&self, time: Duration, commit: Commit) -> Result<Sample> {
        self.writer.commit(commit).await?;
        let Probe { writer, reader, counters, .. } = self;
        let mut start = vec![];
        for counter in counters {
            start.push(reader.quantity(counter).await?);
        }
        let raise = async |number: usize| writer.raise(counters[number % counters.len()].order).await;
        let read = async |seen: usize| {
            for number in seen.. {
                let (counter, raised) = (number % counters.len(), number / counters.len());
                if reader.quantity(&counters[counter]).await? <= start[counter] + raised as i64 {
                    return Ok(number);
                }
            }
            Ok(seen)
        };
        follow(raise, read, PACE, time).await
    }

    /// An error unless the stream table becomes equal to its query.
    pub async fn verify(&self) -> Result<()> {
        self.owner.settled(&self.table).await
    }
}

/// Commits at a steady pace for some time. How old each commit was when it was first seen, in milliseconds. `raise` commits
/// the n-th, counted from 0, and `read` is told how many were seen and returns how many are visible.
pub async fn follow(
    raise: impl AsyncFn(usize) -> Result<Instant>,
    read: impl AsyncFn(usize) -> Result<usize>,
    pace: Duration,
    time: Duration,
) -> Result<Sample> {
    let (told, heard) = unbounded_channel();
    let (written, ages) = tokio::join!(write(raise, (pace, time), told), observe(read, heard));
    let ages = ages?;
    written.map(|()| ages)
}

async fn write(
    raise: impl AsyncFn(usize) -> Result<Instant>,
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
async fn observe(read: impl AsyncFn(usize) -> Result<usize>, mut heard: UnboundedReceiver<Instant>) -> Result<Sample> {
    let (mut ages, mut unseen, mut seen) = (Sample::default(), VecDeque::new(), 0);
    loop {
        let visible = read(seen).await?;
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
