//! Plans and views for readers: a tree of operators, each with the law of its delta, and the SQL of programs.

pub mod cost;
pub mod key;

use std::collections::BTreeMap;

use crate::delta::{self, law};
use crate::error::{Error, Result};
use crate::expr::Direction;
use crate::plan::{AggregateCall, ColId, Column, Expr, Plan, Relation, Scan, Ties, TopK};
use crate::render;
use crate::sql::ast::{self, bare};
use crate::sql::ident::{Ident, QName};
use crate::sql::print::{self, commas};
use crate::view::{Identity, Node, Step, View};
use crate::view::{Scale, Successor, Upkeep};

/// The names that columns have in a plan.
type Names = BTreeMap<ColId, Ident>;

/// An operator of a plan, as one line.
pub struct Operator {
    pub text: String,
    pub law: &'static str,
    pub inputs: Vec<Operator>,
}

impl Operator {
    /// This operator and those below it, each with its depth, inputs after their consumers.
    pub fn with_depth(&self) -> Vec<(usize, &Operator)> {
        let below = self.inputs.iter().flat_map(Operator::with_depth);
        std::iter::once((0, self)).chain(below.map(|(depth, operator)| (depth + 1, operator))).collect()
    }
}

/// The operators of a whole view, as if it had not been cut into nodes.
///
/// # Errors
/// `Bug` where a plan is malformed.
pub fn operators(view: &View) -> Result<Operator> {
    let last = view.nodes.last().ok_or(Error::Bug("a view has a last node"))?;
    Shown { view, inlined: true }.tree(&last.plan, &last.upkeep)
}

/// The operators of one node, which reads the tables of others.
///
/// # Errors
/// `Bug` where a plan is malformed.
pub fn node(view: &View, node: &Node) -> Result<Operator> {
    Shown { view, inlined: false }.tree(&node.plan, &node.upkeep)
}

/// Every node of a view: its table, its identity, its plan.
///
/// # Errors
/// `Bug` where a plan is malformed.
pub fn view(view: &View) -> Result<String> {
    let nodes = view.nodes.iter().map(|of| {
        let tree = node(view, of)?;
        let lines = tree
            .with_depth()
            .into_iter()
            .map(|(depth, operator)| format!("{}{}  [{}]\n", "  ".repeat(depth + 1), operator.text, operator.law));
        Ok(format!("{} ({})\n{}", of.table, identity(of), lines.collect::<String>()))
    });
    Ok(nodes.collect::<Result<Vec<String>>>()?.join("\n"))
}

/// A step of the program that follows the change of one relation.
pub struct Statement {
    pub table: QName,
    pub changed: QName,
    pub step: Ident,
    pub law: String,
    pub sql: String,
}

/// The SQL of every program that one changed source needs. Time has passed in each of them.
///
/// # Errors
/// `Bug` where a plan is malformed.
pub fn programs(view: &View) -> Result<Vec<Statement>> {
    let mut statements = vec![];
    for (index, node) in view.nodes.iter().enumerate() {
        for input in &node.inputs {
            let mask = node.inputs.get(&Relation::Clock).into_iter().chain([input]).cloned().collect();
            for Step { name, law, query, .. } in delta::program(view, index, &mask)?.into_iter().flat_map(|p| p.steps) {
                let (table, changed) = (node.table.clone(), view.relation_name(input));
                statements.push(Statement { table, changed, step: name, law, sql: print::query(&query) });
            }
        }
    }
    Ok(statements)
}

fn identity(node: &Node) -> String {
    match &node.identity {
        Identity::Key(names) if names.is_empty() => "one row".to_owned(),
        Identity::Key(names) => format!("key: {}", commas(names)),
        Identity::HashedKey(names) => format!("hashed key: {}", commas(names)),
        Identity::Bag => "bag: hash of all columns".to_owned(),
    }
}

struct Shown<'a> {
    view: &'a View,
    /// The scan of a node shows the node's own operators.
    inlined: bool,
}

