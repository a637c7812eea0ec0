//! Tables that are read with their pending changes: in a query, a table becomes its unchanged rows and the rows that its changes add.
//!
//! `select … from v` is planned as
//!
//! ```sql
//! select … from (select * from only v where pgtrickle.is_unchanged(v, ctid)
//!                union all
//!                (select * from pgtrickle.pending_rows(v) offset 0)) v
//! ```
//!
//! where the first condition is added once the rest is planned. So the union is an append relation that conditions, joins and orders
//! are pushed into, and every path to the rows of the table stays; the `OFFSET` keeps the other arm a subquery, which the server
//! can parameterise. A plan does not depend on the changes. They are computed when a statement starts, for its snapshot, and the two
//! functions find them by the memory context of the executor in which they run. Where it is known that there are none, the statement
//! runs another plan, which was made for the stored rows and is kept beside the first.
//!
//! **Invariant:** every scan of such a table has the condition. See `optimizer/prep/prepjointree.c` (`pull_up_simple_union_all`)
//! and `optimizer/util/appendinfo.c`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_int, c_void};
use std::rc::Rc;
use std::sync::OnceLock;

use pgrx::pg_sys::{self, Datum, Oid};

use crate::error::Result;
use crate::pg::defer::Defer;
use crate::pg::session;
use crate::pg::snapshot::Snapshot;

mod changes;
mod plan;
mod run;
mod union_all;

pub use changes::{Changes, Gone, Overlay};
pub(super) use run::{before_start, started};

/// What this module asks those above it.
pub struct Reader {
    /// Whether queries of users read this relation with its pending changes.
    pub is_live: fn(Oid) -> bool,
    /// The changes of such relations for a statement with this snapshot, where they are known.
    pub known: fn(&[Oid], &Snapshot) -> Result<Option<Overlay>>,
    /// The same, computed where they are not.
    pub changes: fn(&[Oid], Snapshot) -> Result<Overlay>,
}

static READER: OnceLock<Reader> = OnceLock::new();

/// The tables that a program of ours reads with their changes.
struct Program {
    overlay: Rc<Overlay>,
    tables: HashSet<Oid>,
}

thread_local! {
    static PROGRAM: RefCell<Option<Rc<Program>>> = const { RefCell::new(None) };
    /// The overlay of a statement that is about to start, by its description, where it is known.
    static READY: Cell<Option<(usize, Rc<Overlay>)>> = const { Cell::new(None) };
    /// The overlays of running statements, by the memory context of their executors.
    static RUNNING: RefCell<HashMap<usize, Rc<Overlay>>> = RefCell::default();
}

/// The two functions, by name and arguments.
const PENDING_ROWS: (&CStr, &[Oid]) = (c"pending_rows", &[pg_sys::REGCLASSOID]);
const IS_UNCHANGED: (&CStr, &[Oid]) = (c"is_unchanged", &[pg_sys::REGCLASSOID, pg_sys::TIDOID]);

/// No parsed expression is at this place of a query: the calls that are ours.
const OURS: c_int = i32::MIN + 11;

/// Installs the hooks of the planner; to be called once, when the library is loaded.
pub fn install(reader: Reader) {
    if READER.set(reader).is_ok() {
        plan::install();
    }
}

/// Runs `f`, whose statements read these tables with the changes that the overlay has then.
pub fn in_program<R>(overlay: &Rc<Overlay>, tables: HashSet<Oid>, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let program = Some(Rc::new(Program { overlay: Rc::clone(overlay), tables }));
    let before = RefCell::new(PROGRAM.replace(program));
    let _restore = Defer(|| _ = PROGRAM.replace(before.take()));
    f()
}

/// Whether a statement of a program of ours is planned now.
fn is_program() -> bool {
    PROGRAM.with_borrow(Option::is_some)
}

/// Whether a query that is planned now reads this relation with its pending changes.
fn is_wanted(relation: Oid) -> bool {
    if let Some(program) = PROGRAM.with_borrow(Clone::clone) {
        return program.tables.contains(&relation);
    }
    !session::is_open()
        && relation.to_u32() >= pg_sys::FirstNormalObjectId
        && READER.get().is_some_and(|reader| (reader.is_live)(relation))
}

/// One of our two functions. Not by a search path, and whatever the rights of the user on the schema.
fn function(name: &CStr, arguments: &[Oid]) -> Option<Oid> {
    // SAFETY: keys of their types; the caches copy none.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"pgtrickle".as_ptr(), true);
        let types = pg_sys::buildoidvector(arguments.as_ptr(), arguments.len() as c_int);
        let cache = pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as c_int;
        let (name, types) = (Datum::from(name.as_ptr()), Datum::from(types.cast::<c_void>()));
        let column = pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber;
        let found = pg_sys::GetSysCacheOid(cache, column, name, types, schema.into(), Datum::from(0));
        (found != pg_sys::InvalidOid).then_some(found)
    }
}

/// The result of code that the server calls through a guard: an error becomes one of the server.
fn guarded_result<R>(f: impl FnOnce() -> Result<R>) -> R {
    f().unwrap_or_else(|error| crate::pg::call::raise(error))
}
