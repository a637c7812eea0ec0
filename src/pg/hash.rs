//! Hashes of rows that are the same for rows of equal values, by the default equality of each type. See `utils/cache/typcache.c`.

use chunk::Columns;
use pgrx::pg_sys;

use crate::pg::row::Row;
use crate::pg::tuplestore::Desc;

/// The hash functions of some columns of a row type. They belong to operator classes, which only superusers create.
pub struct RowHash(Vec<Function>);

struct Function {
    place: usize,
    entry: *mut pg_sys::TypeCacheEntry,
    collation: pg_sys::Oid,
}

impl RowHash {
    /// None where the type of a column has no such function.
    pub fn of(desc: &Desc, places: &[usize]) -> Option<RowHash> {
        let (types, collations) = (desc.types(), desc.collations());
        let function = |&place: &usize| {
            // SAFETY: catalog lookups by oid; entries live as long as the process.
            unsafe {
                let base = pg_sys::getBaseType(types[place]);
                let entry = pg_sys::lookup_type_cache(base, pg_sys::TYPECACHE_HASH_PROC_FINFO as i32);
                let is_there = (*entry).hash_proc != pg_sys::InvalidOid;
                is_there.then_some(Function { place, entry, collation: collations[place] })
            }
        };
        places.iter().map(function).collect::<Option<_>>().map(RowHash)
    }

    /// NULLs are equal.
    pub fn of_row(&self, row: &Row) -> u32 {
        let value = |function: &Function| match row.is_null(function.place) {
            true => 0,
            // SAFETY: a function for values of this column's type.
            false => unsafe {
                let call = &raw mut (*function.entry).hash_proc_finfo;
                let value = pg_sys::Datum::from(row.word(function.place));
                pg_sys::FunctionCall1Coll(call, function.collation, value).value() as u32
            },
        };
        self.0.iter().fold(0_u32, |hash, function| hash.rotate_left(5) ^ value(function))
    }
}
