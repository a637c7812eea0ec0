//! Invalidations of what stream tables are compiled from. A stream table that one concerns is verified before its next
//! refresh: the catalogs cannot be read while an invalidation is processed.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys::Oid;

use crate::pg::invalidation::{Invalidation, RowKey};

thread_local! {
    /// Relations whose invalidation concerns stream tables.
    static RELATIONS: RefCell<HashMap<Oid, BTreeSet<i32>>> = RefCell::default();
    /// The same for the rows of other catalogs.
    static ROWS: RefCell<HashMap<RowKey, BTreeSet<i32>>> = RefCell::default();
    static UNVERIFIED: RefCell<BTreeSet<i32>> = const { RefCell::new(BTreeSet::new()) };
}

/// Marks the stream tables that an invalidation concerns.
pub fn invalidate(what: Invalidation) {
    UNVERIFIED.with_borrow_mut(|unverified| match what {
        Invalidation::Relation(relation) => RELATIONS.with_borrow(|watched| match relation {
            Some(oid) => unverified.extend(watched.get(&oid).into_iter().flatten()),
            None => unverified.extend(watched.values().flatten()),
        }),
        Invalidation::Row(key) => ROWS.with_borrow(|watched| {
            unverified.extend(watched.iter().filter(|(of, _)| of.matches(key)).flat_map(|(_, ids)| ids));
        }),
    });
}

pub fn needs_revalidation(id: i32) -> bool {
    UNVERIFIED.with_borrow(|unverified| unverified.contains(&id))
}

/// Watches relations and rows of other catalogs for a stream table.
pub fn watch(id: i32, relations: impl Iterator<Item = Oid>, rows: impl Iterator<Item = RowKey>) {
    RELATIONS.with_borrow_mut(|watched| {
        relations.for_each(|relation| _ = watched.entry(relation).or_default().insert(id));
    });
    ROWS.with_borrow_mut(|watched| rows.for_each(|row| _ = watched.entry(row).or_default().insert(id)));
}

/// A verification in progress. The mark of the stream table is removed first, so that an invalidation in the meantime sets
/// it again, and restored unless the definition is found to be unchanged: no refresh runs under an unverified one.
pub struct Verification(i32);

impl Verification {
    pub fn begin(id: i32) -> Verification {
        UNVERIFIED.with_borrow_mut(|unverified| unverified.remove(&id));
        Verification(id)
    }

    pub fn succeed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        UNVERIFIED.with_borrow_mut(|unverified| unverified.insert(self.0));
    }
}
