//! What the planner made of a statement: its cost, and the rows that it expects. See `nodes/plannodes.h` and
//! `utils/cache/plancache.c`.

use std::ptr::null_mut;

use pgrx::pg_sys::{self, NodeTag};

use crate::error::{Error, Result};
use crate::pg::guard;
use crate::pg::node::{self, pointers};
use crate::pg::planner::Reads;
use crate::pg::spi::{OwnerSession, Statement};

/// The planner's estimate of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub cost: f64,
    /// Of the result, or that are written.
    pub rows: f64,
    /// Of the last term of a sum.
    pub last_term: f64,
}

/// Factors of the settings, which weigh a page against a disk and a search of an index as 50 operators a level. Measured in
/// memory, finding a row by an index costs about five times as much as reading the next one of a range.
const HOT_PAGE: f64 = 0.1;
const HOT_OPERATOR: f64 = 0.4;
/// Relative to a page that is read in sequence.
const NEARBY: f64 = 1.1;
/// Rows that a join may have beyond those of its look-ups.
const LEAST_SURPLUS: f64 = 1000.0;
/// What reading a row by an index costs where rows before it have the same key, relative to reading one in sequence.
const ROW: f64 = 2.0;

impl Reads {
    /// Calls `f` with the planner's settings for it.
    fn counted<R>(self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        if self == Reads::default() {
            return f();
        }
        // SAFETY: plain variables of this backend.
        let (page, random, operator) =
            unsafe { (pg_sys::seq_page_cost, pg_sys::random_page_cost, pg_sys::cpu_operator_cost) };
        let random = if self.in_order { random.min(NEARBY * page) } else { random };
        let (of_page, of_operator) = if self.hot { (HOT_PAGE, HOT_OPERATOR) } else { (1.0, 1.0) };
        let [page, random, operator] =
            [of_page * page, of_page * random, of_operator * operator].map(|cost| cost.to_string());
        let settings = [("seq_page_cost", &*page), ("random_page_cost", &*random), ("cpu_operator_cost", &*operator)];
        guard::with_settings(&settings, f)
    }
}

type Plan = *mut pg_sys::Plan;

impl Statement {
    /// Whether the statement has a plan that is still valid.
    pub fn is_planned(&self) -> Result<bool> {
        let source = self.source()?;
        // SAFETY: the source is alive, and so is the plan it points to.
        unsafe { Ok((*source).is_valid && !(*source).gplan.is_null() && (*(*source).gplan).is_valid) }
    }

    /// Plans the statement unless it is. The ephemeral relations that it reads must be registered.
    pub fn planned(&self, _owner: &OwnerSession) -> Result<Planned> {
        // SAFETY: without parameters every plan is the generic one, which the source keeps after it is released here. It
        // lives as long as the statement.
        unsafe {
            if !self.is_planned()? {
                let plan = self.reads.counted(|| Ok(pg_sys::SPI_plan_get_cached_plan(self.plan)))?;
                if plan.is_null() {
                    return Err(Error::Bug("a statement could not be planned"));
                }
                pointers((*plan).stmt_list).for_each(|statement| self.find_latest_first(statement));
                pg_sys::ReleaseCachedPlan(plan, pg_sys::CurrentResourceOwner);
            }
            let plan = (*self.source()?).gplan;
            let statements = if plan.is_null() { std::ptr::null_mut() } else { (*plan).stmt_list };
            let statement: Option<*mut pg_sys::PlannedStmt> = pointers(statements).next();
            let plan = (*statement.ok_or(Error::Bug("a planned statement has a plan"))?).planTree;
            let last_term = last_term(plan);
            // A statement that writes returns none of the rows that it writes.
            let read = if (*plan).type_ == NodeTag::T_ModifyTable { (*plan).lefttree } else { plan };
            Ok(Planned { cost: (*plan).total_cost + omitted(plan), rows: (*read).plan_rows, last_term })
        }
    }

