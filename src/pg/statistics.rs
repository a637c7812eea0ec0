//! How many different values a column of a delta has, for the planner. It knows no more of a relation in memory than how
//! many rows there are, and asks a hook first: see `examine_simple_variable` in `utils/adt/selfuncs.c`.
//!
//! Left alone it takes them for [`UNKNOWN`] values and does not believe it: then it remembers no row that a join has looked
//! up, and a thousand line items of two hundred orders are a thousand ways down the index of the orders.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use pgrx::pg_sys::RTEKind;
use pgrx::{pg_guard, pg_sys};

use crate::pg::row::{self, Shape};
use crate::pg::tuplestore::{Handle, Slot, Tuplestore};

/// What the planner takes for granted (`DEFAULT_NUM_DISTINCT`). It is told no less: the next delta of this size may have
/// more values, and will be looked up by the same plan.
const UNKNOWN: usize = 200;
/// Rows for each value from which on it is worth telling: with fewer there is little to remember, and a plan that does
/// may be drawn to another order of joins by the planner's idea of keys of several columns, each independent of the others.
const REPEATED: usize = 2;
/// Rows that are looked at.
const SAMPLE: usize = 4096;

thread_local! {
    static REGISTERED: RefCell<HashMap<String, Handle>> = RefCell::default();
}

static mut PREVIOUS: pg_sys::get_relation_stats_hook_type = None;

/// Installs the hook.
pub fn install() {
    // SAFETY: run once, when the library is loaded; the hook chains to what was there.
    unsafe {
        PREVIOUS = pg_sys::get_relation_stats_hook;
        pg_sys::get_relation_stats_hook = Some(statistics);
    }
}

/// Lets the planner look into a relation, as long as it is there.
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

/// The values of a column, as far as looks tell them apart; `None` where it is not worth telling.
fn values(store: &Tuplestore, column: usize) -> Option<usize> {
    let rows = store.rows() as usize;
    let shape = row::shape(*store.row_type().types().get(column)?)?;
    let (mut reader, slot) = (store.reader(), Slot::new(store.row_type()));
    let mut seen = HashSet::new();
    let mut left = SAMPLE;
    while left > 0 && reader.next(&slot) {
        seen.insert(look(&slot.row(), column, &shape));
        left -= 1;
    }
    // What is not looked at is taken to have as many values for its size.
    let values = if left > 0 { seen.len() } else { seen.len() * (rows / SAMPLE).max(1) };
    let values = values.max(UNKNOWN);
    (values * REPEATED <= rows).then_some(values)
}

fn look(row: &row::Row, column: usize, shape: &Shape) -> Option<Vec<u8>> {
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

/// A row of `pg_statistic` that says so much and no more.
unsafe fn tuple(column: pg_sys::AttrNumber, values: usize) -> pg_sys::HeapTuple {
    const COLUMNS: usize = pg_sys::Natts_pg_statistic as usize;
    let mut datums = [pg_sys::Datum::from(0); COLUMNS];
    let mut nulls = [false; COLUMNS];
    datums[pg_sys::Anum_pg_statistic_staattnum as usize - 1] = column.into();
    datums[pg_sys::Anum_pg_statistic_stadistinct as usize - 1] = (values as f32).to_bits().into();
    // Behind the columns of fixed size are arrays of numbers and of values.
    nulls[pg_sys::Anum_pg_statistic_stanumbers1 as usize - 1..].fill(true);
    // SAFETY: as many values as the catalog has columns, of their types.
    unsafe {
        let catalog = pg_sys::relation_open(pg_sys::StatisticRelationId, pg_sys::AccessShareLock as i32);
        let tuple = pg_sys::heap_form_tuple((*catalog).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::relation_close(catalog, pg_sys::AccessShareLock as i32);
        tuple
    }
}
