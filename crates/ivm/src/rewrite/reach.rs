//! Of an aggregate that a join asks for some groups, the others are not kept:
//! `γ_k(R) ⋈_{k=u} σ_p(S) = γ_k(R ⋈_{k=u'} σ_p(S')) ⋈_{k=u} σ_p(S)`, where `u` is a key of `S` and `S'` is `S` again. The
//! groups then say what `σ_p(S)` did, which is not read where nothing else of it is. If `p` says `column = constant`,
//! `δ π_u'(σ_p(S'))` stands for `σ_p(S')`.
//!
//! Without it a change of any group costs, though the join would never ask for it. Databases know this as *sideways
//! information passing* (Beeri and Ramakrishnan, *On the power of magic*). A row that comes to `σ_p(S')` brings its
//! group along: only where an index leads to that is the rule followed.

use std::collections::BTreeSet;

use super::{project, with_read};
use crate::catalog::{Catalog, ColumnType, Equality};
use crate::error::Result;
use crate::keys;
use crate::plan::{Aggregate, ColId, Column, Distinct, Expr, Ids, Join, Plan, Relation, Scan, reads, replaced};
use crate::sql::ident::{Ident, QName};

/// The plan with no groups that no join asks for.
pub fn reach(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    let shown = plan.ids();
    with_read(plan, &shown, &mut |plan, read| match plan {
        Plan::Join(join) => joined(*join, read, catalog, ids),
        other => Ok(other),
    })
}

fn joined(mut join: Join, read: &BTreeSet<ColId>, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
    join.predicates = join.predicates.into_iter().flat_map(Expr::conjuncts).collect();
    let mut found = vec![];
    for at in 0..join.inputs.len() {
        let Plan::Aggregate(aggregate) = &join.inputs[at] else { continue };
        let Some(asking) = asking(&join, aggregate, catalog)? else { continue };
        let (again, same) = asking.again(ids);
        let Aggregate { input, keys, calls } = (**aggregate).clone();
        join.inputs[at] = Plan::join(vec![input, again], vec![same]).aggregate(keys, calls);
        found.push(asking);
    }
    let mut shown = join.inputs.iter().flat_map(Plan::columns).map(|column| column.pass()).collect();
    found.iter().for_each(|asking| leave_to_groups(&mut join, &mut shown, asking, read));
    let Join { inputs, predicates, .. } = join;
    let plan = match <[Plan; 1]>::try_from(inputs) {
        Ok([groups]) => predicates.into_iter().fold(groups, Plan::filter),
        Err(inputs) => Plan::join(inputs, predicates),
    };
    Ok(project::project(plan, shown))
}

/// Who asks for groups of an aggregate.
struct Asking {
    key: ColId,
    /// A source, of which those rows ask that are chosen; each for one group, by a key of its own.
    rows: Plan,
    chosen: Vec<Expr>,
    asked: ColId,
    /// Whether what is asked and the key of the group look alike.
    alike: bool,
}

impl Asking {
    /// Those rows again, and the condition under which a row of the aggregate's input is one that they ask for. A column
    /// that is equal to a constant leaves few of them: their keys become a node, which a delta of the input then joins
    /// instead of the source.
    fn again(&self, ids: &mut Ids) -> (Plan, Expr) {
        let (again, known) = self.rows.clone().filter(Expr::all(self.chosen.clone())).copied(ids);
        let asked = known[&self.asked];
        let same = Expr::equals(Expr::Column(self.key), Expr::Column(asked));
        if !self.chosen.iter().any(|e| keys::fixed_column(e).is_some()) {
            return (again, same);
        }
        let key = again.columns().iter().filter(|column| column.id == asked).map(Column::pass).collect();
        (Plan::Distinct(Box::new(Distinct { input: again.project(key) })), same)
    }
}

