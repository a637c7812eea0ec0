//! PostgreSQL's answers to what the compiler asks. Which columns of a stream table are never NULL its query says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ivm::Result;
use ivm::catalog::{Catalog, ColumnType, FunctionKind, Ordered, SourceColumn};
use ivm::sql::ast::Query;
use ivm::sql::ident::{Ident, QName};

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::spi::{Arg, OwnerSession, Row};
use crate::pg::types;

/// Describes queries as the owner of the stream table, under its search path; what else is asked the catalog knows.
pub struct ServerCatalog<'a> {
    owner: &'a OwnerSession<'a>,
    /// The schemas, other than `pg_catalog`, that hold the `=` of a type that was asked for.
    equality_schemas: RefCell<BTreeSet<String>>,
}

impl<'a> ServerCatalog<'a> {
    pub fn new(owner: &'a OwnerSession<'a>) -> Self {
        ServerCatalog { owner, equality_schemas: RefCell::default() }
    }

    fn query<R>(
        &self,
        sql: &'static str,
        args: &[Arg],
        map: impl FnMut(&Row) -> crate::error::Result<R>,
    ) -> crate::error::Result<Vec<R>> {
        self.owner.catalog(|session| session.query(sql, args, map))
    }

    pub fn equality_schemas(self) -> BTreeSet<String> {
        self.equality_schemas.into_inner()
    }

    fn noted(&self, ty: pg_sys::Oid) {
        self.equality_schemas.borrow_mut().extend(types::equality_schema(ty));
    }
}

/// Server errors keep their own shape as PostgreSQL errors: they unwind past the compiler. What is left
/// are our own, which have no place in the algebra's error type but as text.
fn lower(error: Error) -> ivm::Error {
    match error {
        Error::Query(error) => error,
        other => ivm::Error::Catalog(other.to_string()),
    }
}

