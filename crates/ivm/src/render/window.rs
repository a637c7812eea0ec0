//! Window calls: expressions of the select list.
//!
//! They are computed after WHERE and grouping, so that whatever looks at their values, or at fewer rows than
//! they do, stands around a subquery.

use super::Renderer;
use super::block::Block;
use crate::error::Result;
use crate::plan::{Plan, Window};

impl Renderer<'_> {
    pub fn window(&mut self, window: &Window) -> Result<Block> {
        let mut block = self.flat(&window.input)?;
        for (column, call) in &window.calls {
            let call = self.expr(call, &block.columns)?;
            block.columns.insert(column.id, call);
        }
        Ok(block)
    }
}

/// Whether the plan's block shows window calls.
pub fn is_windowed(plan: &Plan) -> bool {
    match plan {
        Plan::Window(_) => true,
        Plan::Project(project) => {
            project.columns.iter().all(|(_, e)| e.subqueries().is_empty()) && is_windowed(&project.input)
        }
        _ => false,
    }
}
