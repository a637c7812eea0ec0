//! Prepared statements of SPI: execution under a given snapshot, results as Rust values or as a tuplestore. See
//! `executor/spi.c`.

use std::cell::Cell;
use std::ffi::c_char;
use std::ptr::{null, null_mut};

use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, pg_sys};

use crate::error::{Error, Result};
use crate::pg::node;
use crate::pg::planner::Reads;
use crate::pg::snapshot::Snapshot;
use crate::pg::text::c_string;
use crate::pg::tuplestore::{Desc, Tuplestore};
use crate::pg::xact;

pub type Arg<'a> = DatumWithOid<'a>;

/// A prepared statement that outlives the connection. It is planned, and run, in connections of its kind alone.
pub struct Statement {
    pub(super) plan: pg_sys::SPIPlanPtr,
    pub(super) reads: Reads,
    pub(super) hashed_key: Option<pg_sys::Oid>,
}

/// One row of a result, valid inside the closure that receives it.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
}

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn SetTuplestoreDestReceiverParams(
            receiver: *mut pg_sys::DestReceiver,
            store: *mut pg_sys::Tuplestorestate,
            context: pg_sys::MemoryContext,
            detoast: bool,
            target: pg_sys::TupleDesc,
            failure: *const std::ffi::c_char,
        );
    }
}

thread_local! {
    static PREPARED: Cell<u64> = const { Cell::new(0) };
}

/// How many statements this backend has prepared so far.
pub fn prepared() -> u64 {
    PREPARED.get()
}

/// An error if SPI refused a call.
pub(super) fn check(code: i32, call: &'static str) -> Result<()> {
    if code < 0 { Err(Error::Broken("SPI refused a call", format!("{call} returned {code}"))) } else { Ok(()) }
}

