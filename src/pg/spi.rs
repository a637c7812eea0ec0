//! SPI, narrowed to what a refresh needs: kept statements, execution under one given snapshot plus the
//! transaction's own writes, results as Rust values or as a tuplestore, ephemeral named relations.
//! See `src/backend/executor/spi.c` and `utils/queryenvironment.h`.
//!
//! **Invariant: who asks is a type.** A [`Session`] has our rights and a path that no user can write to; its text is fixed
//! when this is compiled, or a [`Template`](crate::pg::template) of such text. An [`OwnerSession`] runs as one role under
//! SECURITY_RESTRICTED_OPERATION. Whatever contains or was generated from a user's query is parsed, analysed, planned,
//! described and run in the second: analysis alone runs code of users, as a literal of a domain runs its CHECK.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, pg_sys};

use crate::error::{Error, Result};
use crate::pg::planner::{self, Reads};
use crate::pg::snapshot::Snapshot;
use crate::pg::template::{self, Hole};
use crate::pg::tuplestore::{Desc, Tuplestore, attribute};
use crate::pg::{applying, event, guard, query};

pub type Arg<'a> = DatumWithOid<'a>;

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

/// A connection to the catalog, with our rights. Statements run under its snapshot where it has one, else under the newest.
pub struct Session {
    connection: Connection,
}

/// A connection of one role, under the settings that it was opened with; the snapshot as for [`Session`].
pub struct OwnerSession {
    connection: Connection,
    role: pg_sys::Oid,
}

struct Connection {
    snapshot: Option<pg_sys::Snapshot>,
}

/// A prepared statement that outlives the connection. It is planned, and run, in connections of its kind alone.
pub struct Statement {
    plan: pg_sys::SPIPlanPtr,
    reads: Reads,
}

/// One row of a result, valid inside the closure that receives it.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    desc: pg_sys::TupleDesc,
}

thread_local! {
    // Never dropped: at process exit the server's memory is gone before thread locals are.
    static KEPT: RefCell<ManuallyDrop<HashMap<&'static str, Rc<Statement>>>> = RefCell::default();
    static PREPARED: Cell<u64> = const { Cell::new(0) };
}

/// Opens a connection to the catalog for the duration of `f`. After an ERROR the server's (sub)transaction abort closes it.
pub fn connect<R>(snapshot: Option<&Snapshot>, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    catalog(snapshot.map(Snapshot::raw), f)
}

/// Opens a connection of `role`, under `settings`, for the duration of `f`. Security-restricted: code of users that runs
/// in it cannot change the session.
pub fn connect_as<R>(
    role: pg_sys::Oid,
    settings: &[(&str, &str)],
    snapshot: Option<&Snapshot>,
    f: impl FnOnce(&OwnerSession) -> Result<R>,
) -> Result<R> {
    owner(role, settings, snapshot.map(Snapshot::raw), f)
}

fn catalog<R>(snapshot: Option<pg_sys::Snapshot>, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    guard::as_catalog(|| open(snapshot, |connection| f(&Session { connection })))
}

fn owner<R>(
    role: pg_sys::Oid,
    settings: &[(&str, &str)],
    snapshot: Option<pg_sys::Snapshot>,
    f: impl FnOnce(&OwnerSession) -> Result<R>,
) -> Result<R> {
    let session = || open(snapshot, |connection| f(&OwnerSession { connection, role }));
    guard::as_role(role, true, || guard::with_settings(settings, session))
}

fn open<R>(snapshot: Option<pg_sys::Snapshot>, f: impl FnOnce(Connection) -> Result<R>) -> Result<R> {
    // SAFETY: every successful SPI_connect is paired with the SPI_finish below, or popped by abort; so is
    // the snapshot. Outside of a query, in a worker, there is none, and the server wants one to be there.
    unsafe {
        let bare = !pg_sys::ActiveSnapshotSet();
        if bare {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        }
        check(pg_sys::SPI_connect(), "connect")?;
        let result = f(Connection { snapshot });
        check(pg_sys::SPI_finish(), "finish")?;
        if bare {
            pg_sys::PopActiveSnapshot();
        }
        result
    }
}

