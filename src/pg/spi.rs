//! Connections of SPI, narrowed to what a refresh needs. Statements run under one given snapshot and see the transaction's
//! own writes. See `executor/spi.c` and `utils/queryenvironment.h`.
//!
//! **Invariant: the type of a session says with which rights text is run.** A [`Session`] has our rights and a path that no
//! user can write to; its text is fixed when this is compiled, or a [`template`] of such text. An [`OwnerSession`] runs as
//! one role under SECURITY_RESTRICTED_OPERATION. Whatever contains or was generated from a user's query is parsed, analysed,
//! planned, described and run in the second: analysis alone runs code of users, as a literal of a domain runs its CHECK.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};
use crate::pg::snapshot::Snapshot;
use crate::pg::statement::check;
pub use crate::pg::statement::{Arg, Row, Statement, prepared};
use crate::pg::template::{self, Hole};
use crate::pg::text::{c_string, palloc};
use crate::pg::tuplestore::{Tuplestore, attribute};
use crate::pg::{applying, event, guard, planner, session, version};

/// A connection to the catalog, with our rights. Statements run under its snapshot where it has one, else under the newest.
pub struct Session<'a> {
    snapshot: Option<&'a Snapshot>,
}

/// A connection of one role, under the settings that it was opened with; the snapshot as for [`Session`].
pub struct OwnerSession<'a> {
    snapshot: Option<&'a Snapshot>,
    role: Oid,
}

thread_local! {
    // Never dropped: at process exit the server's memory is freed before thread locals are.
    static CACHED: RefCell<ManuallyDrop<HashMap<&'static str, Rc<Statement>>>> = RefCell::default();
}

/// Opens a connection to the catalog for the duration of `f`. After an ERROR the server's (sub)transaction abort closes it.
///
/// **Invariant:** a session with the catalog is refused where that has another version than this library.
pub fn connect<R>(snapshot: Option<&Snapshot>, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    of_any_version(snapshot, |session| {
        version::require(|| Session { snapshot: None }.catalog_version())?;
        f(session)
    })
}

fn of_any_version<R>(snapshot: Option<&Snapshot>, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    guard::as_catalog(|| connected(|| f(&Session { snapshot })))
}

/// Opens a connection to a catalog that may be of another version. For statements that are valid in every version, or whose
/// failure the caller handles.
pub fn connect_to_any_version<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    of_any_version(None, f)
}

/// Why the catalog can only be read by [`connect_to_any_version`], if so.
pub fn other_version() -> Result<Option<Error>> {
    if version::is_current() {
        return Ok(None);
    }
    of_any_version(None, |session| {
        // An error of the read itself must not be taken for another version.
        let found = session.catalog_version()?;
        Ok(version::require(|| Ok(found)).err())
    })
}

/// Opens a connection of `role`, under `settings`, for the duration of `f`. Security-restricted: code of users that runs
/// in it cannot change the session.
pub fn connect_as<R>(
    role: Oid,
    settings: &[(&str, &str)],
    snapshot: Option<&Snapshot>,
    f: impl FnOnce(&OwnerSession) -> Result<R>,
) -> Result<R> {
    let session = || connected(|| f(&OwnerSession { snapshot, role }));
    guard::as_role(role, || guard::with_settings(settings, session))
}

fn connected<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let pushed = open()?;
    let result = session::within(f);
    close(pushed)?;
    result
}

/// Connects; returns whether it pushed a snapshot. Outside of a query, in a worker, there is no active one, and the server
/// requires one. Apart from [`connected`], which is compiled again for each closure.
#[inline(never)]
fn open() -> Result<bool> {
    // SAFETY: `close` or abort pops the snapshot and the connection.
    unsafe {
        let bare = !pg_sys::ActiveSnapshotSet();
        if bare {
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        }
        check(pg_sys::SPI_connect(), "SPI_connect")?;
        Ok(bare)
    }
}

#[inline(never)]
fn close(pushed: bool) -> Result<()> {
    // SAFETY: the connection of `open`, and its snapshot.
    unsafe {
        check(pg_sys::SPI_finish(), "SPI_finish")?;
        if pushed {
            pg_sys::PopActiveSnapshot();
        }
    }
    Ok(())
}

/// Bytes of the memory of the statements that are kept, without what the server itself caches; counted in a walk through all of
/// it. See `utils/cache/plancache.c`.
pub fn plan_bytes() -> usize {
    // SAFETY: the contexts live as long as the backend or as a statement, none of which ends here; their names are constants.
    unsafe {
        let mut bytes = 0;
        let mut context = (*pg_sys::CacheMemoryContext).firstchild;
        while let Some(it) = context.as_ref() {
            let name = CStr::from_ptr(it.name).to_bytes();
            if name.starts_with(b"CachedPlan") || name == b"SPI Plan" {
                bytes += pg_sys::MemoryContextMemAllocated(context, true);
            }
            context = it.nextchild;
        }
        bytes
    }
}

