//! The changes that a stream table has seen: a snapshot of the database, and a prefix of one unfinished transaction.
//!
//! **Law:** a change written by transaction `xid` as its `seq`-th is seen iff the snapshot sees `xid`, or
//! `xid` is the transaction that took the snapshot and `seq` is in the prefix it had written by then.
//! Commit order is never guessed from numbers: a smaller xid may well be unseen.

use std::fmt;

use crate::error::{Error, Result};

/// The transactions of some changes: none is older than the oldest, none is newer than the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    oldest: u64,
    newest: u64,
}

impl Span {
    /// Of no changes.
    pub const EMPTY: Span = Span { oldest: u64::MAX, newest: 0 };

    pub fn of(xid: u64) -> Span {
        Span { oldest: xid, newest: xid }
    }

    /// Of the changes of both.
    pub fn join(self, other: Span) -> Span {
        Span { oldest: self.oldest.min(other.oldest), newest: self.newest.max(other.newest) }
    }

    pub fn is_empty(self) -> bool {
        self.oldest > self.newest
    }

    pub fn contains(self, xid: u64) -> bool {
        (self.oldest..=self.newest).contains(&xid)
    }

    /// The greatest number for no changes.
    pub fn oldest(self) -> u64 {
        self.oldest
    }
}

/// A snapshot as PostgreSQL's `pg_snapshot` has it, with the prefix of the own transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier {
    xmin: u64,
    xmax: u64,
    /// In progress at the time: ascending, each at least `xmin` and below `xmax`.
    xip: Vec<u64>,
    /// The transaction that took the snapshot, if it had itself written changes, and how many.
    own: Option<(u64, i32)>,
}

impl Frontier {
    /// It sees all transactions below this one.
    pub fn xmin(&self) -> u64 {
        self.xmin
    }

    /// It sees no transaction from this one on.
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Those below that it does not see, ascending.
    pub fn unfinished(&self) -> &[u64] {
        &self.xip
    }

    /// The frontier that sees every transaction below `xmax` except `xip`.
    pub fn new(xmax: u64, mut xip: Vec<u64>) -> Frontier {
        xip.retain(|xid| *xid < xmax);
        xip.sort_unstable();
        xip.dedup();
        Frontier { xmin: xip.first().copied().unwrap_or(xmax), xmax, xip, own: None }
    }

    /// Reads the text form of a `pg_snapshot`: `xmin:xmax:xip,…`.
    ///
    /// # Errors
    /// `Catalog` for any other text.
    pub fn parse(text: &str) -> Result<Frontier> {
        let bad = || Error::Catalog(format!("not a snapshot: \"{text}\""));
        let number = |part: &str| part.parse::<u64>().map_err(|_| bad());
        let mut parts = text.split(':');
        let (Some(xmin), Some(xmax), Some(xip), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let (xmin, xmax) = (number(xmin)?, number(xmax)?);
        let xip = xip.split(',').filter(|part| !part.is_empty()).map(number).collect::<Result<Vec<u64>>>()?;
        let ascending = xip.windows(2).all(|pair| pair[0] < pair[1]);
        if xmin > xmax || !ascending || xip.iter().any(|xid| *xid < xmin || *xid >= xmax) {
            return Err(bad());
        }
        Ok(Frontier { xmin, xmax, xip, own: None })
    }

    /// The same snapshot, taken by a transaction that had written `own.1` changes by then.
    pub fn with_own(mut self, own: Option<(u64, i32)>) -> Frontier {
        self.own = own;
        self
    }

    pub fn own(&self) -> Option<(u64, i32)> {
        self.own
    }

    /// Whether the `seq`-th change of transaction `xid` is part of this frontier.
    pub fn sees(&self, xid: u64, seq: i32) -> bool {
        self.snapshot_sees(xid) || self.own.is_some_and(|(own, last)| own == xid && seq <= last)
    }

    /// Whether every change of any transaction of this span is part of this frontier.
    pub fn sees_all(&self, span: Span) -> bool {
        span.is_empty()
            || span.newest < self.xmin
            || span.newest < self.xmax && self.running(span.oldest, span.newest) == 0
    }

    /// Whether no change of any transaction of this span is.
    pub fn sees_none(&self, span: Span) -> bool {
        let before_xmax = span.newest.min(self.xmax.saturating_sub(1));
        let running = || self.running(span.oldest, before_xmax) == 1 + (before_xmax - span.oldest);
        let is_own = self.own.is_some_and(|(own, _)| span.contains(own));
        span.is_empty() || !is_own && (span.oldest >= self.xmax || running())
    }

    /// How many transactions from `oldest` to `newest` were in progress.
    fn running(&self, oldest: u64, newest: u64) -> u64 {
        let before = |bound: u64| self.xip.partition_point(|xid| *xid < bound);
        let through = self.xip.partition_point(|xid| *xid <= newest);
        through.saturating_sub(before(oldest)) as u64
    }

    /// Whether its snapshot sees every transaction that the snapshot of the other sees.
    pub fn covers(&self, other: &Frontier) -> bool {
        let is_later = self.xmax >= other.xmax || (self.xmax..other.xmax).all(|xid| !other.snapshot_sees(xid));
        is_later && !self.xip.iter().any(|xid| other.snapshot_sees(*xid))
    }

    fn snapshot_sees(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.xip.binary_search(&xid).is_err())
    }
}

