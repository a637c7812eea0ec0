//! Lookups: the columns by which the steps of a delta program find rows of tables.
//!
//! A step starts from *few* rows: a delta, an earlier step, the clock. An equality with columns of rows found so far
//! restricts a table to the rows that match; where a bound moved, a range does. Without an index on those columns such a
//! step reads a whole table for a few changed rows.

use std::collections::BTreeSet;

use crate::delta;
use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan, Relation, reads};
use crate::rewrite::{fits, substitute};
use crate::sql::ast::{self, bare};
use crate::sql::print;
use crate::view::{Mask, View};

/// A table and the expressions over its columns, as SQL, by which a step looks up its rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    pub relation: Relation,
    pub keys: BTreeSet<String>,
}

type Ids = BTreeSet<ColId>;

/// The lookups of the program by which a node follows a change mask. Steps that are skipped most of the time are left out.
pub fn lookups(view: &View, index: usize, mask: &Mask) -> Result<BTreeSet<Lookup>> {
    let mut finder = Finder { view, recursions: BTreeSet::new(), found: BTreeSet::new() };
    let mut seldom = BTreeSet::new();
    for step in delta::steps(view, index, mask)?.into_iter().flatten() {
        let skipped = step.needs.as_ref().is_some_and(|needed| seldom.contains(needed));
        if !skipped {
            finder.block(&step.plan, &Ids::new(), &[])?;
        }
        if skipped || step.seldom {
            seldom.insert(step.name);
        }
    }
    Ok(finder.found)
}

struct Finder<'a> {
    view: &'a View,
    /// The fixpoints around that begin with few rows.
    recursions: BTreeSet<u32>,
    found: BTreeSet<Lookup>,
}

/// Joins, filters and projections that the server plans as one: inputs and what is asked of their columns.
#[derive(Default)]
struct Block<'a> {
    inputs: Vec<&'a Plan>,
    predicates: Vec<Expr>,
    /// Computed columns, by the columns of inputs.
    computed: Vec<(Column, Expr)>,
    subqueries: Vec<Plan>,
}

impl Finder<'_> {
    /// Walks through a plan whose rows are restricted by these `keys`, within queries that give it the columns `given`.
    fn block(&mut self, plan: &Plan, given: &Ids, keys: &[Expr]) -> Result<()> {
        let mut block = Block::default();
        block.flatten(plan);
        let keys: Vec<Expr> = keys.iter().filter_map(|key| block.resolved(key)).collect();
        let (few, mut rest): (Vec<&Plan>, Vec<&Plan>) = block.inputs.iter().partition(|input| self.is_few(input));
        let mut restricted = !few.is_empty() || !keys.is_empty();
        let mut known = given.clone();
        for input in few {
            self.within(input, given)?;
            known.extend(ids(input));
        }
        // Of what no condition links, tables of one row are read first: others may be linked to them.
        rest.sort_by_key(|input| !self.is_one_row(input));
        while !rest.is_empty() {
            let equal = |input: &Plan| block.equal(&ids(input), &keys, &known);
            let ranges = |input: &Plan| block.ranges(&ids(input));
            let linked = rest.iter().position(|input| !equal(input).is_empty());
            let next = linked.or_else(|| rest.iter().position(|input| !ranges(input).is_empty()));
            let input = rest.remove(next.unwrap_or(0));
            match (linked, next) {
                (Some(_), _) => self.found(input, equal(input), given)?,
                (None, Some(_)) => {
                    ranges(input).into_iter().try_for_each(|key| self.found(input, vec![key], given))?;
                }
                (None, None) => self.within(input, given)?,
            }
            restricted |= next.is_some();
            if restricted {
                known.extend(ids(input));
            }
        }
        known.extend(
            block
                .computed
                .iter()
                .filter(|(_, e)| reads(e).is_subset(&known))
                .map(|(column, _)| column.id)
                .collect::<Ids>(),
        );
        block.subqueries.iter().try_for_each(|query| self.block(query, &known, &[]))
    }

    /// Notes that rows of an input are looked up by these keys.
    fn found(&mut self, input: &Plan, keys: Vec<Expr>, given: &Ids) -> Result<()> {
        match input {
            Plan::Scan(scan) => {
                // An identity with NULLs is looked up by its hash, which has an index; keys with NULLs are few.
                let is_hash =
                    |e: &Expr| matches!(e, E::Call(call) if call.name.name.as_str() == "hash_record_extended");
                if matches!(scan.relation, Relation::Source(_) | Relation::Node(_)) && !keys.iter().any(is_hash) {
                    let keys = keys.into_iter().map(|key| text(key, &scan.columns)).collect::<Result<_>>()?;
                    self.found.insert(Lookup { relation: scan.relation.clone(), keys });
                }
                Ok(())
            }
            Plan::UnionAll(union) => union.inputs.iter().try_for_each(|(input, of)| {
                let columns: Vec<(Column, Expr)> =
                    union.columns.iter().cloned().zip(of.iter().map(|id| E::Column(*id))).collect();
                let keys: Vec<Expr> = keys.iter().map(|key| substitute(key, &columns)).collect();
                self.block(input, given, &keys)
            }),
            other => self.within(other, given),
        }
    }

    /// Walks through the inputs of an operator that is planned by itself.
    fn within(&mut self, plan: &Plan, given: &Ids) -> Result<()> {
        if let Plan::Fixpoint(fixpoint) = plan
            && self.is_few(&fixpoint.base.0)
        {
            self.recursions.insert(fixpoint.number);
        }
        plan.inputs().into_iter().try_for_each(|input| self.block(input, given, &[]))?;
        let subqueries = plan.expressions().into_iter().flat_map(|e| e.subqueries());
        subqueries.into_iter().try_for_each(|query| self.block(query, given, &[]))
    }

    /// Whether a plan begins with a delta, a step or the clock.
    fn is_few(&self, plan: &Plan) -> bool {
        match plan {
            Plan::Scan(scan) => match scan.relation {
                Relation::Source(_) | Relation::Node(_) => false,
                Relation::Recursion(number) => self.recursions.contains(&number),
                Relation::SourceDelta(_) | Relation::NodeDelta(_) | Relation::Step(_) | Relation::Clock => true,
            },
            Plan::Values(_) => false,
            Plan::Join(join) => join.inputs.iter().any(|input| self.is_few(input)),
            Plan::Outer(outer) => self.is_few(&outer.left) || self.is_few(&outer.right),
            Plan::Semi(semi) => self.is_few(&semi.left),
            other => other.inputs().into_iter().all(|input| self.is_few(input)),
        }
    }

    fn is_one_row(&self, plan: &Plan) -> bool {
        matches!(plan, Plan::Scan(scan)
            if matches!(scan.relation, Relation::Node(index) if self.view.nodes[index].is_one_row()))
    }
}