impl Session<'_> {
    /// The statement for this text, prepared now or earlier in this backend.
    fn cached(&self, sql: &'static str, args: &[Arg]) -> Result<Rc<Statement>> {
        if let Some(found) = CACHED.with_borrow(|cached| cached.get(sql).cloned()) {
            return Ok(found);
        }
        let statement = Rc::new(guard::with_settings(&guard::PARSING, || Statement::prepare(sql, args))?);
        CACHED.with_borrow_mut(|cached| cached.insert(sql, Rc::clone(&statement)));
        Ok(statement)
    }

    /// Calls `f` with the snapshot under which statements run.
    pub fn with_snapshot<R>(&self, f: impl FnOnce(pg_sys::Snapshot) -> R) -> R {
        // SAFETY: there is an active snapshot as long as a session is open.
        f(self.snapshot.map_or_else(|| unsafe { pg_sys::GetActiveSnapshot() }, Snapshot::raw))
    }

    /// Runs a constant statement, which is cached for the life of the backend.
    pub fn run(&self, sql: &'static str, args: &[Arg]) -> Result<()> {
        self.execute(sql, args).map(|_| ())
    }

    /// The same; returns the number of rows.
    pub fn execute(&self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        self.cached(sql, args)?.run(self.snapshot, args, true)
    }

    /// Runs a constant query, which is cached, and maps each row.
    pub fn query<R>(&self, sql: &'static str, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
        self.cached(sql, args)?.rows(self.snapshot, args, map)
    }

    /// Runs a statement about objects that only `holes` name.
    pub fn define(&self, template: &'static str, holes: &[Hole]) -> Result<()> {
        let text = template::fill(template, holes)?;
        let statement = guard::with_settings(&guard::PARSING, || Statement::prepare(&text, &[]))?;
        guard::with_settings(&guard::OBJECTS, || event::own(|| statement.run(self.snapshot, &[], true)))?;
        Ok(())
    }

    /// The first row of a constant query, if there is one.
    pub fn first<R>(&self, sql: &'static str, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Option<R>> {
        Ok(self.query(sql, args, map)?.into_iter().next())
    }

    /// The version of the extension in this database.
    fn catalog_version(&self) -> Result<Option<String>> {
        self.first("select extversion from pg_extension where extname = 'pg_trickle'", &[], |row| row.require(1))
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
        role: Oid,
        settings: &[(&str, &str)],
        f: impl FnOnce(&OwnerSession) -> Result<R>,
    ) -> Result<R> {
        connect_as(role, settings, self.snapshot, f)
    }
}

impl OwnerSession<'_> {
    pub fn role(&self) -> Oid {
        self.role
    }

    /// Opens a connection to the catalog under the same snapshot.
    pub fn catalog<R>(&self, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
        connect(self.snapshot, f)
    }

    /// Prepares `sql`, which can name the ephemeral relations that are registered.
    pub fn prepare(&self, sql: &str, args: &[Arg]) -> Result<Statement> {
        Statement::prepare(sql, args)
    }

    /// Runs a statement; returns the number of rows.
    pub fn run(&self, statement: &Statement, args: &[Arg]) -> Result<u64> {
        statement.run(self.snapshot, args, true)
    }

    /// Runs a statement that writes a table of ours, for a refresh. Within [`applying::as_one`], where the AFTER triggers
    /// of its rows fire.
    pub fn apply(&self, statement: &Statement) -> Result<u64> {
        applying::own(statement.text()?, || statement.run(self.snapshot, &[], false))
    }

    /// Runs a query and maps each row.
    pub fn rows<R>(&self, statement: &Statement, args: &[Arg], map: impl FnMut(&Row) -> Result<R>) -> Result<Vec<R>> {
        statement.rows(self.snapshot, args, map)
    }

    /// Runs once a statement about objects that holds no expression of a user.
    pub fn execute_once(&self, sql: &str) -> Result<u64> {
        let statement = self.prepare(sql, &[])?;
        event::own(|| self.run(&statement, &[]))
    }

    /// Runs a query into a tuplestore, up to `most` rows if that is not zero; returns the number of rows.
    pub fn materialise(&self, statement: &Statement, store: &Tuplestore, most: u64) -> Result<u64> {
        statement.materialise(self.snapshot, store, most)
    }

    /// Makes `store` readable as the relation `name` by statements of this session, its last column under
    /// the name `weight`. `rows` is the planner's estimate when a statement is prepared.
    pub fn register(&self, name: &str, store: &Tuplestore, weight: &str, rows: f64) -> Result<()> {
        planner::register(name, store);
        let weight = c_string(weight)?;
        // SAFETY: allocated in SPI's procedure context, which lives as long as the registration.
        unsafe {
            let size = size_of::<pg_sys::EphemeralNamedRelationData>();
            let relation = pg_sys::palloc0(size).cast::<pg_sys::EphemeralNamedRelationData>();
            let desc = pg_sys::CreateTupleDescCopy(store.desc());
            let last = attribute(desc, (*desc).natts as usize - 1);
            pg_sys::namestrcpy(&raw mut (*last).attname, weight.as_ptr());
            (*relation).md.name = palloc(name)?;
            (*relation).md.reliddesc = pg_sys::InvalidOid;
            (*relation).md.tupdesc = desc;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = rows;
            (*relation).reldata = store.raw().cast();
            check(pg_sys::SPI_register_relation(relation), "SPI_register_relation")
        }
    }

    /// Ends a registration.
    pub fn unregister(&self, name: &str) -> Result<()> {
        planner::unregister(name);
        let name = c_string(name)?;
        // SAFETY: the name outlives the call.
        unsafe { check(pg_sys::SPI_unregister_relation(name.as_ptr()), "SPI_unregister_relation") }
    }
}