fn check(code: i32, _what: &'static str) -> Result<i32> {
    if code < 0 { Err(Error::Bug("SPI refused a call")) } else { Ok(code) }
}

/// How many statements this backend has prepared so far.
pub fn prepared() -> u64 {
    PREPARED.get()
}

/// Bytes of the caches that kept statements are in: a walk through all of them.
pub fn kept_bytes() -> usize {
    // SAFETY: the context lives as long as the backend.
    unsafe { pg_sys::MemoryContextMemAllocated(pg_sys::CacheMemoryContext, true) }
}

impl Connection {
    fn prepare(&self, sql: &str, args: &[Arg]) -> Result<Statement> {
        let text = c_string(sql)?;
        let mut types: Vec<pg_sys::Oid> = args.iter().map(Arg::oid).collect();
        // SAFETY: connected; `types` and `text` outlive the call, SPI copies both.
        unsafe {
            let (count, generic) = (types.len() as i32, pg_sys::CURSOR_OPT_GENERIC_PLAN as i32);
            let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), generic);
            if plan.is_null() {
                return Err(Error::Bug("SPI did not prepare a statement"));
            }
            check(pg_sys::SPI_keepplan(plan), "keepplan")?;
            PREPARED.set(PREPARED.get() + 1);
            Ok(Statement { plan, reads: Reads::default() })
        }
    }

    fn run(&self, statement: &Statement, args: &[Arg]) -> Result<u64> {
        self.start(statement, args, true)
    }

    fn start(&self, statement: &Statement, args: &[Arg], fire_triggers: bool) -> Result<u64> {
        let mut values: Vec<pg_sys::Datum> = Vec::with_capacity(args.len());
        let mut nulls: Vec<std::ffi::c_char> = Vec::with_capacity(args.len());
        for arg in args {
            let datum = arg.datum();
            nulls.push(if datum.is_some() { b' ' } else { b'n' } as std::ffi::c_char);
            values.push(datum.map_or(pg_sys::Datum::from(0), |datum| datum.sans_lifetime()));
        }
        // SAFETY: as many values and nulls as the plan has parameters, all alive during the call.
        // With a snapshot SPI works on a private copy of it and advances its command id, so the
        // statement sees the snapshot plus everything this transaction wrote.
        unsafe {
            let code = match self.snapshot {
                Some(snapshot) => pg_sys::SPI_execute_snapshot(
                    statement.plan,
                    values.as_mut_ptr(),
                    nulls.as_ptr(),
                    snapshot,
                    std::ptr::null_mut(),
                    false,
                    fire_triggers,
                    0,
                ),
                None => pg_sys::SPI_execute_plan(statement.plan, values.as_mut_ptr(), nulls.as_ptr(), false, 0),
            };
            check(code, "execute")?;
            Ok(pg_sys::SPI_processed)
        }
    }

    fn rows<R>(&self, statement: &Statement, args: &[Arg], mut map: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
        let count = self.run(statement, args)?;
        // SAFETY: SPI_tuptable belongs to the statement that just ran and is freed below, after the
        // rows were copied out by `map`.
        unsafe {
            let table = pg_sys::SPI_tuptable;
            if table.is_null() {
                return Ok(vec![]);
            }
            let rows = (0..count as usize)
                .map(|i| map(&Row { tuple: *(*table).vals.add(i), desc: (*table).tupdesc }))
                .collect();
            pg_sys::SPI_freetuptable(table);
            rows
        }
    }
}

impl Session {
    /// The statement prepared for this text earlier in this backend, or now.
    fn kept(&self, sql: &'static str, args: &[Arg]) -> Result<Rc<Statement>> {
        if let Some(found) = KEPT.with_borrow(|kept| kept.get(sql).cloned()) {
            return Ok(found);
        }
        let prepare = || self.connection.prepare(sql, args);
        let statement = Rc::new(guard::with_settings(&guard::PARSING, prepare)?);
        KEPT.with_borrow_mut(|kept| kept.insert(sql, Rc::clone(&statement)));
        Ok(statement)
    }

