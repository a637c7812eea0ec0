//! The demo: TPC-H data, stream tables over it, orders coming and going, and proof at the end.
//!
//! Law: the last line says `exact` only after every stream table has been compared with its
//! query, as a multiset, in one snapshot of the database.

mod board;
mod desk;
mod load;
mod queries;
mod screen;
mod server;
mod status;
mod text;
mod verify;
mod writers;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use server::{Failure, Result, Server};
use verify::Comparison;
use writers::Writers;

const USAGE: &str = "usage: pg_trickle_demo [--seconds N]
Runs against the server that PG_TRICKLE_URL names, in its schema tpch, which it replaces.";

const DEFAULT_SECONDS: u64 = 60;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let duration = match duration(std::env::args().skip(1)) {
        Ok(duration) => duration,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(duration).await {
        Ok(Comparison::Exact) => ExitCode::SUCCESS,
        Ok(Comparison::Different) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(duration: Duration) -> Result<Comparison> {
    let server = Server::from_environment()?;
    load::prepare(&server).await?;
    queries::create(&server).await?;

    let writers = Writers::start(&server).await?;
    screen::watch(&server, &writers, duration).await?;
    let written = writers.stop().await?;

    tokio::select! {
        comparison = verify::check(&server, &written) => comparison,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("interrupted before the comparison was done").into()),
    }
}

fn duration(mut arguments: impl Iterator<Item = String>) -> std::result::Result<Duration, String> {
    let mut seconds = DEFAULT_SECONDS;
    while let Some(argument) = arguments.next() {
        seconds = match (argument.as_str(), arguments.next()) {
            ("--seconds", Some(value)) => value.parse().map_err(|_| USAGE)?,
            _ => return Err(USAGE.to_owned()),
        };
    }
    Ok(Duration::from_secs(seconds))
}

/// An error and what caused it: a database error names itself only in its cause.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
