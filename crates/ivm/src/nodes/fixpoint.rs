//! A fixpoint's node: its table holds the rows of the recursion.

use super::Cutter;
use crate::catalog::Equality;
use crate::error::Result;
use crate::plan::{Fixpoint, Plan};
use crate::recursion;
use crate::refuse;
use crate::view::{Node, Part};

impl Cutter<'_> {
    /// Makes a node of a fixpoint and returns a plan that reads it.
    pub fn fixpoint(&mut self, fixpoint: Fixpoint) -> Result<Plan> {
        let image = |plan: &Plan, id| self.ty(plan, id).is_ok_and(|ty| ty.equality == Equality::Image);
        let fixpoint = fixpoint.on_a_path(&|plan| plan.columns().iter().all(|column| image(plan, column.id)));
        recursion::check(&fixpoint)?;
        let whole = Plan::Fixpoint(Box::new(fixpoint.clone()));
        let (columns, identity) = self.described(&whole)?;
        if let Some(loose) = columns.iter().find(|known| !fixpoint.all && known.ty.equality != Equality::Image) {
            return Err(refuse::recursion_image(&loose.name));
        }
        let lookup = recursion::lookup(&fixpoint).into_iter().map(|at| fixpoint.columns[at].id).collect();
        let parts = fixpoint.parts().into_iter().map(|part| self.part(part)).collect::<Result<Vec<_>>>()?;
        let Fixpoint { base, step, .. } = fixpoint;
        let (base, step) = ((self.below(base.0)?, base.1), (self.below(step.0)?, step.1));
        let fixpoint = Fixpoint { base, step, ..fixpoint };
        // The same parts, their aggregates replaced by reads of nodes.
        let parts = fixpoint.parts().into_iter().zip(parts).map(|(plan, part)| Part { plan: plan.clone(), ..part });
        let parts = parts.collect();
        let plan = Plan::Fixpoint(Box::new(fixpoint));
        self.read(Node { parts, lookup, ..self.made(plan, columns, identity) })
    }

    fn part(&self, plan: &Plan) -> Result<Part> {
        let (columns, identity) = self.described(plan)?;
        Ok(Part { plan: plan.clone(), columns, identity })
    }
}
