//! Random moving bounds: inputs of at most one row that others are compared with, as uncorrelated subqueries are.

use ivm::expr::{Expr as E, IsTest};
use ivm::plan::{AggregateCall, Column, Expr, Order, Plan, Ties, TopK};

use crate::plans::{Generator, Ty};

impl Generator<'_, '_> {
    /// One or two inputs, joined with up to three bounds, of which rarely one is shown.
    pub fn bounded_join(&mut self) -> Plan {
        let mut inputs: Vec<Plan> = (0..1 + self.tape.pick(2)).map(|_| self.any(0)).collect();
        let mut predicates = vec![];
        if let [left, right] = inputs.as_slice() {
            let (l, r) = (self.of_type(left, Ty::Int), self.of_type(right, Ty::Int));
            predicates.push(E::equals(self.tape.of(&l).expr(), self.tape.of(&r).expr()));
        }
        let mut shown: Vec<Column> = inputs.iter().flat_map(Plan::columns).collect();
        let compared = shown.clone();
        let mut bounds = vec![];
        for _ in 0..1 + self.tape.pick(3) {
            let (plan, bound) = self.bound();
            inputs.push(plan);
            bounds.push(bound);
        }
        for _ in 0..self.tape.pick(4) {
            let predicate = self.bounded(&compared, &bounds);
            predicates.push(predicate);
        }
        if self.tape.pick(10) == 9 {
            shown.push(self.tape.of(&bounds));
        }
        Plan::join(inputs, predicates).project(shown.iter().map(Column::pass).collect())
    }

    /// A plan of at most one row, and its column.
    fn bound(&mut self) -> (Plan, Column) {
        let input = self.any(0);
        let ints = self.of_type(&input, Ty::Int);
        let of = self.tape.of(&ints);
        let (plan, bound) = match self.tape.pick(5) {
            0 => {
                let order = vec![Order::ascending(of.expr())];
                let limit = Some(E::number(1));
                let input = input.project(vec![of.pass()]);
                let top = TopK { input, partition: vec![], order, limit, offset: None, ties: Ties::Split };
                (Plan::TopK(Box::new(top)), of)
            }
            function => {
                let function = ["max", "sum", "avg", "count"][function - 1];
                let bound = self.column(function, Ty::Int);
                let call = AggregateCall::new(bound.clone(), function, vec![of.id]);
                (input.aggregate(vec![], vec![call]), bound)
            }
        };
        match self.tape.pick(4) {
            // HAVING: no row where it fails.
            0 => (plan.filter(E::binary(">", bound.expr(), E::number(1))), bound),
            1 => {
                let more = self.column("more", Ty::Int);
                (plan.project(vec![(more.clone(), E::binary("+", bound.expr(), E::number(1)))]), more)
            }
            _ => (plan, bound),
        }
    }

    /// Mostly comparisons; sometimes conditions on a bound alone, or of other forms.
    fn bounded(&mut self, compared: &[Column], bounds: &[Column]) -> Expr {
        let ints: Vec<Column> = compared.iter().filter(|column| self.ty(column) == Ty::Int).cloned().collect();
        let (e, bound) = (self.tape.of(&ints).expr(), self.tape.of(bounds));
        let f = match self.tape.pick(4) {
            0 => E::binary("+", bound.expr(), self.tape.of(bounds).expr()),
            1 => E::binary("-", bound.expr(), E::number(1)),
            _ => bound.expr(),
        };
        let operator = self.tape.of(&["<", "<=", ">", ">=", "="]);
        match self.tape.pick(24) {
            21 => E::binary(operator, E::binary("+", e.clone(), f), e),
            22 => E::any_of(vec![E::binary(operator, e.clone(), f), e.is(IsTest::Null)]),
            23 => E::binary("<>", e, f),
            gate if gate > 17 => E::binary(operator, bound.expr(), E::number(1)),
            swapped if swapped > 11 => E::binary(operator, f, e),
            _ => E::binary(operator, e, f),
        }
    }
}
