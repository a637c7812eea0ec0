//! Columns of subqueries, views and CTEs that the query does not read: the functions that they call cannot change its rows.
//!
//! The planner leaves such columns out as well (`remove_unused_subquery_outputs` of `optimizer/path/allpaths.c`), but for
//! volatile ones, which it keeps for their side effects.

use std::collections::HashSet;
use std::ffi::{CStr, c_void};

use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::RTEKind::*;
use pgrx::{pg_guard, pg_sys};

use crate::pg::node::pointers;

type Entry = *mut pg_sys::TargetEntry;

/// The state of a walk through a query.
#[derive(Default)]
struct Reading {
    /// Columns of which no read was found yet.
    unread: HashSet<Entry>,
    /// The queries around the visited node, the outermost first.
    around: Vec<*mut pg_sys::Query>,
}

/// Replaces columns that are not read by NULL.
///
/// # Safety
/// `query` is a private tree that was analysed and rewritten.
pub unsafe fn prune(query: *mut pg_sys::Query) {
    let mut reading = Reading::default();
    let context = (&raw mut reading).cast::<c_void>();
    // SAFETY: the walkers know their contexts; the replaced expressions are parts of the private tree.
    unsafe {
        collect(query.cast(), context);
        // The columns that a column reads are read once that column is: repeat until no more are found.
        let mut left = usize::MAX;
        while reading.unread.len() < left {
            left = reading.unread.len();
            read(query.cast(), context);
        }
        for entry in reading.unread {
            let node = (*entry).expr.cast::<pg_sys::Node>();
            if ![T_Var, T_Const].contains(&(*node).type_) {
                let (ty, modifier) = (pg_sys::exprType(node), pg_sys::exprTypmod(node));
                (*entry).expr = pg_sys::makeNullConst(ty, modifier, pg_sys::exprCollation(node)).cast();
            }
        }
    }
}

/// Collects the columns that may turn out to be unread.
#[pg_guard]
unsafe extern "C-unwind" fn collect(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag says what the node is; the context is that of `prune`.
    unsafe {
        if (*node).type_ != T_Query {
            return pg_sys::expression_tree_walker(node, Some(collect), context);
        }
        let query = node.cast::<pg_sys::Query>();
        (*context.cast::<Reading>()).around.push(query);
        let Reading { unread, around } = &mut *context.cast::<Reading>();
        let depth = around.len();
        // Arms of set operations are compared as wholes.
        if (*query).setOperations.is_null() {
            for table in pointers::<pg_sys::RangeTblEntry>((*query).rtable) {
                if (*table).rtekind == RTE_SUBQUERY {
                    unread.extend(free_columns((*table).subquery, depth));
                }
            }
        }
        for cte in pointers::<pg_sys::CommonTableExpr>((*query).cteList) {
            if !(*cte).cterecursive {
                unread.extend(free_columns((*cte).ctequery.cast(), depth));
            }
        }
        pg_sys::query_tree_walker(query, Some(collect), context, 0);
        (*context.cast::<Reading>()).around.pop();
        false
    }
}

/// The columns of a query that determine neither which rows it has nor how many, `depth` queries around it. An aggregate
/// does where no GROUP BY or HAVING says that there are groups, and one of a query around it may do so there.
unsafe fn free_columns(query: *mut pg_sys::Query, depth: usize) -> impl Iterator<Item = Entry> {
    // SAFETY: a subquery of an analysed tree.
    unsafe {
        let grouped =
            !(*query).groupClause.is_null() || !(*query).groupingSets.is_null() || !(*query).havingQual.is_null();
        let aggregates = move |entry: Entry| {
            let mut levels = usize::from(grouped)..=depth;
            levels.any(|level| pg_sys::contain_aggs_of_level((*entry).expr.cast(), level as i32))
        };
        let whole = !(*query).setOperations.is_null() || !(*query).distinctClause.is_null();
        let list = if whole { std::ptr::null_mut() } else { (*query).targetList };
        pointers::<pg_sys::TargetEntry>(list).filter(move |&entry| {
            let sorts_or_groups = (*entry).ressortgroupref != 0;
            let repeats = pg_sys::expression_returns_set((*entry).expr.cast());
            !(*entry).resjunk && !sorts_or_groups && !repeats && !aggregates(entry)
        })
    }
}

/// Visits the nodes that are read, and removes the columns that they read from the unread ones.
#[pg_guard]
unsafe extern "C-unwind" fn read(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as in `collect`; a reference to `Reading` ends before the walk goes on.
    unsafe {
        match (*node).type_ {
            T_Query => {
                (*context.cast::<Reading>()).around.push(node.cast());
                // A column of a join is read where it is named.
                pg_sys::query_tree_walker(node.cast(), Some(read), context, pg_sys::QTW_IGNORE_JOINALIASES as i32);
                (*context.cast::<Reading>()).around.pop();
                false
            }
            T_TargetEntry if (*context.cast::<Reading>()).unread.contains(&node.cast()) => false,
            T_Var => {
                read_column(node.cast(), context);
                false
            }
            _ => pg_sys::expression_tree_walker(node, Some(read), context),
        }
    }
}

/// Marks the columns that a variable refers to: for a whole row, all of them.
unsafe fn read_column(var: *mut pg_sys::Var, context: *mut c_void) {
    // SAFETY: analysis gave the column an entry of the range table of the query so many levels up.
    unsafe {
        let reading = &mut *context.cast::<Reading>();
        let level = reading.around.len() - (*var).varlevelsup as usize;
        let query = reading.around[level - 1];
        let Some(table) = pointers::<pg_sys::RangeTblEntry>((*query).rtable).nth((*var).varno as usize - 1) else {
            return;
        };
        let is_read = |number: usize| (*var).varattno == 0 || (*var).varattno as usize == number;
        let mut mark = |query: *mut pg_sys::Query| {
            for entry in pointers::<pg_sys::TargetEntry>((*query).targetList) {
                if is_read((*entry).resno as usize) {
                    reading.unread.remove(&entry);
                }
            }
        };
        match (*table).rtekind {
            RTE_SUBQUERY => mark((*table).subquery),
            RTE_CTE => {
                let owner = reading.around[level - 1 - (*table).ctelevelsup as usize];
                let name = CStr::from_ptr((*table).ctename);
                let named = |cte: &*mut pg_sys::CommonTableExpr| CStr::from_ptr((**cte).ctename) == name;
                if let Some(cte) = pointers::<pg_sys::CommonTableExpr>((*owner).cteList).find(named) {
                    mark((*cte).ctequery.cast());
                }
            }
            RTE_JOIN => {
                let inner = reading.around.split_off(level);
                for (at, alias) in pointers::<pg_sys::Node>((*table).joinaliasvars).enumerate() {
                    if is_read(at + 1) {
                        read(alias, context);
                    }
                }
                (*context.cast::<Reading>()).around.extend(inner);
            }
            _ => {}
        }
    }
}
