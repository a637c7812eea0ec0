//! What the planner made of a statement: its cost, and the tables that it reads from end to end although
//! an index could have led to the rows. See `nodes/plannodes.h` and `optimizer/plan/setrefs.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;

use pgrx::pg_sys::{self, NodeTag};

use crate::error::{Error, Result};
use crate::pg::guard;
use crate::pg::list::{integers, pointers};
use crate::pg::spi::{OwnerSession, Statement};

/// What a statement reads, which decides what the planner counts for it: by default whatever the settings are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// A few rows, again and again: they are in memory.
    pub hot: bool,
    /// In the order of an index: no page is a random one.
    pub in_order: bool,
}

/// Beside what the settings say. They weigh a page against a disk, and the way down an index as 50 operators a level;
/// measured in memory, finding a row by an index costs about five times as much as reading the next one of a range.
const HOT_PAGE: f64 = 0.1;
const HOT_OPERATOR: f64 = 0.4;
/// Beside a page that is read in sequence.
const NEARBY: f64 = 1.1;

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

/// The planner's idea of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub cost: f64,
    /// Of the result.
    pub rows: f64,
    /// Of the last term of a sum.
    pub last_term: f64,
}

/// A table that is read from end to end and joined on what an index could find.
#[derive(Clone, Debug)]
pub struct Unindexed {
    pub relation: pg_sys::Oid,
    /// Columns and expressions of them as `pg_get_indexdef` prints them.
    pub keys: BTreeSet<String>,
}

impl Statement {
    /// Whether the statement has a plan that nothing has put in doubt.
    pub fn is_planned(&self) -> Result<bool> {
        let source = self.source()?;
        // SAFETY: the source is alive, and so is the plan it points to.
        unsafe { Ok((*source).is_valid && !(*source).gplan.is_null() && (*(*source).gplan).is_valid) }
    }

    /// Plans the statement unless it is. The ephemeral relations that it reads must be registered.
    pub fn planned(&self, _owner: &OwnerSession) -> Result<Planned> {
        let statement = self.plan_tree()?;
        // SAFETY: the plan was just made or found valid, and lives as long as the statement.
        unsafe {
            let plan = &*(*statement).planTree;
            let last_term = last_term((*statement).planTree);
            Ok(Planned { cost: plan.total_cost, rows: plan.plan_rows, last_term })
        }
    }

    /// Tables that the plan joins with an ephemeral relation, reading them whole.
    pub fn unindexed(&self, _owner: &OwnerSession) -> Result<Vec<Unindexed>> {
        let reader = Reader { statement: self.plan_tree()? };
        // SAFETY: as above.
        unsafe { Ok(reader.unindexed()) }
    }

    fn plan_tree(&self) -> Result<*mut pg_sys::PlannedStmt> {
        // SAFETY: without parameters every plan is the generic one, which the source keeps after it is
        // released here.
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            if !self.is_planned()? {
                let plan = self.reads().counted(|| Ok(pg_sys::SPI_plan_get_cached_plan(self.raw())))?;
                if plan.is_null() {
                    return Err(Error::Bug("a statement could not be planned"));
                }
                pg_sys::ReleaseCachedPlan(plan, pg_sys::CurrentResourceOwner);
            }
            let plan = (*self.source()?).gplan;
            if plan.is_null() {
                return Err(Error::Bug("a planned statement has a plan"));
            }
            pointers((*plan).stmt_list).next().ok_or(Error::Bug("a planned statement has a plan"))
        }
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

/// Walks the plan of one statement, which outlives it. All its functions take nodes of that plan.
struct Reader {
    statement: *mut pg_sys::PlannedStmt,
}

type Plan = *mut pg_sys::Plan;
type Node = *mut pg_sys::Node;

/// A column where it is read: the scan and the number of the column.
type Leaf = (Plan, i16);

/// What an index could find the rows of a sequential scan by.
#[derive(Default)]
struct Keys {
    together: BTreeSet<String>,
    /// Parts of a disjunction, an index for each.
    apart: BTreeSet<String>,
}

/// An expression, the input that it is computed from, and the input that it is compared with; for a scan, compared
/// with what another query gave.
struct Side {
    expr: Node,
    input: Plan,
    other: Option<Plan>,
    /// One of several comparisons, of which any may hold.
    alternative: bool,
}

impl Reader {
    unsafe fn unindexed(&self) -> Vec<Unindexed> {
        let mut keys: BTreeMap<Plan, Keys> = BTreeMap::new();
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let roots = pointers((*self.statement).subplans).chain([(*self.statement).planTree]);
            for root in roots.filter(|root: &Plan| !root.is_null()) {
                self.collect(root, &mut keys);
            }
            let mut found = vec![];
            for (scan, Keys { together, apart }) in keys {
                let sets = apart.into_iter().map(|key| [key].into()).chain([together]).filter(|keys| !keys.is_empty());
                found.extend(sets.map(|keys| Unindexed { relation: self.relation(scan), keys }));
            }
            found
        }
    }

