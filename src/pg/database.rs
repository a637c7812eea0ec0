//! The databases of the server, and how our workers are made to leave one.

use std::ffi::CString;
use std::time::Duration;

use pgrx::{check_for_interrupts, pg_sys};

use crate::pg::bgworker::now;
use crate::pg::shmem::{Process, my_database, shared};
use crate::pg::text::string;
use crate::pg::{EXTENSION, object, wake};

/// The databases that a worker can connect to, templates left out. In a transaction.
pub fn all() -> Vec<pg_sys::Oid> {
    const INVALID: i32 = -2;
    let mut found = vec![];
    // SAFETY: the scan of a shared catalog, as the autovacuum launcher does it.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        let next = || pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
        for tuple in std::iter::from_fn(|| Some(next()).filter(|tuple| !tuple.is_null())) {
            let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if row.datallowconn && !row.datistemplate && row.datconnlimit != INVALID {
                found.push(row.oid);
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    found
}

/// The processes of ours in a database.
fn processes(database: pg_sys::Oid) -> impl Iterator<Item = &'static Process> {
    shared().into_iter().flat_map(move |shared| shared.processes_of(database))
}

/// Asks our processes in a database to end; true while there is one.
pub fn terminate(database: pg_sys::Oid) -> bool {
    processes(database).filter(|process| process.signal(pg_sys::SIGTERM)).count() > 0
}

/// Ends our processes in a database and waits for that, at most for `timeout`. None starts there before the end of the
/// transaction, or for twice that time.
pub fn vacate(database: Option<pg_sys::Oid>, timeout: Duration) {
    const STEP: Duration = Duration::from_millis(5);
    let Some(database) = database else { return };
    let Some(slot) = shared().and_then(|shared| shared.slot(database)) else { return };
    wake::hold(slot, now() + 2 * timeout.as_micros() as i64);
    let mut waited = Duration::ZERO;
    while terminate(database) && waited < timeout {
        std::thread::sleep(STEP);
        check_for_interrupts!();
        waited += STEP;
    }
}

/// Whether a background process is in a tick of this database.
pub fn is_refreshing() -> bool {
    processes(my_database()).any(|process| process.refreshing() != pg_sys::InvalidOid)
}

/// Cancels the refresh of a stream table, by its relation, in the background, and has the process leave the rest of its tick
/// for later; whether there was such a refresh. If it ended meanwhile, another statement of the process is cancelled and
/// retried.
pub fn cancel_refresh(relation: pg_sys::Oid) -> bool {
    let is_at = |process: &&Process| process.refreshing() == relation;
    let cancel = |process: &'static Process| {
        process.request_yield();
        is_at(&process) && process.signal(pg_sys::SIGINT)
    };
    processes(my_database()).filter(is_at).filter(|process| cancel(process)).count() > 0
}

/// The database of this name, if the current user owns it: otherwise the server refuses the statement about it.
pub fn owned(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: a catalog lookup; InvalidOid where there is none of this name.
    let database = unsafe { pg_sys::get_database_oid(name.as_ptr(), true) };
    (database != pg_sys::InvalidOid && object::owns(pg_sys::DatabaseRelationId, database)).then_some(database)
}

/// The name of this database. In a transaction.
pub fn name() -> String {
    // SAFETY: a catalog lookup; the database of this process exists.
    string(unsafe { pg_sys::get_database_name(my_database()) })
}

/// Whether the current user owns this database.
pub fn is_own() -> bool {
    object::owns(pg_sys::DatabaseRelationId, my_database())
}

/// The extension in this database. In a transaction.
pub fn extension() -> Option<pg_sys::Oid> {
    // SAFETY: a catalog lookup; InvalidOid where there is none.
    Some(unsafe { pg_sys::get_extension_oid(EXTENSION.as_ptr(), true) }).filter(|oid| *oid != pg_sys::InvalidOid)
}

/// Whether the extension is there and the current user owns it.
pub fn owns_extension() -> bool {
    extension().is_some_and(|extension| object::owns(pg_sys::ExtensionRelationId, extension))
}
