//! The pending changes of tables, for one snapshot.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};
use crate::pg::tuplestore::{Slot, Tuplestore};
use crate::pg::xact;

/// The pending changes of one table, for one snapshot.
pub struct Changes {
    gone: Gone,
    come: Come,
}

/// The rows that come.
enum Come {
    /// As minimal tuples, with the types of their columns. They outlive the transaction.
    Few(Vec<Box<[u64]>>, Vec<Oid>),
    /// With their weights in the last column.
    Many(ManuallyDrop<Tuplestore>),
}

/// Rows, and bytes of them, that are kept apart from a transaction.
const FEW: i64 = 1000;
const FEW_BYTES: usize = 1 << 18;

/// The stored rows that a snapshot must not see.
pub enum Gone {
    /// By their places, ascending.
    Rows(Vec<u64>),
    All,
}

/// Changes by table.
#[derive(Default)]
pub struct Overlay(RefCell<HashMap<Oid, Rc<Changes>>>);

impl Overlay {
    pub fn put(&self, table: Oid, changes: Rc<Changes>) {
        self.0.borrow_mut().insert(table, changes);
    }

    pub fn remove(&self, table: Oid) {
        self.0.borrow_mut().remove(&table);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().values().all(|changes| changes.is_empty())
    }

    /// Whether every stored row stays.
    pub(super) fn leaves_all(&self) -> bool {
        self.0.borrow().values().all(|changes| matches!(&changes.gone, Gone::Rows(rows) if rows.is_empty()))
    }

    pub fn get(&self, table: Oid) -> Option<Rc<Changes>> {
        self.0.borrow().get(&table).cloned()
    }
}

impl Changes {
    /// No changes.
    pub fn none() -> Rc<Changes> {
        thread_local! {
            static NONE: Rc<Changes> = Rc::new(Changes { gone: Gone::Rows(vec![]), come: Come::Few(vec![], vec![]) });
        }
        NONE.with(Rc::clone)
    }

    /// `come`: rows with their weights in the last column.
    pub fn new(gone: Gone, come: Option<Tuplestore>) -> Result<Changes> {
        let Some(come) = come else { return Ok(Changes { gone, come: Come::Few(vec![], vec![]) }) };
        let few = if come.rows() <= FEW { few(&come)? } else { None };
        Ok(Changes { gone, come: few.unwrap_or_else(|| Come::Many(ManuallyDrop::new(come))) })
    }

    /// Whether it may be kept beyond the transaction that has computed it.
    pub fn is_small(&self) -> bool {
        let is_small = match &self.gone {
            Gone::Rows(rows) => rows.len() as i64 <= FEW,
            Gone::All => false,
        };
        is_small && matches!(self.come, Come::Few(..))
    }

    fn is_empty(&self) -> bool {
        let adds_none = matches!(&self.come, Come::Few(rows, _) if rows.is_empty());
        adds_none && matches!(&self.gone, Gone::Rows(rows) if rows.is_empty())
    }

    /// Whether the stored row at a place is gone.
    pub(super) fn removes(&self, place: &pg_sys::ItemPointerData) -> bool {
        match &self.gone {
            Gone::All => true,
            Gone::Rows(rows) => !rows.is_empty() && rows.binary_search(&number(place)).is_ok(),
        }
    }

    /// Appends the rows that come.
    pub(super) fn copy_to(&self, into: &Tuplestore) -> Result<()> {
        match &self.come {
            Come::Many(store) => store.copy_out(into),
            Come::Few(rows, types) if into.row_type().types().starts_with(types) => {
                let slot = Slot::new(into.row_type());
                // SAFETY: rows of these columns; further ones are NULL in a row that does not have them.
                rows.iter().for_each(|row| unsafe { into.put_words(&slot, row) });
                Ok(())
            }
            Come::Few(..) => Err(Error::Bug("pending rows have the types of their table")),
        }
    }

    /// Whether the table is what its query would have: the stored rows do not count.
    pub fn is_whole(&self) -> bool {
        matches!(self.gone, Gone::All)
    }
}

impl Gone {
    pub fn rows(mut places: Vec<pg_sys::ItemPointerData>) -> Gone {
        let mut rows: Vec<u64> = places.iter_mut().map(|place| number(place)).collect();
        rows.sort_unstable();
        Gone::Rows(rows)
    }
}

/// A place, as a number of the same order.
fn number(place: &pg_sys::ItemPointerData) -> u64 {
    let (block, line) = pgrx::itemptr::item_pointer_get_both(*place);
    u64::from(block) << 16 | u64::from(line)
}

/// The rows as they are kept, unless they are too large; with the types of their columns.
fn few(come: &Tuplestore) -> Result<Option<Come>> {
    let mut types = come.row_type().types();
    types.pop();
    let plain = Tuplestore::new(come.row_type().without_last());
    come.copy_out(&plain)?;
    let (mut reader, slot) = (plain.reader(), Slot::new(plain.row_type()));
    let (mut rows, mut size) = (vec![], 0);
    while reader.next(&slot) {
        let row = slot.words();
        size += row.len() * size_of::<u64>();
        rows.push(row);
        if size > FEW_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(Come::Few(rows, types)))
}

impl Drop for Changes {
    fn drop(&mut self) {
        // After an error of the server its resources are the server's to free.
        if let Come::Many(store) = &mut self.come
            && xact::is_in_progress()
        {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(store) };
        }
    }
}