fn asking(join: &Join, aggregate: &Aggregate, catalog: &dyn Catalog) -> Result<Option<Asking>> {
    for (left, right) in join.predicates.iter().filter_map(keys::equal_columns) {
        for (key, asked) in [(left, right), (right, left)] {
            let is_key = aggregate.keys.iter().any(|column| column.id == key);
            let asking =
                join.inputs.iter().find(|input| matches!(input, Plan::Scan(_)) && origin(input, asked).is_some());
            let (Some(rows), true) = (asking, is_key) else { continue };
            let chosen: Vec<Expr> = join.predicates.iter().filter(|e| chooses(e, rows)).cloned().collect();
            if chosen.is_empty() {
                continue;
            }
            let Some(ty) = led_to((&aggregate.input, key), (rows, asked), catalog)? else { continue };
            if keys::facts(rows, catalog)?.keys.contains(&[asked].into()) {
                let alike = ty.equality == Equality::Image;
                return Ok(Some(Asking { key, rows: rows.clone(), chosen, asked, alike }));
            }
        }
    }
    Ok(None)
}

/// Takes the rows that asked out of the join, if nothing of them is read but what the groups say too.
fn leave_to_groups(join: &mut Join, shown: &mut Vec<(Column, Expr)>, asking: &Asking, read: &BTreeSet<ColId>) {
    let Asking { key, rows, chosen, asked, alike } = asking;
    let is_asking = |e: &Expr| keys::equal_columns(e).is_some_and(|(a, b)| [(a, b), (b, a)].contains(&(*key, *asked)));
    let others: Vec<&Expr> = join.predicates.iter().filter(|e| !chosen.contains(e) && !is_asking(e)).collect();
    let needed: BTreeSet<ColId> = others.iter().flat_map(|e| reads(e)).chain(read.iter().copied()).collect();
    let own = rows.columns();
    let said = own.iter().all(|column| column.id == *asked || !needed.contains(&column.id));
    if *alike && said && join.inputs.contains(rows) {
        join.predicates = others.into_iter().map(|e| replaced(e, &[(*asked, *key)].into())).collect();
        join.inputs.retain(|input| input != rows);
        shown.retain(|(column, _)| column.id == *asked || !own.contains(column));
        shown.iter_mut().filter(|(column, _)| column.id == *asked).for_each(|(_, e)| *e = Expr::Column(*key));
    }
}

/// Whether a condition is one on these rows alone.
fn chooses(condition: &Expr, rows: &Plan) -> bool {
    let own: BTreeSet<ColId> = rows.columns().iter().map(|column| column.id).collect();
    let read = reads(condition);
    !read.is_empty() && read.is_subset(&own) && condition.subqueries().is_empty()
}

/// The type of `asked` and `key`, if an index leads from a value of the one to the rows in which the other equals it. With
/// one type and collation there is one equality: that of the key, of the groups and of the join.
fn led_to(key: (&Plan, ColId), asked: (&Plan, ColId), catalog: &dyn Catalog) -> Result<Option<ColumnType>> {
    let (Some((table, column)), Some((other, own))) = (origin(key.0, key.1), origin(asked.0, asked.1)) else {
        return Ok(None);
    };
    let same = declared(other, own, catalog)?;
    let ty = declared(table, column, catalog)?
        .filter(|ty| same.is_some_and(|s| (s.name, s.collation) == (ty.name.clone(), ty.collation.clone())));
    Ok(if catalog.leads(table, column)? { ty } else { None })
}

/// The column of a source that a column is, where a row of the source is found by it.
fn origin(plan: &Plan, id: ColId) -> Option<(&QName, &Ident)> {
    match plan {
        Plan::Scan(Scan { relation: Relation::Source(name), columns }) => {
            columns.iter().find(|(column, _)| column.id == id).map(|(_, own)| (name, own))
        }
        Plan::Filter(filter) => origin(&filter.input, id),
        Plan::Join(join) => join.inputs.iter().find_map(|input| origin(input, id)),
        Plan::Project(project) => match &project.columns.iter().find(|(column, _)| column.id == id)?.1 {
            Expr::Column(id) => origin(&project.input, *id),
            _ => None,
        },
        _ => None,
    }
}

fn declared(table: &QName, name: &Ident, catalog: &dyn Catalog) -> Result<Option<ColumnType>> {
    Ok(catalog.columns(table)?.into_iter().find(|column| column.name == *name).map(|column| column.ty))
}
