//! Lookups: the columns by which the steps of a delta program find rows of tables.
//!
//! A step starts from *few* rows: a delta, an earlier step, the clock. An equality with a column that is known so far
//! restricts a table to the rows that match; where a bound moved, a range does. Without an index on those columns the step
//! reads a whole table for a few changed rows.

use std::collections::BTreeSet;

use crate::delta;
use crate::error::{Error, Result};
use crate::expr::Expr as E;
use crate::plan::{ColId, Column, Expr, Plan, Relation, Scan, reads};
use crate::rewrite::{fits, substitute};
use crate::sql::ast::{self, bare};
use crate::sql::ident::Ident;
use crate::sql::print;
use crate::view::{Mask, Program, View};

mod unordered;

/// A table and the expressions over its columns, as SQL, by which a step looks up its rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    pub relation: Relation,
    pub keys: BTreeSet<String>,
    /// The column in whose order the rows are wanted, where an index would spare the step most of those with equal keys.
    pub order: Option<String>,
}

/// A column of a source's delta that must equal a column of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Joined {
    pub delta: Relation,
    pub key: Ident,
    pub table: Relation,
    pub column: Ident,
}

type Ids = BTreeSet<ColId>;

/// The lookups of the program by which a node follows a change mask. Steps that are skipped most of the time are left out.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn lookups(view: &View, index: usize, mask: &Mask) -> Result<BTreeSet<Lookup>> {
    let mut found = BTreeSet::new();
    let mut seldom = BTreeSet::new();
    for step in delta::steps(view, index, mask)?.into_iter().flatten() {
        let skipped = step.needs.as_ref().is_some_and(|needed| seldom.contains(needed));
        if !skipped {
            found.extend(tables_read(view, &step.query)?.lookups);
        }
        if skipped || step.seldom {
            seldom.insert(step.name);
        }
    }
    found.extend(unordered::of(&view.nodes[index]));
    Ok(found)
}

/// The program by which a node follows a change mask, with the columns of deltas by which it finds rows of tables.
///
/// # Errors
/// As for [`lookups`].
pub fn program(view: &View, index: usize, mask: &Mask) -> Result<Option<(Program, BTreeSet<Joined>)>> {
    let Some(steps) = delta::steps(view, index, mask)? else { return Ok(None) };
    let mut joined = BTreeSet::new();
    for step in &steps {
        joined.extend(tables_read(view, &step.query)?.joined);
    }
    Ok(Some((delta::rendered(view, index, steps)?, joined)))
}

/// What a step reads of tables.
#[derive(Default)]
pub struct TablesRead {
    pub lookups: BTreeSet<Lookup>,
    /// Tables of which it reads every row; those of one row are left out.
    pub whole: BTreeSet<Relation>,
    /// Columns of deltas that it compares with columns of tables.
    pub joined: BTreeSet<Joined>,
}

/// What the query of one step reads of tables.
///
/// # Errors
/// As for [`lookups`].
pub fn tables_read(view: &View, step: &Plan) -> Result<TablesRead> {
    let mut finder = Finder { view, recursions: BTreeSet::new(), found: TablesRead::default() };
    finder.block(step, &Ids::new(), &[])?;
    Ok(finder.found)
}

struct Finder<'a> {
    view: &'a View,
    /// The enclosing fixpoints that begin with few rows.
    recursions: BTreeSet<u32>,
    found: TablesRead,
}

/// Joins, filters and projections that the server plans as one: inputs, and conditions on their columns.
#[derive(Default)]
struct Block<'a> {
    inputs: Vec<Input<'a>>,
    comparisons: Vec<Comparison>,
    /// Computed columns, by the columns of inputs.
    computed: Vec<(Column, Expr)>,
    subqueries: Vec<Plan>,
}

struct Input<'a> {
    plan: &'a Plan,
    own: Ids,
}

/// `left op right`, each side with the columns that it reads.
struct Comparison {
    sides: [(Expr, Ids); 2],
    /// It must hold: it is no part of another condition.
    holds: bool,
    is_equality: bool,
}

