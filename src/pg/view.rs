//! Views that hold a query of a user. The query is analysed in a session of its owner; the resulting tree is stored with our
//! rights, which runs no code of users. See `commands/view.c`.

use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INDETERMINATE_COLLATION};
use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};
use crate::pg::node::pointers;
use crate::pg::spi::{OwnerSession, Session};
use crate::pg::text::string;
use crate::pg::{object, query};

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn StoreViewQuery(view: pg_sys::Oid, query: *mut pg_sys::Query, replace: bool);
    }
}

/// Stores `sql` as the view `name`, owned by the role of the session.
pub fn create(owner: &OwnerSession, name: &QName, sql: &str) -> Result<Oid> {
    let query = query::analyse(owner, sql)?;
    owner.catalog(|session| {
        // SAFETY: a statement as the server's own CREATE VIEW builds it; the tree lives as long as the owner's session.
        unsafe {
            refuse_writes(query)?;
            let statement = pg_sys::palloc0(size_of::<pg_sys::CreateStmt>()).cast::<pg_sys::CreateStmt>();
            (*statement).type_ = pg_sys::NodeTag::T_CreateStmt;
            (*statement).relation = object::range(name)?;
            (*statement).tableElts = columns(query)?;
            (*statement).oncommit = pg_sys::OnCommitAction::ONCOMMIT_NOOP;
            let made = pg_sys::DefineRelation(
                statement,
                pg_sys::RELKIND_VIEW as std::ffi::c_char,
                owner.role(),
                std::ptr::null_mut(),
                std::ptr::null(),
            );
            pg_sys::CommandCounterIncrement();
            store(session, made.objectId, query, false);
            Ok(made.objectId)
        }
    })
}

/// Replaces the query of a view by one with the same columns; it keeps its oid and its dependants.
pub fn replace(owner: &OwnerSession, view: Oid, sql: &str) -> Result<()> {
    let query = query::analyse(owner, sql)?;
    owner.catalog(|session| {
        // SAFETY: an existing view; the tree lives as long as the owner's session.
        unsafe {
            refuse_writes(query)?;
            pg_sys::LockRelationOid(view, pg_sys::AccessExclusiveLock as i32);
            store(session, view, query, true);
            Ok(())
        }
    })
}

unsafe fn store(_: &Session, view: Oid, query: *mut pg_sys::Query, replace: bool) {
    // SAFETY: by the contract of the callers; the server's errors unwind as it wants them to.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| raw::StoreViewQuery(view, query, replace));
        pg_sys::CommandCounterIncrement();
    }
}

unsafe fn refuse_writes(query: *mut pg_sys::Query) -> Result<()> {
    // SAFETY: an analysed tree.
    let (command, writes) = unsafe { ((*query).commandType, (*query).hasModifyingCTE) };
    if command == pg_sys::CmdType::CMD_SELECT && !writes {
        return Ok(());
    }
    Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, "the query of a stream table must not change data")
        .detail("It runs whenever the table is refreshed.")
        .hint("Remove INSERT, UPDATE, DELETE and MERGE from WITH."))
}

/// The columns of a view with this query.
unsafe fn columns(query: *mut pg_sys::Query) -> Result<*mut pg_sys::List> {
    let mut columns = std::ptr::null_mut();
    // SAFETY: the targets of an analysed query.
    unsafe {
        for target in pointers::<pg_sys::TargetEntry>((*query).targetList).filter(|target| !(**target).resjunk) {
            let expr = (*target).expr.cast::<pg_sys::Node>();
            let (ty, collation) = (pg_sys::exprType(expr), pg_sys::exprCollation(expr));
            if pg_sys::type_is_collatable(ty) && collation == pg_sys::InvalidOid {
                let name = string((*target).resname);
                let what = format!("could not determine which collation to use for column \"{name}\"");
                return Err(Error::new(ERRCODE_INDETERMINATE_COLLATION, what)
                    .hint("Use the COLLATE clause to set the collation explicitly."));
            }
            let column = pg_sys::makeColumnDef((*target).resname, ty, pg_sys::exprTypmod(expr), collation);
            columns = pg_sys::lappend(columns, column.cast());
        }
    }
    Ok(columns)
}
