//! The figures that are shown, and the text that they become.
//!
//! Law: what is shown counts from the start of the writers; the load is not in it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use crate::load::SCALE;
use crate::server::Result;
use crate::status::{self, Figures, Refresh};
use crate::text::{grouped, milliseconds};
use crate::writers::Writers;

/// Rates are averages over so much of the past.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// What a stream table had at the start, and the worst that was seen since.
struct Track {
    rows_changed: u64,
    refreshes: u64,
    worst: Duration,
}

/// What the writers had done at a moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    commits: u64,
    rollbacks: u64,
    changes: u64,
}

pub struct Board {
    duration: Duration,
    started: Instant,
    figures: Vec<Figures>,
    tracks: HashMap<String, Track>,
    samples: VecDeque<Sample>,
    writers: usize,
    /// Where the live page is served.
    page: Option<String>,
}

impl Board {
    pub async fn new(client: &Client, duration: Duration) -> Result<Board> {
        let address: String = client.query_one("show pg_trickle.metrics_listen", &[]).await?.get(0);
        let page = (!address.is_empty()).then(|| format!("live page: http://{address}/"));
        page.iter().for_each(|page| println!("demo: {page}"));
        let figures = status::read(client).await?;
        let tracks = figures.iter().map(Track::begin).collect();
        let started = Instant::now();
        let nothing_yet = Sample { at: started, commits: 0, rollbacks: 0, changes: 0 };
        Ok(Board { duration, started, figures, tracks, samples: VecDeque::from([nothing_yet]), writers: 0, page })
    }

    /// Reads all figures anew.
    pub async fn look(&mut self, client: &Client, writers: &Writers) -> Result<()> {
        self.figures = status::read(client).await?;
        for figures in &self.figures {
            if let Some(track) = self.tracks.get_mut(&figures.name) {
                track.observe(figures);
            }
        }
        self.writers = writers.count();
        self.sample(writers);
        Ok(())
    }

    fn sample(&mut self, writers: &Writers) {
        let tally = writers.tally();
        let at = Instant::now();
        self.samples.push_back(Sample {
            at,
            commits: tally.commits(),
            rollbacks: tally.rollbacks(),
            changes: tally.changes(),
        });
        while self.samples.len() > 2 && at - self.samples[1].at >= RATE_WINDOW {
            self.samples.pop_front();
        }
    }

    /// One line: the rates, and the stalest table.
    pub fn line(&self) -> String {
        let stalest = self.figures.iter().max_by_key(|figures| figures.staleness);
        let slowest = self.figures.iter().max_by_key(|figures| figures.last.as_ref().map(|last| last.duration));
        let changed: u64 = self.figures.iter().map(|f| self.changed(f)).sum();
        let mut line = format!(
            "{} | {} | {} stream rows changed | stalest {} | slowest refresh {}",
            self.clock(),
            self.pace(),
            grouped(changed),
            stalest.map_or("-".into(), |f| format!("{} {}", f.name, freshness(f))),
            slowest.map_or("-".into(), |f| format!("{} {}", f.name, took(f))),
        );
        for complaint in self.complaints() {
            line.push_str(" | ");
            line.push_str(&complaint);
        }
        line
    }

    /// Everything: a heading, a line for each stream table, and errors.
    pub fn table(&self) -> Vec<String> {
        let mut lines = vec![
            format!("pg_trickle demo | TPC-H at scale {SCALE}, {} writers | {}", self.writers, self.clock()),
            self.pace(),
            String::new(),
            columns(["stream table", "every", "rows", "changed", "stale", "worst", "refresh", "last delta", "action"]),
        ];
        lines.extend(self.figures.iter().map(|figures| self.row(figures)));
        lines.extend(self.complaints());
        lines.extend(self.page.clone());
        lines
    }

    fn row(&self, figures: &Figures) -> String {
        let worst = self.tracks.get(&figures.name).map(|track| track.worst);
        columns([
            &figures.name,
            &figures.schedule,
            &grouped(figures.rows),
            &grouped(self.changed(figures)),
            &freshness(figures),
            &worst.map_or("-".into(), milliseconds),
            &took(figures),
            &figures.last.as_ref().map_or("-".into(), delta),
            figures.last.as_ref().map_or("-", |last| &last.action),
        ])
    }

    fn clock(&self) -> String {
        let so_far = self.samples.back().map(|last| last.at - self.started);
        format!("{} of {} s", so_far.unwrap_or_default().as_secs(), self.duration.as_secs())
    }

    fn pace(&self) -> String {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return String::new();
        };
        let seconds = (last.at - first.at).as_secs_f64().max(0.001);
        let per_second = |count: u64| grouped((count as f64 / seconds).round() as u64);
        format!(
            "{} commits/s, {} rows/s | {} commits, {} rollbacks, {} row changes",
            per_second(last.commits - first.commits),
            per_second(last.changes - first.changes),
            grouped(last.commits),
            grouped(last.rollbacks),
            grouped(last.changes),
        )
    }

    fn changed(&self, figures: &Figures) -> u64 {
        let before = self.tracks.get(&figures.name).map_or(0, |track| track.rows_changed);
        figures.rows_changed.saturating_sub(before)
    }

    fn complaints(&self) -> impl Iterator<Item = String> {
        self.figures.iter().filter_map(|figures| Some(format!("{}: {}", figures.name, figures.error.as_ref()?)))
    }
}

impl Track {
    fn begin(figures: &Figures) -> (String, Track) {
        let track = Track { rows_changed: figures.rows_changed, refreshes: figures.refreshes, worst: Duration::ZERO };
        (figures.name.clone(), track)
    }

    /// The staleness before the first refresh says how long nothing happened, and does not count.
    fn observe(&mut self, figures: &Figures) {
        if figures.refreshes > self.refreshes {
            self.worst = self.worst.max(figures.staleness.unwrap_or_default());
        }
    }
}

fn columns(cells: [&str; 9]) -> String {
    let [name, every, rows, changed, stale, worst, refresh, delta, action] = cells;
    format!("{name:<16} {every:>5} {rows:>8} {changed:>11} {stale:>8} {worst:>8} {refresh:>8}  {delta:<18} {action}")
}

fn freshness(figures: &Figures) -> String {
    figures.staleness.map_or("-".into(), milliseconds)
}

fn took(figures: &Figures) -> String {
    figures.last.as_ref().map_or("-".into(), |last| milliseconds(last.duration))
}

fn delta(last: &Refresh) -> String {
    format!("+{} ~{} -{}", last.inserted, last.updated, last.deleted)
}
