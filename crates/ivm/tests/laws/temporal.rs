//! Random temporal filters: one or several comparisons with the clock, as `bind::temporal` makes them.

use ivm::clock;
use ivm::expr::{Expr as E, IsTest};
use ivm::plan::{Column, Expr, Plan, UnionAll, replaced};

use crate::plans::{Generator, Ty};

impl Generator<'_, '_> {
    /// Temporal filters over the inputs of a join, or over all of it.
    pub fn temporal_join(&mut self) -> Plan {
        let inputs: Vec<Plan> = (0..1 + self.tape.pick(3)).map(|_| self.temporal(0)).collect();
        let mut predicates = vec![];
        for pair in inputs.windows(2) {
            let (l, r) = (self.of_type(&pair[0], Ty::Int), self.of_type(&pair[1], Ty::Int));
            predicates.push(E::equals(self.tape.of(&l).expr(), self.tape.of(&r).expr()));
        }
        let joined = Plan::join(inputs, predicates);
        if self.tape.flip() { self.timed(joined) } else { joined }
    }

    pub fn temporal(&mut self, depth: usize) -> Plan {
        let input = self.any(depth);
        if self.tape.pick(3) == 0 { self.timed_value(input) } else { self.timed(input) }
    }

    /// The rows with the value of a condition on the clock, as `bind::on_clock` makes it.
    fn timed_value(&mut self, input: Plan) -> Plan {
        let ints = self.of_type(&input, Ty::Int);
        if ints.is_empty() || !self.timed {
            return input;
        }
        let now = self.ids.column("now");
        let condition = self.timed_condition(&ints, &now, 1);
        let inputs = [1, 0].into_iter().map(|value| {
            let (arm, mut ids) = input.copied(&mut self.ids);
            let (clock, own_now) = clock::scan(&mut self.ids);
            ids.insert(now.id, own_now.id);
            let holds = replaced(&condition, &ids).is(if value == 1 { IsTest::True } else { IsTest::NotTrue });
            let flag = (self.ids.column("flag"), E::number(value).cast("integer"));
            let shown = arm.columns().iter().map(Column::pass).chain([flag]).collect();
            Plan::join(vec![arm, clock], vec![holds]).project(shown).arm()
        });
        let inputs = inputs.collect();
        let columns = [input.columns(), vec![self.column("flag", Ty::Int)]].concat();
        Plan::UnionAll(UnionAll { columns, inputs })
    }

    /// The rows that hold now. The evaluator knows no times, so the clock shows numbers.
    fn timed(&mut self, input: Plan) -> Plan {
        let (columns, ints) = (input.columns(), self.of_type(&input, Ty::Int));
        if ints.is_empty() || !self.timed {
            return input;
        }
        let (clock, now) = clock::scan(&mut self.ids);
        let mut predicates = vec![];
        for _ in 0..1 + self.tape.pick(3) {
            predicates.push(self.timed_condition(&ints, &now, 2));
        }
        Plan::join(vec![input, clock], predicates).project(columns.iter().map(Column::pass).collect())
    }

    /// A condition that compares columns with the clock, and with constants.
    fn timed_condition(&mut self, ints: &[Column], now: &Column, depth: usize) -> Expr {
        let depth_below = depth.saturating_sub(1);
        match self.tape.pick(if depth == 0 { 8 } else { 16 }) {
            0 => E::binary(">", self.tape.of(ints).expr(), E::number(1)),
            1..8 => {
                let operator = self.tape.of(&[">", ">=", "<", "<=", "="]);
                let offset = E::number(self.tape.pick(4) as i64 - 1);
                let bound = E::binary("-", now.expr().cast("integer"), offset);
                E::binary(operator, self.tape.of(ints).expr(), bound)
            }
            8..11 => E::any_of(vec![
                self.timed_condition(ints, now, depth_below),
                self.timed_condition(ints, now, depth_below),
            ]),
            11 => {
                E::all(vec![self.timed_condition(ints, now, depth_below), self.timed_condition(ints, now, depth_below)])
            }
            12 | 13 => E::Not(Box::new(self.timed_condition(ints, now, depth_below))),
            14 => self.timed_condition(ints, now, depth_below).is(self.tape.of(&[
                IsTest::Null,
                IsTest::NotTrue,
                IsTest::False,
            ])),
            _ => {
                let holds = self.timed_condition(ints, now, depth_below);
                let value = self.timed_condition(ints, now, depth_below);
                E::case(vec![(holds, value)], self.timed_condition(ints, now, depth_below))
            }
        }
    }
}
