//! What would give the rows of a stream table a key: constraints of its sources, or more columns in its select list.
//!
//! Each answer is tried: the query is compiled as if the sources had these constraints, and named only if the identity is a
//! key then. The first of these that succeeds is reduced to what it needs: NOT NULL, selected keys, primary keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, ColumnType, FunctionKind, Ordered, SourceColumn};
use crate::error::Result;
use crate::plan::{Column, Expr, Ids, Plan, Relation, Scan};
use crate::render::unique;
use crate::sql::ast::Query;
use crate::sql::ident::{Ident, QName};
use crate::types::Types;
use crate::view::{Identity, View};
use crate::{compile, keys, nodes};

/// What the owner of a source can declare.
#[derive(Clone, Debug, Default)]
pub struct Constraints {
    /// The columns of its unique indexes, whether or not they may be NULL.
    pub unique: Vec<Vec<Ident>>,
    pub takes_not_null: bool,
    pub takes_unique: bool,
}

/// A primary key that a source lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryKey {
    pub table: QName,
    pub columns: Vec<Ident>,
    /// A key on any of the columns serves.
    pub any: bool,
}

/// What together gives a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    pub not_null: Vec<(QName, Ident)>,
    pub primary_keys: Vec<PrimaryKey>,
    /// Columns of sources to select as well.
    pub select: Vec<(QName, Ident)>,
}

/// What would give the rows of a view a key; `None` where they have one, and where nothing does.
///
/// # Errors
/// As for [`compile::compile`].
pub fn remedy(
    query: &Query,
    view: &View,
    catalog: &dyn Catalog,
    constraints: &BTreeMap<QName, Constraints>,
) -> Result<Option<Remedy>> {
    let rows_repeat = match view.nodes.last().map(|node| &node.identity) {
        Some(Identity::Bag) => true,
        Some(Identity::HashedKey(_)) => false,
        Some(Identity::Key(_)) | None => return Ok(None),
    };
    let search = Search { query, catalog, constraints };
    let (not_null, keys, shown) = (search.nullable(view)?, search.keyless(view)?, search.shown()?);
    let shown_of = |(table, columns): (&QName, &BTreeSet<Ident>)| {
        let columns: BTreeSet<Ident> =
            columns.iter().filter(|name| shown.contains(&(table.clone(), (*name).clone()))).cloned().collect();
        (!columns.is_empty()).then(|| (table.clone(), columns))
    };
    let none = Assumed::default();
    let mut attempts = vec![Assumed { not_null: not_null.clone(), ..none.clone() }];
    if rows_repeat {
        attempts.push(Assumed { select: true, ..none.clone() });
        attempts.push(Assumed { not_null: not_null.clone(), select: true, ..none.clone() });
        attempts.push(Assumed { keys: keys.iter().filter_map(shown_of).collect(), ..none });
        attempts.push(Assumed { not_null, keys, select: true });
    }
    for attempt in attempts {
        if search.gives_key(&attempt)?.is_some() {
            return search.reduced(attempt).map(Some);
        }
    }
    Ok(None)
}

/// Columns of a source of which each is tried as its key.
const MOST_COLUMNS: usize = 8;

/// What a query is compiled with.
#[derive(Clone, Default)]
struct Assumed {
    not_null: BTreeSet<(QName, Ident)>,
    keys: BTreeMap<QName, BTreeSet<Ident>>,
    /// The keys of the sources are selected as well.
    select: bool,
}

struct Search<'a> {
    query: &'a Query,
    catalog: &'a dyn Catalog,
    constraints: &'a BTreeMap<QName, Constraints>,
}