impl<'a> Block<'a> {
    fn flatten(&mut self, plan: &'a Plan) {
        match plan {
            Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Project(_) | Plan::Expand(_) | Plan::Unnest(_) => {
                plan.inputs().into_iter().for_each(|input| self.flatten(input));
                self.subqueries.extend(plan.expressions().into_iter().flat_map(|e| e.subqueries()).cloned());
            }
            Plan::Semi(semi) => {
                self.flatten(&semi.left);
                self.subqueries.push(semi.right.clone().filter(semi.on.clone()));
            }
            other => self.inputs.push(other),
        }
        match plan {
            Plan::Filter(filter) => self.ask(&filter.predicate),
            Plan::Join(join) => join.predicates.iter().for_each(|e| self.ask(e)),
            Plan::Outer(outer) => self.ask(&outer.on),
            Plan::Project(project) => {
                let computed: Vec<(Column, Expr)> = project
                    .columns
                    .iter()
                    .filter(|(column, e)| *e != column.expr())
                    .filter_map(|(column, e)| Some((column.clone(), self.resolved(e)?)))
                    .collect();
                self.computed.extend(computed);
            }
            _ => {}
        }
    }

    fn ask(&mut self, e: &Expr) {
        let parts: Vec<Expr> = e.clone().conjuncts().iter().filter_map(|e| self.resolved(e)).collect();
        self.predicates.extend(parts);
    }

    /// An expression over columns of the inputs; `None` where it is too large, or a subquery reads those columns.
    fn resolved(&self, e: &Expr) -> Option<Expr> {
        let closed = e.subqueries().into_iter().all(|query| query.free().is_empty());
        (closed && fits(e, &self.computed)).then(|| substitute(e, &self.computed))
    }

    /// The expressions over the columns `own` that equal something known.
    fn equal(&self, own: &Ids, keys: &[Expr], known: &Ids) -> Vec<Expr> {
        let mut found: Vec<Expr> = keys.iter().filter(|key| reads(key).is_subset(own)).cloned().collect();
        for predicate in &self.predicates {
            let E::Binary(op, l, r) = predicate else { continue };
            let is_known = |e: &Expr| reads(e).is_subset(known) && (!reads(e).is_empty() || is_value(e));
            let side = [(l, r), (r, l)].into_iter().find(|(e, other)| is_key(e, own) && is_known(other));
            if let (true, Some((e, _))) = (op.is("="), side) {
                found.push((**e).clone());
            }
        }
        found
    }

