//! Turns a table of a query into the union of its stored rows with those that a function returns. See `nodes/parsenodes.h`.

use std::ffi::CStr;

use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::RTEKind::{RTE_FUNCTION, RTE_RELATION, RTE_RESULT, RTE_SUBQUERY};
use pgrx::pg_sys::{self, InvalidOid, List, Oid, Query, RangeTblEntry};

use crate::error::{Error, Result};
use crate::pg::node::{list, new};
use crate::pg::relation::Open;
use crate::pg::tuplestore::attributes;

/// Marks entries of a range table. No other uses the field, unless it is of a relation in memory; copies keep it.
const MARK: &CStr = c"pg_trickle";

/// The table of which an entry of a range table has the stored rows.
///
/// # Safety
/// An entry.
pub unsafe fn stored(entry: *mut RangeTblEntry) -> Option<Oid> {
    // SAFETY: by contract; names are NUL-terminated.
    unsafe {
        let entry = &*entry;
        let is_marked = || !entry.enrname.is_null() && CStr::from_ptr(entry.enrname) == MARK;
        (entry.rtekind == RTE_RELATION && is_marked()).then_some(entry.relid)
    }
}

/// The last entry of the range table of a plan that reads stored and pending rows. It holds the plan that reads stored rows alone, if there
/// is one.
///
/// # Safety
/// A plan in the same memory, or NULL.
pub unsafe fn mark(plan: *mut pg_sys::PlannedStmt) -> *mut RangeTblEntry {
    // SAFETY: a new node, which nothing reads that is not in a plan.
    unsafe {
        let entry = new::<RangeTblEntry>(T_RangeTblEntry);
        (*entry).rtekind = RTE_RESULT;
        (*entry).enrname = pg_sys::pstrdup(MARK.as_ptr());
        (*entry).eref = pg_sys::makeAlias(MARK.as_ptr(), std::ptr::null_mut());
        (*entry).subquery = plan.cast();
        entry
    }
}

/// Whether a plan has that mark, and its plan for stored rows.
///
/// # Safety
/// A plan.
pub unsafe fn marked(plan: *mut pg_sys::PlannedStmt) -> Option<*mut pg_sys::PlannedStmt> {
    // SAFETY: by contract.
    unsafe {
        let entries = (*plan).rtable.as_ref()?;
        let last = entries.elements.add(entries.length as usize - 1);
        let last = &*(*last).ptr_value.cast::<RangeTblEntry>();
        let is_marked = || !last.enrname.is_null() && CStr::from_ptr(last.enrname) == MARK;
        (last.rtekind == RTE_RESULT && is_marked()).then_some(last.subquery.cast())
    }
}

/// A column of the table; all columns are there, dropped ones as NULL, so that the numbers stay.
struct Column {
    name: *mut i8,
    ty: Oid,
    modifier: i32,
    collation: Oid,
    is_dropped: bool,
}

/// Replaces the entry of a table in the range table of `query`. `added`, a call of a function that returns records, gives rows with
/// the columns of the table that were not dropped. The rights of the query's user are checked on the stored rows, as before.
///
/// # Safety
/// An analysed query that may be scribbled on, an entry of its range table that it neither writes to nor locks; all in the current
/// memory context.
#[cfg_attr(feature = "pg15", allow(unused_variables))] // There, an entry has its rights itself.
pub unsafe fn expand(query: *mut Query, entry: *mut RangeTblEntry, added: *mut pg_sys::FuncExpr) -> Result<()> {
    // SAFETY: by contract; the nodes are made as the parser makes them.
    unsafe {
        let columns = columns((*entry).relid)?;
        let stored = select(stored_entry(entry), &columns, |column| Some(column + 1));
        #[cfg(any(feature = "pg16", feature = "pg17", feature = "pg18"))]
        {
            let rights = pg_sys::getRTEPermissionInfo((*query).rteperminfos, entry);
            (*stored).rteperminfos = list([pg_sys::copyObjectImpl(rights.cast())]);
            (*entry).perminfoindex = 0;
        }
        let live: Vec<usize> = (0..columns.len()).filter(|at| !columns[*at].is_dropped).collect();
        let pending = select(function_entry(added, &columns), &columns, |column| {
            live.iter().position(|at| *at == column).map(|at| at + 1)
        });
        let zero = pg_sys::Datum::from(0_i64);
        (*pending).limitOffset = pg_sys::makeConst(pg_sys::INT8OID, -1, InvalidOid, 8, zero, false, true).cast();
        let union = union_of(&columns, [stored, pending]);

        (*entry).rtekind = RTE_SUBQUERY;
        (*entry).subquery = union;
        (*entry).security_barrier = false;
        (*entry).relid = InvalidOid;
        (*entry).relkind = 0;
        (*entry).rellockmode = 0;
        (*entry).inh = false;
        #[cfg(feature = "pg15")]
        {
            (*entry).requiredPerms = 0;
            (*entry).checkAsUser = InvalidOid;
            (*entry).selectedCols = std::ptr::null_mut();
        }
        Ok(())
    }
}

unsafe fn columns(relation: Oid) -> Result<Vec<Column>> {
    // The query has locked it.
    let open = Open::locked(relation, pg_sys::NoLock).ok_or(Error::Bug("a table of a query exists"))?;
    // SAFETY: open; the names are copied.
    unsafe {
        let column = |it: &pg_sys::FormData_pg_attribute| Column {
            name: pg_sys::pstrdup(it.attname.data.as_ptr()).cast(),
            ty: if it.attisdropped { pg_sys::INT4OID } else { it.atttypid },
            modifier: if it.attisdropped { -1 } else { it.atttypmod },
            collation: if it.attisdropped { InvalidOid } else { it.attcollation },
            is_dropped: it.attisdropped,
        };
        Ok(attributes((*open.0).rd_att).map(column).collect())
    }
}