impl Search<'_> {
    /// The columns that can be declared NOT NULL and are not: those that are read or in a unique index.
    fn nullable(&self, view: &View) -> Result<BTreeSet<(QName, Ident)>> {
        let mut found = BTreeSet::new();
        for (table, of) in self.constraints.iter().filter(|(_, of)| of.takes_not_null) {
            let is_of_use =
                |name: &Ident| is_read(view, table, name) || of.unique.iter().flatten().any(|of| of == name);
            let columns = self.catalog.columns(table)?.into_iter().filter(|column| !column.not_null);
            found.extend(columns.filter(|column| is_of_use(&column.name)).map(|column| (table.clone(), column.name)));
        }
        Ok(found)
    }

    /// The columns that could be a primary key of sources that have no unique index.
    fn keyless(&self, view: &View) -> Result<BTreeMap<QName, BTreeSet<Ident>>> {
        let mut found = BTreeMap::new();
        for (table, _) in self.constraints.iter().filter(|(_, of)| of.takes_unique && of.unique.is_empty()) {
            let can_be_key = |column: &SourceColumn| column.ty.sortable && is_read(view, table, &column.name);
            let columns: BTreeSet<Ident> =
                self.catalog.columns(table)?.into_iter().filter(can_be_key).map(|column| column.name).collect();
            if !columns.is_empty() {
                found.insert(table.clone(), columns);
            }
        }
        Ok(found)
    }

    /// The columns of sources that the query passes on.
    fn shown(&self) -> Result<BTreeSet<(QName, Ident)>> {
        let (plan, _) = compile::simplified(self.query, self.catalog, &mut Ids::default())?;
        let (mut passed, mut found) = (plan.ids(), BTreeSet::new());
        plan.visit(&mut |plan| match plan {
            Plan::Project(project) => {
                let renamed = project.columns.iter().filter(|(column, _)| passed.contains(&column.id));
                let originals: Vec<_> =
                    renamed.filter_map(|(_, e)| if let Expr::Column(id) = e { Some(*id) } else { None }).collect();
                passed.extend(originals);
            }
            Plan::Scan(Scan { relation: Relation::Source(table), columns }) => {
                let shown = columns.iter().filter(|(column, _)| passed.contains(&column.id));
                found.extend(shown.map(|(_, own)| (table.clone(), own.clone())));
            }
            _ => {}
        });
        Ok(found)
    }

    /// Whether the identity is a key then; the columns that are selected only for it.
    fn gives_key(&self, assumed: &Assumed) -> Result<Option<Vec<(QName, Ident)>>> {
        let catalog = Assuming { search: self, assumed };
        let mut ids = Ids::default();
        let (mut plan, _) = compile::simplified(self.query, &catalog, &mut ids)?;
        let (shown, mut exposed) = (plan.ids(), vec![]);
        if assumed.select {
            plan = expose(plan, &catalog, &mut ids, &mut exposed)?;
        }
        let plan = compile::restricted(plan, &catalog, &mut ids)?;
        let (types, facts) = (Types::of(&plan, &catalog)?, keys::facts(&plan, &catalog)?);
        let Identity::Key(names) = nodes::identity_of(&plan, &facts, &types)? else { return Ok(None) };
        let columns = plan.columns();
        let key = columns
            .iter()
            .zip(unique(&columns))
            .filter(|(column, name)| names.contains(name) && !shown.contains(&column.id));
        let of_source = |(column, _): (&Column, Ident)| {
            let found = exposed.iter().find(|(exposed, ..)| exposed.id == column.id);
            found.map(|(_, table, name)| (table.clone(), name.clone()))
        };
        Ok(Some(key.filter_map(of_source).collect()))
    }

    /// What is left of an attempt without what it does not need.
    fn reduced(&self, mut attempt: Assumed) -> Result<Remedy> {
        for column in attempt.not_null.clone() {
            let mut less = attempt.clone();
            less.not_null.remove(&column);
            if self.gives_key(&less)?.is_some() {
                attempt = less;
            }
        }
        let mut primary_keys = vec![];
        for (table, columns) in attempt.keys.clone() {
            let mut less = attempt.clone();
            less.keys.remove(&table);
            if self.gives_key(&less)?.is_some() {
                attempt = less;
                continue;
            }
            let mut with = |columns: BTreeSet<Ident>| -> Result<bool> {
                less.keys.insert(table.clone(), columns);
                Ok(self.gives_key(&less)?.is_some())
            };
            let mut alone = BTreeSet::new();
            for column in columns.iter().take(MOST_COLUMNS) {
                if with([column.clone()].into())? {
                    alone.insert(column.clone());
                }
            }
            let any = !alone.is_empty() && with(alone.clone())?;
            let columns = if any { alone } else { columns };
            attempt.keys.insert(table.clone(), columns.clone());
            primary_keys.push(PrimaryKey { table, columns: columns.into_iter().collect(), any });
        }
        let select = self.gives_key(&attempt)?.unwrap_or_default();
        Ok(Remedy { not_null: attempt.not_null.into_iter().collect(), primary_keys, select })
    }
}