/// The text form of a `pg_snapshot`; the own transaction's prefix is not part of it.
impl fmt::Display for Frontier {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:{}:", self.xmin, self.xmax)?;
        for (i, xid) in self.xip.iter().enumerate() {
            write!(out, "{}{xid}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn law_what_was_in_progress_is_not_seen() {
        let frontier = Frontier::parse("10:20:10,14,15").unwrap();
        let seen: Vec<u64> = (8..23).filter(|xid| frontier.sees(*xid, 1)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 16, 17, 18, 19]);
    }

    #[test]
    fn law_a_frontier_covers_another_iff_it_sees_what_that_sees() {
        let texts = ["10:20:10,14,15", "10:20:10,15", "10:18:10", "20:20:", "5:12:5,6,7,8,9,10,11", "12:12:", "1:1:"];
        let frontiers = texts.map(|text| Frontier::parse(text).unwrap());
        for (one, other) in frontiers.iter().flat_map(|one| frontiers.iter().map(move |other| (one, other))) {
            let covers = (0..30).all(|xid| one.sees(xid, 1) || !other.sees(xid, 1));
            assert_eq!(one.covers(other), covers, "{one} {other}");
        }
    }

    #[test]
    fn law_own_changes_are_seen_up_to_the_last_one_read() {
        for own in [14, 25] {
            let frontier = Frontier::parse("10:20:10,14,15").unwrap().with_own(Some((own, 2)));
            assert!(frontier.sees(own, 1) && frontier.sees(own, 2));
            assert!(!frontier.sees(own, 3) && !frontier.sees(15, 1));
        }
    }

    #[test]
    fn law_a_later_frontier_sees_all_of_a_committed_transaction() {
        let frontier = Frontier::parse("21:21:").unwrap().with_own(Some((14, 2)));
        assert!(frontier.sees(14, 3));
    }

    #[test]
    fn law_a_span_is_seen_as_its_transactions_are() {
        let texts = ["10:20:10,14,15", "10:20:10,11,12", "20:20:", "5:12:5,6,7,8,9,10,11", "1:1:"];
        let frontiers = texts.map(|text| Frontier::parse(text).unwrap());
        let owned = frontiers.iter().flat_map(|it| [12, 14, 25].map(|own| it.clone().with_own(Some((own, 2)))));
        let owned: Vec<Frontier> = owned.collect();
        for (oldest, newest) in (0..26_u64).flat_map(|oldest| (oldest..26).map(move |newest| (oldest, newest))) {
            let span = Span::of(oldest).join(Span::of(newest));
            let xids = || oldest..=newest;
            for frontier in frontiers.iter().chain(&owned) {
                assert_eq!(
                    frontier.sees_all(span),
                    xids().all(|xid| frontier.sees(xid, i32::MAX)),
                    "{frontier} {span:?}"
                );
                assert_eq!(frontier.sees_none(span), !xids().any(|xid| frontier.sees(xid, 1)), "{frontier} {span:?}");
            }
        }
        assert!(frontiers[0].sees_all(Span::EMPTY) && frontiers[0].sees_none(Span::EMPTY));
    }

    #[test]
    fn text_goes_both_ways() {
        for text in ["10:20:10,14,15", "7:7:", "18446744073709551000:18446744073709551001:"] {
            assert_eq!(Frontier::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "1:2", "3:2:", "1:9:5,4", "1:9:9", "2:9:1", "1:9:x", "1:9::"] {
            assert!(Frontier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn new_orders_and_bounds_what_was_in_progress() {
        assert_eq!(Frontier::new(20, vec![15, 10, 15, 30]).to_string(), "10:20:10,15");
        assert_eq!(Frontier::new(20, vec![]).to_string(), "20:20:");
    }
}
