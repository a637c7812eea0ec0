//! Plans queries that read tables with their pending changes. See `optimizer/plan/planner.c`.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int, c_void};

use pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
use pgrx::pg_guard;
use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::{self, List, Node, Oid};

use super::{IS_UNCHANGED, OURS, PENDING_ROWS, function, guarded_result, is_program, is_wanted, union_all};
use crate::error::{Error, Result};
use crate::pg::node::{self, pointers};
use crate::pg::relation;

static mut PREVIOUS_PLANNER: pg_sys::planner_hook_type = None;
static mut PREVIOUS_INFO: pg_sys::get_relation_info_hook_type = None;

// Without pgrx's guard, as for utility statements: errors pass as they are.
mod raw {
    use super::{c_char, c_int, pg_sys};
    unsafe extern "C-unwind" {
        pub fn standard_planner(
            query: *mut pg_sys::Query,
            text: *const c_char,
            options: c_int,
            parameters: pg_sys::ParamListInfo,
        ) -> *mut pg_sys::PlannedStmt;
    }
}

pub(super) fn install() {
    // SAFETY: by the one thread of a process; each hook chains to the one before it.
    unsafe {
        PREVIOUS_PLANNER = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(plan);
        PREVIOUS_INFO = pg_sys::get_relation_info_hook;
        pg_sys::get_relation_info_hook = Some(relation_info);
    }
}

/// **Invariant:** nothing in this frame has a destructor, as errors of the planner jump over it.
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: the arguments are the server's own.
    unsafe {
        let (mut plain, planner) = (std::ptr::null_mut(), PREVIOUS_PLANNER.unwrap_or(raw::standard_planner));
        let has_replaced = replace(query, &raw mut plain);
        let planned = planner(query, text, options, parameters);
        if has_replaced {
            let stored = if plain.is_null() { plain.cast() } else { planner(plain, text, options, parameters) };
            complete(planned, stored);
        }
        planned
    }
}

/// Replaces the tables of a query that are read with their pending changes; whether there were any. Then `plain` is a copy of the query
/// without that, but for our own programs.
#[pg_guard]
unsafe extern "C-unwind" fn replace(query: *mut pg_sys::Query, plain: *mut *mut pg_sys::Query) -> bool {
    // SAFETY: an analysed and rewritten query, which the planner may scribble on.
    guarded_result(|| unsafe {
        if !mentions(query) {
            return Ok(false);
        }
        let mut tree = Tree::default();
        tree.visit(query.cast());
        let mut has_replaced = false;
        for &part in &tree.queries {
            for (entry, number) in pointers::<pg_sys::RangeTblEntry>((*part).rtable).zip(1..) {
                let relation = (*entry).relid;
                if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION
                    || number == (*part).resultRelation
                    || !is_wanted(relation)
                    || is_locked(part, number)?
                {
                    continue;
                }
                if tree.system.contains(&(part, number)) {
                    return Err(refused(relation, "has no system columns"));
                }
                if !(*entry).tablesample.is_null() {
                    return Err(refused(relation, "cannot be sampled"));
                }
                if !has_replaced && !is_program() {
                    *plain = pg_sys::copyObjectImpl(query.cast()).cast();
                }
                has_replaced = true;
                union_all::expand(part, entry, call(relation, PENDING_ROWS, &[], pg_sys::RECORDOID)?)?;
            }
        }
        Ok(has_replaced)
    })
}

/// Whether a query may read a table with its pending changes; its expressions are looked at only where they have subqueries.
unsafe fn mentions(query: *mut pg_sys::Query) -> bool {
    // SAFETY: an analysed query.
    unsafe {
        let is_wanted = |entry: *mut pg_sys::RangeTblEntry| match (*entry).rtekind {
            pg_sys::RTEKind::RTE_RELATION => is_wanted((*entry).relid),
            pg_sys::RTEKind::RTE_SUBQUERY => mentions((*entry).subquery),
            _ => false,
        };
        let in_with = |with: *mut pg_sys::CommonTableExpr| mentions((*with).ctequery.cast());
        (*query).hasSubLinks || pointers((*query).rtable).any(is_wanted) || pointers((*query).cteList).any(in_with)
    }
}