    /// Runs a constant statement (kept for the life of the backend).
    pub fn run(&self, sql: &'static str, args: &[Arg]) -> Result<()> {
        self.execute(sql, args).map(|_| ())
    }

    /// The same; the number of rows that it changed.
    pub fn execute(&self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        let statement = self.kept(sql, args)?;
        self.connection.run(&statement, args)
    }

    /// Runs a statement about objects that only `holes` name.
    pub fn define(&self, template: &'static str, holes: &[Hole]) -> Result<()> {
        let text = template::fill(template, holes)?;
        let statement = guard::with_settings(&guard::PARSING, || self.connection.prepare(&text, &[]))?;
        guard::with_settings(&guard::OBJECTS, || event::own(|| self.connection.run(&statement, &[])))?;
        Ok(())
    }

    /// Runs a constant query and maps each row.
    pub fn query<R>(&self, sql: &'static str, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
        let statement = self.kept(sql, args)?;
        self.connection.rows(&statement, args, map)
    }

    /// The first row of a constant query, if there is one.
    pub fn first<R>(&self, sql: &'static str, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Option<R>> {
        Ok(self.query(sql, args, map)?.into_iter().next())
    }

    /// Whether a constant query returns a row.
    pub fn exists(&self, sql: &'static str, args: &[Arg]) -> Result<bool> {
        Ok(self.first(sql, args, |_| Ok(()))?.is_some())
    }

    /// The row of a constant query that always returns one.
    pub fn one<R>(&self, sql: &'static str, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<R> {
        self.first(sql, args, map)?.ok_or(Error::Bug("a query returns no row"))
    }

    /// Opens a connection of `role` under the same snapshot.
    pub fn as_owner<R>(
        &self,
        role: pg_sys::Oid,
        settings: &[(&str, &str)],
        f: impl FnOnce(&OwnerSession) -> Result<R>,
    ) -> Result<R> {
        owner(role, settings, self.connection.snapshot, f)
    }
}

impl OwnerSession {
    /// Whose session it is.
    pub fn role(&self) -> pg_sys::Oid {
        self.role
    }

    /// Opens a connection to the catalog under the same snapshot.
    pub fn catalog<R>(&self, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
        catalog(self.connection.snapshot, f)
    }

    /// Prepares `sql`; ephemeral relations registered by then are known to it. Its plan does not depend on arguments.
    pub fn prepare(&self, sql: &str, args: &[Arg]) -> Result<Statement> {
        self.connection.prepare(sql, args)
    }

    /// Runs a statement that returns nothing of interest; the number of rows it touched.
    pub fn run(&self, statement: &Statement, args: &[Arg]) -> Result<u64> {
        self.connection.run(statement, args)
    }

    /// The same, as the refresh that writes a table of ours. Within [`applying::as_one`], where the triggers behind its
    /// rows fire.
    pub fn apply(&self, statement: &Statement) -> Result<u64> {
        // SAFETY: the plan source is alive, and its text with it.
        let text = unsafe { (*statement.source()?).query_string };
        applying::own(text, || self.connection.start(statement, &[], false))
    }

    /// Runs a query and maps each row.
    pub fn rows<R>(&self, statement: &Statement, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
        self.connection.rows(statement, args, map)
    }

    /// Runs a statement about objects, one that holds no expression of a user, once.
    pub fn execute_once(&self, sql: &str) -> Result<u64> {
        let statement = self.prepare(sql, &[])?;
        event::own(|| self.run(&statement, &[]))
    }

