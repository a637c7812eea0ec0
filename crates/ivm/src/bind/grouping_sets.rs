//! GROUPING SETS, ROLLUP and CUBE: `⊎` of one aggregate for each set of keys.
//!
//! A row counts in a group of every set, and groups of different sets never meet. A key that a set leaves out is NULL in
//! its rows, of the key's own type, and GROUPING, a constant within a set, tells such a NULL from one of the data. A set
//! that is written twice is shown twice, except by GROUP BY DISTINCT.

use crate::error::Result;
use crate::expr::Expr as Generic;
use crate::refuse;
use crate::sql::ast::{self, Group};

/// Queries with more sets are refused: each set has a table of its own.
const MAX_SETS: usize = 64;

/// The keys of one grouping set, and those of other sets alone.
#[derive(Clone, Default)]
pub struct Set {
    pub present: Vec<ast::Expr>,
    pub absent: Vec<ast::Expr>,
}

/// The grouping sets of a GROUP BY clause, of which a plain list is one: the product of the sets of its entries, each
/// `once` for GROUP BY DISTINCT.
///
/// # Errors
/// `Unsupported` for more than [`MAX_SETS`].
pub fn sets(groups: &[Group], once: bool) -> Result<Vec<Set>> {
    let mut product: Vec<Vec<ast::Expr>> = vec![vec![]];
    for group in groups {
        let choices = choices(group)?;
        if product.len() * choices.len() > MAX_SETS {
            return Err(refuse::too_many_grouping_sets(MAX_SETS));
        }
        let extended = |set: &Vec<ast::Expr>| choices.iter().map(|more| [set.as_slice(), more].concat()).collect();
        product = product.iter().flat_map(|set| -> Vec<Vec<ast::Expr>> { extended(set) }).collect();
    }
    if once {
        let mut unique: Vec<Vec<ast::Expr>> = vec![];
        for set in product {
            let same = |other: &Vec<ast::Expr>| {
                other.iter().all(|key| set.contains(key)) && set.iter().all(|key| other.contains(key))
            };
            if !unique.iter().any(same) {
                unique.push(set);
            }
        }
        product = unique;
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

/// The sets of keys that one entry of GROUP BY stands for.
fn choices(group: &Group) -> Result<Vec<Vec<ast::Expr>>> {
    Ok(match group {
        Group::Expr(key) => vec![vec![key.clone()]],
        Group::Empty => vec![vec![]],
        Group::Rollup(parts) => (0..=parts.len()).rev().map(|count| parts[..count].concat()).collect(),
        Group::Cube(parts) => {
            let sets = u32::try_from(parts.len()).ok().and_then(|parts| 1_usize.checked_shl(parts));
            let sets = sets.filter(|sets| *sets <= MAX_SETS).ok_or_else(|| refuse::too_many_grouping_sets(MAX_SETS))?;
            let chosen = |set: usize| parts.iter().enumerate().filter(move |(at, _)| set & (1 << at) != 0);
            (0..sets).rev().map(|set| chosen(set).flat_map(|(_, part)| part.clone()).collect()).collect()
        }
        Group::Sets(sets) => sets.clone(),
    })
}

/// Whether a key is the same in every row.
pub fn is_constant(key: &ast::Expr) -> bool {
    let is_call = |e: &ast::Expr| matches!(e, Generic::Call(_));
    key.is_constant() && !key.any(&mut { is_call })
}