impl Finder<'_> {
    /// Walks through a plan whose rows are restricted by these `keys`, within queries that give it the columns `given`.
    fn block(&mut self, plan: &Plan, given: &Ids, keys: &[Expr]) -> Result<()> {
        let mut block = Block::default();
        block.flatten(plan);
        self.found.joined.extend(block.joined());
        let keys: Vec<Expr> = keys.iter().filter_map(|key| block.resolved(key)).collect();
        let (few, mut rest): (Vec<&Input>, Vec<&Input>) =
            block.inputs.iter().partition(|input| self.is_few(input.plan));
        let mut restricted = !few.is_empty() || !keys.is_empty();
        let mut known = given.clone();
        for input in few {
            self.within(input.plan, given)?;
            known.extend(&input.own);
        }
        // Where no condition links an input, one of one row is read first: it may link others.
        rest.sort_by_key(|input| !self.is_one_row(input.plan));
        while !rest.is_empty() {
            let equal = |input: &Input| block.equal(&input.own, &keys, &known);
            let linked = rest.iter().position(|input| !equal(input).is_empty());
            let next = linked.or_else(|| rest.iter().position(|input| !block.ranges(&input.own).is_empty()));
            let input = rest.remove(next.unwrap_or(0));
            match (linked, next) {
                (Some(_), _) => self.found(input.plan, equal(input), given)?,
                (None, Some(_)) => {
                    let ranges = block.ranges(&input.own).into_iter();
                    ranges.into_iter().try_for_each(|key| self.found(input.plan, vec![key], given))?;
                }
                (None, None) => self.within(input.plan, given)?,
            }
            restricted |= next.is_some();
            if restricted {
                known.extend(&input.own);
            }
        }
        let computed = block.computed.iter().filter(|(_, e)| reads(e).is_subset(&known));
        known.extend(computed.map(|(column, _)| column.id).collect::<Ids>());
        block.subqueries.iter().try_for_each(|query| self.block(query, &known, &[]))
    }

    /// Notes that rows of an input are looked up by these keys.
    fn found(&mut self, input: &Plan, keys: Vec<Expr>, given: &Ids) -> Result<()> {
        match input {
            Plan::Scan(scan) => {
                // An identity with NULLs is looked up by its hash, which has an index; other keys with NULLs are few.
                let is_hash =
                    |e: &Expr| matches!(e, E::Call(call) if call.name.name.as_str() == "hash_record_extended");
                if matches!(scan.relation, Relation::Source(_) | Relation::Node(_)) && !keys.iter().any(is_hash) {
                    let keys = keys.into_iter().map(|key| text(key, &scan.columns)).collect::<Result<_>>()?;
                    self.found.lookups.insert(Lookup { relation: scan.relation.clone(), keys, order: None });
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
        if let Plan::Scan(Scan { relation: relation @ (Relation::Source(_) | Relation::Node(_)), .. }) = plan
            && !self.is_one_row(plan)
        {
            self.found.whole.insert(relation.clone());
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
            Plan::Lateral(lateral) => self.is_few(&lateral.left),
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
            Plan::Lateral(lateral) => {
                self.flatten(&lateral.left);
                self.subqueries.push(lateral.right.clone());
            }
            Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) | Plan::Project(_) | Plan::Expand(_) | Plan::Unnest(_) => {
                plan.inputs().into_iter().for_each(|input| self.flatten(input));
                self.subqueries.extend(plan.expressions().into_iter().flat_map(|e| e.subqueries()).cloned());
            }
            Plan::Semi(semi) => {
                self.flatten(&semi.left);
                self.subqueries.push(semi.right.clone().filter(semi.on.clone()));
            }
            other => self.inputs.push(Input { plan: other, own: other.ids() }),
        }
        match plan {
            Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) => {
                plan.expressions().into_iter().for_each(|e| self.add_conditions(e));
            }
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

    /// Takes a condition apart into comparisons.
    fn add_conditions(&mut self, e: &Expr) {
        let mut parts: Vec<(&Expr, bool)> = vec![(e, true)];
        while let Some((part, holds)) = parts.pop() {
            match part {
                E::And(of) => parts.extend(of.iter().rev().map(|part| (part, holds))),
                E::Or(of) => parts.extend(of.iter().rev().map(|part| (part, false))),
                E::Not(of) => parts.push((of, false)),
                E::Binary(op, l, r) if ["=", "<", "<=", ">", ">="].iter().any(|symbol| op.is(symbol)) => {
                    let (Some(l), Some(r)) = (self.resolved(l), self.resolved(r)) else { continue };
                    let sides = [l, r].map(|side| {
                        let read = reads(&side);
                        (side, read)
                    });
                    self.comparisons.push(Comparison { sides, holds, is_equality: op.is("=") });
                }
                _ => {}
            }
        }
    }

    /// An expression over columns of the inputs; `None` where it is too large, or a subquery reads those columns.
    fn resolved(&self, e: &Expr) -> Option<Expr> {
        let closed = e.subqueries().into_iter().all(|query| query.free().is_empty());
        (closed && fits(e, &self.computed)).then(|| substitute(e, &self.computed))
    }

    /// The equalities of a column of a delta with a column of a table.
    fn joined(&self) -> Vec<Joined> {
        let scans =
            || self.inputs.iter().filter_map(|input| if let Plan::Scan(scan) = input.plan { Some(scan) } else { None });
        let origin = |e: &Expr| {
            let E::Column(id) = e else { return None };
            let of_scan = |scan: &'_ Scan| {
                let (_, name) = scan.columns.iter().find(|(column, _)| column.id == *id)?;
                Some((scan.relation.clone(), name.clone()))
            };
            scans().find_map(of_scan)
        };
        let pair = |l: &Expr, r: &Expr| match (origin(l)?, origin(r)?) {
            ((delta @ Relation::SourceDelta(_), key), (table @ (Relation::Source(_) | Relation::Node(_)), column)) => {
                Some(Joined { delta, key, table, column })
            }
            _ => None,
        };
        let equalities = self.comparisons.iter().filter(|comparison| comparison.holds && comparison.is_equality);
        equalities.flat_map(|Comparison { sides: [(l, _), (r, _)], .. }| [pair(l, r), pair(r, l)]).flatten().collect()
    }

    /// The expressions over the columns `own` that equal something known.
    fn equal(&self, own: &Ids, keys: &[Expr], known: &Ids) -> Vec<Expr> {
        let given = keys.iter().filter(|key| reads(key).is_subset(own)).cloned();
        let equalities = self.comparisons.iter().filter(|comparison| comparison.holds && comparison.is_equality);
        let is_known = |(e, read): &(Expr, Ids)| read.is_subset(known) && (!read.is_empty() || has_subquery(e));
        given.chain(equalities.filter_map(|equality| equality.key(own, is_known))).collect()
    }

    /// The expressions over the columns `own` that are compared with the value of a subquery, an index for each.
    fn ranges(&self, own: &Ids) -> Vec<Expr> {
        let is_value = |(e, read): &(Expr, Ids)| read.is_empty() && has_subquery(e);
        let mut found: Vec<Expr> = self.comparisons.iter().filter_map(|of| of.key(own, is_value)).collect();
        found.dedup();
        found
    }
}

impl Comparison {
    /// The side that can be the key of an index on the columns `own`, where the other one is as `required`.
    fn key(&self, own: &Ids, required: impl Fn(&(Expr, Ids)) -> bool) -> Option<Expr> {
        let [l, r] = &self.sides;
        let is_key = |(e, read): &(Expr, Ids)| !read.is_empty() && read.is_subset(own) && !has_subquery(e);
        let side = [(l, r), (r, l)].into_iter().find(|(side, other)| is_key(side) && required(other));
        side.map(|((e, _), _)| e.clone())
    }
}

fn has_subquery(e: &Expr) -> bool {
    !e.subqueries().is_empty()
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

    fn view(query: &str) -> View {
        let columns = [("id", "integer", true), ("k", "integer", true), ("v", "integer", true)];
        let catalog = ["a", "b", "c"].into_iter().fold(MemoryCatalog::default(), |catalog, name| {
            catalog.table(table(name), &columns).key(table(name), &["id"])
        });
        let state = |number| QName::bare(format!("node{number}"));
        let query = canon::parse(query).unwrap();
        compile::compile(&query, &catalog, &QName::bare("view"), &state).unwrap()
    }

    /// The lookups of all nodes after a change of `source`, as `table (keys)`.
    fn found(query: &str, source: &str) -> Vec<String> {
        let view = view(query);
        let mut changed: BTreeSet<Relation> = [Relation::Source(table(source))].into();
        let mut lines = vec![];
        for (index, node) in view.nodes.iter().enumerate() {
            let mask: Mask = node.inputs.iter().filter(|input| changed.contains(input)).cloned().collect();
            if !mask.is_empty() {
                changed.insert(Relation::Node(index));
            }
            let line = |Lookup { relation, keys, order }| {
                let keys: Vec<String> = keys.into_iter().chain(order).collect();
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
    fn keys_of_deltas_are_compared_with_columns() {
        let query = "SELECT a.id, c.v FROM public.a, public.b, public.c WHERE ((a.k = b.id) AND (b.k = (c.k + 1)) AND (c.id = a.v))";
        let view = view(query);
        let mask = [Relation::Source(table("a"))].into();
        let (_, joined) = program(&view, 0, &mask).unwrap().unwrap();
        let pairs = joined.iter().map(|pair| {
            format!("{} = {}.{}", pair.key.as_str(), view.relation_name(&pair.table), pair.column.as_str())
        });
        assert_eq!(pairs.collect::<Vec<_>>(), ["k = public.b.id", "v = public.c.id"]);
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
        assert!(["public.a (k)", "public.a (k, v)"].iter().all(|it| found(query, "a").contains(&(*it).to_owned())));
    }

    #[test]
    fn partitions_are_wanted_in_order() {
        let partition = "OVER (PARTITION BY a.k ORDER BY a.v, a.id)";
        let first = format!("SELECT a.id, row_number() {partition} AS n FROM public.a");
        let running = format!("SELECT a.id, a.k, a.v, sum(a.v) {partition} AS s FROM public.a");
        for query in [running, format!("SELECT q.id FROM ( {first}) q WHERE (q.n <= 3)")] {
            assert!(found(&query, "a").contains(&"public.a (k, v)".to_owned()), "{query}");
        }
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
