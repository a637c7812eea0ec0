//! Indexes whose text holds expressions of a user's query: read and built as the owner of their table, who needs no right
//! to create in its schema. See `commands/indexcmds.c`.

use std::ffi::c_char;

use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};
use crate::pg::guard;
use crate::pg::spi::{OwnerSession, c_string};

mod raw {
    use super::{c_char, pg_sys};
    unsafe extern "C-unwind" {
        pub fn transformIndexStmt(
            table: pg_sys::Oid,
            statement: *mut pg_sys::IndexStmt,
            query: *const c_char,
        ) -> *mut pg_sys::IndexStmt;
    }
}

/// Makes the index on `table` that one CREATE INDEX says.
pub fn create(_owner: &OwnerSession, table: Oid, sql: &str) -> Result<Oid> {
    let text = c_string(sql)?;
    // SAFETY: the raw tree is ours, and a statement of this kind; the lock comes before the table is looked at.
    unsafe {
        let list = pg_sys::pg_parse_query(text.as_ptr());
        let raw = match list.is_null() || (*list).length != 1 {
            true => return Err(Error::Bug("an index is made by one statement")),
            false => (*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>(),
        };
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_IndexStmt {
            return Err(Error::Bug("an index is made by CREATE INDEX"));
        }
        pg_sys::LockRelationOid(table, pg_sys::ShareLock as i32);
        let statement = (*raw).stmt.cast::<pg_sys::IndexStmt>();
        let statement = pg_sys::ffi::pg_guard_ffi_boundary(|| raw::transformIndexStmt(table, statement, text.as_ptr()));
        let none = pg_sys::InvalidOid;
        let made = guard::with_settings(&guard::OBJECTS, || {
            Ok(pg_sys::DefineIndex(
                table,
                statement,
                none,
                none,
                none,
                #[cfg(not(feature = "pg15"))]
                -1,
                false,
                false,
                true,
                false,
                false,
            ))
        })?;
        pg_sys::CommandCounterIncrement();
        Ok(made.objectId)
    }
}
