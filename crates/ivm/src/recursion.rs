//! The shape of a recursive step.
//!
//! A step reads its own rows along a *path* of filters, projections and joins, none of which reads them
//! twice: `S(T)` is linear in `T`. The path joins them with the *parts* of the step; of a part only the rows matter, not
//! its operators, and `S` is linear in each part as well. So more rows
//! in `T` or in a part never mean fewer rows in `S(T)`.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::plan::{ColId, Expr, Fixpoint, Plan, Relation, Scan, equality};
use crate::refuse;
use crate::render::unique;
use crate::sql::ident::Ident;

/// The name of a recursive CTE, numbered where several are nested.
pub const RECURSION: &str = "recursion";

/// The name of a recursion outside of its fixpoint, where only its row type matters.
pub fn free_name(number: u32) -> Ident {
    Ident::new(format!("{RECURSION}{number}"))
}

impl Fixpoint {
    /// The names by which its step reads the columns.
    pub fn names(&self) -> Vec<Ident> {
        unique(&self.columns)
    }

    /// The place of a column that its step reads by this name.
    pub fn place(&self, name: &Ident) -> Option<usize> {
        self.names().iter().position(|own| own == name)
    }

    /// The plans that its step joins its own rows with.
    pub fn parts(&self) -> Vec<&Plan> {
        let mut parts = vec![];
        along(&self.step.0, self.number, &mut |input| parts.push(input));
        parts
    }

    /// Its step without the operators on the path that are redundant for a set, to which duplicates do not matter: a
    /// semi join becomes a join, a duplicate elimination its input, unless duplicates may look different (`alike`),
    /// which the step could distinguish.
    pub fn on_a_path(mut self, alike: &dyn Fn(&Plan) -> bool) -> Fixpoint {
        if !self.all {
            self.step.0 = plain(self.step.0, self.number, alike);
        }
        self
    }
}

/// Whether a plan reads the rows of this recursion.
pub fn reads(plan: &Plan, number: u32) -> bool {
    plan.reads(&Relation::Recursion(number))
}

/// Whether a plan has a recursion that may end only by a LIMIT.
pub fn may_be_endless(plan: &Plan) -> bool {
    matches!(plan, Plan::Fixpoint(f) if f.all) || plan.inputs().into_iter().any(may_be_endless)
}

/// Calls `f` for every part.
fn along<'a>(plan: &'a Plan, number: u32, f: &mut impl FnMut(&'a Plan)) {
    match reads(plan, number) {
        true => plan.inputs().into_iter().for_each(|input| along(input, number, f)),
        false => f(plan),
    }
}

fn plain(plan: Plan, number: u32, alike: &dyn Fn(&Plan) -> bool) -> Plan {
    if !reads(&plan, number) {
        return plan;
    }
    match plan.map_inputs(&mut |input| plain(input, number, alike)) {
        Plan::Distinct(d) if alike(&d.input) => d.input,
        Plan::Semi(s) if !s.anti && reads(&s.left, number) => {
            let columns = s.left.pass();
            Plan::join(vec![s.left, s.right], vec![s.on]).project(columns)
        }
        other => other,
    }
}

/// The step with its scans of the recursion replaced.
pub fn replaced(plan: &Plan, number: u32, f: &dyn Fn(&Scan) -> Plan) -> Plan {
    match plan {
        Plan::Scan(scan) if scan.relation == Relation::Recursion(number) => f(scan),
        other => other.clone().map_inputs(&mut |input| replaced(&input, number, f)),
    }
}

/// Refuses a step that is not linear in its own rows.
pub fn check(fixpoint: &Fixpoint) -> Result<()> {
    path(&fixpoint.step.0, fixpoint)
}

fn path(plan: &Plan, fixpoint: &Fixpoint) -> Result<()> {
    let mut own = plan.inputs().into_iter().filter(|input| reads(input, fixpoint.number));
    match plan {
        Plan::Scan(_) | Plan::Values(_) | Plan::Filter(_) | Plan::Project(_) => {}
        Plan::Expand(_) | Plan::Unnest(_) | Plan::Join(_) => {}
        Plan::UnionAll(_) => return Err(refuse::recursion_union()),
        Plan::Aggregate(_) => return Err(refuse::recursion_under("an aggregate")),
        Plan::Distinct(_) => return Err(refuse::recursion_under("DISTINCT")),
        Plan::Fixpoint(_) => return Err(refuse::recursion_under("another recursive query")),
        Plan::Window(_) => return Err(refuse::recursion_under("a window function")),
        Plan::TopK(_) => return Err(refuse::recursion_under("LIMIT or DISTINCT ON")),
        Plan::Outer(_) | Plan::Semi(_) | Plan::Lateral(_) => return Err(refuse::recursion_matched()),
    }
    match (own.next(), own.next()) {
        (_, Some(_)) => Err(refuse::recursion_twice()),
        (Some(input), None) => path(input, fixpoint),
        (None, None) => Ok(()),
    }
}

/// The places by which a step looks up its own rows when a part changes: those of the columns that it
/// compares with something else by `=`.
pub fn lookup(fixpoint: &Fixpoint) -> BTreeSet<usize> {
    let mut places = BTreeSet::new();
    fixpoint.step.0.scans(&mut |scan| {
        if scan.relation == Relation::Recursion(fixpoint.number) {
            compared(&fixpoint.step.0, scan, &mut |id| {
                let column = scan.columns.iter().find(|(column, _)| column.id == id);
                places.extend(column.and_then(|(_, name)| fixpoint.place(name)));
            });
        }
    });
    places
}

/// Calls `f` for every column of `own` that a predicate equates with an expression over other columns.
fn compared(plan: &Plan, own: &Scan, f: &mut impl FnMut(ColId)) {
    let predicates = if matches!(plan, Plan::Join(_) | Plan::Filter(_)) { plan.expressions() } else { vec![] };
    let columns = own.columns.iter().map(|(column, _)| column.id).collect();
    for predicate in predicates.into_iter().flat_map(|predicate| predicate.clone().conjuncts()) {
        match equality(&predicate, &columns) {
            Some((other, Expr::Column(id))) if !other.columns().is_empty() => f(*id),
            _ => {}
        }
    }
    plan.inputs().into_iter().for_each(|input| compared(input, own, f));
}

#[cfg(test)]
mod tests;
