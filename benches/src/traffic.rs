//! The order book under steady writes: clients that commit at one rate, and a probe among them.

use std::time::Duration;

use crate::Result;
use crate::dataset::Dataset;
use crate::fleet::Fleet;
use crate::options::Options;
use crate::probe::Probe;
use crate::sample::Sample;
use crate::server::Server;
use crate::timing::Commit;

const ROWS: u32 = 1_000_000;
const CLIENTS: u32 = 4;
/// Commits a second.
pub const RATE: u32 = 500;

pub struct Traffic {
    pub dataset: Dataset,
    pub probe: Probe,
    fleet: Fleet,
}

/// What was seen over some time.
pub struct Seen<R> {
    /// Commits a second.
    pub rate: f64,
    pub visible: Sample,
    pub observed: R,
}

impl Traffic {
    pub async fn over(server: &Server, options: &Options) -> Result<Traffic> {
        let dataset = Dataset::new("book", options.rows.unwrap_or(ROWS))?;
        let probe = Probe::over(server, dataset).await?;
        let fleet = Fleet::over(server, dataset, 0..CLIENTS, Commit::Async).await?;
        Ok(Traffic { dataset, probe, fleet })
    }

    /// Runs the traffic for some time, with an observation at the same time.
    pub async fn flow<R>(&mut self, time: Duration, observe: impl AsyncFnOnce(&Probe) -> Result<R>) -> Result<Seen<R>> {
        let Traffic { probe, fleet, .. } = self;
        let (marched, visible, observed) =
            tokio::join!(fleet.march(RATE, time), probe.follow(time, Commit::Async), observe(probe));
        Ok(Seen { rate: marched?.rate, visible: visible?, observed: observed? })
    }
}