fn is_read(view: &View, table: &QName, column: &Ident) -> bool {
    view.sources.iter().any(|source| source.name == *table && source.columns.contains(column))
}

/// The plan with the keys of its sources among its columns, as far as operators pass rows on; each with its origin.
fn expose(plan: Plan, catalog: &dyn Catalog, ids: &mut Ids, exposed: &mut Vec<(Column, QName, Ident)>) -> Result<Plan> {
    let before = exposed.len();
    Ok(match plan {
        Plan::Scan(mut scan) => {
            if let Relation::Source(table) = scan.relation.clone() {
                for own in catalog.keys(&table)?.into_iter().next().unwrap_or_default() {
                    let known = scan.columns.iter().find(|(_, name)| *name == own).map(|(column, _)| column.clone());
                    let column = known.unwrap_or_else(|| {
                        let column = ids.column(own.as_str());
                        scan.columns.push((column.clone(), own.clone()));
                        column
                    });
                    exposed.push((column, table.clone(), own));
                }
            }
            Plan::Scan(scan)
        }
        Plan::Project(mut project) => {
            project.input = expose(project.input, catalog, ids, exposed)?;
            for (column, ..) in &exposed[before..] {
                if !project.columns.iter().any(|(known, _)| known.id == column.id) {
                    project.columns.push(column.pass());
                }
            }
            Plan::Project(project)
        }
        Plan::Semi(mut semi) => {
            semi.left = expose(semi.left, catalog, ids, exposed)?;
            Plan::Semi(semi)
        }
        Plan::Filter(_) | Plan::Join(_) | Plan::Outer(_) => {
            plan.try_map_inputs(&mut |input| expose(input, catalog, ids, exposed))?
        }
        other => other,
    })
}

/// The catalog as it would be.
struct Assuming<'a> {
    search: &'a Search<'a>,
    assumed: &'a Assumed,
}

