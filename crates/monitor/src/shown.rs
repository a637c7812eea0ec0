//! Which transactions a stream table shows: read by every statement that must see the writes of some transaction, without a lock.
//!
//! **Law:** a snapshot that [sees the refresh](Visible::is_for) sees in the stream table every change by the transactions that
//! [`Visible::sees`]. It says nothing about other transactions. A refresh publishes it once its commit is visible; of what two
//! refreshes publish either may stay. A refresh that found nothing to do publishes that what an earlier one did shows more.
//!
//! What was published under an earlier definition is void: a refresh reads the number of the definition once it holds its locks,
//! a change of the definition raises the number before it commits, and a reader compares the two.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::cell::{Cell, Versioned};

/// Transactions in progress that are published: those of others, and all later ones, do not count as shown.
const RUNNING: usize = 16;
/// Attempts of a writer that meets another one.
const ATTEMPTS: usize = 1000;

/// The transactions that a stream table shows: below `xmax`, but for those that were running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// The transaction of the refresh that changed the table last; 0 where it is not known.
    refresh: u64,
    /// Then, all below this one have to be seen.
    floor: u64,
    definition: u64,
    xmin: u64,
    xmax: u64,
    running: [u64; RUNNING],
}

#[repr(C)]
#[derive(Debug, Default)]
pub struct VisibleCells([AtomicU64; 5], [AtomicU64; RUNNING]);

#[repr(C)]
#[derive(Debug, Default)]
pub struct Shown {
    published: Versioned<VisibleCells>,
    definition: AtomicU64,
    /// How many refreshes have begun, how many of them have ended, and the newest transaction of these.
    begun: AtomicU64,
    ended: AtomicU64,
    newest: AtomicU64,
}

impl Visible {
    /// What a snapshot sees: all below `xmax` except `running`, which is ascending.
    pub fn new(xmax: u64, running: &[u64]) -> Visible {
        let kept = running.len().min(RUNNING);
        let floor = xmax;
        let xmax = running.get(kept).copied().unwrap_or(xmax);
        let mut visible =
            Visible { floor, xmin: running.first().map_or(xmax, |first| xmax.min(*first)), xmax, ..Visible::default() };
        visible.running[..kept].copy_from_slice(&running[..kept]);
        visible
    }

    /// Whether a snapshot is one that this is about: `sees` says what that sees, of transactions and of all below one.
    pub fn is_for(&self, sees: impl Fn(u64) -> bool, sees_below: impl Fn(u64) -> bool) -> bool {
        self.xmax > 0 && (self.refresh == 0 || sees(self.refresh)) && (self.floor == 0 || sees_below(self.floor))
    }

    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmin || xid < self.xmax && !self.running.contains(&xid)
    }

    /// Whether it sees every transaction up to this one.
    pub fn sees_all_to(&self, xid: u64) -> bool {
        xid < self.xmin
    }
}

impl Cell for VisibleCells {
    type Value = Visible;

    fn get(&self) -> Visible {
        let [refresh, floor, definition, xmin, xmax] = std::array::from_fn(|at| self.0[at].get());
        Visible { refresh, floor, definition, xmin, xmax, running: std::array::from_fn(|at| self.1[at].get()) }
    }

    fn set(&self, it: &Visible) {
        self.0
            .iter()
            .zip([it.refresh, it.floor, it.definition, it.xmin, it.xmax])
            .for_each(|(cell, number)| cell.set(&number));
        self.1.iter().zip(it.running).for_each(|(cell, xid)| cell.set(&xid));
    }
}

impl Shown {
    /// The number of the definition: read by a refresh that holds its locks, and before it takes its snapshot.
    pub fn definition(&self) -> u64 {
        self.definition.load(SeqCst)
    }

    /// The definition is about to change: what refreshes publish that have begun before is void.
    pub fn redefine(&self) {
        self.definition.fetch_add(1, SeqCst);
    }

    /// A refresh that may change the table begins; several may run at a time. [`Self::end`] must follow.
    pub fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    /// It has committed, is prepared, or was rolled back. A snapshot that does not see its transaction does not see it as ended.
    pub fn end(&self, xid: Option<u64>) {
        self.newest.fetch_max(xid.unwrap_or(0), SeqCst);
        self.ended.fetch_add(1, SeqCst);
    }

    /// The newest transaction with a refresh that has ended or is prepared, since the server started.
    pub fn newest(&self) -> u64 {
        self.newest.load(SeqCst)
    }

    /// How many refreshes have begun, if all of them have ended and a snapshot sees them. While this number stays, nothing changes
    /// the table.
    pub fn refreshes(&self, sees: impl Fn(u64) -> bool) -> Option<u64> {
        // In this order: one that begins in between counts as running.
        let ended = self.ended.load(SeqCst);
        (self.begun.load(SeqCst) == ended && sees(self.newest.load(SeqCst))).then_some(ended)
    }

