//! Random recursions over cycles, duplicates and NULLs.

use ivm::expr::Expr as E;
use ivm::plan::{ColId, Column, Distinct, Expr, Fixpoint, Plan, Relation, Scan};

use crate::plans::{Generator, Ty};

impl Generator<'_, '_> {
    /// Pairs of numbers, from any rows and then along joins.
    pub fn fixpoint(&mut self, depth: usize) -> Plan {
        let (number, all) = (self.ids.recursion(), self.tape.flip());
        let base = self.any(depth);
        let pair = [self.int(&base), self.int(&base)];
        let base = self.pair(base, pair);
        let own: Vec<Column> = ["u", "v"].map(|name| self.column(name, Ty::Int)).into();
        let columns = own.iter().map(|column| (column.clone(), column.name.clone())).collect();
        let scan = Plan::Scan(Scan { relation: Relation::Recursion(number), columns });
        let path = self.path(scan, all, depth);
        let step = self.step(path, &own, depth);
        let columns = ["u", "v"].map(|name| self.column(name, Ty::Int)).into();
        Plan::Fixpoint(Box::new(Fixpoint { number, columns, base, step, all }))
    }

    /// The operators other than joins that a step of a set may have.
    fn path(&mut self, scan: Plan, all: bool, depth: usize) -> Plan {
        match self.tape.pick(6) {
            0 => {
                let condition = self.condition(&scan);
                scan.filter(condition)
            }
            1 if !all => {
                let right = self.any(depth);
                let on = E::equals(self.int(&scan), self.int(&right));
                scan.semi_join(right, on, false)
            }
            2 if !all => Plan::Distinct(Box::new(Distinct { input: scan })),
            _ => scan,
        }
    }

    /// One step along one or two joins.
    fn step(&mut self, path: Plan, own: &[Column], depth: usize) -> (Plan, Vec<ColId>) {
        let mut inputs = vec![path];
        let mut predicates = vec![];
        for _ in 0..1 + self.tape.pick(2) {
            let part = self.any(depth);
            let operator = self.tape.of(&["=", "=", "=", "<"]);
            predicates.push(E::binary(operator, self.tape.of(own).expr(), self.int(&part)));
            inputs.push(part);
        }
        if self.tape.flip() {
            inputs.reverse();
        }
        let joined = Plan::join(inputs.clone(), predicates);
        let (of_part, kept) = (self.int(inputs.last().unwrap_or(&joined)), self.tape.of(own).expr());
        // The other number goes round, or up and to an end.
        let (second, end) = match self.tape.pick(3) {
            0 => (E::binary("+", own[1].expr(), E::number(1)), E::binary("<", own[1].expr(), E::number(3))),
            1 => (kept, E::binary("<", own[0].expr(), of_part.clone())),
            _ => (kept, E::bool(true)),
        };
        self.pair(joined.filter(end), [of_part, second])
    }

    /// A number of a plan.
    fn int(&mut self, plan: &Plan) -> Expr {
        let ints = self.of_type(plan, Ty::Int);
        if ints.is_empty() { E::number(1) } else { self.tape.of(&ints).expr() }
    }

    fn pair(&mut self, plan: Plan, pair: [Expr; 2]) -> (Plan, Vec<ColId>) {
        let columns = pair.map(|e| (self.column("n", Ty::Int), e.cast("bigint")));
        let ids = columns.iter().map(|(column, _)| column.id).collect();
        (plan.project(columns.into()), ids)
    }
}
