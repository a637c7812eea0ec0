//! Runs them: the changes are computed when a statement starts, and read by the two functions. See `executor/execMain.c`.

use std::ffi::c_void;
use std::rc::Rc;

use pgrx::PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE;
use pgrx::pg_guard;
use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::{self, Datum, Oid};

use super::{Changes, OURS, Overlay, PROGRAM, READER, READY, RUNNING, guarded_result, union_all};
use crate::error::{Error, Result};
use crate::pg::call::{Call, V1, guarded};
#[cfg(feature = "pg18")]
use crate::pg::node;
use crate::pg::node::pointers;
use crate::pg::snapshot::Snapshot;

mod raw {
    use super::{Walker, c_void, pg_sys};
    unsafe extern "C-unwind" {
        #[cfg_attr(any(feature = "pg16", feature = "pg17", feature = "pg18"), link_name = "planstate_tree_walker_impl")]
        pub fn planstate_tree_walker(state: *mut pg_sys::PlanState, walker: Walker, context: *mut c_void) -> bool;
    }
}

type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::PlanState, *mut c_void) -> bool;

/// A statement is about to start: whether it reads pending changes. Where stored rows are known to be all, it gets the plan for these.
pub unsafe fn before_start(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: a statement has a plan, of which the one for stored rows is a part.
    unsafe {
        match union_all::marked((*query).plannedstmt) {
            None => false,
            Some(stored) if !is_current(query, !stored.is_null()) => true,
            Some(stored) => {
                (*query).plannedstmt = stored;
                false
            }
        }
    }
}

/// Whether the stored rows are known to be all that a statement reads that has a plan for them. Changes that are known are ready for it
/// else.
#[pg_guard]
unsafe extern "C-unwind" fn is_current(query: *mut pg_sys::QueryDesc, has_plan: bool) -> bool {
    // SAFETY: a statement that is about to start has a plan and a snapshot.
    guarded_result(|| unsafe {
        // Those of a statement that failed as it started, whose description may have been at this place.
        READY.set(None);
        let Some(reader) = READER.get().filter(|_| has_plan) else { return Ok(false) };
        let known = (reader.known)(&tables((*query).plannedstmt), &Snapshot::of_statement((*query).snapshot))?;
        let is_current = known.as_ref().is_some_and(Overlay::is_empty);
        READY.set(known.filter(|_| !is_current).map(|overlay| (query as usize, Rc::new(overlay))));
        Ok(is_current)
    })
}

/// The tables that a plan reads with their pending changes.
unsafe fn tables(plan: *mut pg_sys::PlannedStmt) -> Vec<Oid> {
    // SAFETY: a plan.
    unsafe {
        let entries = pointers::<pg_sys::RangeTblEntry>((*plan).rtable);
        let mut tables: Vec<Oid> = entries.filter_map(|entry| union_all::stored(entry)).collect();
        tables.sort_unstable_by_key(|table| table.to_u32());
        tables.dedup();
        tables
    }
}

/// Computes the changes for a statement that started.
#[pg_guard]
pub unsafe extern "C-unwind" fn started(query: *mut pg_sys::QueryDesc) {
    // SAFETY: a started statement.
    guarded_result(|| unsafe {
        let ready = READY.take().filter(|(of, _)| *of == query as usize);
        let overlay = ready.map_or_else(|| overlay(query), |(_, overlay)| Ok(overlay))?;
        let context = (*(*query).estate).es_query_cxt;
        let callback = pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::MemoryContextCallback>());
        let callback = callback.cast::<pg_sys::MemoryContextCallback>();
        (*callback).func = Some(detach);
        (*callback).arg = context.cast();
        pg_sys::MemoryContextRegisterResetCallback(context, callback);
        if overlay.leaves_all() {
            drop_conditions((*query).planstate.cast(), std::ptr::null_mut());
        }
        RUNNING.with_borrow_mut(|running| running.insert(context as usize, overlay));
        Ok(())
    });
}

unsafe fn overlay(query: *mut pg_sys::QueryDesc) -> Result<Rc<Overlay>> {
    // SAFETY: a started statement.
    unsafe {
        let tables = tables((*query).plannedstmt);
        let program = PROGRAM.with_borrow(Clone::clone);
        if let Some(program) = program.filter(|program| tables.iter().any(|table| program.tables.contains(table))) {
            return Ok(Rc::clone(&program.overlay));
        }
        let reader = READER.get().ok_or(Error::Bug("a plan is made by a process that can run it"))?;
        Ok(Rc::new((reader.changes)(&tables, Snapshot::of_statement((*query).snapshot))?))
    }
}

