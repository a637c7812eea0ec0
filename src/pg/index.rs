//! Indexes whose text holds expressions of a user's query: parsed and built as the owner of their table, which needs no
//! CREATE privilege on its schema. See `commands/indexcmds.c`.

use std::collections::BTreeSet;
use std::ffi::c_char;

use pgrx::pg_sys::{self, NodeTag, Oid};

use crate::error::{Error, Result};
use crate::pg::node::pointers;
use crate::pg::spi::OwnerSession;
use crate::pg::text::{c_string, string};
use crate::pg::{guard, relation};

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

/// Creates the index on `table` that one CREATE INDEX statement defines.
pub fn create(_owner: &OwnerSession, table: Oid, sql: &str) -> Result<Oid> {
    relation::lock(table, pg_sys::ShareLock);
    let statement = analysed(table, sql)?;
    let none = pg_sys::InvalidOid;
    // SAFETY: the statement was analysed for this table.
    let made = guard::with_settings(&guard::OBJECTS, || unsafe {
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
    // SAFETY: inside a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
    Ok(made.objectId)
}

/// The keys of the index that one CREATE INDEX statement defines, as `pg_get_indexdef` prints them; `None` where the server would
/// refuse one: its value depends on settings, or its type has no order.
pub fn keys(_owner: &OwnerSession, table: Oid, sql: &str) -> Result<Option<BTreeSet<String>>> {
    let statement = analysed(table, sql)?;
    // SAFETY: the statement was analysed for this table, by which each key is an expression over its columns.
    unsafe {
        let context = pg_sys::deparse_context_for(pg_sys::get_rel_name(table), table);
        let keys = pointers::<pg_sys::IndexElem>((*statement).indexParams).map(|key| key_text((*key).expr, context));
        Ok(keys.collect())
    }
}

unsafe fn key_text(mut key: *mut pg_sys::Node, context: *mut pg_sys::List) -> Option<String> {
    // SAFETY: an analysed expression; the tag says what each node is.
    unsafe {
        // The server ignores changes of type that leave the value as it is.
        while (*key).type_ == NodeTag::T_RelabelType {
            key = (*key.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        let order = pg_sys::GetDefaultOpClass(pg_sys::exprType(key), pg_sys::BTREE_AM_OID);
        if order == pg_sys::InvalidOid || pg_sys::contain_mutable_functions(key) {
            return None;
        }
        let is_call = (*key).type_ == NodeTag::T_FuncExpr
            && (*key.cast::<pg_sys::FuncExpr>()).funcformat == pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
        let text = string(pg_sys::deparse_expression(key, context, false, false));
        Some(if is_call || (*key).type_ == NodeTag::T_Var { text } else { format!("({text})") })
    }
}

/// One CREATE INDEX statement, analysed for a table.
fn analysed(table: Oid, sql: &str) -> Result<*mut pg_sys::IndexStmt> {
    let text = c_string(sql)?;
    // SAFETY: the raw tree is ours, and the tag says what it is.
    unsafe {
        let raw = pointers::<pg_sys::RawStmt>(pg_sys::pg_parse_query(text.as_ptr())).next();
        let statement = raw.map(|raw| (*raw).stmt).filter(|node| (**node).type_ == NodeTag::T_IndexStmt);
        let statement = statement.ok_or(Error::Bug("an index is created by CREATE INDEX"))?.cast::<pg_sys::IndexStmt>();
        Ok(pg_sys::ffi::pg_guard_ffi_boundary(|| raw::transformIndexStmt(table, statement, text.as_ptr())))
    }
}
