//! What the planner made of a statement: its cost, and the rows that it expects. See `nodes/plannodes.h` and
//! `utils/cache/plancache.c`.

use pgrx::pg_sys::{self, NodeTag};

use crate::error::{Error, Result};
use crate::pg::guard;
use crate::pg::node::pointers;
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
}

/// What nested loops cost beyond the planner's estimate. It takes the rows that a look-up finds for those of an average key, and
/// knows better how many rows the join has: the frequent values of both sides are compared for that.
///
/// # Safety
/// A valid plan, or null.
unsafe fn omitted(plan: Plan) -> f64 {
    if plan.is_null() {
        return 0.0;
    }
    // SAFETY: by contract; the tag says what each node is.
    unsafe {
        let (outer, inner) = ((*plan).lefttree, (*plan).righttree);
        let own = match (*plan).type_ {
            NodeTag::T_NestLoop => {
                let surplus = (*plan).plan_rows - (*outer).plan_rows * (*inner).plan_rows;
                if surplus > LEAST_SURPLUS { surplus * ROW * pg_sys::cpu_tuple_cost } else { 0.0 }
            }
            NodeTag::T_Append => {
                let terms = pointers((*plan.cast::<pg_sys::Append>()).appendplans);
                terms.map(|term: Plan| omitted(term)).sum()
            }
            // Of a recursion the planner knows nothing.
            NodeTag::T_RecursiveUnion => return 0.0,
            NodeTag::T_SubqueryScan => omitted((*plan.cast::<pg_sys::SubqueryScan>()).subplan),
            _ => 0.0,
        };
        own + omitted(outer) + omitted(inner)
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
