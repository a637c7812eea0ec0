//! γ below ⋈: groups that the join never reads are not stored.
//! `γ_k(R) ⋈_{k=u} σ_p(S) = γ_k(R ⋈_{k=u'} σ_p(S')) ⋈_{k=u} σ_p(S)`, where `u` is a key of `S` and `S'` is another scan of
//! `S`. The groups then imply `σ_p(S)`, which is not read if nothing else of it is. If `p` has `column = constant`,
//! `δ π_u'(σ_p(S'))` replaces `σ_p(S')`.
//!
//! Without this rule a change of any group costs, though the join never reads it. Databases know it as *sideways
//! information passing* (Beeri and Ramakrishnan, *On the power of magic*). A row inserted into `σ_p(S')` reads its
//! whole group: the rule applies only where an index finds that.

use std::collections::BTreeSet;

use super::{project, with_read};
use crate::catalog::{Catalog, ColumnType, Equality};
use crate::error::Result;
use crate::keys;
use crate::plan::{Aggregate, ColId, Column, Distinct, Expr, Ids, Join, Plan, Relation, Scan, reads, replaced};
use crate::sql::ident::{Ident, QName};

/// The plan with aggregates restricted to the groups that joins read.
///
/// # Errors
/// `Catalog` for what the catalog does not know.
pub fn restrict(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids) -> Result<Plan> {
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
        let Some(restriction) = restriction(&join, aggregate, catalog)? else { continue };
        let (keys_of, same) = restriction.copied(ids);
        let Aggregate { input, keys, calls } = (**aggregate).clone();
        join.inputs[at] = Plan::join(vec![input, keys_of], vec![same]).aggregate(keys, calls);
        found.push(restriction);
    }
    let mut shown = join.inputs.iter().flat_map(Plan::columns).map(|column| column.pass()).collect();
    found.iter().for_each(|restriction| drop_implied(&mut join, &mut shown, restriction, read));
    let Join { inputs, predicates, .. } = join;
    let plan = match <[Plan; 1]>::try_from(inputs) {
        Ok([groups]) => predicates.into_iter().fold(groups, Plan::filter),
        Err(inputs) => Plan::join(inputs, predicates),
    };
    Ok(project::project(plan, shown))
}

/// A restriction of an aggregate to groups whose key is among the rows of a source.
struct Restriction {
    key: ColId,
    /// The source, its rows filtered by conditions; each row reads one group.
    rows: Plan,
    filters: Vec<Expr>,
    /// The column of `rows` that is compared with the group's key; a key of the source.
    compared: ColId,
    /// Whether equal values of both look the same.
    alike: bool,
}

impl Restriction {
    /// A copy of the rows, and the condition under which a row of the aggregate's input belongs to one of them. A column
    /// that is equal to a constant leaves few rows: their keys become a node, which a delta of the input then joins
    /// instead of the source.
    fn copied(&self, ids: &mut Ids) -> (Plan, Expr) {
        let (rows, known) = self.rows.clone().filter(Expr::all(self.filters.clone())).copied(ids);
        let compared = known[&self.compared];
        let same = Expr::equals(Expr::Column(self.key), Expr::Column(compared));
        if !self.filters.iter().any(|e| keys::fixed_column(e).is_some()) {
            return (rows, same);
        }
        let key = rows.columns().iter().filter(|column| column.id == compared).map(Column::pass).collect();
        (Plan::Distinct(Box::new(Distinct { input: rows.project(key) })), same)
    }
}

fn restriction(join: &Join, aggregate: &Aggregate, catalog: &dyn Catalog) -> Result<Option<Restriction>> {
    for (left, right) in join.predicates.iter().filter_map(keys::equal_columns) {
        for (key, compared) in [(left, right), (right, left)] {
            let is_key = aggregate.keys.iter().any(|column| column.id == key);
            let is_source = |input: &&Plan| matches!(input, Plan::Scan(_)) && origin(input, compared).is_some();
            let (Some(rows), true) = (join.inputs.iter().find(is_source), is_key) else { continue };
            let filters: Vec<Expr> = join.predicates.iter().filter(|e| is_filter(e, rows)).cloned().collect();
            if filters.is_empty() {
                continue;
            }
            let Some(ty) = indexed((&aggregate.input, key), (rows, compared), catalog)? else { continue };
            if keys::facts(rows, catalog)?.keys.contains(&[compared].into()) {
                let alike = ty.equality == Equality::Image;
                return Ok(Some(Restriction { key, rows: rows.clone(), filters, compared, alike }));
            }
        }
    }
    Ok(None)
}

/// Drops the source from the join, if only the column that the groups have too is read.
fn drop_implied(join: &mut Join, shown: &mut Vec<(Column, Expr)>, restriction: &Restriction, read: &BTreeSet<ColId>) {
    let Restriction { key, rows, filters, compared, alike } = restriction;
    let pairs = [(*key, *compared), (*compared, *key)];
    let is_implied = |e: &Expr| filters.contains(e) || keys::equal_columns(e).is_some_and(|pair| pairs.contains(&pair));
    let others: Vec<&Expr> = join.predicates.iter().filter(|e| !is_implied(e)).collect();
    let needed: BTreeSet<ColId> = others.iter().flat_map(|e| reads(e)).chain(read.iter().copied()).collect();
    let own = rows.columns();
    let dropped = own.iter().all(|column| column.id == *compared || !needed.contains(&column.id));
    if *alike && dropped && join.inputs.contains(rows) {
        join.predicates = others.into_iter().map(|e| replaced(e, &[(*compared, *key)].into())).collect();
        join.inputs.retain(|input| input != rows);
        shown.retain(|(column, _)| column.id == *compared || !own.contains(column));
        shown.iter_mut().filter(|(column, _)| column.id == *compared).for_each(|(_, e)| *e = Expr::Column(*key));
    }
}

/// Whether a condition reads these rows alone.
fn is_filter(condition: &Expr, rows: &Plan) -> bool {
    let read = reads(condition);
    !read.is_empty() && read.is_subset(&rows.ids()) && condition.subqueries().is_empty()
}

/// The type of `compared` and `key`, if an index finds the rows of `key` by a value of `compared`.
/// With one type and collation there is one equality: that of the key, of the groups and of the join.
fn indexed(key: (&Plan, ColId), compared: (&Plan, ColId), catalog: &dyn Catalog) -> Result<Option<ColumnType>> {
    let (Some((table, column)), Some((other, own))) = (origin(key.0, key.1), origin(compared.0, compared.1)) else {
        return Ok(None);
    };
    let same = declared(other, own, catalog)?;
    let ty = declared(table, column, catalog)?
        .filter(|ty| same.is_some_and(|s| (s.name, s.collation) == (ty.name.clone(), ty.collation.clone())));
    Ok(if catalog.leads(table, column)? { ty } else { None })
}

/// The column of a source of which a column has the values, where it finds rows of the source.
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