impl Statement {
    /// Prepares `sql` in the current connection; its plan does not depend on arguments.
    pub(super) fn prepare(sql: &str, args: &[Arg]) -> Result<Statement> {
        let text = c_string(sql)?;
        let mut types: Vec<pg_sys::Oid> = args.iter().map(Arg::oid).collect();
        // SAFETY: connected; `types` and `text` outlive the call, SPI copies both.
        unsafe {
            let (count, generic) = (types.len() as i32, pg_sys::CURSOR_OPT_GENERIC_PLAN as i32);
            let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), generic);
            if plan.is_null() {
                return Err(Error::Bug("SPI did not prepare a statement"));
            }
            check(pg_sys::SPI_keepplan(plan), "SPI_keepplan")?;
            PREPARED.set(PREPARED.get() + 1);
            Ok(Statement { plan, reads: Reads::default(), hashed_key: None })
        }
    }

    /// Runs the statement; returns the number of rows. With a snapshot that is not fixed SPI works on a private copy of it and
    /// advances its command id, so that the statement sees the snapshot and everything that this transaction wrote.
    pub(super) fn run(&self, snapshot: Option<&Snapshot>, args: &[Arg], fire_triggers: bool) -> Result<u64> {
        let datums = args.iter().map(Arg::datum);
        let (mut values, nulls): (Vec<pg_sys::Datum>, Vec<c_char>) = datums
            .map(|datum| {
                let null = if datum.is_some() { b' ' } else { b'n' };
                (datum.map_or(pg_sys::Datum::from(0), |datum| datum.sans_lifetime()), null as c_char)
            })
            .unzip();
        let unfixed = if snapshot.is_none() { Snapshot::instead_of_fixing() } else { None };
        let snapshot = snapshot.or(unfixed.as_ref());
        let (plan, values, nulls) = (self.plan, values.as_mut_ptr(), nulls.as_ptr());
        // SAFETY: as many values and nulls as the plan has parameters, all alive during the call.
        unsafe {
            let code = match snapshot {
                Some(seen) => {
                    let (none, reads) = (null_mut(), seen.is_fixed());
                    pg_sys::SPI_execute_snapshot(plan, values, nulls, seen.raw(), none, reads, fire_triggers, 0)
                }
                // A part of a parallel query starts no command.
                None => pg_sys::SPI_execute_plan(plan, values, nulls, xact::is_parallel(), 0),
            };
            check(code, "SPI_execute")?;
            Ok(pg_sys::SPI_processed)
        }
    }

    /// Runs a query and maps each row.
    pub(super) fn rows<R>(
        &self,
        snapshot: Option<&Snapshot>,
        args: &[Arg],
        mut map: impl FnMut(&Row) -> Result<R>,
    ) -> Result<Vec<R>> {
        let count = self.run(snapshot, args, true)?;
        // SAFETY: SPI_tuptable belongs to the statement that just ran and is freed after `map` has copied the rows.
        unsafe {
            let table = pg_sys::SPI_tuptable;
            if table.is_null() {
                return Ok(vec![]);
            }
            let row = |i| Row { tuple: *(*table).vals.add(i), desc: (*table).tupdesc };
            let rows = (0..count as usize).map(|i| map(&row(i))).collect();
            pg_sys::SPI_freetuptable(table);
            rows
        }
    }

    /// Runs a query into a tuplestore, up to `most` rows if that is not zero; returns the number of rows.
    pub(super) fn materialise(&self, snapshot: Option<&Snapshot>, store: &Tuplestore, most: u64) -> Result<u64> {
        // SAFETY: the receiver writes into `store`, which outlives it; the active snapshot pushed here is popped below, or
        // by abort.
        unsafe {
            let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestTuplestore);
            let context = pg_sys::CurrentMemoryContext;
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                raw::SetTuplestoreDestReceiverParams(receiver, store.raw(), context, true, null_mut(), null());
            });
            match snapshot.filter(|snapshot| snapshot.is_fixed()) {
                Some(fixed) => pg_sys::PushActiveSnapshot(fixed.raw()),
                None => {
                    pg_sys::CommandCounterIncrement();
                    pg_sys::PushCopiedSnapshot(snapshot.map_or_else(|| pg_sys::GetLatestSnapshot(), Snapshot::raw));
                    pg_sys::UpdateActiveSnapshotCommandId();
                }
            }
            let options =
                pg_sys::SPIExecuteOptions { read_only: true, tcount: most, dest: receiver, ..Default::default() };
            let code = pg_sys::SPI_execute_plan_extended(self.plan, &options);
            pg_sys::PopActiveSnapshot();
            check(code, "SPI_execute")?;
            Ok(pg_sys::SPI_processed)
        }
    }

    /// The same statement, planned for what it reads.
    pub fn that_reads(mut self, reads: Reads) -> Statement {
        self.reads = reads;
        self
    }

    /// The same statement, which finds rows of this table by a hash only where at most one qualifies.
    pub fn with_hashed_key(mut self, table: Option<pg_sys::Oid>) -> Statement {
        self.hashed_key = table;
        self
    }

    /// Every relation that the statement reads, views and what they expand to alike; but not one that it only names, as a
    /// constant of type `regclass`.
    pub fn relations(&self) -> Result<Vec<pg_sys::Oid>> {
        let source = self.source()?;
        // SAFETY: the source is alive, and so are the trees that it was rewritten to.
        unsafe {
            if !(*source).is_valid || (*source).query_list.is_null() {
                return Err(Error::Bug("a statement that was just prepared is valid"));
            }
            Ok(node::relations((*source).query_list.cast()))
        }
    }

    /// The row type of the statement's result, valid as long as the statement.
    pub fn result_desc(&self) -> Result<pg_sys::TupleDesc> {
        // SAFETY: the plan source is alive.
        unsafe { Ok((*self.source()?).resultDesc) }
    }

    /// An empty tuplestore for the statement's result.
    pub fn store(&self) -> Result<Tuplestore> {
        // SAFETY: the descriptor lives as long as the statement; it is copied.
        Ok(Tuplestore::new(unsafe { Desc::copy(self.result_desc()?) }))
    }

    /// The text from which the server runs the statement.
    pub(super) fn text(&self) -> Result<*const c_char> {
        // SAFETY: the plan source is alive, and its text with it.
        unsafe { Ok((*self.source()?).query_string) }
    }

    pub(super) fn source(&self) -> Result<*mut pg_sys::CachedPlanSource> {
        // SAFETY: the plan is alive and has a list of sources.
        let mut sources = unsafe { node::pointers(pg_sys::SPI_plan_get_plan_sources(self.plan)) };
        match (sources.next(), sources.next()) {
            (Some(source), None) => Ok(source),
            _ => Err(Error::Bug("a query is one statement")),
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // Not while unwinding from a server error, before whose clean-up the server must not be called: the plan's few kB
        // of cache memory are leaked.
        if !std::thread::panicking() {
            // SAFETY: kept by `prepare`, freed once.
            unsafe { pg_sys::SPI_freeplan(self.plan) };
        }
    }
}

impl Row {
    /// Column `i`, counted from 1; `None` when NULL.
    pub fn get<T: FromDatum>(&self, i: i32) -> Option<T> {
        // SAFETY: tuple and descriptor belong to the same live result.
        unsafe {
            let mut null = false;
            let datum = pg_sys::SPI_getbinval(self.tuple, self.desc, i, &mut null);
            T::from_datum(datum, null)
        }
    }

    /// Column `i`, which is never NULL.
    pub fn require<T: FromDatum>(&self, i: i32) -> Result<T> {
        self.get(i).ok_or(Error::Bug("a catalog column is NULL"))
    }
}
