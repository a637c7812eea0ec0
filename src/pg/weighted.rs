//! Tuplestores whose last column is a weight: deltas.

use std::collections::{BTreeSet, HashMap};

use chunk::Shape;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::hash::RowHash;
use crate::pg::row::{self, Aligned};
use crate::pg::tuplestore::{Slot, Tuplestore};

/// A delta in parts.
pub struct Parts {
    /// The new rows of keys whose old and new row are neighbours in the delta.
    pub updates: Tuplestore,
    /// Other rows of negative weight.
    pub deletes: Tuplestore,
    /// Other rows of positive weight.
    pub inserts: Tuplestore,
}

/// The sums of the weights of equal rows.
struct Totals {
    /// By the bytes of a row without its weight, which comes last: the place of the first such row, and the sum.
    rows: HashMap<Box<[u8]>, (usize, i64)>,
    /// Bytes in memory, about.
    size: usize,
    buffer: Aligned,
    sum: Tuplestore,
}

const WEIGHT: usize = size_of::<i64>();
/// Bytes of an entry in addition to its row.
const ENTRY: usize = 64;

impl Totals {
    fn into(sum: Tuplestore) -> Totals {
        Totals { rows: HashMap::new(), size: 0, buffer: Aligned::default(), sum }
    }

    fn add(&mut self, slot: &Slot) {
        let row = slot.bytes();
        let row = &row[..row.len() - WEIGHT];
        match self.rows.get_mut(row) {
            Some((_, total)) => *total += weight(slot),
            None => {
                self.size += row.len() + ENTRY;
                self.rows.insert(row.into(), (self.rows.len(), weight(slot)));
            }
        }
    }

    /// Writes the sums, in the order of the first rows.
    fn flush(&mut self) -> Result<()> {
        let mut rows: Vec<(Box<[u8]>, _)> = self.rows.drain().collect();
        rows.sort_unstable_by_key(|(_, (place, _))| *place);
        let slot = Slot::new(self.sum.row_type());
        for (row, (_, total)) in rows.into_iter().filter(|(_, (_, total))| *total != 0) {
            self.buffer.fill(&[&row[..], &total.to_ne_bytes()[..]].concat())?;
            // SAFETY: the bytes are those of a row of the store's type, with another weight.
            unsafe { self.sum.put_bytes(&slot, self.buffer.bytes()) };
        }
        self.size = 0;
        Ok(())
    }
}

/// The weight of the row that a slot holds.
fn weight(slot: &Slot) -> i64 {
    slot.row().last() as i64
}

impl Tuplestore {
    /// The sum of the negative weights, as a positive number, and that of the positive ones.
    pub fn weights(&self) -> Result<(i64, i64)> {
        let (mut minus, mut plus) = (0, 0);
        self.for_each(|row| {
            let weight = row.last() as i64;
            minus -= weight.min(0);
            plus += weight.max(0);
            Ok(())
        })?;
        Ok((minus, plus))
    }

    /// The same delta with adjacent equal rows summed, and without rows of weight zero.
    pub fn summed(self) -> Tuplestore {
        let last = self.row_type().width() - 1;
        let Some(columns) = self.shapes(0..last) else { return self };
        let alike = |slot: &Slot, before: &Slot| slot.row().is_alike(&before.row(), &columns);
        let mut repeats = false;
        self.with_before(|slot, before| {
            repeats = repeats || weight(slot) == 0 || before.is_some_and(|before| alike(slot, before));
        });
        if !repeats {
            return self;
        }
        let sum = Tuplestore::new(self.row_type().clone());
        let put = |slot: &Slot, total: i64| {
            if total != 0 {
                let (mut values, mut nulls) = slot.row().copied(0..last);
                values.push(pg_sys::Datum::from(total));
                nulls.push(false);
                // SAFETY: a row of the same type; it stays put until the next one is read.
                unsafe { sum.put(&mut values, &mut nulls) };
            }
        };
        let mut total = 0;
        let end = self.with_before(|slot, before| match before {
            Some(before) if !alike(slot, before) => put(before, std::mem::replace(&mut total, weight(slot))),
            _ => total += weight(slot),
        });
        if let Some(end) = end {
            put(&end, total);
        }
        sum
    }

    /// The same delta with all rows of equal bytes summed, and without rows of weight zero. Rows that take more memory than
    /// `work_mem` are summed a part at a time, so that some pairs may be left.
    pub fn added_up(self) -> Result<Tuplestore> {
        if self.row_type().types().last() != Some(&pg_sys::INT8OID) {
            return Err(Error::Bug("a delta ends in its weight"));
        }
        if self.rows() < 2 {
            return Ok(self);
        }
        // SAFETY: a plain variable of this backend.
        let room = unsafe { pg_sys::work_mem } as usize * 1024;
        let mut totals = Totals::into(Tuplestore::new(self.row_type().clone()));
        let (mut reader, slot) = (self.reader(), Slot::new(self.row_type()));
        while reader.next(&slot) {
            totals.add(&slot);
            if totals.size > room {
                totals.flush()?;
            }
        }
        totals.flush()?;
        Ok(totals.sum)
    }

