//! The type of every column of a plan: those of scans from the catalog, those of computed columns from
//! PostgreSQL's own analysis of the query that the operator renders to. The types of the outer columns that a subquery
//! reads must be known before: a NULL of its type stands for each.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, ColumnType};
use crate::clock::{self, BEFORE, CLOCK, NOW};
use crate::error::{Error, Result};
use crate::expr::Expr as Generic;
use crate::plan::{ColId, Expr, Fixpoint, Plan, Relation, Scan};
use crate::sql::ast::{Cte, Item, Query, Select, With};
use crate::sql::ident::Ident;
use crate::{recursion, render};

/// Column types by column id.
#[derive(Clone)]
pub struct Types<'a> {
    pub catalog: &'a dyn Catalog,
    columns: BTreeMap<ColId, ColumnType>,
    /// The row types of recursions, which no catalog has.
    recursions: BTreeMap<u32, Vec<(Ident, ColumnType)>>,
}

impl<'a> Types<'a> {
    /// No types yet.
    pub fn new(catalog: &'a dyn Catalog) -> Types<'a> {
        Types { catalog, columns: BTreeMap::new(), recursions: BTreeMap::new() }
    }

    /// The types of every column of every operator of a plan.
    ///
    /// # Errors
    /// `Catalog` for a relation or expression that the catalog does not know.
    pub fn of(plan: &Plan, catalog: &'a dyn Catalog) -> Result<Types<'a>> {
        let mut types = Types::new(catalog);
        types.extend(plan)?;
        Ok(types)
    }

    /// Adds the columns of another plan. Columns that are known keep their type, so that a scan of a relation that does not
    /// exist yet needs no catalog.
    pub fn extend(&mut self, plan: &Plan) -> Result<()> {
        if let Plan::Fixpoint(fixpoint) = plan {
            return self.extend_fixpoint(fixpoint);
        }
        for input in plan.inputs() {
            self.extend(input)?;
        }
        match plan {
            Plan::Scan(scan) => return self.extend_scan(scan),
            Plan::UnionAll(union) => {
                for (at, column) in union.columns.iter().enumerate() {
                    let fed = union.inputs.iter().map(|(_, ids)| self.get(ids[at])).collect::<Result<Vec<_>>>()?;
                    // Where the inputs disagree, PostgreSQL finds a type for all.
                    if let [first, rest @ ..] = fed.as_slice()
                        && rest.iter().all(|ty| ty == first)
                    {
                        let ty = (*first).clone();
                        self.columns.entry(column.id).or_insert(ty);
                    }
                }
            }
            Plan::Project(project) => {
                for (column, e) in &project.columns {
                    if let Expr::Column(original) = e {
                        let ty = self.get(*original)?.clone();
                        self.columns.entry(column.id).or_insert(ty);
                    }
                }
            }
            _ => {}
        }
        self.describe(plan)
    }

    pub fn insert(&mut self, id: ColId, ty: ColumnType) {
        self.columns.insert(id, ty);
    }

    /// Adds the columns that a scan of a recursion reads, before its step.
    pub fn declare(&mut self, number: u32, columns: Vec<(Ident, ColumnType)>) {
        self.recursions.insert(number, columns);
    }

    pub fn get(&self, id: ColId) -> Result<&ColumnType> {
        self.columns.get(&id).ok_or(Error::Bug("a column of the plan has no type"))
    }

    pub fn knows(&self, id: ColId) -> bool {
        self.columns.contains_key(&id)
    }

    fn extend_scan(&mut self, scan: &Scan) -> Result<()> {
        if scan.columns.iter().all(|(column, _)| self.knows(column.id)) {
            return Ok(());
        }
        if let Relation::Recursion(number) = &scan.relation {
            let known = self.recursions.get(number).ok_or(Error::Bug("a recursion has no row type"))?;
            for (column, own) in &scan.columns {
                let (_, ty) = known.iter().find(|(name, _)| name == own).ok_or(Error::Bug("no such column"))?;
                self.columns.entry(column.id).or_insert(ty.clone());
            }
            return Ok(());
        }
        if scan.relation == Relation::Clock {
            scan.columns.iter().for_each(|(column, _)| self.insert(column.id, clock::column_type()));
            return Ok(());
        }
        let relation = render::uncut(&scan.relation);
        let declared = self.catalog.columns(&relation)?;
        for (column, own) in &scan.columns {
            let source = declared.iter().find(|source| source.name == *own);
            let missing = || Error::Catalog(format!("column \"{own}\" of relation \"{relation}\" does not exist"));
            let ty = source.ok_or_else(missing)?.ty.clone();
            self.columns.entry(column.id).or_insert(ty);
        }
        Ok(())
    }

    /// The first arm decides the types: the second must have the same.
    fn extend_fixpoint(&mut self, fixpoint: &Fixpoint) -> Result<()> {
        let (base, ids) = &fixpoint.base;
        self.extend(base)?;
        let types = ids.iter().map(|id| self.get(*id).cloned()).collect::<Result<Vec<_>>>()?;
        for (column, ty) in fixpoint.columns.iter().zip(&types) {
            self.columns.entry(column.id).or_insert(ty.clone());
        }
        self.declare(fixpoint.number, fixpoint.names().into_iter().zip(types).collect());
        self.extend(&fixpoint.step.0)
    }

    /// A query with a relation of NULLs of the right types for every recursion that it reads from outside, and for
    /// the clock.
    fn closed(&self, plan: &Plan, mut query: Query) -> Query {
        let mut missing = vec![];
        for (number, columns) in self.recursions.iter().filter(|(number, _)| recursion::reads(plan, **number)) {
            missing.push(nulls(recursion::free_name(*number), columns));
        }
        if clock::is_read(plan) {
            let columns = [NOW, BEFORE].map(|name| (Ident::new(name), clock::column_type()));
            missing.push(nulls(Ident::new(CLOCK), &columns));
        }
        if !missing.is_empty() {
            query.with.get_or_insert(With { recursive: false, ctes: vec![] }).ctes.splice(0..0, missing);
        }
        query
    }

    /// Loads the types of all output columns from the catalog unless they are known.
    fn describe(&mut self, plan: &Plan) -> Result<()> {
        let columns = plan.columns();
        if columns.iter().all(|column| self.knows(column.id)) {
            return Ok(());
        }
        let around = plan.free().into_iter().map(|id| Ok((id, typed_null(self.get(id)?))));
        let query = render::query_within(plan, around.collect::<Result<_>>()?)?;
        let described = self.catalog.describe(&self.closed(plan, query))?;
        if described.len() != columns.len() {
            return Err(Error::Bug("a description has another number of columns than its query"));
        }
        for (column, ty) in columns.iter().zip(described) {
            self.columns.entry(column.id).or_insert(ty);
        }
        Ok(())
    }
}

/// A relation of one row of NULLs.
fn nulls(name: Ident, columns: &[(Ident, ColumnType)]) -> Cte {
    let items = columns.iter().map(|(name, ty)| Item::named(typed_null(ty), name.as_str()));
    let query = Query::select(Select { items: items.collect(), ..Select::default() });
    Cte { name, columns: vec![], materialized: None, query }
}

/// NULL as a value of this type.
pub fn typed_null<C, Q>(ty: &ColumnType) -> Generic<C, Q> {
    let null = Generic::null().cast(&ty.name);
    ty.collation.iter().cloned().fold(null, |null, collation| Generic::Collate(Box::new(null), collation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::{self, arb_plan, catalog};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(random::cases(200))]

        #[test]
        fn law_every_column_has_a_type(plan in arb_plan(3)) {
            let known = catalog();
            let types = Types::of(&plan, &known).unwrap();
            let described = known.describe(&render::query(&plan, &render::uncut).unwrap()).unwrap();
            for (column, ty) in plan.columns().iter().zip(described) {
                prop_assert_eq!(types.get(column.id).unwrap(), &ty);
            }
        }
    }
}
