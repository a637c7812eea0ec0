//! The benches: the targets of pg_trickle, measured on a live server.
//!
//! Law: no figure is printed of a stream table that was not equal to its query before the clock
//! started and after it stopped. Ratios come from one interleaved run.

mod churn;
mod comparison;
mod crowd;
mod dag;
mod dataset;
mod facts;
mod fleet;
mod freshness;
mod hold;
mod idle;
mod immediate;
mod latency;
mod live;
mod load;
mod many;
mod meter;
mod nexmark;
mod one_row;
mod options;
mod own_writes;
mod postmaster;
mod probe;
mod process;
mod report;
mod restart;
mod sample;
mod scrape;
mod server;
mod session;
mod shop;
mod sizes;
mod slopes;
mod soak;
mod steady;
mod timing;
mod tpch;
mod traffic;
mod tree;
mod waits;
mod wal;
mod wal_records;
mod watch;
mod wide;

use std::process::ExitCode;

use options::{Bench, Options};
use report::Report;
use server::Server;

/// Errors are only printed.
pub type Error = Box<dyn std::error::Error>;
pub type Result<T> = std::result::Result<T, Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<()> {
    for bench in &options.benches {
        let mut server = Server::fresh().await?;
        let mut report = Report::begin(*bench, &server).await?;
        match bench {
            Bench::OneRow => one_row::run(&server, options, &mut report, one_row::plain()).await,
            Bench::Operators => one_row::run(&server, options, &mut report, one_row::operators()).await,
            Bench::Latency => latency::run(&server, options, &mut report).await,
            Bench::Dag => dag::run(&server, options, &mut report).await,
            Bench::Freshness => freshness::run(&server, options, &mut report).await,
            Bench::Idle => idle::run(&server, options, &mut report).await,
            Bench::Load => load::run(&server, options, &mut report).await,
            Bench::Many => many::run(&server, options, &mut report).await,
            Bench::Restart => restart::run(&mut server, options, &mut report).await,
            Bench::Scrape => scrape::run(&server, options, &mut report).await,
            Bench::Hold => hold::run(&server, options, &mut report).await,
            Bench::Steady => steady::run(&server, options, &mut report).await,
            Bench::Churn => churn::run(&server, options, &mut report).await,
            Bench::Tree => tree::run(&server, options, &mut report).await,
            Bench::Wide => wide::run(&server, options, &mut report).await,
            Bench::Tpch => tpch::run(&server, options, &mut report).await,
            Bench::Nexmark => nexmark::run(&server, options, &mut report).await,
            Bench::Soak => soak::run(&server, options, &mut report).await,
            Bench::Waits => waits::run(&server, options, &mut report).await,
            Bench::OwnWrites => own_writes::run(&server, options, &mut report).await,
            Bench::Wal => wal::run(&server, options, &mut report).await,
            Bench::Live => live::run(&server, options, &mut report).await,
            Bench::Immediate => immediate::run(&server, options, &mut report).await,
            Bench::Slopes => slopes::run(&server, options, &mut report).await,
        }?;
        if options.report {
            eprintln!("bench: wrote {}", report.write()?.display());
        }
        if !options.keep {
            server.remove().await?;
        }
    }
    Ok(())
}

/// An error and what caused it: a database error names itself only in its cause.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