    /// The keys of every sequential scan below `plan`, by scan.
    unsafe fn collect(&self, plan: Plan, keys: &mut BTreeMap<Plan, Keys>) {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            for Side { expr, input, other, alternative } in self.sides(plan) {
                // An index holds only what is the same whoever looks: not `at::date`, which depends on the time zone.
                let fixed = !pg_sys::contain_mutable_functions(expr);
                if fixed && !self.has_delta(input) && other.is_none_or(|other| self.has_delta(other)) {
                    for (scan, key) in self.keys(plan, expr) {
                        let known = keys.entry(scan).or_default();
                        if alternative {
                            known.apart.insert(key)
                        } else {
                            known.together.insert(key)
                        };
                    }
                }
            }
            self.inputs(plan).into_iter().for_each(|input| self.collect(input, keys));
        }
    }

    /// The sides of the equalities of one plan node, and of a scan's ranges.
    unsafe fn sides(&self, plan: Plan) -> Vec<Side> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let (outer, inner) = ((*plan).lefttree, (*plan).righttree);
            let clauses = match (*plan).type_ {
                NodeTag::T_HashJoin => (*plan.cast::<pg_sys::HashJoin>()).hashclauses,
                NodeTag::T_MergeJoin => (*plan.cast::<pg_sys::MergeJoin>()).mergeclauses,
                NodeTag::T_NestLoop => (*plan.cast::<pg_sys::NestLoop>()).join.joinqual,
                NodeTag::T_SeqScan => return self.sides_of_scan(plan),
                _ => return vec![],
            };
            let sides = pointers(clauses).filter_map(|clause| equality(clause)).flat_map(|(a, b)| [a, b]);
            let placed = sides.filter_map(|expr| {
                let (input, other) = match input_of(expr)? {
                    pg_sys::OUTER_VAR => (outer, inner),
                    _ => (inner, outer),
                };
                Some(Side { expr, input, other: Some(other), alternative: false })
            });
            placed.collect()
        }
    }

    /// What a scan compares with the value of a subquery, or for equality with what an outer query gave.
    unsafe fn sides_of_scan(&self, plan: Plan) -> Vec<Side> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let mut found = vec![];
            for clause in pointers((*plan).qual) {
                let parts = comparisons(clause);
                let alternative = parts.len() > 1;
                for part in parts {
                    let (equal, range) = (equality(part), inequality(part));
                    let known = |id| !alternative && equal.is_some() || self.is_value(id);
                    let both = equal.or(range).into_iter().flat_map(|(a, b)| [(a, b), (b, a)]);
                    let compared = both.filter(|(_, other)| given(*other).is_some_and(known));
                    let own = compared.filter(|(this, other)| has_var(*this) && !has_var(*other));
                    found.extend(own.map(|(expr, _)| Side { expr, input: plan, other: None, alternative }));
                }
            }
            found
        }
    }

    /// Whether a parameter is the value of a subquery that reads nothing of the query around it: what bounds the rows
    /// that time or another threshold takes across.
    unsafe fn is_value(&self, parameter: i32) -> bool {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let roots = pointers((*self.statement).subplans).chain([(*self.statement).planTree]);
            let mut plans: Vec<Plan> = roots.filter(|root: &Plan| !root.is_null()).collect();
            while let Some(plan) = plans.pop() {
                let subplans = pointers::<pg_sys::SubPlan>((*plan).initPlan);
                let set = subplans.flat_map(|subplan| integers((*subplan).setParam).collect::<Vec<_>>());
                if set.into_iter().any(|set| set == parameter) {
                    return true;
                }
                plans.extend(self.inputs(plan));
            }
            false
        }
    }

    /// The plans that feed `plan`.
    unsafe fn inputs(&self, plan: Plan) -> Vec<Plan> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let direct = [(*plan).lefttree, (*plan).righttree];
            let more: Vec<Plan> = match (*plan).type_ {
                NodeTag::T_Append => pointers((*plan.cast::<pg_sys::Append>()).appendplans).collect(),
                NodeTag::T_MergeAppend => pointers((*plan.cast::<pg_sys::MergeAppend>()).mergeplans).collect(),
                NodeTag::T_SubqueryScan => vec![(*plan.cast::<pg_sys::SubqueryScan>()).subplan],
                _ => vec![],
            };
            direct.into_iter().chain(more).filter(|input| !input.is_null()).collect()
        }
    }

    /// The plan of the common table expression that `plan` scans.
    unsafe fn shared(&self, plan: Plan) -> Option<Plan> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let scan = plan.cast::<pg_sys::CteScan>();
            let known = (*plan).type_ == NodeTag::T_CteScan;
            known.then(|| pointers((*self.statement).subplans).nth((*scan).ctePlanId as usize - 1)).flatten()
        }
    }

    /// Whether an ephemeral relation is read at or below `plan`.
    unsafe fn has_delta(&self, plan: Plan) -> bool {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            (*plan).type_ == NodeTag::T_NamedTuplestoreScan
                || self.shared(plan).is_some_and(|shared| self.has_delta(shared))
                || self.inputs(plan).into_iter().any(|input| self.has_delta(input))
        }
    }

    /// An expression of the node `plan` as a key of each sequential scan that alone provides its columns.
    unsafe fn keys(&self, plan: Plan, expr: Node) -> Vec<(Plan, String)> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let columns: Vec<Vec<Leaf>> = variables(expr).map(|var| self.origins(plan, var)).collect();
            let scans: BTreeSet<Plan> = columns.iter().flatten().map(|(scan, _)| *scan).collect();
            let key = |scan: Plan| {
                let numbers = columns.iter().map(|c| c.iter().find(|(at, _)| *at == scan).map(|(_, number)| *number));
                Some((scan, self.text(scan, expr, numbers.collect::<Option<Vec<i16>>>()?)))
            };
            scans.into_iter().filter_map(key).collect()
        }
    }

    /// Where the column that `var` names in the node `plan` is read by a sequential scan: in several places
    /// for the members of a partitioned table.
    unsafe fn origins(&self, plan: Plan, var: *mut pg_sys::Var) -> Vec<Leaf> {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let number = (*var).varattno;
            let below: Vec<Plan> = match (*var).varno {
                pg_sys::INNER_VAR => vec![(*plan).righttree],
                pg_sys::OUTER_VAR if (*plan).lefttree.is_null() => self.inputs(plan),
                pg_sys::OUTER_VAR => vec![(*plan).lefttree],
                _ => match (*plan).type_ {
                    NodeTag::T_SeqScan => return vec![(plan, number)],
                    NodeTag::T_SubqueryScan => self.inputs(plan),
                    NodeTag::T_CteScan => self.shared(plan).into_iter().collect(),
                    _ => vec![],
                },
            };
            let column = |input: Plan| {
                let entry = pointers::<pg_sys::TargetEntry>((*input).targetlist).nth(number as usize - 1)?;
                let expr = plain((*entry).expr.cast());
                ((*expr).type_ == NodeTag::T_Var).then(|| self.origins(input, expr.cast()))
            };
            below.into_iter().filter(|_| number > 0).filter_map(column).flatten().collect()
        }
    }

    /// An expression over columns of one table, these by their numbers in order, as the server prints it.
    unsafe fn text(&self, scan: Plan, expr: Node, numbers: Vec<i16>) -> String {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let relation = self.relation(scan);
            let copy = plain(pg_sys::copyObjectImpl(expr.cast_const().cast()).cast());
            for (var, number) in variables(copy).zip(numbers) {
                (*var).varno = 1;
                (*var).varattno = number;
                // What the deparser prefers to show.
                (*var).varnosyn = 1;
                (*var).varattnosyn = number;
            }
            let bare = match (*copy).type_ {
                NodeTag::T_Var => true,
                NodeTag::T_FuncExpr => {
                    (*copy.cast::<pg_sys::FuncExpr>()).funcformat == pg_sys::CoercionForm::COERCE_EXPLICIT_CALL
                }
                _ => false,
            };
            let context = pg_sys::deparse_context_for(pg_sys::get_rel_name(relation), relation);
            let text = pg_sys::deparse_expression(copy, context, false, false);
            let text = CStr::from_ptr(text).to_string_lossy().into_owned();
            if bare { text } else { format!("({text})") }
        }
    }

    /// The table of a sequential scan.
    unsafe fn relation(&self, scan: Plan) -> pg_sys::Oid {
        // SAFETY: nodes of the plan, by contract; the tag says what each is.
        unsafe {
            let index = (*scan.cast::<pg_sys::SeqScan>()).scan.scanrelid as usize;
            let entry = pointers::<pg_sys::RangeTblEntry>((*self.statement).rtable).nth(index - 1);
            entry.map_or(pg_sys::InvalidOid, |entry| (*entry).relid)
        }
    }
}