impl Catalog for ServerCatalog<'_> {
    fn columns(&self, relation: &QName) -> Result<Vec<SourceColumn>> {
        let read = || {
            self.query(
                "select a.attname::text, a.atttypid, a.atttypmod, a.attcollation,
                        a.attnotnull or (a.attname::text = any (s.not_null)) is true
                   from pg_catalog.pg_attribute a
                   left join pgtrickle.pgt_stream_tables s on s.pgt_relid = a.attrelid
                  where a.attrelid = pg_catalog.to_regclass($1) and a.attnum > 0 and not a.attisdropped
                  order by a.attnum",
                &[relation.to_string().into()],
                |row| {
                    self.noted(row.require(2)?);
                    Ok(SourceColumn {
                        name: Ident::new(row.require::<String>(1)?),
                        ty: types::column_type(row.require(2)?, row.require(3)?, row.require(4)?),
                        not_null: row.require(5)?,
                    })
                },
            )
        };
        let columns = read().map_err(lower)?;
        match columns.is_empty() {
            true => Err(ivm::Error::Catalog(format!("relation {relation} has no columns or does not exist"))),
            false => Ok(columns),
        }
    }

    fn keys(&self, relation: &QName) -> Result<Vec<Vec<Ident>>> {
        // An inheritance parent's index says nothing about its children's rows.
        let read = || {
            self.query(
                "select array(select a.attname::text
                                from pg_catalog.unnest(i.indkey::int2[]) with ordinality k(attnum, place)
                                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                               where k.place <= i.indnkeyatts
                               order by k.place)
                   from pg_catalog.pg_index i
                   join pg_catalog.pg_class c on c.oid = i.indrelid
                   left join pgtrickle.pgt_stream_tables s on s.pgt_relid = i.indrelid
                  where i.indrelid = pg_catalog.to_regclass($1)
                    and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
                    and (c.relkind = 'p' or not exists (select from pg_catalog.pg_inherits h where h.inhparent = c.oid))
                    and not exists (select from pg_catalog.unnest(i.indkey::int2[]) with ordinality k(attnum, place)
                                      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                                     where k.place <= i.indnkeyatts and not a.attnotnull
                                       and (a.attname::text = any (s.not_null)) is not true)
                  order by i.indisprimary desc, i.indnkeyatts, i.indexrelid",
                &[relation.to_string().into()],
                |row| row.require::<Vec<String>>(1),
            )
        };
        let keys = read().map_err(lower)?;
        Ok(keys.into_iter().map(|key| key.into_iter().map(Ident::new).collect()).collect())
    }

    fn leads(&self, relation: &QName, column: &Ident) -> Result<bool> {
        let read = || {
            self.query(
                "select exists (
                   select from pg_catalog.pg_index i
                     join pg_catalog.pg_class c on c.oid = i.indexrelid
                     join pg_catalog.pg_am m on m.oid = c.relam and m.amname in ('btree', 'hash')
                     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                    where i.indrelid = pg_catalog.to_regclass($1) and a.attname = $2::name
                      and i.indisvalid and i.indpred is null)",
                &[relation.to_string().into(), column.as_str().into()],
                |row| row.require::<bool>(1),
            )
        };
        Ok(read().map_err(lower)?.contains(&true))
    }

    fn orders(&self, relation: &QName) -> Result<Vec<Vec<Ordered>>> {
        // As for keys. Bits 0 and 1 of an option are DESC and NULLS FIRST.
        let read = || {
            self.query(
                "select i.indexrelid, a.attname::text, i.indoption[k.place] in (1, 2)
                   from pg_catalog.pg_index i
                   join pg_catalog.pg_class c on c.oid = i.indrelid
                   join pg_catalog.pg_class x on x.oid = i.indexrelid
                   join pg_catalog.pg_am m on m.oid = x.relam and m.amname = 'btree'
                  cross join pg_catalog.generate_series(0, i.indnkeyatts - 1) k(place)
                   left join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.place]
                        and a.attcollation = i.indcollation[k.place]
                        and (select o.opcdefault from pg_catalog.pg_opclass o where o.oid = i.indclass[k.place])
                  where i.indrelid = pg_catalog.to_regclass($1) and i.indisvalid and i.indpred is null
                    and (c.relkind = 'p' or not exists (select from pg_catalog.pg_inherits h where h.inhparent = c.oid))
                  order by i.indexrelid, k.place",
                &[relation.to_string().into()],
                |row| {
                    let (name, nulls_least) = (row.get::<String>(2).map(Ident::new), row.require(3)?);
                    Ok((row.require(1)?, name.map(|name| Ordered { name, nulls_least })))
                },
            )
        };
        let columns: Vec<(pg_sys::Oid, Option<Ordered>)> = read().map_err(lower)?;
        let indexes = columns.chunk_by(|(one, _), (other, _)| one == other);
        Ok(indexes.map(|of| of.iter().map_while(|(_, column)| column.clone()).collect()).collect())
    }

    fn function(&self, name: &QName) -> Result<FunctionKind> {
        let schema = name.schema.as_ref().map_or("pg_catalog", |schema| schema.as_str());
        let read = || {
            self.query(
                "select coalesce(pg_catalog.bool_or(p.prokind = 'a'), false),
                        coalesce(pg_catalog.bool_or(p.prokind = 'w'), false),
                        coalesce(pg_catalog.bool_or(p.proretset), false),
                        $1 <> 'pg_catalog' and pg_catalog.count(distinct (p.prokind, p.proretset)) > 1
                   from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
                  where p.proname = $2 and n.nspname = $1",
                &[schema.into(), name.name.as_str().into()],
                |row| Ok((row.require::<bool>(1)?, row.require::<bool>(2)?, row.require::<bool>(3)?, row.require(4)?)),
            )
        };
        Ok(match read().map_err(lower)?.first() {
            Some((_, _, _, true)) => {
                return Err(ivm::Error::unsupported(
                    format_args!("the function {name}"),
                    "functions of one kind and aggregates, or functions that return sets, share this name",
                    "Give the aggregate, or the function that returns a set, a name of its own.",
                ));
            }
            Some((true, _, _, _)) => FunctionKind::Aggregate,
            Some((_, true, _, _)) => FunctionKind::Window,
            Some((_, _, true, _)) => FunctionKind::Set,
            _ => FunctionKind::Scalar,
        })
    }

    fn describe(&self, query: &Query) -> Result<Vec<ColumnType>> {
        let read = || {
            let statement = self.owner.prepare(&ivm::sql::print::query(query), &[])?;
            let columns = types::columns(statement.result_desc()?);
            columns.iter().for_each(|column| self.noted(column.oid));
            Ok(columns.into_iter().map(|column| column.ty).collect())
        };
        read().map_err(lower)
    }

    fn printed(&self, query: &Query) -> Result<Query> {
        let text = super::reprinted(self.owner, &ivm::sql::print::query(query)).map_err(lower)?;
        ivm::canon::parse(&text)
    }
}
