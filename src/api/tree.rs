//! `dependency_tree`: what reads what, as an outline.

// The columns of a set-returning function are read off its signature: an alias would hide them.
#![allow(clippy::type_complexity)]

use std::collections::BTreeMap;

use ivm::dag::Dag;
use ivm::outline::outline;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, name, pg_extern};

use crate::api::resolve;
use crate::catalog::dependency::{self, Relation};
use crate::catalog::quietly;
use crate::error::Result;
use crate::pg::spi;

type TreeRow = (String, String, String, i32, Option<String>, Option<String>);

/// What stream tables read, depth first: from the one that is named, or from all that no other reads. A table
/// that several read is below each.
#[pg_extern]
fn dependency_tree(
    name: default!(Option<&str>, "NULL"),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(tree, String),
            name!(name, String),
            name!(kind, String),
            name!(depth, i32),
            name!(schedule, Option<String>),
            name!(status, Option<String>),
        ),
    >,
    ErrorReport,
> {
    Ok(TableIterator::new(tree(name)?))
}

fn tree(name: Option<&str>) -> Result<Vec<TreeRow>> {
    let root = name.map(resolve).transpose()?.map(|(relid, _)| relid);
    let (relations, reads) =
        quietly(|| spi::connect(None, |session| Ok((dependency::relations(session)?, dependency::reads(session)?))))?;
    let known: BTreeMap<&str, &Relation> =
        relations.iter().map(|relation| (relation.name.as_str(), relation)).collect();
    let graph = graph(&relations, &reads)?;
    let roots = match root {
        Some(root) => {
            relations.iter().filter(|relation| relation.relid == root).map(|found| found.name.as_str()).collect()
        }
        None => graph.unread(),
    };
    let rows = outline(&graph, roots).into_iter().filter_map(|line| {
        let relation = known.get(line.table)?;
        let (schedule, status) = (relation.schedule.clone(), relation.status.clone());
        let text = line.indented(&relation.name);
        Some((text, relation.name.clone(), relation.kind.clone(), line.depth as i32, schedule, status))
    });
    Ok(rows.collect())
}

/// By name, which is what an outline is ordered by.
fn graph<'a>(relations: &'a [Relation], reads: &'a [(String, String)]) -> Result<Dag<&'a str>> {
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for relation in relations {
        edges.insert(&relation.name, vec![]);
    }
    for (table, read) in reads {
        edges.entry(table).or_default().push(read);
    }
    let mut graph = Dag::default();
    for (table, reads) in &edges {
        graph.put(table, reads)?;
    }
    Ok(graph)
}
