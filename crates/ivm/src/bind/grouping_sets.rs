//! GROUPING SETS, ROLLUP and CUBE: `⊎` of one aggregate for each set of keys.
//!
//! A row counts in a group of every set, and groups of different sets never meet. What a set leaves out is
//! NULL in its rows, of the key's own type, and GROUPING tells such a NULL from one of the data: within one
//! set it is a constant. A set that is there twice is shown twice, except by GROUP BY DISTINCT.

use super::arrival::Arrival;
use super::scope::Context;
use super::select::Wanted;
use super::{Binder, refuse};
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{Column, Expr, Plan};
use crate::sql::ast::{self, Group, Select};
use crate::types::typed_null;

/// Queries with more sets than this are refused: each has a table of its own.
const MOST: usize = 64;

/// The keys of one grouping set, and those that only others have.
#[derive(Clone, Default)]
pub struct Set {
    pub present: Vec<ast::Expr>,
    pub absent: Vec<ast::Expr>,
}

/// The grouping sets of a GROUP BY clause, a plain list being one: the product of what its entries mean, each `once`
/// if that is asked for.
pub fn sets(groups: &[Group], once: bool) -> Result<Vec<Set>> {
    let mut product: Vec<Vec<ast::Expr>> = vec![vec![]];
    for group in groups {
        let choices = choices(group)?;
        if product.len() * choices.len() > MOST {
            return Err(refuse::too_many_grouping_sets(MOST));
        }
        let extended = |set: &Vec<ast::Expr>| choices.iter().map(|more| [set.as_slice(), more].concat()).collect();
        product = product.iter().flat_map(|set| -> Vec<Vec<ast::Expr>> { extended(set) }).collect();
    }
    if once {
        let mut kept: Vec<Vec<ast::Expr>> = vec![];
        for set in product {
            let same = |other: &Vec<ast::Expr>| {
                other.iter().all(|key| set.contains(key)) && set.iter().all(|key| other.contains(key))
            };
            if !kept.iter().any(same) {
                kept.push(set);
            }
        }
        product = kept;
    }
    let all: Vec<ast::Expr> = product.iter().flatten().cloned().collect();
    let set = |present: Vec<ast::Expr>| {
        let mut absent: Vec<ast::Expr> = vec![];
        for key in all.iter().filter(|key| !present.contains(key)) {
            if !absent.contains(key) {
                absent.push(key.clone());
            }
        }
        Set { present, absent }
    };
    Ok(product.into_iter().map(set).collect())
}

/// The lists of keys of which one entry of GROUP BY stands for each.
fn choices(group: &Group) -> Result<Vec<Vec<ast::Expr>>> {
    Ok(match group {
        Group::Expr(key) => vec![vec![key.clone()]],
        Group::Empty => vec![vec![]],
        Group::Rollup(parts) => (0..=parts.len()).rev().map(|kept| parts[..kept].concat()).collect(),
        Group::Cube(parts) => {
            let sets = u32::try_from(parts.len()).ok().and_then(|parts| 1_usize.checked_shl(parts));
            let sets = sets.filter(|sets| *sets <= MOST).ok_or_else(|| refuse::too_many_grouping_sets(MOST))?;
            let chosen = |set: usize| parts.iter().enumerate().filter(move |(at, _)| set & (1 << at) != 0);
            (0..sets).rev().map(|set| chosen(set).flat_map(|(_, part)| part.clone()).collect()).collect()
        }
        Group::Sets(sets) => sets.clone(),
    })
}

fn is_constant(key: &ast::Expr) -> bool {
    let is_call = |e: &ast::Expr| matches!(e, Generic::Call(_));
    key.columns().is_empty() && key.subqueries().is_empty() && !key.any(&mut { is_call })
}

impl Binder<'_> {
    /// The rows of a SELECT without its DISTINCT and its LIMIT.
    pub fn every_set(&mut self, select: &Select, wanted: &Wanted, context: Context) -> Result<(Plan, Arrival)> {
        let mut plan: Option<(Plan, Arrival)> = None;
        let sets = sets(&select.group_by, select.group_once)?;
        if sets.len() > 1 && wanted.windows() {
            return Err(refuse::window_over_sets());
        }
        if sets.len() > 1 && sets.iter().flat_map(|set| &set.present).any(is_constant) {
            return Err(refuse::constant_among_sets());
        }
        for set in sets {
            let arm = self.one_set(select, wanted, &set, context)?;
            plan = Some(match plan {
                None => arm,
                Some((others, _)) => (self.union_all(others, arm.0)?, Arrival::Any),
            });
        }
        plan.ok_or(Error::Bug("a GROUP BY without a grouping set"))
    }

    /// NULLs of the types of these keys.
    pub fn nulls_like(&mut self, input: &Plan, keys: &[Expr]) -> Result<Vec<Expr>> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let columns: Vec<Column> = keys.iter().map(|_| self.ids.column("key")).collect();
        let typed = self.projection(input.clone(), columns.iter().cloned().zip(keys.iter().cloned()).collect())?;
        self.learn_types(&typed)?;
        columns.iter().map(|column| self.types.get(column.id).map(typed_null)).collect()
    }
}
