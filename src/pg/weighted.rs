//! Tuplestores whose last column is a weight: deltas.

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::row::{self, Shape};
use crate::pg::tuplestore::{Slot, Tuplestore};

/// A delta in parts.
pub struct Parts {
    /// The new rows of keys whose old and new row are neighbours in the delta.
    pub changed: Tuplestore,
    /// Other rows of negative weight.
    pub gone: Tuplestore,
    /// Other rows of positive weight.
    pub come: Tuplestore,
}

impl Tuplestore {
    /// The sum of the negative weights, as a positive number, and that of the positive ones.
    pub fn weights(&self) -> Result<(i64, i64)> {
        let last = self.row_type().width() - 1;
        let (mut minus, mut plus) = (0, 0);
        self.for_each(|row| {
            let weight = row.word(last) as i64;
            if weight < 0 {
                minus -= weight
            } else {
                plus += weight
            }
            Ok(())
        })?;
        Ok((minus, plus))
    }

    /// Takes a delta apart. Rows are of one key where these columns, given by their places, are the same bytes; without
    /// a key, each row is for itself.
    pub fn parts(&self, key: Option<&[usize]>) -> Parts {
        let part = || Tuplestore::new(self.row_type().clone());
        let parts = Parts { changed: part(), gone: part(), come: part() };
        let types = self.row_type().types();
        let shape = |i: &usize| Some((*i, row::shape(types[*i])?));
        // A type without a shape was dropped: its rows do not meet.
        let columns: Option<Vec<(usize, Shape)>> = key.and_then(|key| key.iter().map(shape).collect());
        let last = self.row_type().width() - 1;
        let leaves = |slot: &Slot| (slot.row().word(last) as i64) < 0;
        let single = |slot: &Slot| if leaves(slot) { parts.gone.put_slot(slot) } else { parts.come.put_slot(slot) };
        let (mut slot, mut before) = (Slot::new(self.row_type()), Slot::new(self.row_type()));
        // The row before may have a partner still.
        let mut waits = false;
        let mut reader = self.reader();
        while reader.next(&slot) {
            let partners = waits
                && leaves(&before) != leaves(&slot)
                && columns.as_ref().is_some_and(|columns| slot.row().is_alike(&before.row(), columns));
            if partners {
                parts.changed.put_slot(if leaves(&slot) { &before } else { &slot });
            } else if waits {
                single(&before);
            }
            waits = !partners;
            std::mem::swap(&mut slot, &mut before);
        }
        if waits {
            single(&before);
        }
        parts
    }

    /// Appends these columns, then the weight, of every row to `target`, whose row type has just these.
    pub fn append_to(&self, target: &Tuplestore, columns: &[String]) -> Result<i64> {
        let names = self.row_type().names();
        let last = names.len() - 1;
        let places: Option<Vec<usize>> =
            columns.iter().map(|column| names[..last].iter().position(|name| name == column)).collect();
        let mut places = places.ok_or(Error::Bug("a delta has the columns of its table"))?;
        places.push(last);
        let (own, theirs) = (self.row_type().types(), target.row_type().types());
        if places.len() != theirs.len() || places.iter().zip(&theirs).any(|(place, ty)| own[*place] != *ty) {
            return Err(Error::Bug("a delta has the types of its table"));
        }
        self.for_each(|row| {
            let mut values: Vec<pg_sys::Datum> = places.iter().map(|i| pg_sys::Datum::from(row.word(*i))).collect();
            let mut nulls: Vec<bool> = places.iter().map(|i| row.is_null(*i)).collect();
            // SAFETY: the types were compared above; the row stays put until the next one is read.
            unsafe { target.put(&mut values, &mut nulls) };
            Ok(())
        })?;
        Ok(self.rows())
    }
}
