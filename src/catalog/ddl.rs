//! The database objects of a stream table: its definition, its tables, their guards. Statements with text of a user's query
//! are prepared and run as the owner; the others are templates filled with names and types.

use ivm::sql::ident::{Ident, QName};
use ivm::sql::index::{Index, Method};
use ivm::view::NodeColumn;
use pgrx::pg_sys::{self, Oid};

use crate::catalog::shape;
use crate::error::{Error, Result};
use crate::pg::spi::{OwnerSession, Session, Statement};
use crate::pg::template::Hole;
use crate::pg::{guard, index, object, relation, trigger, xact};

/// A user's query without a final semicolon.
fn body(query: &str) -> &str {
    query.trim().trim_end_matches(';')
}

/// Checks the syntax and privileges of a query, by running it for no rows.
pub fn probe(owner: &OwnerSession, query: &str) -> Result<()> {
    let statement = owner.prepare(&format!("select * from ({}\n) as q limit 0", body(query)), &[])?;
    owner.run(&statement, &[])?;
    Ok(())
}

/// The same for a table or view.
pub fn probe_table(owner: &OwnerSession, name: &QName) -> Result<()> {
    let statement = owner.prepare(&format!("table {name} limit 0"), &[])?;
    owner.run(&statement, &[])?;
    Ok(())
}

/// The prepared query text of a user.
pub fn prepare_query(owner: &OwnerSession, query: &str) -> Result<Statement> {
    owner.prepare(body(query), &[])
}

/// `table name`, prepared.
pub fn prepare_table(owner: &OwnerSession, name: &QName) -> Result<Statement> {
    owner.prepare(&format!("table {name}"), &[])
}

/// The rows of a table or view as a delta that inserts them.
pub fn prepare_rows(owner: &OwnerSession, name: &QName) -> Result<Statement> {
    owner.prepare(&format!("select *, 1::bigint from {name}"), &[])
}

/// An empty delta of a table: its columns and a weight.
pub fn prepare_empty_delta(owner: &OwnerSession, name: &QName, weight: &Ident) -> Result<Statement> {
    owner.prepare(&format!("select *, 1::bigint as {weight} from {name} where false"), &[])
}

/// A stream table: the columns of its definition, their types and collations, and nothing else.
pub fn create_stream_table(owner: &OwnerSession, name: &QName, definition: &QName) -> Result<()> {
    owner.execute_once(&format!("create table {name} with (fillfactor = 80) as table {definition} with no data"))?;
    owner.catalog(|session| publishable(session, name))
}

/// Makes a stream table, or the table of a node, refuse writes that do not come from a refresh; whether it did not before.
pub fn guard(session: &Session, relid: Oid) -> Result<bool> {
    if shape::is_guarded(session, relid, vec![])? {
        return Ok(false);
    }
    relation::lock(relid, pg_sys::ShareRowExclusiveLock);
    shape::guards(session, relid)?.into_iter().for_each(trigger::drop);
    let function = shape::guard_function(session)?;
    for (name, truncate) in [(shape::GUARD, false), (shape::TRUNCATE_GUARD, true)] {
        let definition = trigger::Definition { name, argument: None, function, before: true, truncate };
        trigger::create(relid, &definition)?;
    }
    xact::advance_command();
    Ok(true)
}

/// Makes the owner of a stream table the owner of a part of it.
pub fn give_to_owner_of(session: &Session, table: Oid, part: Oid, is_view: bool) -> Result<()> {
    let owner = relation::owner(table).ok_or(Error::Bug("the stream table exists"))?;
    let template = if is_view { "alter view {} owner to {}" } else { "alter table {} owner to {}" };
    session.define(template, &[Hole::Name(&object::name(part)), Hole::Role(owner)])
}

/// Lets a publication of all tables, or of a schema, identify updated rows; it would refuse the updates otherwise. Our
/// indexes do not serve: their columns are not declared NOT NULL.
fn publishable(session: &Session, name: &QName) -> Result<()> {
    session.define("alter table {} replica identity full", &[Hole::Name(name)])
}

/// The same for a stream table of an earlier version, which did not do so.
pub fn make_publishable(session: &Session, relid: Oid) -> Result<()> {
    let lacks_identity = "select true from pg_class c where c.oid = $1 and c.relreplident = 'd'
                             and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)";
    if session.exists(lacks_identity, &[relid.into()])? { publishable(session, &object::name(relid)) } else { Ok(()) }
}

/// Lets later rows fill more of the pages of a table that was just filled, unless a user has decided on that. The server prunes
/// the dead rows of a page at each visit from when less of it is free than rows have to leave free: so a table that is filled up
/// to that has a page pruned, and logged, for almost every row that is updated, and one with some room for ten together.
pub fn fill_up(session: &Session, table: &QName) -> Result<()> {
    let as_created = "select from pg_class where oid = $1 and reloptions = '{fillfactor=80}'";
    if session.exists(as_created, &[object::oid(table)?.into()])? {
        session.define("alter table {} set (fillfactor = 90)", &[Hole::Name(table)])?;
    }
    Ok(())
}