/// Without changes of type that change nothing.
unsafe fn plain(expr: Node) -> Node {
    // SAFETY: nodes of the plan, by contract; the tag says what each is.
    unsafe {
        match (*expr).type_ {
            NodeTag::T_RelabelType => plain((*expr.cast::<pg_sys::RelabelType>()).arg.cast()),
            _ => expr,
        }
    }
}

/// A condition, or those that it is made of.
unsafe fn comparisons(clause: Node) -> Vec<Node> {
    // SAFETY: nodes of the plan, by contract; nothing of the clause is read before the tag says what it is.
    unsafe {
        if (*clause).type_ != NodeTag::T_BoolExpr {
            return vec![clause];
        }
        pointers((*clause.cast::<pg_sys::BoolExpr>()).args).flat_map(|part| comparisons(part)).collect()
    }
}

/// The two sides of a condition that an index can serve.
unsafe fn equality(clause: Node) -> Option<(Node, Node)> {
    // SAFETY: nodes of the plan, by contract; the tag says what each is.
    unsafe { sides(clause, |operator| !pg_sys::get_mergejoin_opfamilies(operator).is_null()) }
}

/// What estimates the inequalities that a btree index serves by a range.
const RANGES: [u32; 4] = [pg_sys::F_SCALARLTSEL, pg_sys::F_SCALARLESEL, pg_sys::F_SCALARGTSEL, pg_sys::F_SCALARGESEL];

