//! Databases as the workers see them: which there are, whether they have the extension, and how a worker is
//! made to leave one.

use std::ffi::{CString, c_int};
use std::time::Duration;

use pgrx::{check_for_interrupts, pg_sys};

use crate::pg::bgworker::now;
use crate::pg::object;
use crate::pg::shmem::{Post, Slot, shared};
use crate::pg::wake;

/// The databases that a worker can connect to and that are somebody's own. In a transaction.
pub fn all() -> Vec<pg_sys::Oid> {
    const INVALID: i32 = -2;
    let mut found = vec![];
    // SAFETY: the scan of a shared catalog, as the autovacuum launcher does it.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let data = (*tuple).t_data;
            let row = data.cast::<u8>().add((*data).t_hoff as usize).cast::<pg_sys::FormData_pg_database>();
            if (*row).datallowconn && !(*row).datistemplate && (*row).datconnlimit != INVALID {
                found.push((*row).oid);
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    found
}

/// Asks the workers of a database to end, its scheduler and those of the pool; true while one is there.
pub fn terminate(slot: &Slot) -> bool {
    let pool = shared().into_iter().flat_map(|shared| shared.seats_of(slot.database())).map(|(_, seat)| &seat.worker);
    let asked: Vec<bool> = std::iter::once(&slot.worker).chain(pool).map(terminate_process).collect();
    asked.contains(&true)
}

/// Asks the process that has a post to end; true while it is there.
fn terminate_process(post: &Post) -> bool {
    let Some(pid) = post.pid() else { return false };
    // SAFETY: the process array is searched under its lock; should the process have ended in between, its
    // number is not in use again within these few instructions.
    unsafe {
        let process = pg_sys::BackendPidGetProc(pid);
        !process.is_null() && libc_kill(pid, pg_sys::SIGTERM as c_int) == 0
    }
}

/// Whether some background process is in a tick of this database.
pub fn is_refreshing() -> bool {
    posts().any(|post| post.at() != pg_sys::InvalidOid)
}

/// Ends the refresh of a stream table, by its relation, that a background process is at, and has it leave the rest of its
/// tick to later; whether there was one. Should it have come to its end in this moment, another statement of the process
/// is cancelled, which is done again.
pub fn end_refresh(relation: pg_sys::Oid) -> bool {
    let mut found = false;
    for post in posts().filter(|post| post.at() == relation) {
        post.ask_to_yield();
        let Some(pid) = post.pid().filter(|_| post.at() == relation) else { continue };
        // SAFETY: as for `terminate_process`.
        unsafe {
            let process = pg_sys::BackendPidGetProc(pid);
            found |= !process.is_null() && libc_kill(pid, pg_sys::SIGINT as c_int) == 0;
        }
    }
    found
}

/// The posts of this database's workers.
fn posts() -> impl Iterator<Item = &'static Post> {
    // SAFETY: a plain variable of this process.
    let database = unsafe { pg_sys::MyDatabaseId };
    shared().into_iter().flat_map(move |shared| {
        let pool = shared.seats_of(database).map(|(_, seat)| &seat.worker);
        shared.slot(database).map(|slot| &slot.worker).into_iter().chain(pool)
    })
}

unsafe extern "C" {
    #[link_name = "kill"]
    fn libc_kill(pid: c_int, signal: c_int) -> c_int;
}

/// The database of this name, if the current user may do with it what needs it without anybody else in it:
/// otherwise the statement is about to be refused.
pub fn owned(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: a catalog lookup that accepts that there is none of this name.
    let database = unsafe { pg_sys::get_database_oid(name.as_ptr(), true) };
    (database != pg_sys::InvalidOid && object::owns(pg_sys::DatabaseRelationId, database)).then_some(database)
}

/// This database, if it has the extension and the current user may drop it.
pub fn of_owned_extension() -> Option<pg_sys::Oid> {
    // SAFETY: as above; a plain variable of this process.
    let (extension, database) =
        unsafe { (pg_sys::get_extension_oid(c"pg_trickle".as_ptr(), true), pg_sys::MyDatabaseId) };
    (extension != pg_sys::InvalidOid && object::owns(pg_sys::ExtensionRelationId, extension)).then_some(database)
}

/// Whether the current user may do with this database as its owner.
pub fn is_own() -> bool {
    // SAFETY: a plain variable of this process.
    object::owns(pg_sys::DatabaseRelationId, unsafe { pg_sys::MyDatabaseId })
}

/// Ends the worker of a database and waits until it is gone, for as long as `patience` lasts. None comes
/// back before the end of the transaction, or for twice that time.
pub fn vacate(database: Option<pg_sys::Oid>, patience: Duration) {
    const STEP: Duration = Duration::from_millis(5);
    let Some(slot) = shared().zip(database).and_then(|(shared, database)| shared.slot(database)) else { return };
    wake::hold(slot, now() + 2 * patience.as_micros() as i64);
    let mut waited = Duration::ZERO;
    while terminate(slot) && waited < patience {
        std::thread::sleep(STEP);
        check_for_interrupts!();
        waited += STEP;
    }
}

/// Whether this database has the extension. In a transaction.
pub fn has_extension() -> bool {
    // SAFETY: a catalog lookup.
    unsafe { pg_sys::get_extension_oid(c"pg_trickle".as_ptr(), true) != pg_sys::InvalidOid }
}