impl Shown<'_> {
    fn tree(&self, plan: &Plan, upkeep: &[Upkeep]) -> Result<Operator> {
        if let Plan::Scan(Scan { relation: Relation::Node(index), .. }) = plan
            && self.inlined
        {
            let node = &self.view.nodes[*index];
            return self.tree(&node.plan, &node.upkeep);
        }
        let mut names = Names::new();
        // The name that a column has furthest up is the one that is shown.
        plan.visit(&mut |plan| {
            plan.columns().into_iter().for_each(|column| _ = names.entry(column.id).or_insert(column.name));
        });
        let text = head(plan, upkeep, &|relation: &Relation| self.view.relation_name(relation), &names)?;
        // The upkeep of a state table belongs to its aggregate, which a projection may reorder.
        let upkeep = if matches!(plan, Plan::Project(_)) { upkeep } else { &[] };
        let inputs = plan.inputs().into_iter().map(|input| self.tree(input, upkeep)).collect::<Result<_>>()?;
        Ok(Operator { text, law: law(plan), inputs })
    }
}

/// The line of one operator.
fn head(plan: &Plan, upkeep: &[Upkeep], relations: &dyn Fn(&Relation) -> QName, names: &Names) -> Result<String> {
    let texts = |exprs: &[Expr]| exprs.iter().map(|e| text(e, names)).collect::<Result<Vec<_>>>();
    Ok(match plan {
        Plan::Scan(scan) => {
            format!("scan {} ({})", relations(&scan.relation), commas(scan.columns.iter().map(|(_, name)| name)))
        }
        Plan::Values(values) => format!("values, {} rows", values.rows.len()),
        Plan::Filter(filter) => format!("σ {}", text(&filter.predicate, names)?),
        Plan::Project(project) | Plan::Expand(project) => {
            format!("π{} {}", if matches!(plan, Plan::Expand(_)) { "*" } else { "" }, shown(&project.columns, names)?)
        }
        Plan::Lateral(_) => "×".to_owned(),
        Plan::Join(join) if join.predicates.is_empty() => "×".to_owned(),
        Plan::Join(join) => format!("⋈ {}", texts(&join.predicates)?.join(" AND ")),
        Plan::Outer(outer) => format!("⟕ {}", text(&outer.on, names)?),
        Plan::UnionAll(union) => format!("⊎ {}", list(&union.columns)),
        Plan::Aggregate(aggregate) => {
            let calls = aggregate.calls.iter().enumerate().map(|(at, c)| call(c, upkeep.get(at), names));
            let keys = aggregate.keys.iter().map(|key| Ok(key.name.to_string()));
            format!("γ {}", keys.chain(calls).collect::<Result<Vec<_>>>()?.join(", "))
        }
        Plan::Distinct(distinct) => format!("δ {}", list(&distinct.input.columns())),
        Plan::Fixpoint(fixpoint) if fixpoint.all => format!("μ {}, each derivation", list(&fixpoint.columns)),
        Plan::Fixpoint(fixpoint) => format!("μ {}", list(&fixpoint.columns)),
        Plan::Semi(semi) => format!("{} {}", if semi.anti { "▷" } else { "⋉" }, text(&semi.on, names)?),
        Plan::Window(window) => format!("ω {}", shown(&window.calls, names)?),
        Plan::TopK(top) => format!("τ {}", top_k(top, names)?),
        Plan::Unnest(unnest) => {
            let columns = commas(unnest.columns.iter().map(|(column, _)| &column.name));
            format!("{} {} ({columns})", if unnest.outer { "⟕*" } else { "×*" }, text(&unnest.call, names)?)
        }
    })
}

