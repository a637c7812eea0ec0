//! What a defining query depends on: the tables it reads, and the schemas of its operators.

use pgrx::pg_sys::Oid;

use crate::catalog::admission::{self, SourceTable};
use crate::error::Result;
use crate::pg::query::Analysed;
use crate::pg::spi::{OwnerSession, Session};

/// The tables that `query`, the definition in `view`, reads directly or through other views, as the owner.
///
/// # Errors
/// A relation that cannot be a source.
pub fn sources(owner: &OwnerSession, view: Oid, query: &Analysed) -> Result<Vec<SourceTable>> {
    let relations = query.relations().into_iter().filter(|relid| *relid != view).collect();
    owner.catalog(|session| admission::check(session, relations, owner.role()))
}

/// The schemas of the operators that the definition of a stream table uses, its views included. PostgreSQL prints some
/// constructs (`IS DISTINCT FROM`, `NULLIF`, simple CASE) without the operator's schema, so that reading them back
/// finds the same operator only where that schema is on the path.
pub fn operator_schemas(session: &Session, view: Oid) -> Result<Vec<String>> {
    session.query(
        "with recursive rules(rule) as (
           select r.oid from pg_catalog.pg_rewrite r where r.ev_class = $1
           union
           select r.oid
             from rules
             join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                        and d.refclassid = 'pg_catalog.pg_class'::regclass
             join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind = 'v'
             join pg_catalog.pg_rewrite r on r.ev_class = c.oid
         )
         select distinct n.nspname::text
           from rules
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                      and d.refclassid = 'pg_catalog.pg_operator'::regclass
           join pg_catalog.pg_operator o on o.oid = d.refobjid
           join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
          where n.nspname <> 'pg_catalog'
          order by 1",
        &[view.into()],
        |row| row.require::<String>(1),
    )
}