    /// Lets nested loops read an index from its end: entries of one key are in the order of the rows' places, and the version of a
    /// row that was written last has the last place as long as the table grows. So the number of its older versions does not
    /// matter, all of which a long transaction retains. The server knows of unique indexes that there is nothing to find after
    /// the first row, and is told so of [hashed keys](Statement::with_hashed_key): it compares the values after the hashes.
    ///
    /// # Safety
    /// A plan of this statement, which is not running.
    unsafe fn find_latest_first(&self, statement: *mut pg_sys::PlannedStmt) {
        // SAFETY: by contract; the tag says what each node is. Which of its equal entries a nested loop finds first is left open
        // by the server, and only its outer input decides the order of its rows.
        unsafe {
            let table = |scan: &pg_sys::Scan| {
                let entry = pg_sys::list_nth((*statement).rtable, scan.scanrelid as i32 - 1);
                (*entry.cast::<pg_sys::RangeTblEntry>()).relid
            };
            let mut each = |plan: Plan| {
                let inner = (*plan).righttree;
                if (*plan).type_ != NodeTag::T_NestLoop || (*inner).type_ != NodeTag::T_IndexScan {
                    return;
                }
                let scan = inner.cast::<pg_sys::IndexScan>();
                (*scan).indexorderdir = pg_sys::ScanDirection::BackwardScanDirection;
                if self.hashed_key == Some(table(&(*scan).scan)) && compares_hashes((*scan).indexqualorig) {
                    (*plan.cast::<pg_sys::NestLoop>()).join.inner_unique = true;
                }
            };
            pointers((*statement).subplans).chain([(*statement).planTree]).for_each(|plan| walk(plan, &mut each));
        }
    }
}

/// Whether an expression calls the function by which rows are hashed.
///
/// # Safety
/// A list of expressions.
unsafe fn compares_hashes(conditions: *mut pg_sys::List) -> bool {
    let mut found = false;
    // SAFETY: by contract; the tag says what the node is.
    unsafe {
        node::walk(conditions.cast(), |node| {
            found |= (*node).type_ == NodeTag::T_FuncExpr
                && (*node.cast::<pg_sys::FuncExpr>()).funcid.to_u32() == pg_sys::F_HASH_RECORD_EXTENDED;
        });
    }
    found
}

/// The inputs of a node.
///
/// # Safety
/// A valid plan.
unsafe fn inputs(plan: Plan) -> impl Iterator<Item = Plan> {
    // SAFETY: by contract; the tag says what the node is.
    unsafe {
        let (one, many) = match (*plan).type_ {
            NodeTag::T_Append => (null_mut(), (*plan.cast::<pg_sys::Append>()).appendplans),
            NodeTag::T_MergeAppend => (null_mut(), (*plan.cast::<pg_sys::MergeAppend>()).mergeplans),
            NodeTag::T_SubqueryScan => ((*plan.cast::<pg_sys::SubqueryScan>()).subplan, null_mut()),
            _ => (null_mut(), null_mut()),
        };
        let inputs = [(*plan).lefttree, (*plan).righttree, one].into_iter().chain(pointers(many));
        inputs.filter(|input| !input.is_null())
    }
}

/// Calls `f` for a node and every one below it.
///
/// # Safety
/// A valid plan.
unsafe fn walk(plan: Plan, f: &mut impl FnMut(Plan)) {
    f(plan);
    // SAFETY: by contract.
    unsafe { inputs(plan).for_each(|input| walk(input, f)) };
}

/// What nested loops cost beyond the planner's estimate. It takes the rows that a look-up finds for those of an average key, and
/// knows better how many rows the join has: the frequent values of both sides are compared for that.
///
/// # Safety
/// A valid plan.
unsafe fn omitted(plan: Plan) -> f64 {
    // SAFETY: by contract; the tag says what each node is.
    unsafe {
        let own = match (*plan).type_ {
            NodeTag::T_NestLoop => {
                let (outer, inner) = ((*plan).lefttree, (*plan).righttree);
                let surplus = (*plan).plan_rows - (*outer).plan_rows * (*inner).plan_rows;
                if surplus > LEAST_SURPLUS { surplus * ROW * pg_sys::cpu_tuple_cost } else { 0.0 }
            }
            // Of a recursion the planner knows nothing.
            NodeTag::T_RecursiveUnion => return 0.0,
            _ => 0.0,
        };
        own + inputs(plan).map(|input| omitted(input)).sum::<f64>()
    }
}

/// How many rows are expected of the last input of UNION ALL; none where the plan is another.
///
/// # Safety
/// A valid plan.
unsafe fn last_term(mut plan: Plan) -> f64 {
    // SAFETY: by contract; the tag says what each node is.
    unsafe {
        loop {
            plan = match (*plan).type_ {
                NodeTag::T_Append => {
                    let terms = pointers((*plan.cast::<pg_sys::Append>()).appendplans);
                    return terms.last().map_or(0.0, |term: Plan| (*term).plan_rows);
                }
                NodeTag::T_SubqueryScan => (*plan.cast::<pg_sys::SubqueryScan>()).subplan,
                NodeTag::T_Result if !(*plan).lefttree.is_null() => (*plan).lefttree,
                _ => return 0.0,
            };
        }
    }
}