impl Catalog for Assuming<'_> {
    fn columns(&self, relation: &QName) -> Result<Vec<SourceColumn>> {
        let mut columns = self.search.catalog.columns(relation)?;
        for column in &mut columns {
            let in_key = self.assumed.keys.get(relation).is_some_and(|key| key.contains(&column.name));
            column.not_null |= in_key || self.assumed.not_null.contains(&(relation.clone(), column.name.clone()));
        }
        Ok(columns)
    }

    fn keys(&self, relation: &QName) -> Result<Vec<Vec<Ident>>> {
        let mut keys = self.search.catalog.keys(relation)?;
        keys.extend(self.assumed.keys.get(relation).map(|key| key.iter().cloned().collect()));
        let Some(Constraints { unique, .. }) = self.search.constraints.get(relation) else { return Ok(keys) };
        let columns = self.columns(relation)?;
        let is_not_null = |name: &Ident| columns.iter().any(|column| column.name == *name && column.not_null);
        for key in unique.iter().filter(|key| key.iter().all(is_not_null)) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        Ok(keys)
    }

    fn leads(&self, relation: &QName, column: &Ident) -> Result<bool> {
        self.search.catalog.leads(relation, column)
    }

    fn orders(&self, relation: &QName) -> Result<Vec<Vec<Ordered>>> {
        self.search.catalog.orders(relation)
    }

    fn function(&self, name: &QName) -> Result<FunctionKind> {
        self.search.catalog.function(name)
    }

    fn describe(&self, query: &Query) -> Result<Vec<ColumnType>> {
        self.search.catalog.describe(query)
    }

    fn printed(&self, query: &Query) -> Result<Query> {
        self.search.catalog.printed(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canon;
    use crate::testing::memory::MemoryCatalog;

    const COLUMNS: [(&str, &str, bool); 4] =
        [("id", "integer", false), ("a", "integer", false), ("b", "text", false), ("c", "integer", true)];

    fn name(of: &str) -> QName {
        QName::qualified("public", of)
    }

    /// Table `k` has the key `id`, `u` a unique index on the nullable `id`, `t` and `s` neither.
    fn catalog() -> MemoryCatalog {
        let tables = ["k", "u", "t", "s"].into_iter();
        tables.fold(MemoryCatalog::default(), |catalog, of| catalog.table(name(of), &COLUMNS)).key(name("k"), &["id"])
    }

    fn constraints() -> BTreeMap<QName, Constraints> {
        let id = || vec![vec![Ident::new("id")]];
        let of = |unique| Constraints { unique, takes_not_null: true, takes_unique: true };
        [("k", of(id())), ("u", of(id())), ("t", of(vec![])), ("s", of(vec![]))].map(|(n, of)| (name(n), of)).into()
    }

    fn identity(sql: &str, catalog: &MemoryCatalog) -> (View, Query) {
        let query = canon::parse(sql).unwrap();
        let view = compile::compile(&query, catalog, &QName::bare("view"), &|k| QName::bare(format!("n{k}"))).unwrap();
        (view, query)
    }

    /// `not null …; select …; key …` of the remedy.
    fn shown(sql: &str) -> String {
        shown_with(sql, &constraints())
    }

    fn shown_with(sql: &str, constraints: &BTreeMap<QName, Constraints>) -> String {
        let catalog = catalog();
        let (view, query) = identity(sql, &catalog);
        let Some(found) = remedy(&query, &view, &catalog, constraints).unwrap() else { return "nothing".to_owned() };
        let column = |what: &str, (table, column): &(QName, Ident)| format!("{what} {}.{column}", table.name);
        let not_null = found.not_null.iter().map(|of| column("not null", of));
        let select = found.select.iter().map(|of| column("select", of));
        let keys = found.primary_keys.iter().map(|key| {
            let columns: Vec<&str> = key.columns.iter().map(Ident::as_str).collect();
            format!("key {} {}{}", key.table.name, if key.any { "any of " } else { "" }, columns.join(" "))
        });
        not_null.chain(select).chain(keys).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_key_needs_nothing() {
        assert_eq!(shown("SELECT k.id, k.a FROM public.k"), "nothing");
        assert_eq!(shown("SELECT count(*) AS n FROM public.t"), "nothing");
    }

    #[test]
    fn a_unique_column_may_be_null() {
        assert_eq!(shown("SELECT u.id, u.a FROM public.u"), "not null u.id");
        assert_eq!(shown("SELECT t.a, count(*) AS n FROM public.t GROUP BY t.a"), "not null t.a");
    }

    #[test]
    fn a_key_is_not_selected() {
        assert_eq!(shown("SELECT k.a FROM public.k WHERE (k.c > 3)"), "select k.id");
        assert_eq!(shown("SELECT u.a FROM public.u"), "not null u.id; select u.id");
        assert_eq!(
            shown("SELECT k.a, u.b FROM (public.k JOIN public.u ON ((u.a = k.id)))"),
            "not null u.id; select u.id"
        );
    }

    #[test]
    fn a_table_has_no_key() {
        assert_eq!(shown("SELECT t.a, t.c FROM public.t"), "key t any of a c");
        assert_eq!(
            shown("SELECT t.a, s.a AS o FROM (public.t JOIN public.s ON ((t.c = s.c)))"),
            "key s any of a; key t any of a"
        );
    }

    #[test]
    fn nothing_helps() {
        let union = "SELECT k.id FROM public.k UNION ALL SELECT k.id FROM public.k";
        assert_eq!(shown(union), "nothing");
        // A text may be too long for an index, whatever the constraints.
        assert_eq!(shown("SELECT t.b, count(*) AS n FROM public.t GROUP BY t.b"), "nothing");
        // Nothing can be declared.
        let fixed = [(name("t"), Constraints::default())].into();
        assert_eq!(shown_with("SELECT t.a, t.c FROM public.t", &fixed), "nothing");
    }

    #[test]
    fn the_remedy_gives_a_key() {
        let is_key = |sql: &str, catalog: MemoryCatalog| {
            matches!(identity(sql, &catalog).0.nodes.last().unwrap().identity, Identity::Key(_))
        };
        let sql = "SELECT t.a, t.c FROM public.t";
        assert!(!is_key(sql, catalog()));
        assert!(is_key(sql, catalog().key(name("t"), &["a"])) && is_key(sql, catalog().key(name("t"), &["a", "c"])));
        assert!(is_key("SELECT k.a, k.id FROM public.k WHERE (k.c > 3)", catalog()));
        assert!(is_key("SELECT u.id, u.a FROM public.u", catalog().key(name("u"), &["id"])));
    }
}
