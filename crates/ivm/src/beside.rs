//! Which transactions may each apply the delta of its own changes to a view although they do not see each other.
//!
//! **Law 1:** with Q linear in each source, Q(R + ΔR + ΔR') − Q(R + ΔR) = Q(R + ΔR') − Q(R): neither delta reads what the other
//! changes. And by the key no row of the view is of both, because a row of a source is changed by one transaction at a time.
//!
//! **Law 2:** say that Q is *local* to columns K of R: which of its rows have K = k depends on R through the rows with K = k alone. Then
//! transactions that change R in rows of different K change different rows of Q, and neither reads the other's.
//!
//! Both are about changes of one source while no transaction changes another one.

use std::collections::{BTreeMap, BTreeSet};

use crate::nodes::running;
use crate::plan::{ColId, Plan, Relation};
use crate::sql::ident::{Ident, QName};
use crate::view::{Identity, Node, View};

/// Transactions that change one source of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// All of them may follow their changes beside each other.
    All,
    /// Those whose changed rows differ in these columns.
    Keys(Vec<Ident>),
}

/// What the rows of a plan have of a source.
#[derive(Clone, Debug, Default)]
struct Local {
    /// The columns that pass on one of the source.
    passed: BTreeMap<ColId, Ident>,
    /// The most columns to which the plan is local; none where it does not read the source.
    key: Option<BTreeSet<Ident>>,
}

impl View {
    /// Which transactions that change a source, and no other, may follow their changes beside each other; none if each has to be alone.
    pub fn beside(&self, source: &QName) -> Option<Beside> {
        if self.is_linear_in_each_source() { Some(Beside::All) } else { self.local_to(source).map(Beside::Keys) }
    }

    fn is_linear_in_each_source(&self) -> bool {
        let [node] = &self.nodes[..] else { return false };
        let mut scanned = vec![];
        node.plan.scans(&mut |scan| scanned.push(&scan.relation));
        let is_once = |relation: &&Relation| scanned.iter().filter(|other| *other == relation).count() == 1;
        let is_source = |relation: &&Relation| matches!(relation, Relation::Source(_));
        let is_keyed = matches!(&node.identity, Identity::Key(key) if !key.is_empty());
        is_keyed
            && is_product(&node.plan)
            && has_no_subquery(&node.plan)
            && scanned.iter().all(|it| is_source(it) && is_once(it))
    }

    /// The columns of a source to which every node is local. Each node shows them, so that its rows of different values are different.
    fn local_to(&self, source: &QName) -> Option<Vec<Ident>> {
        let mut nodes: Vec<Local> = vec![];
        for node in &self.nodes {
            let local = if has_no_subquery(&node.plan) {
                local(&node.plan, source, (&self.nodes, &nodes))?
            } else {
                return None;
            };
            let shown = local.passed.values().cloned().collect();
            nodes.push(local.within(&shown)?);
        }
        let keys = nodes.into_iter().filter_map(|node| node.key);
        let key = keys.reduce(|all, key| &all & &key).filter(|key| !key.is_empty())?;
        Some(key.into_iter().collect())
    }
}

/// Whether a plan consists of scans, filters, projections and joins.
fn is_product(plan: &Plan) -> bool {
    match plan {
        Plan::Scan(_) => true,
        Plan::Filter(filter) => is_product(&filter.input),
        Plan::Project(project) => is_product(&project.input),
        Plan::Join(join) => join.inputs.iter().all(is_product),
        _ => false,
    }
}

/// Whether no expression reads a relation.
fn has_no_subquery(plan: &Plan) -> bool {
    let (mut scans, mut everywhere) = (0, 0);
    plan.scans(&mut |_| scans += 1);
    plan.visit(&mut |plan| everywhere += usize::from(matches!(plan, Plan::Scan(_))));
    scans == everywhere
}

impl Local {
    /// Local to those of its columns that are among these; none if there are none.
    fn within(self, columns: &BTreeSet<Ident>) -> Option<Local> {
        let key = self.key.map(|key| &key & columns);
        (!key.as_ref().is_some_and(BTreeSet::is_empty)).then_some(Local { key, ..self })
    }

    /// The columns of the source that some columns pass on.
    fn of<'a>(&self, columns: impl IntoIterator<Item = &'a ColId>) -> BTreeSet<Ident> {
        columns.into_iter().filter_map(|id| self.passed.get(id).cloned()).collect()
    }
}

