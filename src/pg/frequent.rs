//! Values that are much more frequent in a column than the others, by the server's statistics. See `catalog/pg_statistic.h`.

use std::collections::HashMap;

use chunk::{Columns, Shape};
use pgrx::pg_sys::{self, Oid};

use crate::pg::row::{self, Row};
use crate::pg::tuplestore::{Slot, Tuplestore};

/// A value counts that has this many times the rows of an average one, and at least so many: any other value costs about what
/// the planner expects.
const FACTOR: f64 = 8.0;
const LEAST_ROWS: f64 = 1000.0;
/// Rows of a delta that are looked at.
pub const SAMPLE: usize = 4096;

/// The frequent values of a column, with the rows that have each.
#[derive(Debug)]
pub struct Frequent {
    ty: Oid,
    shape: Shape,
    rows: HashMap<Vec<u8>, f64>,
}

/// The frequent values among those of a delta.
pub struct Found {
    /// Each as it is stored, with its share of the rows.
    pub values: Vec<(Stored, f64)>,
    /// How many different values the column has.
    pub distinct: usize,
    pub ty: Oid,
}

/// A value: a word, or bytes to which it points.
pub enum Stored {
    Word(usize),
    Bytes(Vec<u8>),
}

impl Stored {
    /// Valid as long as self.
    pub fn datum(&self) -> pg_sys::Datum {
        match self {
            Stored::Word(word) => (*word).into(),
            Stored::Bytes(bytes) => bytes.as_ptr().into(),
        }
    }
}

impl Frequent {
    /// Those of column number `column` of a table with so many rows; `None` where no value is frequent.
    pub fn of(table: Oid, column: i16, ty: Oid, rows: f64) -> Option<Frequent> {
        let shape = row::shape(ty)?;
        // The statistics of a table with its partitions come first, as in the planner.
        let found = [true, false].into_iter().find_map(|inherited| common(table, column, ty, inherited))?;
        let distinct = if found.distinct < 0.0 { -found.distinct * rows } else { found.distinct };
        let is_frequent = |share: f64| share * rows >= LEAST_ROWS && share * distinct >= FACTOR;
        let values = found.values.iter().copied().filter(|(_, share)| is_frequent(*share));
        let rows: HashMap<Vec<u8>, f64> =
            values.filter_map(|(value, share)| Some((image(value, &shape)?, share * rows))).collect();
        (!rows.is_empty()).then_some(Frequent { ty, shape, rows })
    }

    fn of_row(&self, row: &Row, column: usize) -> Option<(Vec<u8>, f64)> {
        let value = (!row.is_null(column)).then(|| row.word(column))?;
        let image = image(value.into(), &self.shape)?;
        let rows = *self.rows.get(&image)?;
        Some((image, rows))
    }

    /// How many rows of the table have the values that this column of a delta has, where they are frequent.
    pub fn partners(&self, store: &Tuplestore, column: usize) -> f64 {
        let (mut reader, slot) = (store.reader(), Slot::new(store.row_type()));
        let (mut seen, mut partners) = (0, 0.0);
        while seen < SAMPLE && reader.next(&slot) {
            partners += self.of_row(&slot.row(), column).map_or(0.0, |(_, rows)| rows);
            seen += 1;
        }
        partners * (store.rows() as f64 / seen.max(1) as f64)
    }

    /// The frequent values of a column of a delta, if it has any.
    pub fn among(&self, store: &Tuplestore, column: usize) -> Option<Found> {
        let (mut reader, slot) = (store.reader(), Slot::new(store.row_type()));
        let mut found: HashMap<Vec<u8>, (Stored, usize)> = HashMap::new();
        let (mut seen, mut others) = (0, 0);
        while seen < SAMPLE && reader.next(&slot) {
            let row = slot.row();
            match self.of_row(&row, column) {
                Some((image, _)) => {
                    let stored = || match self.shape.by_value {
                        true => Stored::Word(row.word(column)),
                        false => Stored::Bytes(row.bytes(column, &self.shape).to_vec()),
                    };
                    found.entry(image).or_insert_with(|| (stored(), 0)).1 += 1;
                }
                None => others += 1,
            }
            seen += 1;
        }
        let distinct = found.len() + others;
        let values: Vec<_> =
            found.into_values().map(|(value, rows)| (value, rows as f64 / seen.max(1) as f64)).collect();
        (!values.is_empty()).then_some(Found { values, distinct, ty: self.ty })
    }
}

/// The bytes by which values are compared: those of a varlena without its header. `None` for a value that is compressed or
/// stored elsewhere.
fn image(value: pg_sys::Datum, shape: &Shape) -> Option<Vec<u8>> {
    if shape.by_value {
        return Some(value.value().to_le_bytes()[..(shape.len.max(1) as usize).min(8)].to_vec());
    }
    let start: *const u8 = value.cast_mut_ptr();
    // SAFETY: a value of this shape, whose length is that of its type or in its header.
    unsafe {
        let (start, len) = match shape.len {
            -1 if pgrx::varlena::varatt_is_4b_u(start.cast()) || pgrx::varlena::varatt_is_1b(start.cast()) => {
                if pgrx::varlena::varatt_is_1b_e(start.cast()) {
                    return None;
                }
                (pgrx::vardata_any(start.cast()).cast::<u8>(), pgrx::varsize_any_exhdr(start.cast()))
            }
            fixed if fixed > 0 => (start, fixed as usize),
            _ => return None,
        };
        Some(std::slice::from_raw_parts(start, len).to_vec())
    }
}

/// The most common values of a column, with the share of the rows that have each.
struct Common {
    values: Vec<(pg_sys::Datum, f64)>,
    distinct: f64,
    /// Keeps the values.
    slot: pg_sys::AttStatsSlot,
}

impl Drop for Common {
    fn drop(&mut self) {
        // SAFETY: filled once, freed once.
        unsafe { pg_sys::free_attstatsslot(&raw mut self.slot) };
    }
}

fn common(table: Oid, column: i16, ty: Oid, inherited: bool) -> Option<Common> {
    let cache = pg_sys::SysCacheIdentifier::STATRELATTINH as i32;
    let flags = pg_sys::ATTSTATSSLOT_VALUES | pg_sys::ATTSTATSSLOT_NUMBERS;
    // SAFETY: keys of that cache in order; the row is released after it was copied from.
    unsafe {
        let tuple = pg_sys::SearchSysCache3(cache, table.into(), column.into(), inherited.into());
        if tuple.is_null() {
            return None;
        }
        let distinct = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_statistic>()).stadistinct;
        let mut slot = pg_sys::AttStatsSlot::default();
        let kind = pg_sys::STATISTIC_KIND_MCV as i32;
        let has = pg_sys::get_attstatsslot(&raw mut slot, tuple, kind, pg_sys::InvalidOid, flags as i32);
        pg_sys::ReleaseSysCache(tuple);
        if !has {
            return None;
        }
        let count = if slot.valuetype == ty { slot.nvalues.min(slot.nnumbers) } else { 0 };
        let value = |at| (*slot.values.add(at), f64::from(*slot.numbers.add(at)));
        Some(Common { values: (0..count as usize).map(value).collect(), distinct: distinct.into(), slot })
    }
}
