//! The n-th event of the auction house.
//!
//! Law: an event is a function of a seed and its number, so that writers can share out the numbers. Of fifty
//! events one is a person, three are auctions and the others are bids, 10 ms apart: no two have the same time.

use std::fmt;

use crate::dice::Dice;

/// Events in a round of the generator: persons first, then auctions, then bids.
const ROUND: u64 = 50;
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
const FIRST_BID: u64 = PERSONS + AUCTIONS;

/// Keys begin here.
const FIRST_KEY: u64 = 1000;
const FIRST_CATEGORY: u32 = 10;
const CATEGORIES: u32 = 5;
/// Half of the bids go to one of the last so many auctions with a round number.
const HOT: u64 = 20;
/// How many of the latest people and auctions take part.
const ACTIVE: u64 = 200;

/// Event number 0 happens at 2015-07-15 00:00.
const MILLISECONDS: u64 = 10;

const NAMES: [&str; 8] = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie"];
const PLACES: [(&str, &str); 6] =
    [("Phoenix", "AZ"), ("Palo Alto", "CA"), ("Boise", "ID"), ("Portland", "OR"), ("Bend", "OR"), ("Seattle", "WA")];
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// One row of one of the three tables; displayed as COPY wants it.
pub enum Event {
    Person { id: u64, name: String, place: (&'static str, &'static str), at: Time },
    Auction { id: u64, initial: u64, reserve: u64, at: Time, expires: Time, seller: u64, category: u32 },
    Bid { auction: u64, bidder: u64, price: u64, channel: &'static str, at: Time },
}

/// A moment of the events' own time, as a number of an event.
#[derive(Clone, Copy)]
pub struct Time(u64);

impl Event {
    pub fn at(seed: u64, number: u64) -> Event {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let at = Time(number);
        match number % ROUND {
            0..PERSONS => Event::person(&mut dice, number, at),
            PERSONS..FIRST_BID => Event::auction(&mut dice, number, at),
            _ => Event::bid(&mut dice, number, at),
        }
    }

    /// The table whose row this is.
    pub fn table(&self) -> &'static str {
        match self {
            Event::Person { .. } => "person",
            Event::Auction { .. } => "auction",
            Event::Bid { .. } => "bid",
        }
    }

    fn person(dice: &mut Dice, number: u64, at: Time) -> Event {
        let name = format!("{} {}", one_of(dice, &NAMES), dice.roll(1000));
        Event::Person { id: last_person(number), name, place: one_of(dice, &PLACES), at }
    }

    fn auction(dice: &mut Dice, number: u64, at: Time) -> Event {
        let initial = price(dice);
        Event::Auction {
            id: last_auction(number),
            initial,
            reserve: initial + price(dice),
            at,
            expires: Time(number + 50 + u64::from(dice.roll(2000))),
            seller: recent(dice, last_person(number)),
            category: FIRST_CATEGORY + dice.roll(CATEGORIES),
        }
    }

    fn bid(dice: &mut Dice, number: u64, at: Time) -> Event {
        let last = last_auction(number);
        let auction = match dice.roll(2) {
            0 => (last / HOT * HOT).max(FIRST_KEY),
            _ => recent(dice, last),
        };
        let bidder = recent(dice, last_person(number));
        Event::Bid { auction, bidder, price: price(dice), channel: one_of(dice, &CHANNELS), at }
    }
}

/// The newest person once this event has happened.
fn last_person(number: u64) -> u64 {
    FIRST_KEY + number / ROUND
}

/// The newest auction after this event; the very first events have one that is not yet opened.
fn last_auction(number: u64) -> u64 {
    let opened = (number % ROUND + 1).saturating_sub(PERSONS).min(AUCTIONS);
    FIRST_KEY + number / ROUND * AUCTIONS + opened.saturating_sub(1)
}

fn recent(dice: &mut Dice, last: u64) -> u64 {
    let known = (last - FIRST_KEY + 1).min(ACTIVE);
    last - u64::from(dice.roll(known as u32))
}

/// From 100 to 100 million, each order of magnitude as likely.
fn price(dice: &mut Dice) -> u64 {
    let magnitude = f64::from(dice.roll(6000)) / 1000.0;
    (10f64.powf(magnitude) * 100.0) as u64
}

fn one_of<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.roll(of.len() as u32) as usize]
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 * MILLISECONDS;
        let (seconds, fraction) = (milliseconds / 1000, milliseconds % 1000);
        let (days, clock) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        // Good for the 146 million events until the end of July.
        write!(out, "2015-07-{:02} {hour:02}:{minute:02}:{second:02}.{fraction:03}", 15 + days)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Person { id, name, place: (city, state), at } => {
                write!(out, "{id}|{name}|{id}@example.org|{:016}|{city}|{state}|{at}|joined {at}", id * 7919)
            }
            Event::Auction { id, initial, reserve, at, expires, seller, category } => {
                write!(
                    out,
                    "{id}|item {id}|lot {id}|{initial}|{reserve}|{at}|{expires}|{seller}|{category}|opened {at}"
                )
            }
            Event::Bid { auction, bidder, price, channel, at } => {
                write!(out, "{auction}|{bidder}|{price}|{channel}|https://example.org/{auction}|{at}|from {channel}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_events_are_a_round() {
        let tables: Vec<&str> = (0..50).map(|number| Event::at(1, number).table()).collect();
        let count = |table| tables.iter().filter(|seen| **seen == table).count();
        assert_eq!((count("person"), count("auction"), count("bid")), (1, 3, 46));
    }

    #[test]
    fn keys_are_used_once_and_known_when_used() {
        let (mut people, mut auctions) = (vec![], vec![]);
        for number in 0..10_000 {
            match Event::at(7, number) {
                Event::Person { id, .. } => people.push(id),
                Event::Auction { id, seller, .. } => {
                    assert!(people.contains(&seller), "auction {id} by {seller}");
                    auctions.push(id);
                }
                Event::Bid { auction, bidder, .. } => {
                    assert!(people.contains(&bidder) && auctions.contains(&auction), "{bidder} bids on {auction}");
                }
            }
        }
        assert_eq!(people, (1000..1200).collect::<Vec<u64>>());
        assert_eq!(auctions, (1000..1600).collect::<Vec<u64>>());
    }

    #[test]
    fn time_reads_as_a_timestamp() {
        assert_eq!(Time(8_640_000 + 360_123).to_string(), "2015-07-16 01:00:01.230");
    }
}