    /// Splits a delta. Rows are of one key where these columns, given by their places, are equal; without a key no row is
    /// updated. Nor is a row that changes in one of the columns `apart`.
    pub fn parts(&self, key: Option<&[usize]>, apart: &[usize]) -> Parts {
        let part = || Tuplestore::new(self.row_type().clone());
        let parts = Parts { updates: part(), deletes: part(), inserts: part() };
        // A type without a shape was dropped: its values equal nothing.
        let columns = key.and_then(|key| self.shapes(key.iter().chain(apart).copied()));
        let leaves = |slot: &Slot| weight(slot) < 0;
        let single =
            |slot: &Slot| if leaves(slot) { parts.deletes.put_slot(slot) } else { parts.inserts.put_slot(slot) };
        let are_partners = |slot: &Slot, before: &Slot| {
            let alike = |columns: &Vec<_>| slot.row().is_alike(&before.row(), columns);
            leaves(before) != leaves(slot) && columns.as_ref().is_some_and(alike)
        };
        // The row before has no partner yet.
        let mut waits = false;
        let end = self.with_before(|slot, before| {
            let waiting = before.filter(|_| waits);
            let partner = waiting.filter(|before| are_partners(slot, before));
            if let Some(before) = partner {
                parts.updates.put_slot(if leaves(slot) { before } else { slot });
            } else if let Some(before) = waiting {
                single(before);
            }
            waits = partner.is_none();
        });
        if let Some(end) = end.filter(|_| waits) {
            single(&end);
        }
        parts
    }

    /// Calls `f` with each row and the one before it; the last one.
    fn with_before(&self, mut f: impl FnMut(&Slot, Option<&Slot>)) -> Option<Slot> {
        let (mut slot, mut before) = (Slot::new(self.row_type()), Slot::new(self.row_type()));
        let mut is_first = true;
        let mut reader = self.reader();
        while reader.next(&slot) {
            f(&slot, Some(&before).filter(|_| !is_first));
            is_first = false;
            std::mem::swap(&mut slot, &mut before);
        }
        Some(before).filter(|_| !is_first)
    }

    /// Columns with their shapes; `None` where a type was dropped.
    fn shapes(&self, columns: impl Iterator<Item = usize>) -> Option<Vec<(usize, Shape)>> {
        let types = self.row_type().types();
        columns.map(|i| Some((i, row::shape(types[i])?))).collect()
    }

    /// Appends every row to `target` without its weight, as often as that says. Further columns of `target` are NULL.
    pub fn copy_out(&self, target: &Tuplestore) -> Result<()> {
        let (own, theirs) = (self.row_type().types(), target.row_type().types());
        let last = own.len() - 1;
        if !theirs.starts_with(&own[..last]) {
            return Err(Error::Bug("pending rows have the types of their table"));
        }
        self.for_each(|row| {
            let (mut values, mut nulls) = row.copied(0..last);
            values.resize(theirs.len(), pg_sys::Datum::from(0));
            nulls.resize(theirs.len(), true);
            for _ in 0..row.last() as i64 {
                // SAFETY: the types were compared above; the row stays put until the next one is read.
                unsafe { target.put(&mut values, &mut nulls) };
            }
            Ok(())
        })
    }

    /// The hashes of the columns at these places in its rows; none where a type has none.
    pub fn hashes(&self, places: &[usize]) -> Result<Option<BTreeSet<u32>>> {
        let Some(hash) = RowHash::of(self.row_type(), places) else { return Ok(None) };
        let mut hashes = BTreeSet::new();
        self.for_each(|row| {
            hashes.insert(hash.of_row(row));
            Ok(())
        })?;
        Ok(Some(hashes))
    }

    /// The places of columns of the table that this is a delta of. The weight has none: it is the last, whatever its name is, and a
    /// column may be named like the weight of another delta.
    pub fn places<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> Result<Vec<usize>> {
        let mut names = self.row_type().names();
        names.pop();
        let place = |column| names.iter().position(|name| name == column);
        let places: Option<_> = columns.into_iter().map(place).collect();
        places.ok_or(Error::Bug("a delta has the columns of its table"))
    }

    /// Appends these columns, then the weight, of every row to `target`, whose row type has just these.
    pub fn append_to(&self, target: &Tuplestore, columns: &[String]) -> Result<()> {
        let mut places = self.places(columns.iter().map(String::as_str))?;
        places.push(self.row_type().width() - 1);
        let (own, theirs) = (self.row_type().types(), target.row_type().types());
        if places.len() != theirs.len() || places.iter().zip(&theirs).any(|(place, ty)| own[*place] != *ty) {
            return Err(Error::Bug("a delta has the types of its table"));
        }
        self.for_each(|row| {
            let (mut values, mut nulls) = row.copied(places.iter().copied());
            // SAFETY: the types were compared above; the row stays put until the next one is read.
            unsafe { target.put(&mut values, &mut nulls) };
            Ok(())
        })
    }
}
