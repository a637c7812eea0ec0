//! From a query to a view: bound, simplified, cut into nodes, each with its identity and its sources.
//!
//! This happens once, when a stream table is created or altered. Programs are compiled later, for each change mask, by
//! `delta::program`.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::delta::{self, Delta, PlanStep, consolidate, weighted};
use crate::error::Result;
use crate::nodes;
use crate::plan::{Ids, Plan, Relation, Scan};
use crate::sql::ast::Query;
use crate::sql::ident::{Ident, QName};
use crate::types::Types;
use crate::view::{DELTA, Identity, Node, NodeColumn, Program, Source, View};
use crate::{bind, feasible, render, rewrite};

/// Compiles a query. `table` is the stream table, `state(k)` the table of its internal node `k`.
///
/// # Errors
/// `Unsupported` for a query that cannot be maintained incrementally, `Catalog` for what the catalog does not know.
pub fn compile(query: &Query, catalog: &dyn Catalog, table: &QName, state: &dyn Fn(usize) -> QName) -> Result<View> {
    let mut ids = Ids::default();
    let (plan, named) = simplified(query, catalog, &mut ids)?;
    let plan = restricted(plan, catalog, &mut ids)?;
    Ok(naming(of_plan(plan, catalog, (table, state), ids)?, named))
}

/// The plan of a query, and the relations that the query names.
pub(crate) fn simplified(query: &Query, catalog: &dyn Catalog, ids: &mut Ids) -> Result<(Plan, BTreeSet<Relation>)> {
    let plan = bind::bind(query, catalog, ids)?;
    let named = plan.relations();
    Ok((rewrite::simplify(rewrite::unnest::unnest(plan, catalog, ids)?), named))
}

/// The simplified plan as it is cut into nodes.
pub(crate) fn restricted(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    Ok(rewrite::simplify(rewrite::restrict::restrict(plan, catalog, ids)?))
}

/// The view with the sources that its query names but does not read, such as those below `EXISTS (SELECT max(x) …)`, which
/// always has a row: they have no columns.
fn naming(mut view: View, named: BTreeSet<Relation>) -> View {
    for relation in named {
        let Relation::Source(name) = relation else { continue };
        if !view.sources.iter().any(|source| source.name == name) {
            view.sources.push(Source { name, columns: vec![] });
        }
    }
    view
}

/// Compiles a plan that is bound and simplified; the tables as for [`compile`].
///
/// # Errors
/// As for [`compile`].
pub fn of_plan(plan: Plan, catalog: &dyn Catalog, tables: (&QName, &dyn Fn(usize) -> QName), ids: Ids) -> Result<View> {
    let mut ids = ids;
    let plan = rewrite::semi::sink(plan);
    plan.check()?;
    let types = Types::of(&plan, catalog)?;
    let sources = sources(&plan, catalog)?;
    feasible::check_groups(&plan, &types)?;
    let mut nodes = nodes::cut(plan, &types, &mut ids, tables)?;
    feasible::check_stored(&nodes)?;
    let rows: Vec<bool> = nodes.iter().map(Node::is_one_row).collect();
    for node in &mut nodes {
        let plans = node.parts.iter_mut().map(|part| &mut part.plan).chain([&mut node.plan]);
        plans.for_each(|plan| *plan = rewrite::bounds::bounds(plan.clone(), &|node| rows[node]));
    }
    Ok(View { nodes, sources, ids })
}

/// The view of a query that is recomputed: one node that reads `query`, a view with these columns.
pub fn opaque(query: &QName, columns: Vec<NodeColumn>, table: &QName) -> View {
    let mut ids = Ids::default();
    let scanned = columns.iter().map(|column| (ids.column(column.name.as_str()), column.name.clone())).collect();
    let plan = Plan::Scan(Scan { relation: Relation::Source(query.clone()), columns: scanned });
    let node = Node { inputs: BTreeSet::new(), ..Node::new(table.clone(), plan, columns, Identity::Bag) };
    View { nodes: vec![node], sources: vec![], ids }
}

/// The view of a query that is compared with `table`: one node, not cut, so that it reads sources alone.
///
/// # Errors
/// As for [`compile`].
pub fn whole(query: &Query, catalog: &dyn Catalog, table: &QName) -> Result<View> {
    let mut ids = Ids::default();
    let (plan, named) = simplified(query, catalog, &mut ids)?;
    let mut view = naming(of_plan(plan.clone(), catalog, (table, &|_| table.clone()), ids)?, named);
    let columns = view.nodes.pop().map(|last| last.columns).unwrap_or_default();
    view.nodes = vec![Node::new(table.clone(), plan, columns, Identity::Bag)];
    Ok(view)
}

/// The query of a node's rows, from the sources and the tables of earlier nodes.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn full_query(view: &View, index: usize) -> Result<Query> {
    render::query(&view.nodes[index].plan, &|relation| view.relation_name(relation))
}

/// The program whose delta is the difference between a node's query and its table.
///
/// # Errors
/// `Bug` where the plan is malformed.
pub fn full_program(view: &View, index: usize) -> Result<Program> {
    delta::rendered(view, index, vec![full_step(view, index)])
}

/// The one step of [`full_program`], as a plan.
pub fn full_step(view: &View, index: usize) -> PlanStep {
    let (node, mut ids) = (&view.nodes[index], view.ids.clone());
    let output = node.plan.columns();
    let stored = node.columns.iter().map(|column| (ids.column(column.name.as_str()), column.name.clone())).collect();
    let table = Plan::Scan(Scan { relation: Relation::Node(index), columns: stored });
    let old = table.columns();
    let rows = vec![weighted(node.plan.clone(), &output, 1, &mut ids), weighted(table, &old, -1, &mut ids)];
    let delta = Delta::sum(output.clone(), rows, &mut ids);
    let output: Vec<_> = output.into_iter().zip(node.columns.clone()).collect();
    let plan = consolidate::plan(delta, &output, &mut ids);
    PlanStep::new(Ident::new(DELTA), "full: the query − the table", plan)
}

/// The sources in the order of their first scan, each with the columns that any scan reads, in table order.
fn sources(plan: &Plan, catalog: &dyn Catalog) -> Result<Vec<Source>> {
    let mut read: Vec<(QName, BTreeSet<Ident>)> = vec![];
    plan.scans(&mut |scan| {
        let Relation::Source(name) = &scan.relation else { return };
        let columns = scan.columns.iter().map(|(_, column)| column.clone());
        match read.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.extend(columns),
            None => read.push((name.clone(), columns.collect())),
        }
    });
    let ordered = read.into_iter().map(|(name, read)| {
        let all = catalog.columns(&name)?.into_iter().map(|column| column.name);
        Ok(Source { columns: all.filter(|column| read.contains(column)).collect(), name })
    });
    ordered.collect()
}
