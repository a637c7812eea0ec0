//! What the planner is given beside its own statistics: how a statement reads tables, and how many different values a column
//! of a delta has.
//!
//! Of a relation in memory it knows the number of rows, and asks a hook first: see `examine_simple_variable` in
//! `utils/adt/selfuncs.c`. Left alone it assumes [`UNKNOWN`] values and takes that for a guess: then it caches no row that
//! a join has looked up, and a thousand line items of two hundred orders are a thousand searches of the index of the orders.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use chunk::{Columns, Shape};
use pgrx::pg_sys::RTEKind;
use pgrx::{pg_guard, pg_sys};

use crate::pg::row;
use crate::pg::tuplestore::{Handle, Slot, Tuplestore};

/// How a statement reads tables, which decides the cost of a page; by default as the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// A few rows, again and again: they are in memory.
    pub hot: bool,
    /// In the order of an index: no page is a random one.
    pub in_order: bool,
}

/// The planner's default (`DEFAULT_NUM_DISTINCT`), and the least number that it is given: the next delta of this size may have more values, and
/// uses the same plan.
const UNKNOWN: usize = 200;
/// Rows for each value from which on the planner is given their number: with fewer there is little to cache, and a plan that does may get
/// another order of joins, because the planner takes the columns of a key for independent of each other.
const REPEATED: usize = 2;
/// Rows that are counted.
const SAMPLE: usize = 4096;

thread_local! {
    static REGISTERED: RefCell<HashMap<String, Handle>> = RefCell::default();
}

static mut PREVIOUS: pg_sys::get_relation_stats_hook_type = None;

/// Installs the hook.
pub fn install() {
    // SAFETY: run once, when the library is loaded; the hook chains to the one before.
    unsafe {
        PREVIOUS = pg_sys::get_relation_stats_hook;
        pg_sys::get_relation_stats_hook = Some(statistics);
    }
}

/// Lets the planner ask for the values of a relation, as long as it exists.
pub fn register(name: &str, store: &Tuplestore) {
    REGISTERED.with_borrow_mut(|registered| registered.insert(name.to_owned(), store.handle()));
}

pub fn unregister(name: &str) {
    REGISTERED.with_borrow_mut(|registered| registered.remove(name));
}

#[pg_guard]
unsafe extern "C-unwind" fn statistics(
    root: *mut pg_sys::PlannerInfo,
    entry: *mut pg_sys::RangeTblEntry,
    column: pg_sys::AttrNumber,
    answer: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: called by the planner, with nodes of its own.
    unsafe {
        if (*entry).rtekind == RTEKind::RTE_NAMEDTUPLESTORE && column > 0 {
            let name = std::ffi::CStr::from_ptr((*entry).enrname).to_string_lossy();
            let store = REGISTERED.with_borrow(|registered| registered.get(&*name).and_then(Handle::get));
            if let Some(values) = store.and_then(|store| values(&store, column as usize - 1)) {
                (*answer).statsTuple = tuple(column, values);
                (*answer).freefunc = Some(free);
                (*answer).acl_ok = true;
                return true;
            }
        }
        PREVIOUS.is_some_and(|previous| previous(root, entry, column, answer))
    }
}

/// The number of values of a column that differ in their bytes; `None` where each has few rows.
fn values(store: &Tuplestore, column: usize) -> Option<usize> {
    let rows = store.rows() as usize;
    let shape = row::shape(*store.row_type().types().get(column)?)?;
    let (mut reader, slot) = (store.reader(), Slot::new(store.row_type()));
    let mut seen = HashSet::new();
    let mut left = SAMPLE;
    while left > 0 && reader.next(&slot) {
        seen.insert(image(&slot.row(), column, &shape));
        left -= 1;
    }
    // The rest is taken to have as many values for its size.
    let values = if left > 0 { seen.len() } else { seen.len() * (rows / SAMPLE).max(1) };
    let values = values.max(UNKNOWN);
    (values * REPEATED <= rows).then_some(values)
}

fn image(row: &row::Row, column: usize, shape: &Shape) -> Option<Vec<u8>> {
    match (row.is_null(column), shape.by_value) {
        (true, _) => None,
        (false, true) => Some(row.word(column).to_ne_bytes().to_vec()),
        (false, false) => Some(row.bytes(column, shape).to_vec()),
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn free(tuple: pg_sys::HeapTuple) {
    // SAFETY: made by `tuple`, freed once by the planner.
    unsafe { pg_sys::heap_freetuple(tuple) };
}

/// A row of `pg_statistic` with the number of values and nothing else.
unsafe fn tuple(column: pg_sys::AttrNumber, values: usize) -> pg_sys::HeapTuple {
    const COLUMNS: usize = pg_sys::Natts_pg_statistic as usize;
    let mut datums = [pg_sys::Datum::from(0); COLUMNS];
    let mut nulls = [false; COLUMNS];
    datums[pg_sys::Anum_pg_statistic_staattnum as usize - 1] = column.into();
    datums[pg_sys::Anum_pg_statistic_stadistinct as usize - 1] = (values as f32).to_bits().into();
    // The columns of fixed size are followed by arrays of numbers and of values.
    nulls[pg_sys::Anum_pg_statistic_stanumbers1 as usize - 1..].fill(true);
    // SAFETY: as many values as the catalog has columns, of their types.
    unsafe {
        let catalog = pg_sys::relation_open(pg_sys::StatisticRelationId, pg_sys::AccessShareLock as i32);
        let tuple = pg_sys::heap_form_tuple((*catalog).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::relation_close(catalog, pg_sys::AccessShareLock as i32);
        tuple
    }
}