    /// Runs a query into a tuplestore; the number of rows. Reads under the session's snapshot plus own writes.
    pub fn materialise(&self, statement: &Statement, store: &Tuplestore) -> Result<u64> {
        // SAFETY: the receiver writes into `store`, which outlives it; the active snapshot pushed here
        // is popped below, or by abort.
        unsafe {
            let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestTuplestore);
            let context = pg_sys::CurrentMemoryContext;
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                raw::SetTuplestoreDestReceiverParams(
                    receiver,
                    store.raw(),
                    context,
                    true,
                    std::ptr::null_mut(),
                    std::ptr::null(),
                );
            });
            pg_sys::CommandCounterIncrement();
            match self.connection.snapshot {
                Some(snapshot) => pg_sys::PushCopiedSnapshot(snapshot),
                None => pg_sys::PushCopiedSnapshot(pg_sys::GetLatestSnapshot()),
            }
            pg_sys::UpdateActiveSnapshotCommandId();
            let options = pg_sys::SPIExecuteOptions { read_only: true, dest: receiver, ..Default::default() };
            let code = pg_sys::SPI_execute_plan_extended(statement.plan, &options);
            pg_sys::PopActiveSnapshot();
            check(code, "execute")?;
            Ok(pg_sys::SPI_processed)
        }
    }

    /// Makes `store` readable as the relation `name` by statements of this session, its last column under
    /// the name `weight`. `rows` is what the planner is told when a statement is prepared.
    pub fn register(&self, name: &str, store: &Tuplestore, weight: &str, rows: f64) -> Result<()> {
        planner::register(name, store);
        let (name, weight) = (c_string(name)?, c_string(weight)?);
        // SAFETY: allocated in SPI's procedure context, which lives as long as the registration.
        unsafe {
            let relation = pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>())
                .cast::<pg_sys::EphemeralNamedRelationData>();
            (*relation).md.name = pg_sys::pstrdup(name.as_ptr());
            (*relation).md.reliddesc = pg_sys::InvalidOid;
            let desc = pg_sys::CreateTupleDescCopy(store.desc());
            let last = attribute(desc, (*desc).natts as usize - 1);
            pg_sys::namestrcpy(&raw mut (*last).attname, weight.as_ptr());
            (*relation).md.tupdesc = desc;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = rows;
            (*relation).reldata = store.raw().cast();
            check(pg_sys::SPI_register_relation(relation), "register")?;
        }
        Ok(())
    }

    /// Ends a registration.
    pub fn unregister(&self, name: &str) -> Result<()> {
        planner::unregister(name);
        let name = c_string(name)?;
        // SAFETY: the name outlives the call.
        unsafe { check(pg_sys::SPI_unregister_relation(name.as_ptr()), "unregister")? };
        Ok(())
    }
}

impl Statement {
    /// The same, planned for what it reads.
    pub fn that_reads(mut self, reads: Reads) -> Statement {
        self.reads = reads;
        self
    }

    /// Every relation that the statement reads, views and what they expand to alike. One that it only names, as a constant of
    /// type `regclass`, is not among them.
    pub fn relations(&self) -> Result<Vec<pg_sys::Oid>> {
        let source = self.source()?;
        // SAFETY: the source is alive, and so are the trees that it was rewritten to.
        unsafe {
            if !(*source).is_valid || (*source).query_list.is_null() {
                return Err(Error::Bug("a statement that was just prepared is valid"));
            }
            Ok(query::read_by((*source).query_list.cast()))
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

    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    pub(super) fn raw(&self) -> pg_sys::SPIPlanPtr {
        self.plan
    }

    pub(super) fn source(&self) -> Result<*mut pg_sys::CachedPlanSource> {
        // SAFETY: the plan is alive and holds at least one source after a successful prepare.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan);
            if sources.is_null() || (*sources).length != 1 {
                return Err(Error::Bug("a query is one statement"));
            }
            Ok((*(*sources).elements).ptr_value.cast())
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // While unwinding from a server error leave it: the plan is a few kB of cache memory, and the
        // server must not be called before its own clean-up ran.
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

pub(crate) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Bug("text with a zero byte"))
}
