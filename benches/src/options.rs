//! The command line.

use std::time::Duration;

/// One question that is answered by measuring.
#[derive(Clone, Copy, PartialEq)]
pub enum Bench {
    OneRow,
    Operators,
    Latency,
    Dag,
    Freshness,
    Idle,
    Load,
    Many,
    Restart,
    Scrape,
    Hold,
    Steady,
    Churn,
    Tree,
    Wide,
    Tpch,
    Nexmark,
    Soak,
    Waits,
    OwnWrites,
    Wal,
    Live,
    Immediate,
    Slopes,
}

impl Bench {
    const ALL: [Bench; 24] = [
        Bench::OneRow,
        Bench::Operators,
        Bench::Latency,
        Bench::Dag,
        Bench::Freshness,
        Bench::Idle,
        Bench::Load,
        Bench::Many,
        Bench::Restart,
        Bench::Scrape,
        Bench::Hold,
        Bench::Steady,
        Bench::Churn,
        Bench::Tree,
        Bench::Wide,
        Bench::Tpch,
        Bench::Nexmark,
        Bench::Soak,
        Bench::Waits,
        Bench::OwnWrites,
        Bench::Wal,
        Bench::Live,
        Bench::Immediate,
        Bench::Slopes,
    ];

    /// As typed, and as the results call it.
    pub fn name(self) -> &'static str {
        match self {
            Bench::OneRow => "one_row",
            Bench::Operators => "operators",
            Bench::Latency => "latency",
            Bench::Dag => "dag",
            Bench::Freshness => "freshness",
            Bench::Idle => "idle",
            Bench::Load => "load",
            Bench::Many => "many",
            Bench::Restart => "restart",
            Bench::Scrape => "scrape",
            Bench::Hold => "hold",
            Bench::Steady => "steady",
            Bench::Churn => "churn",
            Bench::Tree => "tree",
            Bench::Wide => "wide",
            Bench::Tpch => "tpch",
            Bench::Nexmark => "nexmark",
            Bench::Soak => "soak",
            Bench::Waits => "waits",
            Bench::OwnWrites => "own_writes",
            Bench::Wal => "wal",
            Bench::Live => "live",
            Bench::Immediate => "immediate",
            Bench::Slopes => "slopes",
        }
    }
}

/// The options of the command line; each bench has its own defaults.
#[derive(Default)]
pub struct Options {
    pub benches: Vec<Bench>,
    pub rows: Option<u32>,
    pub rounds: Option<u32>,
    pub seconds: Option<u32>,
    pub tables: Option<u32>,
    pub scale: Option<f64>,
    pub growth: bool,
    /// The one section of a bench that runs.
    pub only: Option<String>,
    pub report: bool,
    pub keep: bool,
}

impl Options {
    /// How long to measure: `--seconds`, or this many.
    pub fn time(&self, seconds: u32) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(seconds).into())
    }
}

pub const USAGE: &str =
    "usage: pg_trickle_benches NAME [--rows N] [--rounds N] [--seconds N] [--tables N] [--scale S] [--growth]
                          [--only SECTION] [--report] [--keep]
  one_row     refresh after one changed row, at N rows (1000000) and at N/10
  operators   the same for every operator, N rounds (50)
  latency     commit to visible with schedule '0s': N rows (1000000), N rounds (1500) of a commit
  dag         the same through a chain, a diamond and three layers of stream tables, N rounds (300)
  freshness   staleness with schedule '1s' and a commit every 20 ms, for N seconds (30)
  idle        what happens in N seconds (60) without changes; a refresh of nothing, N rounds (2000)
  load        N rows (1000000): what 1, 4, 16 clients keep of their throughput, N rounds (5) of 3 s; then 2000 commits a
              second for N seconds (30)
  many        N stream tables (1000): one more, one changed row, N rounds (20); idle for N seconds (60)
  restart     N stream tables (1000): the server is stopped and started, N rounds (5)
  hold        commit to visible during a transaction that is open for N seconds (60), N rows (1000000)
  steady      the sizes of catalog and buffers, 500 commits a second for N seconds (120), with autovacuum and without
  churn       1, 10, 50, 100 % of N rows (100000) changed: differential, full and AUTO, N rounds (20) each
  tree        a leaf and a subtree move in a recursion over N nodes (100000), N rounds (100)
  wide        key figures, a star, q9 of TPC-DS over N sales (2880404), N rounds (50); creation over 17 and 50 tables
  tpch        22 queries at scale S (0.1), 1000 changed rows: refresh against recomputation, N rounds (9);
              --growth: S/10 and S take turns
  nexmark     10 queries over N events (500000): the same, N rounds (10); then live for N seconds (20)
  soak        700 commits a second for N seconds (600), twelve stream tables of mixed schedules: is everything level?
  waits       each function, and DDL, over N rows (1000000), N rounds (3): how long do writers and readers wait for it?
  immediate   refresh mode IMMEDIATE over N rows (100000): statements of a writer, N rounds (20); sixteen for N seconds (5)
  own_writes  read_your_writes: what a read waits for a commit, N rounds (2000); what the setting costs other statements
  wal         what is written to the log for a commit, N rounds (3) of N seconds (10) with and without stream tables
  slopes      how costs grow with sizes on which they should not depend, N rounds (100); --only: one section of it
  all         all of them
Runs against the server that PG_TRICKLE_URL names, in a database of its own, which it replaces.
Prints one JSON object a line. --report also writes benches/reports/DATE-NAME.json; --keep leaves the database.";

impl Options {
    /// Reads the arguments after the program's name; an error is the text to show.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, &'static str> {
        let wanted = arguments.next().ok_or(USAGE)?;
        let benches: Vec<Bench> =
            Bench::ALL.into_iter().filter(|bench| wanted == "all" || wanted == bench.name()).collect();
        if benches.is_empty() {
            return Err(USAGE);
        }
        let mut options = Options { benches, ..Options::default() };
        while let Some(argument) = arguments.next() {
            let number = |value: Option<String>| value.and_then(|v| v.parse().ok()).filter(|n| *n > 0).ok_or(USAGE);
            let scale = |value: Option<String>| value.and_then(|v| v.parse().ok()).filter(|s| *s >= 0.01).ok_or(USAGE);
            match argument.as_str() {
                "--rows" => options.rows = Some(number(arguments.next())?),
                "--rounds" => options.rounds = Some(number(arguments.next())?),
                "--seconds" => options.seconds = Some(number(arguments.next())?),
                "--tables" => options.tables = Some(number(arguments.next())?),
                "--scale" => options.scale = Some(scale(arguments.next())?),
                "--growth" => options.growth = true,
                "--only" => options.only = Some(arguments.next().ok_or(USAGE)?),
                "--report" => options.report = true,
                "--keep" => options.keep = true,
                _ => return Err(USAGE),
            }
        }
        Ok(options)
    }
}
