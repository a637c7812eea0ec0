//! A writer of the auction house: its share of the events, and corrections of earlier ones.
//!
//! Invariant: writers with different parts never change the same row.

use tokio_postgres::{Client, Error};

use super::event::Event;
use crate::copy::copy;
use crate::dice::Dice;

const MOVE_PEOPLE: &str = r"
update person
set state = (array['AZ', 'CA', 'ID', 'OR', 'WA'])[1 + (id + length(extra)) % 5], extra = extra || '.'
where id = any ($1)";

/// A later end admits bids that were too late.
const EXTEND_AUCTIONS: &str = r"
update auction
set expires = expires + interval '1 second', category = 10 + (category - 9) % 5
where id = any ($1)";

/// Where no two events have the same time, auction and time are a key.
const CORRECT_BIDS: &str = r"
update bid
set price = price + 1
from unnest($1::bigint[], $2::text[]) as chosen (id, at)
where auction = chosen.id and date_time = chosen.at::timestamp";

const WITHDRAW_BIDS: &str = r"
delete from bid
using unnest($1::bigint[], $2::text[]) as chosen (id, at)
where auction = chosen.id and date_time = chosen.at::timestamp";

/// One of several writers.
pub struct Market {
    seed: u64,
    part: u64,
    parts: u64,
    /// How many events of our own have happened.
    done: u64,
    dice: Dice,
}

/// Bids by auction and time.
#[derive(Default)]
struct Bids {
    auctions: Vec<i64>,
    times: Vec<String>,
}

impl Bids {
    async fn run(&self, client: &Client, statement: &str) -> Result<u64, Error> {
        client.execute(statement, &[&self.auctions, &self.times]).await
    }
}

impl Market {
    /// Writer `part` of `parts`, counted from zero, of the market that `seed` makes.
    pub fn new(seed: u64, part: u64, parts: u64) -> Market {
        Market { seed, part, parts, done: 0, dice: Dice(seed ^ part) }
    }

    /// So many more events, in one transaction.
    pub async fn events(&mut self, client: &Client, count: u64) -> Result<u64, Error> {
        let events: Vec<Event> = (self.done..self.done + count).map(|n| self.event(n)).collect();
        self.done += count;
        client.batch_execute("begin").await?;
        let mut rows = 0;
        for table in ["person", "auction", "bid"] {
            rows += copy(client, table, events.iter().filter(|event| event.table() == table)).await?;
        }
        client.batch_execute("commit").await?;
        Ok(rows)
    }

    /// About so many corrections in one transaction: most are corrected bids, a third are withdrawn ones. Returns how many rows
    /// changed; a bid is withdrawn only once.
    pub async fn corrections(&mut self, client: &Client, count: u64) -> Result<u64, Error> {
        let (mut people, mut auctions) = (vec![], vec![]);
        let (mut corrected, mut withdrawn) = (Bids::default(), Bids::default());
        for _ in 0..count.min(self.done) {
            let number = u64::from(self.dice.roll(self.done as u32));
            match self.event(number) {
                Event::Person { id, .. } => people.push(id as i64),
                Event::Auction { id, .. } => auctions.push(id as i64),
                Event::Bid { auction, at, .. } => {
                    let bids = if number % 3 == 0 { &mut withdrawn } else { &mut corrected };
                    bids.auctions.push(auction as i64);
                    bids.times.push(at.to_string());
                }
            }
        }
        client.batch_execute("begin").await?;
        let mut rows = client.execute(MOVE_PEOPLE, &[&people]).await?;
        rows += client.execute(EXTEND_AUCTIONS, &[&auctions]).await?;
        rows += corrected.run(client, CORRECT_BIDS).await? + withdrawn.run(client, WITHDRAW_BIDS).await?;
        client.batch_execute("commit").await?;
        Ok(rows)
    }

    /// The n-th event of our own.
    fn event(&self, n: u64) -> Event {
        Event::at(self.seed, n * self.parts + self.part)
    }
}