/// The two sides of a condition that is one end of a range.
unsafe fn inequality(clause: Node) -> Option<(Node, Node)> {
    // SAFETY: nodes of the plan, by contract; the tag says what each is.
    unsafe { sides(clause, |operator| RANGES.contains(&pg_sys::get_oprrest(operator).to_u32())) }
}

/// The two sides of a condition whose operator is `known`.
unsafe fn sides(clause: Node, known: impl FnOnce(pg_sys::Oid) -> bool) -> Option<(Node, Node)> {
    // SAFETY: nodes of the plan, by contract; nothing of the clause is read before the tag says what it is.
    unsafe {
        if (*clause).type_ != NodeTag::T_OpExpr {
            return None;
        }
        let operator = clause.cast::<pg_sys::OpExpr>();
        let mut args = pointers((*operator).args);
        known((*operator).opno).then(|| args.next().zip(args.next())).flatten()
    }
}

/// The columns in an expression, in order.
unsafe fn variables(expr: Node) -> impl Iterator<Item = *mut pg_sys::Var> {
    // SAFETY: an expression of a plan: no aggregates, windows or outer levels.
    unsafe { pointers(pg_sys::pull_var_clause(expr, 0)) }
}

unsafe fn has_var(expr: Node) -> bool {
    // SAFETY: as above.
    unsafe { variables(expr).next().is_some() }
}

/// The input that all columns of an expression come from.
unsafe fn input_of(expr: Node) -> Option<i32> {
    // SAFETY: nodes of the plan, by contract; the tag says what each is.
    unsafe {
        let inputs: BTreeSet<i32> = variables(expr).map(|var| (*var).varno).collect();
        inputs.first().copied().filter(|_| inputs.len() == 1)
    }
}

/// The number of the parameter that an expression is: a value that another query gives.
unsafe fn given(expr: Node) -> Option<i32> {
    // SAFETY: nodes of the plan, by contract; the tag says what each is.
    unsafe {
        let expr = plain(expr);
        let parameter = expr.cast::<pg_sys::Param>();
        let given = (*expr).type_ == NodeTag::T_Param && (*parameter).paramkind == pg_sys::ParamKind::PARAM_EXEC;
        given.then(|| (*parameter).paramid)
    }
}