/// The table as an entry of the inner query, with the rights that the outer one needs.
unsafe fn stored_entry(entry: *mut RangeTblEntry) -> *mut RangeTblEntry {
    // SAFETY: a copy of a valid entry.
    unsafe {
        let stored = pg_sys::copyObjectImpl(entry.cast()).cast::<RangeTblEntry>();
        (*stored).inh = false;
        (*stored).lateral = false;
        (*stored).inFromCl = true;
        (*stored).securityQuals = std::ptr::null_mut();
        (*stored).enrname = pg_sys::pstrdup(MARK.as_ptr());
        #[cfg(any(feature = "pg16", feature = "pg17", feature = "pg18"))]
        {
            (*stored).perminfoindex = 1;
        }
        stored
    }
}

/// A call with the columns of the table that were not dropped.
unsafe fn function_entry(call: *mut pg_sys::FuncExpr, columns: &[Column]) -> *mut RangeTblEntry {
    // SAFETY: new nodes.
    unsafe {
        let function = new::<pg_sys::RangeTblFunction>(T_RangeTblFunction);
        (*function).funcexpr = call.cast();
        let mut names: *mut List = std::ptr::null_mut();
        for column in columns.iter().filter(|column| !column.is_dropped) {
            names = pg_sys::lappend(names, pg_sys::makeString(column.name.cast()).cast());
            (*function).funccoltypes = pg_sys::lappend_oid((*function).funccoltypes, column.ty);
            (*function).funccoltypmods = pg_sys::lappend_int((*function).funccoltypmods, column.modifier);
            (*function).funccolcollations = pg_sys::lappend_oid((*function).funccolcollations, column.collation);
            (*function).funccolcount += 1;
        }
        (*function).funccolnames = names;
        let entry = new::<RangeTblEntry>(T_RangeTblEntry);
        (*entry).rtekind = RTE_FUNCTION;
        (*entry).functions = list([function.cast()]);
        (*entry).eref = pg_sys::makeAlias(c"pending".as_ptr(), names);
        (*entry).inFromCl = true;
        entry
    }
}

/// `select` all columns of one entry, which has them under the numbers that `number` gives.
unsafe fn select(entry: *mut RangeTblEntry, columns: &[Column], number: impl Fn(usize) -> Option<usize>) -> *mut Query {
    // SAFETY: new nodes.
    unsafe {
        let query = new::<Query>(T_Query);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).canSetTag = true;
        (*query).rtable = list([entry.cast()]);
        let from = new::<pg_sys::RangeTblRef>(T_RangeTblRef);
        (*from).rtindex = 1;
        (*query).jointree = pg_sys::makeFromExpr(list([from.cast()]), std::ptr::null_mut());
        (*query).targetList = targets(columns, number);
        query
    }
}

unsafe fn targets(columns: &[Column], number: impl Fn(usize) -> Option<usize>) -> *mut List {
    let mut targets = std::ptr::null_mut();
    // SAFETY: new nodes; the first entry of the range table has these columns.
    unsafe {
        for (at, column) in columns.iter().enumerate() {
            let expr = match number(at).filter(|_| !column.is_dropped) {
                Some(number) => {
                    pg_sys::makeVar(1, number as i16, column.ty, column.modifier, column.collation, 0).cast()
                }
                None => pg_sys::makeNullConst(column.ty, -1, column.collation).cast(),
            };
            let target = pg_sys::makeTargetEntry(expr, at as i16 + 1, column.name.cast(), false);
            targets = pg_sys::lappend(targets, target.cast());
        }
    }
    targets
}

unsafe fn union_of(columns: &[Column], arms: [*mut Query; 2]) -> *mut Query {
    // SAFETY: new nodes.
    unsafe {
        let union = new::<Query>(T_Query);
        (*union).commandType = pg_sys::CmdType::CMD_SELECT;
        (*union).canSetTag = true;
        let operation = new::<pg_sys::SetOperationStmt>(T_SetOperationStmt);
        (*operation).op = pg_sys::SetOperation::SETOP_UNION;
        (*operation).all = true;
        let mut names = std::ptr::null_mut();
        for column in columns {
            names = pg_sys::lappend(names, pg_sys::makeString(column.name.cast()).cast());
            (*operation).colTypes = pg_sys::lappend_oid((*operation).colTypes, column.ty);
            (*operation).colTypmods = pg_sys::lappend_int((*operation).colTypmods, column.modifier);
            (*operation).colCollations = pg_sys::lappend_oid((*operation).colCollations, column.collation);
        }
        let arm = |number: i32| {
            let arm = new::<pg_sys::RangeTblRef>(T_RangeTblRef);
            (*arm).rtindex = number;
            arm.cast()
        };
        ((*operation).larg, (*operation).rarg) = (arm(1), arm(2));
        for (query, alias) in arms.into_iter().zip([c"stored", c"pending"]) {
            let entry = new::<RangeTblEntry>(T_RangeTblEntry);
            (*entry).rtekind = RTE_SUBQUERY;
            (*entry).subquery = query;
            (*entry).alias = pg_sys::makeAlias(alias.as_ptr(), std::ptr::null_mut());
            (*entry).eref = pg_sys::makeAlias(alias.as_ptr(), names);
            (*union).rtable = pg_sys::lappend((*union).rtable, entry.cast());
        }
        (*union).setOperations = operation.cast();
        (*union).jointree = pg_sys::makeFromExpr(std::ptr::null_mut(), std::ptr::null_mut());
        (*union).targetList = targets(columns, |column| Some(column + 1));
        union
    }
}