/// `first 10 after 5 by a, b descending of each k`.
fn top_k(top: &TopK, names: &Names) -> Result<String> {
    let mut parts = vec![];
    let ties = match top.ties {
        Ties::Split => "",
        Ties::Follow => " with ties",
        Ties::Together => " values",
    };
    if let Some(limit) = &top.limit {
        parts.push(format!("first {}{}", text(limit, names)?, ties));
    }
    if let Some(offset) = &top.offset {
        parts.push(format!("after {}", text(offset, names)?));
    }
    let keys = top.order.iter().map(|key| {
        let descending = if key.direction == Direction::Ascending { "" } else { " descending" };
        Ok(format!("{}{descending}", text(&key.expr, names)?))
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    if !keys.is_empty() {
        parts.push(format!("by {}", commas(keys)));
    }
    if !top.partition.is_empty() {
        parts.push(format!("of each {}", commas(top.partition.iter().filter_map(|id| names.get(id)))));
    }
    Ok(parts.join(" "))
}

fn list(columns: &[Column]) -> String {
    commas(columns.iter().map(|column| &column.name))
}

/// Projected columns, each by its name alone where it passes through.
fn shown(columns: &[(Column, Expr)], names: &Names) -> Result<String> {
    let shown = columns.iter().map(|(Column { name, .. }, e)| match e {
        Expr::Column(id) if names.get(id) == Some(name) => Ok(name.to_string()),
        e => Ok(format!("{name} := {}", text(e, names)?)),
    });
    Ok(commas(shown.collect::<Result<Vec<_>>>()?))
}

fn call(call: &AggregateCall, upkeep: Option<&Upkeep>, names: &Names) -> Result<String> {
    let name = |id: &ColId| names.get(id).map(Ident::to_string).unwrap_or_default();
    let args = if call.args.is_empty() { "*".to_owned() } else { commas(call.args.iter().map(name)) };
    let distinct = if call.distinct { "distinct " } else { "" };
    let filter = call.filter.as_ref().map(|id| format!(" filter {}", name(id))).unwrap_or_default();
    let upkeep = match upkeep {
        None => "",
        Some(Upkeep::Count | Upkeep::Sum { scale: Scale::Integer, .. }) => " {+Δ}",
        Some(Upkeep::Sum { .. }) => " {+Δ, recomputed for NaN}",
        Some(Upkeep::Min(Successor::Indexed) | Upkeep::Max(Successor::Indexed)) => {
            " {looked up when a deletion reaches it}"
        }
        Some(Upkeep::Min(_) | Upkeep::Max(_)) => " {recomputed when a deletion reaches it}",
        Some(Upkeep::Recompute) => " {recomputed when touched}",
    };
    Ok(format!("{} := {}({distinct}{args}){filter}{upkeep}", call.column.name, call.function))
}

/// An expression with its columns by name, on one line.
fn text(expr: &Expr, names: &Names) -> Result<String> {
    let mut column = |id: ColId| {
        let name = names.get(&id).ok_or(Error::Bug("an expression reads a column that its input has not"))?;
        Ok(bare(name.as_str()))
    };
    let around = || names.iter().map(|(id, name)| (*id, bare(name.as_str()))).collect();
    let expr: ast::Expr = expr.clone().try_map(&mut column, &mut |plan| render::query_within(&plan, around()))?;
    Ok(print::expr(&expr).lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::memory::MemoryCatalog;
    use crate::{canon, compile};

    #[test]
    fn a_subquery_of_the_row_is_shown_in_place() {
        let name = QName::qualified("public", "t");
        let catalog = MemoryCatalog::default().table(name.clone(), &[("a", "integer[]", false)]);
        let sql = "SELECT a FROM public.t WHERE (EXISTS ( SELECT FROM unnest(t.a) i(i) WHERE (i.i > 1)))";
        let state = |_| QName::bare("state");
        let view = compile::compile(&canon::parse(sql).unwrap(), &catalog, &QName::bare("v"), &state).unwrap();
        let shown = "  σ (EXISTS ( SELECT FROM unnest(a) AS unnest(i) WHERE (unnest.i > 1) ))  [linear]";
        assert_eq!(super::view(&view).unwrap().lines().nth(1), Some(shown));
    }
}
