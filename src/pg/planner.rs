//! What the planner is given beside its own statistics: how a statement reads tables, how many different values a column
//! of a delta has, and which of them are frequent in the tables with which it is joined.
//!
//! Of a relation in memory it knows the number of rows, and asks a hook first: see `examine_simple_variable` in
//! `utils/adt/selfuncs.c`. Left alone it assumes [`UNKNOWN`] values and takes that for a guess: then it caches no row that
//! a join has looked up, and a thousand line items of two hundred orders are a thousand searches of the index of the orders.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use chunk::{Columns, Shape};
use pgrx::pg_sys::RTEKind;
use pgrx::{pg_guard, pg_sys};

use crate::pg::frequent::{Found, Frequent, SAMPLE};
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

/// A relation in memory.
struct Known {
    store: Handle,
    /// Columns, by their places, with values that are frequent in other tables.
    frequent: Vec<(usize, Rc<Frequent>)>,
}

thread_local! {
    static REGISTERED: RefCell<HashMap<String, Known>> = RefCell::default();
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
    let known = Known { store: store.handle(), frequent: vec![] };
    REGISTERED.with_borrow_mut(|registered| registered.insert(name.to_owned(), known));
}

/// Lets the planner have the values of a registered relation that are frequent elsewhere, by the places of their columns.
pub fn expect(name: &str, frequent: Vec<(usize, Rc<Frequent>)>) {
    REGISTERED.with_borrow_mut(|registered| {
        registered.entry(name.to_owned()).and_modify(|known| known.frequent = frequent);
    });
}

/// The pages that the settings say are in memory.
pub fn cached_pages() -> u64 {
    // SAFETY: a plain variable of this backend.
    unsafe { pg_sys::effective_cache_size }.max(0) as u64
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
            let described = REGISTERED.with_borrow(|registered| registered.get(&*name)?.described(column as usize - 1));
            if let Some(found) = described {
                (*answer).statsTuple = tuple(column, &found);
                (*answer).freefunc = Some(free);
                (*answer).acl_ok = true;
                return true;
            }
        }
        PREVIOUS.is_some_and(|previous| previous(root, entry, column, answer))
    }
}

impl Known {
    /// What the planner is told of a column.
    fn described(&self, column: usize) -> Option<Found> {
        let store = self.store.get()?;
        let frequent = self.frequent.iter().filter(|(place, _)| *place == column);
        let found =
            frequent.filter_map(|(_, frequent)| frequent.among(&store, column)).max_by_key(|found| found.values.len());
        found.or_else(|| Some(Found { values: vec![], distinct: values(&store, column)?, ty: pg_sys::InvalidOid }))
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

/// A row of `pg_statistic` with the number of values and the frequent ones.
unsafe fn tuple(column: pg_sys::AttrNumber, found: &Found) -> pg_sys::HeapTuple {
    const COLUMNS: usize = pg_sys::Natts_pg_statistic as usize;
    let mut datums = [pg_sys::Datum::from(0); COLUMNS];
    let mut nulls = [false; COLUMNS];
    datums[pg_sys::Anum_pg_statistic_staattnum as usize - 1] = column.into();
    datums[pg_sys::Anum_pg_statistic_stadistinct as usize - 1] = (found.distinct as f32).to_bits().into();
    // The columns of fixed size are followed by arrays of numbers and of values.
    nulls[pg_sys::Anum_pg_statistic_stanumbers1 as usize - 1..].fill(true);
    let mut set = |number: u32, datum: pg_sys::Datum| {
        datums[number as usize - 1] = datum;
        nulls[number as usize - 1] = false;
    };
    // SAFETY: arrays of values of their types; then as many values as the catalog has columns, of their types.
    unsafe {
        if !found.values.is_empty() {
            let mut values: Vec<_> = found.values.iter().map(|(value, _)| value.datum()).collect();
            let mut shares: Vec<_> = found.values.iter().map(|(_, share)| (*share as f32).to_bits().into()).collect();
            set(pg_sys::Anum_pg_statistic_stakind1, (pg_sys::STATISTIC_KIND_MCV as i16).into());
            set(pg_sys::Anum_pg_statistic_stanumbers1, array(&mut shares, pg_sys::FLOAT4OID));
            set(pg_sys::Anum_pg_statistic_stavalues1, array(&mut values, found.ty));
        }
        let catalog = pg_sys::relation_open(pg_sys::StatisticRelationId, pg_sys::AccessShareLock as i32);
        let tuple = pg_sys::heap_form_tuple((*catalog).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::relation_close(catalog, pg_sys::AccessShareLock as i32);
        tuple
    }
}

/// # Safety
/// Values of this type.
unsafe fn array(values: &mut [pg_sys::Datum], ty: pg_sys::Oid) -> pg_sys::Datum {
    let (mut len, mut by_value, mut align) = (0, false, 0);
    // SAFETY: the server writes the three results; the values by contract.
    unsafe {
        pg_sys::get_typlenbyvalalign(ty, &raw mut len, &raw mut by_value, &raw mut align);
        let count = values.len() as i32;
        pg_sys::construct_array(values.as_mut_ptr(), count, ty, len.into(), by_value, align).into()
    }
}