/// `nodes`: those before, with what they have of the source. None where the plan is local to no column.
fn local(plan: &Plan, source: &QName, nodes: (&[Node], &[Local])) -> Option<Local> {
    let of = |input: &Plan| local(input, source, nodes);
    match plan {
        Plan::Scan(scan) => Some(match &scan.relation {
            Relation::Source(name) if name == source => {
                let passed: BTreeMap<ColId, Ident> =
                    scan.columns.iter().map(|(column, name)| (column.id, name.clone())).collect();
                Local { key: Some(passed.values().cloned().collect()), passed }
            }
            Relation::Node(index) => {
                let (node, below) = (nodes.0.get(*index)?, nodes.1.get(*index)?);
                let output = node.plan.columns();
                let place = |name: &Ident| node.columns.iter().position(|column| column.name == *name);
                let passed = |name: &Ident| below.passed.get(&output.get(place(name)?)?.id).cloned();
                let columns = scan.columns.iter();
                let passed = columns.filter_map(|(column, name)| Some((column.id, passed(name)?))).collect();
                Local { key: below.key.clone(), passed }
            }
            Relation::Source(_) => Local::default(),
            _ => return None,
        }),
        Plan::Filter(filter) => of(&filter.input),
        Plan::Unnest(unnest) => of(&unnest.input),
        Plan::Project(project) | Plan::Expand(project) => {
            let input = of(&project.input)?;
            let passed = |e| input.passed.get(&running::column(e)?).cloned();
            let columns = project.columns.iter();
            let passed = columns.filter_map(|(column, e)| Some((column.id, passed(e)?))).collect();
            Some(Local { passed, key: input.key })
        }
        // Each of their rows has one row of the input that reads the source.
        Plan::Join(join) => only(join.inputs.iter().map(of)),
        Plan::Outer(outer) => preserved(of(&outer.left)?, of(&outer.right)?),
        Plan::Semi(semi) => preserved(of(&semi.left)?, of(&semi.right)?),
        Plan::UnionAll(union) => {
            let inputs: Option<Vec<(Local, &Vec<ColId>)>> =
                union.inputs.iter().map(|(input, ids)| Some((of(input)?, ids))).collect();
            let readers: Vec<_> = inputs?.into_iter().filter(|(input, _)| input.key.is_some()).collect();
            let passed = |at: usize| {
                let mut columns = readers.iter().map(|(input, ids)| input.passed.get(&ids[at]));
                let first = columns.next()??;
                columns.all(|column| column == Some(first)).then(|| first.clone())
            };
            let columns = union.columns.iter().enumerate();
            let passed = columns.filter_map(|(at, column)| Some((column.id, passed(at)?))).collect();
            let key = readers.into_iter().filter_map(|(input, _)| input.key).reduce(|all, key| &all & &key);
            Some(Local { passed, key })
        }
        Plan::Aggregate(aggregate) => {
            let input = of(&aggregate.input)?;
            let keys: Vec<ColId> = aggregate.keys.iter().map(|key| key.id).collect();
            let columns = input.of(&keys);
            let mut grouped = input.within(&columns)?;
            grouped.passed.retain(|id, _| keys.contains(id));
            Some(grouped)
        }
        Plan::Distinct(distinct) => {
            let input = of(&distinct.input)?;
            let columns = input.passed.values().cloned().collect();
            input.within(&columns)
        }
        Plan::Window(window) => parted(of(&window.input)?, &window.partition),
        Plan::TopK(top) => parted(of(&top.input)?, &top.partition),
        Plan::Values(_) => Some(Local::default()),
        Plan::Lateral(_) | Plan::Fixpoint(_) => None,
    }
}

/// What depends on the rows of a partition.
fn parted(input: Local, partition: &[ColId]) -> Option<Local> {
    let columns = input.of(partition);
    input.within(&columns)
}

/// Every row of `left`, kept or not by what there is in `right`.
fn preserved(left: Local, right: Local) -> Option<Local> {
    right.key.is_none().then_some(left)
}

/// Inputs of which at most one reads the source.
fn only(inputs: impl Iterator<Item = Option<Local>>) -> Option<Local> {
    let inputs: Vec<Local> = inputs.collect::<Option<_>>()?;
    let (mut readers, _): (Vec<Local>, Vec<Local>) = inputs.into_iter().partition(|input| input.key.is_some());
    let last = readers.pop();
    readers.is_empty().then(|| last.unwrap_or_default())
}