/// Whether a query locks the rows of a table. Those that check foreign keys read what is stored.
unsafe fn is_locked(query: *mut pg_sys::Query, number: c_int) -> Result<bool> {
    // SAFETY: by the contract of the caller.
    unsafe {
        let mut locks = pointers::<pg_sys::RowMarkClause>((*query).rowMarks);
        if !locks.any(|lock| (*lock).rti == number as u32) {
            return Ok(false);
        }
        let (mut role, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut role, &raw mut context);
        if context as u32 & pg_sys::SECURITY_NOFORCE_RLS != 0 {
            return Ok(true);
        }
        let entry = pointers::<pg_sys::RangeTblEntry>((*query).rtable).nth(number as usize - 1);
        Err(refused(entry.map_or(pg_sys::InvalidOid, |entry| (*entry).relid), "has no rows to lock"))
    }
}

fn refused(relation: Oid, what: &str) -> Error {
    let message = format!("live stream table {} {what}", relation::display(relation));
    Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, message)
        .detail("A part of its rows is computed for the query that reads it.")
        .hint("Read what is stored: set pg_trickle.reads = 'stored'.")
}

/// The queries of a tree, and the tables of which it reads system columns.
#[derive(Default)]
struct Tree {
    queries: Vec<*mut pg_sys::Query>,
    system: BTreeSet<(*mut pg_sys::Query, c_int)>,
    around: Vec<*mut pg_sys::Query>,
}