/// The table of an internal node, with room to update rows in place.
pub fn create_node(session: &Session, name: &QName, columns: &[NodeColumn], owner: Oid) -> Result<()> {
    let columns: Vec<(&Ident, _)> = columns.iter().map(|column| (&column.name, &column.ty)).collect();
    session.define("create table {} ({}) with (fillfactor = 80)", &[Hole::Name(name), Hole::Columns(&columns)])?;
    publishable(session, name)?;
    session.define("alter table {} owner to {}", &[Hole::Name(name), Hole::Role(owner)])?;
    guard(session, object::oid(name)?).map(|_| ())
}

/// Creates these indexes on a table of ours, and drops others that we created. An index of ours is an internal part of its
/// table, and is found by that, whatever its name. Indexes of users stay.
pub fn settle_indexes(owner: &OwnerSession, table: &QName, wanted: &[Index]) -> Result<()> {
    let relid = object::oid(table)?;
    let present = owner.catalog(|session| {
        drop_other_indexes(session, table, wanted)?;
        own_indexes(session, relid)
    })?;
    for index in wanted.iter().filter(|index| !present.iter().any(|present| present.serves(index))) {
        let name = object::free_name(relid, index.what)?;
        let made = index::create(owner, relid, &index.create(&name))?;
        object::depend_internally(made, relid);
    }
    Ok(())
}

/// Drops our indexes on a table that are not wanted. A wanted one is not created anew: foreign keys of users may depend on
/// it.
pub fn drop_other_indexes(session: &Session, table: &QName, wanted: &[Index]) -> Result<()> {
    let present = own_indexes(session, object::oid(table)?)?;
    let stale = present.iter().filter(|present| !wanted.iter().any(|index| present.serves(index)));
    stale.for_each(|stale| object::drop_index(stale.relid));
    Ok(())
}

/// An index that we created on a table.
struct OwnIndex {
    relid: Oid,
    unique: bool,
    hash: bool,
    keys: Vec<String>,
}

impl OwnIndex {
    fn serves(&self, wanted: &Index) -> bool {
        self.unique == (wanted.method == Method::Unique)
            && self.hash == (wanted.method == Method::Hash)
            && self.keys == wanted.keys
    }
}

/// The indexes that we created on a table. One that a user has turned into a constraint is the user's.
fn own_indexes(session: &Session, table: Oid) -> Result<Vec<OwnIndex>> {
    guard::with_settings(&[("quote_all_identifiers", "off")], || own_indexes_as_printed(session, table))
}

fn own_indexes_as_printed(session: &Session, table: Oid) -> Result<Vec<OwnIndex>> {
    session.query(
        "select i.indexrelid, i.indisunique, m.amname = 'hash',
                array(select pg_get_indexdef(i.indexrelid, n, false) from generate_series(1, i.indnatts) n)
           from pg_depend d
           join pg_index i on i.indexrelid = d.objid
           join pg_class c on c.oid = i.indexrelid
           join pg_am m on m.oid = c.relam
          where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
            and d.refobjid = $1 and d.refobjsubid = 0 and d.deptype = 'i'
            and not exists (select from pg_constraint where conindid = i.indexrelid and contype in ('p', 'u', 'x'))",
        &[table.into()],
        |row| {
            Ok(OwnIndex {
                relid: row.require(1)?,
                unique: row.require(2)?,
                hash: row.require(3)?,
                keys: row.require(4)?,
            })
        },
    )
}

pub fn drop_table(owner: &OwnerSession, name: &QName, cascade: bool) -> Result<()> {
    let behaviour = if cascade { "cascade" } else { "restrict" };
    owner.execute_once(&format!("drop table {name} {behaviour}"))?;
    Ok(())
}

/// The schemas on the session's path that its role may use.
pub fn path(owner: &OwnerSession) -> Result<Vec<String>> {
    let statement = owner.prepare("select pg_catalog.current_schemas(false)::pg_catalog.text[]", &[])?;
    owner.rows(&statement, &[], |row| row.require(1))?.pop().ok_or(Error::Bug("a path is a row"))
}

/// How many rows a table has.
pub fn count(owner: &OwnerSession, name: &QName) -> Result<i64> {
    let statement = owner.prepare(&format!("select count(*) from {name}"), &[])?;
    owner.rows(&statement, &[], |row| row.require(1))?.pop().ok_or(Error::Bug("a count is a row"))
}

/// Updates the statistics of a table, from which cached plans are made.
pub fn analyze(owner: &OwnerSession, name: &QName) -> Result<()> {
    owner.execute_once(&format!("analyze {name}"))?;
    Ok(())
}
