//! Tuplestores whose last column is a weight: deltas.

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::tuplestore::Tuplestore;

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