impl Tree {
    unsafe fn visit(&mut self, node: *mut Node) {
        // SAFETY: an analysed tree; the walker gets back `self`.
        unsafe { visit(node, std::ptr::from_mut(self).cast()) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn visit(node: *mut Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag says what the node is; the context is the tree.
    unsafe {
        let tree = context.cast::<Tree>();
        match (*node).type_ {
            T_Query => {
                (*tree).queries.push(node.cast());
                (*tree).around.push(node.cast());
                pg_sys::query_tree_walker(node.cast(), Some(visit), context, 0);
                (*tree).around.pop();
                false
            }
            T_Var => {
                let var = &*node.cast::<pg_sys::Var>();
                let around = &(*tree).around;
                let owner = around.len().checked_sub(1 + var.varlevelsup as usize).map(|at| around[at]);
                if let Some(owner) = owner.filter(|_| var.varattno < 0) {
                    (*tree).system.insert((owner, var.varno as c_int));
                }
                false
            }
            _ => pg_sys::expression_tree_walker(node, Some(visit), context),
        }
    }
}

/// A call of one of our two functions for a relation.
unsafe fn call(
    relation: Oid,
    (name, types): (&CStr, &[Oid]),
    rest: &[*mut c_void],
    result: Oid,
) -> Result<*mut pg_sys::FuncExpr> {
    // SAFETY: nodes in the planner's memory.
    unsafe {
        let oid = pg_sys::Datum::from(relation);
        let constant = pg_sys::makeConst(pg_sys::REGCLASSOID, -1, pg_sys::InvalidOid, 4, oid, false, true);
        let mut arguments = node::list([constant.cast()]);
        for argument in rest {
            arguments = pg_sys::lappend(arguments, *argument);
        }
        let none = pg_sys::InvalidOid;
        let form = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
        let function = function(name, types).ok_or(Error::Bug("the functions of live reads exist"))?;
        let call = pg_sys::makeFuncExpr(function, result, arguments, none, none, form);
        (*call).funcretset = result == pg_sys::RECORDOID;
        (*call).location = OURS;
        Ok(call)
    }
}

/// Adds the condition to every scan of the tables that were replaced, and at the end of the range table a mark with the plan for stored rows.
#[pg_guard]
unsafe extern "C-unwind" fn complete(planned: *mut pg_sys::PlannedStmt, stored: *mut pg_sys::PlannedStmt) {
    // SAFETY: a plan that was just made.
    guarded_result(|| unsafe {
        let entries: Vec<_> = pointers::<pg_sys::RangeTblEntry>((*planned).rtable).collect();
        let plans = pointers::<pg_sys::Plan>((*planned).subplans).filter(|plan| !plan.is_null());
        for plan in [(*planned).planTree].into_iter().chain(plans) {
            scans(plan, &mut |scan, is_plain| {
                let number = (*scan).scanrelid;
                let Some(relation) = number.checked_sub(1).and_then(|at| union_all::stored(entries[at as usize]))
                else {
                    return Ok(());
                };
                if !is_plain {
                    return Err(refused(relation, "cannot be read by such a scan"));
                }
                let none = pg_sys::InvalidOid;
                let place = pg_sys::SelfItemPointerAttributeNumber as i16;
                let place = pg_sys::makeVar(number as _, place, pg_sys::TIDOID, -1, none, 0);
                let condition = call(relation, IS_UNCHANGED, &[place.cast()], pg_sys::BOOLOID)?;
                let plan = scan.cast::<pg_sys::Plan>();
                (*plan).qual = pg_sys::lappend(pg_sys::list_copy((*plan).qual), condition.cast());
                Ok(())
            })?;
        }
        (*planned).rtable = pg_sys::lappend((*planned).rtable, union_all::mark(stored).cast());
        Ok(())
    });
}

/// Calls `f` for every scan of a plan, and whether rows of a table pass its condition with their places.
unsafe fn scans(plan: *mut pg_sys::Plan, f: &mut impl FnMut(*mut pg_sys::Scan, bool) -> Result<()>) -> Result<()> {
    if plan.is_null() {
        return Ok(());
    }
    // SAFETY: the tag says what the plan is.
    unsafe {
        let below = |list: *mut List, f: &mut _| pointers::<pg_sys::Plan>(list).try_for_each(|plan| scans(plan, f));
        match (*plan).type_ {
            T_SeqScan | T_IndexScan | T_BitmapHeapScan | T_TidScan | T_TidRangeScan => f(plan.cast(), true)?,
            T_SampleScan | T_IndexOnlyScan | T_ForeignScan => f(plan.cast(), false)?,
            T_CustomScan => {
                f(plan.cast(), false)?;
                below((*plan.cast::<pg_sys::CustomScan>()).custom_plans, f)?;
            }
            T_Append => below((*plan.cast::<pg_sys::Append>()).appendplans, f)?,
            T_MergeAppend => below((*plan.cast::<pg_sys::MergeAppend>()).mergeplans, f)?,
            T_SubqueryScan => scans((*plan.cast::<pg_sys::SubqueryScan>()).subplan, f)?,
            _ => {}
        }
        scans((*plan).lefttree, f)?;
        scans((*plan).righttree, f)
    }
}

/// An index has no places of rows: an index-only scan cannot tell which are unchanged.
#[pg_guard]
unsafe extern "C-unwind" fn relation_info(
    root: *mut pg_sys::PlannerInfo,
    relation: Oid,
    inherited: bool,
    info: *mut pg_sys::RelOptInfo,
) {
    // SAFETY: the arguments are the planner's own; an index returns as many flags as it has columns.
    unsafe {
        if let Some(previous) = PREVIOUS_INFO {
            previous(root, relation, inherited, info);
        }
        let entry = *(*root).simple_rte_array.add((*info).relid as usize);
        if union_all::stored(entry).is_some() {
            for index in pointers::<pg_sys::IndexOptInfo>((*info).indexlist) {
                std::slice::from_raw_parts_mut((*index).canreturn, (*index).ncolumns as usize).fill(false);
            }
        }
    }
}
