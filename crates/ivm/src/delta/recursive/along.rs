//! `S` over other relations: the step's path, with given relations in the place of its own rows and its parts.

use crate::error::{Error, Result};
use crate::plan::{Column, Plan, Scan};
use crate::recursion;

use super::super::Cx;
use super::Change;
use super::parts::State;
use super::rows::Rows;

/// The relation that a step reads as its own rows.
pub type Own<'r> = &'r dyn Fn(&Scan, &mut Cx) -> Rows;

/// A plan and the weights of its rows, of which the product counts.
type Weighed = (Plan, Vec<Column>);

impl Change<'_> {
    /// The rows that the step derives from `own`, each part in the state `state(part)`.
    pub fn step(&self, own: Own, state: &dyn Fn(usize) -> State, cx: &mut Cx) -> Result<Rows> {
        let (plan, ids) = &self.fixpoint.step;
        let (plan, weights) = Walk { change: self, own, state, parts: 0 }.along(plan, cx)?;
        Ok(self.output(plan, ids, weights, cx))
    }

    /// The difference that changed parts make to the rows derived from `own`: one term for each, with that part in the
    /// state `moved`, the parts before it in the state `before` and those after it in the state `after`.
    pub fn terms(&self, own: Own, states: [State; 3], cx: &mut Cx) -> Result<Vec<Rows>> {
        let [before, moved, after] = states;
        let changed = (0..self.parts.len()).filter(|at| self.parts[*at].is_changed());
        let term = |at: usize| {
            let state = move |part: usize| match part.cmp(&at) {
                std::cmp::Ordering::Less => before,
                std::cmp::Ordering::Equal => moved,
                std::cmp::Ordering::Greater => after,
            };
            self.step(own, &state, cx)
        };
        changed.map(term).collect()
    }
}

struct Walk<'w, 'a> {
    change: &'w Change<'a>,
    own: Own<'w>,
    state: &'w dyn Fn(usize) -> State,
    /// The number of parts passed so far.
    parts: usize,
}

impl Walk<'_, '_> {
    fn along(&mut self, plan: &Plan, cx: &mut Cx) -> Result<Weighed> {
        if !recursion::reads(plan, self.change.fixpoint.number) {
            return self.part(cx);
        }
        if let Plan::Scan(scan) = plan {
            let Rows { plan, w, .. } = (self.own)(scan, cx);
            return Ok((plan, w.into_iter().collect()));
        }
        let mut weights = vec![];
        let mut plan = plan.clone().try_map_inputs(&mut |input| {
            let (input, own) = self.along(&input, cx)?;
            weights.extend(own);
            Ok(input)
        })?;
        match &mut plan {
            Plan::Project(project) | Plan::Expand(project) => project.columns.extend(weights.iter().map(Column::pass)),
            Plan::Filter(_) | Plan::Unnest(_) | Plan::Join(_) => {}
            _ => return Err(Error::Bug("a recursive step that is not linear")),
        }
        Ok((plan, weights))
    }

    fn part(&mut self, cx: &mut Cx) -> Result<Weighed> {
        let at = self.parts;
        self.parts += 1;
        let part = self.change.parts.get(at).ok_or(Error::Bug("a recursive step has more parts than its node"))?;
        part.read((self.state)(at), cx)
    }
}