/// Drops our conditions from a statement that was started, where they hold for every row. The plan keeps them.
unsafe extern "C-unwind" fn drop_conditions(state: *mut pg_sys::PlanState, context: *mut c_void) -> bool {
    // SAFETY: states of a started statement, whose plans live as long; the walker calls this for those below.
    unsafe {
        let plan = (*state).plan;
        let is_scan = [T_SeqScan, T_IndexScan, T_BitmapHeapScan, T_TidScan, T_TidRangeScan].contains(&(*plan).type_);
        let last = pointers::<pg_sys::FuncExpr>((*plan).qual).last().filter(|_| is_scan);
        let is_ours = |last: *mut pg_sys::FuncExpr| (*last).xpr.type_ == T_FuncExpr && (*last).location == OURS;
        // The executor knows subplans by their expressions.
        if last.is_some_and(is_ours) && !pg_sys::contain_subplans((*plan).qual.cast()) {
            let rest = pg_sys::list_copy((*plan).qual);
            let rest = pg_sys::list_truncate(rest, (*rest).length - 1);
            // A sequential scan of PostgreSQL 18 that has begun with a condition needs one.
            #[cfg(feature = "pg18")]
            let rest = if rest.is_null() { node::list([pg_sys::makeBoolConst(true, false).cast()]) } else { rest };
            let before = pg_sys::MemoryContextSwitchTo((*(*state).state).es_query_cxt);
            (*state).qual = pg_sys::ExecInitQual(rest, state);
            pg_sys::MemoryContextSwitchTo(before);
        }
        raw::planstate_tree_walker(state, drop_conditions, context)
    }
}

/// The executor's memory is freed.
#[pg_guard]
unsafe extern "C-unwind" fn detach(context: *mut c_void) {
    let overlay = RUNNING.with_borrow_mut(|running| running.remove(&(context as usize)));
    drop(overlay);
}

/// The changes of the relation that one of our calls is about.
unsafe fn changes(info: pg_sys::FunctionCallInfo, relation: Oid) -> Result<Rc<Changes>> {
    // SAFETY: the server passes its call; contexts end before those around them.
    unsafe {
        let function = (*info).flinfo;
        let call = (*function).fn_expr.cast::<pg_sys::FuncExpr>();
        if call.is_null() || (*call).xpr.type_ != T_FuncExpr || (*call).location != OURS {
            return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, "this function cannot be called by queries")
                .detail("The planner adds calls of it to queries that read live stream tables."));
        }
        let mut context = (*function).fn_mcxt;
        while !context.is_null() {
            if let Some(overlay) = RUNNING.with_borrow(|running| running.get(&(context as usize)).cloned()) {
                return overlay.get(relation).ok_or(Error::Bug("a statement has the changes of what it reads"));
            }
            context = (*context).parent;
        }
        Err(Error::Bug("a statement that reads pending changes has computed them"))
    }
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_pending_rows() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

/// `pending_rows(regclass)`: the rows that the pending changes of a relation add to it.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_pending_rows(call: Call) -> Datum {
    call.return_set(|call, into| {
        let relation = Oid::from(call.integer(0).unwrap_or_default() as u32);
        // SAFETY: the server's own call.
        let changes = unsafe { changes(call.raw(), relation)? };
        changes.copy_to(into)
    })
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_is_unchanged() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

/// `is_unchanged(regclass, tid)`: whether no pending change removes the row at a place.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_is_unchanged(info: pg_sys::FunctionCallInfo) -> Datum {
    // SAFETY: two arguments of these types, never NULL. What the first call finds lives as long as the memory of the executor.
    unsafe {
        let (relation, place) = (*(*info).args.as_ptr(), *(*info).args.as_ptr().add(1));
        let function = (*info).flinfo;
        if (*function).fn_extra.is_null() {
            guarded(|| {
                let changes = changes(info, Oid::from(relation.value.value() as u32))?;
                (*function).fn_extra = Rc::as_ptr(&changes).cast_mut().cast();
                Ok(())
            });
        }
        let changes = &*(*function).fn_extra.cast::<Changes>();
        Datum::from(!changes.removes(&*place.value.cast_mut_ptr()))
    }
}
