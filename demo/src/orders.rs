//! New orders and chance: what the writers write.
//!
//! Invariant: no two orders made here share a key, nor does one with a loaded order. TPC-H uses
//! eight of every 32 order keys; the n-th copy of an order takes one of the other 24, and after
//! three copies a key beyond all of them.

use std::iter::Peekable;

use tpchgen::generators::{
    LineItemGenerator, LineItemGeneratorIterator, Order, OrderGenerator, OrderGeneratorIterator,
};

use crate::load::SCALE;

/// Above every key of the loaded orders and of the copies that fill their gaps.
pub const KEY_SPAN: u32 = 600_032;

/// An order and its line items, column by column as text.
pub struct NewOrder {
    pub key: i64,
    pub order: Vec<String>,
    pub lines: Vec<Vec<String>>,
}

/// An endless stream of new orders with the distributions of TPC-H: the loaded orders again,
/// under fresh keys.
pub struct OrderStream {
    part: i32,
    parts: i32,
    copy: i64,
    orders: OrderGeneratorIterator<'static>,
    lines: Peekable<LineItemGeneratorIterator<'static>>,
}

impl OrderStream {
    /// The stream of writer `part` of `parts`, counted from one.
    pub fn new(part: i32, parts: i32) -> OrderStream {
        OrderStream {
            part,
            parts,
            copy: 1,
            orders: OrderGenerator::new(SCALE, part, parts).iter(),
            lines: LineItemGenerator::new(SCALE, part, parts).iter().peekable(),
        }
    }

    pub fn next_order(&mut self) -> NewOrder {
        loop {
            if let Some(order) = self.orders.next() {
                return self.renumbered(&order);
            }
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        let again = OrderStream::new(self.part, self.parts);
        *self = OrderStream { copy: self.copy + 1, ..again };
    }

    fn renumbered(&mut self, order: &Order<'_>) -> NewOrder {
        let key = fresh_key(order.o_orderkey, self.copy);
        let mut lines = Vec::new();
        while let Some(line) = self.lines.next_if(|line| line.l_orderkey == order.o_orderkey) {
            lines.push(columns(&line.to_string(), key));
        }
        NewOrder { key, order: columns(&order.to_string(), key), lines }
    }
}

fn fresh_key(key: i64, copy: i64) -> i64 {
    key + copy % 4 * 8 + copy / 4 * i64::from(KEY_SPAN)
}

/// The columns of a generated row, under another order key.
fn columns(row: &str, key: i64) -> Vec<String> {
    let mut columns: Vec<String> = row.strip_suffix('|').unwrap_or(row).split('|').map(str::to_owned).collect();
    columns[0] = key.to_string();
    columns
}

/// A small random source (splitmix64): the same seed gives the same day.
pub struct Dice(pub u64);

impl Dice {
    /// A number from 0 to `sides - 1`.
    pub fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The high half scaled down: below `sides`, so it fits.
        (((bits >> 32) * u64::from(sides)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_copies_share_a_key() {
        let loaded = (1..=150_000).map(OrderGenerator::make_order_key);
        let mut keys = HashSet::new();
        for key in loaded {
            for copy in 0..9 {
                let fresh = fresh_key(key, copy);
                assert!(keys.insert(fresh), "key {fresh} twice");
            }
        }
    }

    #[test]
    fn an_order_comes_with_its_lines() {
        let mut stream = OrderStream::new(2, 2);
        for order in (0..1000).map(|_| stream.next_order()) {
            assert_eq!(order.order.len(), 9);
            assert!((1..=7).contains(&order.lines.len()));
            for line in order.lines {
                assert_eq!((line.len(), &line[0]), (16, &order.order[0]));
            }
        }
    }

    #[test]
    fn dice_show_every_side() {
        let mut dice = Dice(1);
        let seen: HashSet<u32> = (0..1000).map(|_| dice.roll(6)).collect();
        assert_eq!(seen, (0..6).collect());
    }
}
