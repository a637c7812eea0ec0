//! Nexmark: an auction house. Persons register, open auctions and bid; ten queries watch them.
//!
//! The streams are tables, the queries cover all that is in them, and windows of event time are groups by
//! `date_bin`; a hopping window is a row for each window that an event belongs to. What a stream cannot do also
//! happens: bids are corrected and withdrawn, auctions extended, people move.

mod event;
mod market;

pub use event::Event;
pub use market::Market;

use tokio_postgres::{Client, Error};

use crate::query::Query;

macro_rules! query {
    ($name:literal) => {
        Query::exact($name, include_str!(concat!("../../sql/nexmark/", $name, ".sql")))
    };
}

pub const QUERIES: [Query; 10] = [
    query!("q0"),
    query!("q1"),
    query!("q2"),
    query!("q3"),
    query!("q4"),
    query!("q5"),
    query!("q6"),
    query!("q7"),
    query!("q8"),
    query!("q9"),
];

/// Creates the three empty tables in the first schema of the search path.
pub async fn create(client: &Client) -> Result<(), Error> {
    client.batch_execute(include_str!("../../sql/nexmark/tables.sql")).await
}
