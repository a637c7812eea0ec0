//! New orders for the writers.
//!
//! Invariant: no two orders made here share a key, nor does one with a loaded order. TPC-H uses
//! eight of every 32 order keys; the n-th copy of an order takes one of the other 24, and after
//! three copies a key beyond all of them.

use std::iter::Peekable;

use tpchgen::generators::{
    LineItemGenerator, LineItemGeneratorIterator, Order, OrderGenerator, OrderGeneratorIterator,
};

/// How many orders are loaded.
pub fn loaded_orders(scale: f64) -> u32 {
    (1_500_000.0 * scale) as u32
}

/// The key of the n-th loaded order, counted from one.
pub fn loaded_key(n: u32) -> i64 {
    OrderGenerator::make_order_key(i64::from(n))
}

/// Above every key of the loaded orders and of the copies that fill their gaps.
pub fn key_span(scale: f64) -> u32 {
    (loaded_orders(scale) / 8 + 1) * 32
}

/// An order and its line items, column by column as text.
pub struct NewOrder {
    pub key: i64,
    pub order: Vec<String>,
    pub lines: Vec<Vec<String>>,
}

/// An endless stream of new orders with the distributions of TPC-H: the loaded orders again,
/// under fresh keys.
pub struct OrderStream {
    scale: f64,
    part: i32,
    parts: i32,
    copy: i64,
    orders: OrderGeneratorIterator<'static>,
    lines: Peekable<LineItemGeneratorIterator<'static>>,
}

impl OrderStream {
    /// The stream of writer `part` of `parts`, counted from one.
    pub fn new(scale: f64, part: i32, parts: i32) -> OrderStream {
        OrderStream {
            scale,
            part,
            parts,
            copy: 1,
            orders: OrderGenerator::new(scale, part, parts).iter(),
            lines: LineItemGenerator::new(scale, part, parts).iter().peekable(),
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
        let again = OrderStream::new(self.scale, self.part, self.parts);
        *self = OrderStream { copy: self.copy + 1, ..again };
    }

    fn renumbered(&mut self, order: &Order<'_>) -> NewOrder {
        let key = fresh_key(order.o_orderkey, self.copy, key_span(self.scale));
        let mut lines = Vec::new();
        while let Some(line) = self.lines.next_if(|line| line.l_orderkey == order.o_orderkey) {
            lines.push(columns(&line.to_string(), key));
        }
        NewOrder { key, order: columns(&order.to_string(), key), lines }
    }
}

fn fresh_key(key: i64, copy: i64, span: u32) -> i64 {
    key + copy % 4 * 8 + copy / 4 * i64::from(span)
}

/// The columns of a generated row, under another order key.
fn columns(row: &str, key: i64) -> Vec<String> {
    let mut columns: Vec<String> = row.strip_suffix('|').unwrap_or(row).split('|').map(str::to_owned).collect();
    columns[0] = key.to_string();
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_copies_share_a_key() {
        let span = key_span(0.01);
        let mut keys = HashSet::new();
        for key in (1..=loaded_orders(0.01)).map(loaded_key) {
            for copy in 0..9 {
                let fresh = fresh_key(key, copy, span);
                assert!(keys.insert(fresh), "key {fresh} twice");
            }
        }
    }

    #[test]
    fn an_order_comes_with_its_lines() {
        let mut stream = OrderStream::new(0.1, 2, 2);
        for order in (0..1000).map(|_| stream.next_order()) {
            assert_eq!(order.order.len(), 9);
            assert!((1..=7).contains(&order.lines.len()));
            for line in order.lines {
                assert_eq!((line.len(), &line[0]), (16, &order.order[0]));
            }
        }
    }
}
