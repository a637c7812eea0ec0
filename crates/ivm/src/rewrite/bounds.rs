//! ⋈ with inputs of one row: which of them are bounds of the others, so that a delta need not read all rows.
//!
//! `v > (SELECT avg(v) …)` is a join with one row that only predicates read. No output shows which row a row of the other
//! inputs was joined with, so that a change of the bound changes only the rows for which a comparison flips. The clock is
//! such an input as well. The rule runs last, over the plan of a node: it changes no plan and assigns the [`Role`]s that
//! `delta::join` reads.

use std::collections::BTreeSet;

use super::with_read;
use crate::bounds::Reading;
use crate::clock;
use crate::plan::{ColId, Expr, Join, Plan, Relation, Role, reads};

/// The plan with the roles of each join's inputs; `is_row` says whether an internal node has one row at most.
pub fn bounds(plan: Plan, is_row: &dyn Fn(usize) -> bool) -> Plan {
    let shown = plan.ids();
    let assign = &mut |plan, read: &BTreeSet<ColId>| {
        Ok::<Plan, std::convert::Infallible>(match plan {
            Plan::Join(join) => Plan::Join(Box::new(Join { roles: roles(&join, read, is_row), ..*join })),
            other => other,
        })
    };
    let Ok(plan) = with_read(plan, &shown, assign);
    plan
}

/// The roles of a join's inputs, where `read` are the columns that are read above it.
fn roles(join: &Join, read: &BTreeSet<ColId>, is_row: &dyn Fn(usize) -> bool) -> Vec<Role> {
    let role = |input: &Plan| match () {
        () if clock::is_scan(input) => Role::Clock,
        () if !is_single(input, is_row) => Role::Rows,
        () if input.ids().is_disjoint(read) => Role::Bound,
        () => Role::Row,
    };
    let mut roles: Vec<Role> = join.inputs.iter().map(role).collect();
    let columns = |roles: &[Role], of: &[Role]| -> BTreeSet<ColId> {
        join.inputs.iter().zip(roles).filter(|(_, role)| of.contains(role)).flat_map(|(input, _)| input.ids()).collect()
    };
    let (time, single) = (columns(&roles, &[Role::Clock]), columns(&roles, &[Role::Bound, Role::Row]));
    let is_other = |e: &Expr, roles: &[Role]| match Reading::of(e, &columns(roles, &[Role::Bound]), &single) {
        Reading::None => false,
        Reading::Other => true,
        // The clock is joined last.
        Reading::Gate | Reading::Comparison(_) => !reads(e).is_disjoint(&time),
    };
    // An input is no bound where a predicate reads it in another way. Of the bounds `a` and `b` in `v + b > a`, one
    // can stay.
    while let Some(other) = join.predicates.iter().find(|e| is_other(e, &roles)) {
        let read = reads(other);
        let of = |at: &usize| roles[*at] == Role::Bound && !join.inputs[*at].ids().is_disjoint(&read);
        let read: Vec<usize> = (0..roles.len()).filter(of).collect();
        let without = |of: &[usize]| {
            let mut roles = roles.clone();
            of.iter().for_each(|at| roles[*at] = Role::Row);
            roles
        };
        let enough = read.iter().map(|at| without(&[*at])).find(|roles| !is_other(other, roles));
        roles = enough.unwrap_or_else(|| without(&read));
    }
    roles
}

/// Whether a plan is the row of a node that has one, or made of such rows: its delta is an old and a new row at most.
fn is_single(plan: &Plan, is_row: &dyn Fn(usize) -> bool) -> bool {
    match plan {
        Plan::Scan(scan) => matches!(scan.relation, Relation::Node(index) if is_row(index)),
        Plan::Project(_) | Plan::Filter(_) | Plan::Join(_) => {
            plan.inputs().into_iter().all(|input| is_single(input, is_row))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Expr as E;
    use crate::plan::{Column, Ids, Scan};
    use crate::sql::ident::{Ident, QName};

    /// The roles of a join of a table of `v`, two rows of `a` and of `b`, and the clock, where `shown` is read above it.
    fn assigned(predicate: impl Fn([Expr; 4]) -> Expr, shown: usize) -> Vec<Role> {
        let ids = &mut Ids::default();
        let mut scan = |relation, name: &str| {
            let column = ids.column(name);
            let plan = Plan::Scan(Scan { relation, columns: vec![(column.clone(), Ident::new(name))] });
            (column, plan)
        };
        let table = Relation::Source(QName::qualified("public", "t"));
        let scans = [(table, "v"), (Relation::Node(0), "a"), (Relation::Node(1), "b"), (Relation::Clock, clock::NOW)];
        let (columns, inputs): (Vec<Column>, Vec<Plan>) =
            scans.into_iter().map(|(relation, name)| scan(relation, name)).unzip();
        let exprs = [0, 1, 2, 3].map(|at| columns[at].expr());
        let plan = Plan::join(inputs, vec![predicate(exprs)]).project(vec![columns[shown].pass()]);
        let Plan::Project(project) = bounds(plan, &|_| true) else { panic!("a projection stays one") };
        let Plan::Join(join) = project.input else { panic!("a join stays one") };
        join.roles
    }

    const UNREAD: Role = Role::Bound;

    #[test]
    fn row_that_only_comparisons_read_is_a_bound() {
        let compared = |[v, a, ..]: [Expr; 4]| E::binary(">", v, a);
        assert_eq!(assigned(compared, 0), [Role::Rows, Role::Bound, UNREAD, Role::Clock]);
        assert_eq!(assigned(compared, 1), [Role::Rows, Role::Row, UNREAD, Role::Clock]);
        assert_eq!(assigned(|[v, a, ..]| E::binary("<>", v, a), 0), [Role::Rows, Role::Row, UNREAD, Role::Clock]);
        assert_eq!(assigned(|[_, a, _, now]| E::binary(">", now, a), 0), [Role::Rows, Role::Row, UNREAD, Role::Clock]);
    }

    #[test]
    fn one_of_two_compared_rows_stays_a_bound() {
        let sum = |[v, a, b, _]: [Expr; 4]| E::binary(">", E::binary("+", v, b), a);
        assert_eq!(assigned(sum, 0), [Role::Rows, Role::Bound, Role::Row, Role::Clock]);
        let bounded = |[v, a, b, _]: [Expr; 4]| E::binary(">", v, E::binary("+", a, b));
        assert_eq!(assigned(bounded, 0), [Role::Rows, Role::Bound, Role::Bound, Role::Clock]);
    }
}