    /// Publishes what a refresh shows that began under the definition with this number: its transaction, if it has changed
    /// anything, and what its snapshot sees.
    pub fn publish(&self, definition: u64, refresh: Option<u64>, visible: Visible) {
        let last = self.visible();
        let (refresh, floor) = match refresh {
            Some(refresh) => (refresh, 0),
            None if last.xmax > 0 => (last.refresh, last.floor),
            None => (0, visible.floor),
        };
        self.write(&Visible { refresh, floor, definition, ..visible });
    }

    fn write(&self, published: &Visible) {
        // What was published before must not stay: it may not be about the last refresh.
        if !(0..ATTEMPTS).any(|_| self.published.try_write(|cells| cells.set(published))) {
            self.redefine();
        }
    }

    /// What was published last, unless it is void; sees nothing where nothing was.
    pub fn visible(&self) -> Visible {
        let published = self.published.get();
        if published.definition == self.definition() { published } else { Visible::default() }
    }

    /// For the next owner of the row.
    pub fn clear(&self) {
        self.redefine();
        self.write(&Visible::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_for(shown: &Shown, seen: &[u64]) -> bool {
        shown.visible().is_for(|xid| seen.contains(&xid), |xid| (1..xid).all(|xid| seen.contains(&xid)))
    }

    #[test]
    fn a_running_transaction_is_not_shown() {
        let shown = Shown::default();
        assert!(!shown.visible().sees(1) && !is_for(&shown, &[1, 2, 3]));
        shown.publish(0, Some(12), Visible::new(10, &[5, 8]));
        assert!(is_for(&shown, &[12]) && !is_for(&shown, &[11]));
        let visible = shown.visible();
        let seen: Vec<u64> = (1..12).filter(|xid| visible.sees(*xid)).collect();
        assert_eq!(seen, [1, 2, 3, 4, 6, 7, 9]);
        assert!(visible.sees_all_to(4) && !visible.sees_all_to(5));
    }

    /// A refresh without changes shows more to those who see the last one that had some.
    #[test]
    fn a_refresh_without_changes_leaves_the_last_one() {
        let shown = Shown::default();
        shown.publish(0, None, Visible::new(4, &[2]));
        assert!(is_for(&shown, &[1, 2, 3]) && !is_for(&shown, &[1, 3]));
        shown.publish(0, Some(7), Visible::new(5, &[]));
        shown.publish(0, None, Visible::new(9, &[]));
        assert!(is_for(&shown, &[7]) && !is_for(&shown, &[1, 2, 3, 4, 5, 6]));
        assert!(shown.visible().sees(8));
    }

    /// Of more transactions than are kept, those after the first that is left out are not shown.
    #[test]
    fn what_is_not_kept_is_not_shown() {
        let running: Vec<u64> = (0..40).map(|n| 100 + 2 * n).collect();
        let visible = Visible::new(500, &running);
        let end = 100 + 2 * RUNNING as u64;
        let seen: Vec<u64> = (0..600).filter(|xid| visible.sees(*xid)).collect();
        let expected: Vec<u64> = (0..end).filter(|xid| *xid < 100 || xid % 2 == 1).collect();
        assert_eq!(seen, expected);
        assert_eq!(visible.floor, 500);
    }

    #[test]
    fn refreshes_are_counted_once_all_have_ended() {
        let shown = Shown::default();
        shown.begin();
        assert_eq!(shown.refreshes(|_| true), None);
        shown.end(Some(5));
        assert_eq!((shown.refreshes(|xid| xid < 5), shown.refreshes(|xid| xid <= 5)), (None, Some(1)));
        // One that ends without changes leaves the other running.
        shown.begin();
        shown.begin();
        shown.end(None);
        assert_eq!(shown.refreshes(|_| true), None);
        shown.end(Some(7));
        assert_eq!(shown.refreshes(|_| true), Some(3));
    }

    #[test]
    fn another_definition_voids_what_is_shown() {
        let shown = Shown::default();
        let began = shown.definition();
        shown.publish(began, Some(1), Visible::new(10, &[]));
        shown.redefine();
        assert!(!shown.visible().sees(1));
        // A refresh that began before publishes afterwards.
        shown.publish(began, Some(2), Visible::new(20, &[]));
        assert!(!shown.visible().sees(1));
        // Which refresh changed the table last is not known then.
        shown.publish(shown.definition(), None, Visible::new(5, &[]));
        assert!(is_for(&shown, &[1, 2, 3, 4]) && !is_for(&shown, &[2]));
        shown.clear();
        assert!(!shown.visible().sees(1));
    }
}