    /// The expressions over the columns `own` that are compared with a value of a subquery, an index for each.
    fn ranges(&self, own: &Ids) -> Vec<Expr> {
        let mut found = vec![];
        let mut parts: Vec<&Expr> = self.predicates.iter().collect();
        while let Some(part) = parts.pop() {
            match part {
                E::And(of) | E::Or(of) => parts.extend(of),
                E::Not(of) => parts.push(of),
                E::Binary(op, l, r) if ["<", "<=", ">", ">=", "="].iter().any(|symbol| op.is(symbol)) => {
                    let side = [(l, r), (r, l)].into_iter().find(|(e, other)| is_key(e, own) && is_value(other));
                    found.extend(side.map(|(e, _)| (**e).clone()).filter(|e| !found.contains(e)));
                }
                _ => {}
            }
        }
        found
    }
}

fn ids(plan: &Plan) -> Ids {
    plan.columns().iter().map(|column| column.id).collect()
}

/// Whether an expression can be the key of an index on these columns.
fn is_key(e: &Expr, own: &Ids) -> bool {
    let read = reads(e);
    !read.is_empty() && read.is_subset(own) && e.subqueries().is_empty()
}

/// Whether an expression is one value for all rows, which a query finds out.
fn is_value(e: &Expr) -> bool {
    reads(e).is_empty() && !e.subqueries().is_empty()
}

/// A key as SQL over the columns of a table.
fn text(key: Expr, columns: &[(Column, crate::sql::ident::Ident)]) -> Result<String> {
    let mut name = |id: ColId| {
        let found = columns.iter().find(|(column, _)| column.id == id);
        Ok(bare(found.ok_or(Error::Bug("a key reads columns of its table"))?.1.as_str()))
    };
    let key: ast::Expr = key.try_map(&mut name, &mut |_| Err(Error::Bug("a key has no subquery")))?;
    Ok(print::expr(&key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ident::QName;
    use crate::testing::memory::MemoryCatalog;
    use crate::{canon, compile};

    fn table(name: &str) -> QName {
        QName::qualified("public", name)
    }

    /// The lookups of all nodes after a change of `source`, as `table (keys)`.
    fn found(query: &str, source: &str) -> Vec<String> {
        let columns = [("id", "integer", true), ("k", "integer", true), ("v", "integer", true)];
        let catalog = ["a", "b", "c"].into_iter().fold(MemoryCatalog::default(), |catalog, name| {
            catalog.table(table(name), &columns).key(table(name), &["id"])
        });
        let state = |number| QName::bare(format!("node{number}"));
        let query = canon::parse(query).unwrap();
        let view = compile::compile(&query, &catalog, &QName::bare("view"), &state).unwrap();
        let mut changed: BTreeSet<Relation> = [Relation::Source(table(source))].into();
        let mut lines = vec![];
        for (index, node) in view.nodes.iter().enumerate() {
            let mask: Mask = node.inputs.iter().filter(|input| changed.contains(input)).cloned().collect();
            if !mask.is_empty() {
                changed.insert(Relation::Node(index));
            }
            let line = |Lookup { relation, keys }| {
                let keys: Vec<String> = keys.into_iter().collect();
                format!("{} ({})", view.relation_name(&relation), keys.join(", "))
            };
            lines.extend(lookups(&view, index, &mask).unwrap().into_iter().map(line));
        }
        lines
    }

    #[test]
    fn joins_look_up_the_other_side() {
        let query = "SELECT a.id, c.v FROM public.a, public.b, public.c WHERE ((a.k = b.id) AND (b.k = (c.k + 1)) AND (c.v = 3))";
        assert_eq!(found(query, "a"), ["public.b (id)", "public.c ((k + 1))"]);
        assert_eq!(found(query, "c"), ["public.a (k)", "public.b (k)"]);
    }

    #[test]
    fn several_equalities_are_one_lookup() {
        let query = "SELECT a.id FROM (public.a JOIN public.b ON (((a.k = b.k) AND (a.v = b.v))))";
        assert_eq!(found(query, "a"), ["public.b (k, v)"]);
    }

    #[test]
    fn products_and_other_conditions_look_up_nothing() {
        let query = "SELECT a.id FROM public.a, public.b WHERE ((a.v < b.v) AND (b.k = 7))";
        assert!(found(query, "a").is_empty());
    }

    #[test]
    fn stale_groups_are_looked_up_by_their_keys() {
        let query = "SELECT a.k, max(a.v) AS max FROM public.a GROUP BY a.k";
        assert!(found(query, "a").contains(&"public.a (k)".to_owned()));
    }

    #[test]
    fn semi_joins_look_up_both_sides() {
        let query = "SELECT a.id FROM public.a WHERE (NOT (EXISTS ( SELECT 1 FROM public.b WHERE (b.k = a.v))))";
        assert_eq!(found(query, "a"), ["public.b (k)"]);
        assert_eq!(found(query, "b"), ["public.a (v)", "public.b (k)"]);
    }

    #[test]
    fn a_moved_threshold_finds_rows_by_a_range() {
        let query = "SELECT a.id FROM public.a WHERE (a.v > ( SELECT max(b.v) AS max FROM public.b))";
        assert!(found(query, "b").contains(&"public.a (v)".to_owned()));
    }
}
