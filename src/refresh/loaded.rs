//! The definition of a stream table as it was loaded: its catalog row, its compiled view and its sources. Never changed; a
//! definition that is verified to have changed is loaded anew.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::ManuallyDrop;

use ivm::beside::Beside;
use ivm::sql::ident::{Ident, QName};
use ivm::sql::print;
use ivm::view::{Node, NodeColumn, View};
use pgrx::pg_sys::Oid;

use crate::catalog::definition::{self, DefinitionDigest};
use crate::catalog::dependency::{self, Dependency};
use crate::catalog::stream_table::{self, Mode, StreamTable};
use crate::catalog::{ddl, shape};
use crate::error::{Error, Result};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::{guard, invalidation, object, types, xact};
use crate::refresh::watch;
use crate::{capture, frontend};

pub struct Loaded {
    pub table: StreamTable,
    pub view: View,
    pub dependencies: Vec<Dependency>,
    /// The names of the sources in the view, by source id.
    pub names: HashMap<i32, QName>,
}

impl Loaded {
    pub fn sources(&self) -> impl Iterator<Item = i32> {
        self.dependencies.iter().map(|dependency| dependency.source)
    }

    /// The stream table that a source of this name is.
    pub fn stream_table(&self, name: &QName) -> Option<Oid> {
        let mut upstream = self.dependencies.iter().filter(|dependency| dependency.stream_table.is_some());
        upstream.find(|dependency| self.names.get(&dependency.source) == Some(name)).map(|dependency| dependency.relid)
    }

    /// By source, which transactions that change it, and no other, may maintain the view beside each other; without those of which each
    /// has to be alone.
    pub fn beside(&self) -> BTreeMap<i32, Beside> {
        // A stream table below changes in the same pass.
        if self.dependencies.iter().any(|dependency| dependency.stream_table.is_some()) {
            return BTreeMap::new();
        }
        let beside = |source: i32| Some((source, self.view.beside(self.names.get(&source)?)?));
        self.sources().filter_map(beside).collect()
    }

    /// Whether every refresh recomputes.
    pub fn recomputes(&self) -> bool {
        self.table.full_reason.is_some() || self.table.mode == Mode::Full
    }
}

/// A view that this transaction has compiled for the catalog row that it wrote. Its analysis has locked the relations, whose
/// keys and columns are therefore as they were; whatever else it depends on is in the digest of the row.
struct Compiled {
    transaction: u64,
    table: StreamTable,
    view: View,
}

thread_local! {
    // Never dropped, like the cache of prepared tables.
    static COMPILED: RefCell<ManuallyDrop<HashMap<i32, Compiled>>> = RefCell::default();
}

/// Keeps a compiled view for the refresh that follows in the same call. A later statement of this transaction may alter the
/// relations: its own locks do not stop it.
pub fn keep(table: &StreamTable, view: View) {
    let compiled = Compiled { transaction: xact::top_xid(), table: table.clone(), view };
    COMPILED.with_borrow_mut(|kept| kept.insert(table.id, compiled));
}

/// Forgets the compiled views that were kept.
pub fn drop_compiled() {
    COMPILED.with_borrow_mut(|kept| kept.clear());
}

fn take_compiled(table: &StreamTable) -> Option<View> {
    let compiled = COMPILED.with_borrow_mut(|kept| kept.remove(&table.id))?;
    (Some(compiled.transaction) == xact::top_xid_if_any() && compiled.table == *table).then_some(compiled.view)
}

/// The result of verifying a definition.
pub enum Verified {
    Unchanged,
    Changed(Box<Loaded>),
    /// The stream table must be rebuilt, for this reason.
    Stale(Box<StreamTable>, String),
}

/// Compares a definition with the catalogs as they are at this moment, and loads it if it is not as `known`.
pub fn verify(id: i32, known: Option<&Loaded>) -> Result<Verified> {
    let (table, dependencies, digest) = watched(id)?;
    latest(|session| {
        let view = match verified_view(session, &table, &dependencies, &digest)? {
            Ok(view) => view,
            Err(reason) => return Ok(Verified::Stale(Box::new(table), reason)),
        };
        // Which groups and partitions are read depends on the indexes of sources, too.
        let read = |node: &Node| (node.upkeep.clone(), node.indexed);
        let same = |known: &View| known.nodes.iter().map(read).eq(view.nodes.iter().map(read));
        let is_known = |known: &Loaded| known.table == table && known.dependencies == dependencies && same(&known.view);
        if known.is_some_and(is_known) {
            return Ok(Verified::Unchanged);
        }
        let names: HashMap<i32, QName> = dependencies.iter().map(|d| (d.source, object::name(d.relid))).collect();
        if table.full_reason.is_none() {
            require_same_relations(&view, names.values().cloned())?;
        }
        Ok(Verified::Changed(Box::new(Loaded { table, view, dependencies, names })))
    })
}

/// Reads the catalogs as they are at this moment.
fn latest<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let now = Snapshot::latest();
    spi::connect(Some(&now), f)
}

/// The catalog rows of a stream table, with everything that they name being watched. What is to be watched becomes known as
/// it is read, and an earlier invalidation passes unnoticed: then it is read once more.
fn watched(id: i32) -> Result<(StreamTable, Vec<Dependency>, DefinitionDigest)> {
    let mut seen: Option<DefinitionDigest> = None;
    loop {
        let count = invalidation::count();
        let (table, dependencies, digest) = latest(|session| {
            let table = stream_table::get(session, id)?;
            let dependencies = dependency::of(session, id)?;
            let digest = definition_digest(session, &table)?;
            watch_all(session, &table, &dependencies, &digest)?;
            Ok((table, dependencies, digest))
        })?;
        invalidation::accept();
        if invalidation::count() == count || seen.is_some_and(|seen| seen.objects == digest.objects) {
            return Ok((table, dependencies, digest));
        }
        seen = Some(digest);
    }
}

/// Watches everything whose change may change the view: its table, its definition, and the objects that this depends on.
fn watch_all(
    session: &Session,
    table: &StreamTable,
    dependencies: &[Dependency],
    digest: &DefinitionDigest,
) -> Result<()> {
    let read = session.as_owner(table.owner, &[guard::catalog_path()], |owner| {
        ddl::prepare_table(owner, &frontend::definition_view(table.id))?.relations()
    })?;
    let relations = [table.relid, table.definition].into_iter().chain(read).chain(dependencies.iter().map(|d| d.relid));
    let rows = digest.objects.iter().flat_map(|(catalog, object)| invalidation::row_keys(*catalog, *object));
    watch::watch(table.id, relations, rows.chain(invalidation::ROLES));
    Ok(())
}

/// The view, compiled again unless it has just been; or the reason for which the stored rows cannot be kept.
fn verified_view(
    session: &Session,
    table: &StreamTable,
    dependencies: &[Dependency],
    digest: &DefinitionDigest,
) -> Result<std::result::Result<View, String>> {
    let stale = |reason: &str| Ok(Err(reason.to_owned()));
    if !shape::is_guarded_wholly(session, table)? {
        return stale("its guard was disabled or dropped, and its rows may have been changed");
    }
    let path = [guard::catalog_path()];
    if session.as_owner(table.owner, &path, |owner| frontend::canonical(owner, table.definition))? != table.canonical {
        return stale("the definition of the query changed");
    }
    if digest.digest != table.definition_digest {
        return stale("a function, type, collation or dictionary that the query depends on changed");
    }
    for dependency in dependencies {
        if let Some(reason) = capture::lost_changes(dependency.source)? {
            return Ok(Err(reason));
        }
    }
    require_rights(session, table)?;
    if let Some(view) = take_compiled(table) {
        return Ok(Ok(view));
    }
    let view = match view(session, table) {
        Ok(view) => view,
        // What the query reads has changed so that it compiles to something else, or not at all.
        Err(Error::Query(error)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    if fingerprint(session, &view)? != table.fingerprint {
        return stale("a key or type that the plan relies on changed");
    }
    Ok(Ok(view))
}

/// An error where the owner may not read the relations of the query any more, or would not see all of their rows. The server
/// checks the whole query as its owner: columns, memberships of roles, views and their owners.
fn require_rights(session: &Session, table: &StreamTable) -> Result<()> {
    // For no rows, JIT compilation can take a second.
    let settings = [guard::catalog_path(), ("row_security", "off"), ("jit", "off")];
    session.as_owner(table.owner, &settings, |owner| ddl::probe_table(owner, &frontend::definition_view(table.id)))
}

/// The digest of everything that a definition depends on besides its text.
pub fn definition_digest(session: &Session, table: &StreamTable) -> Result<DefinitionDigest> {
    let searches = ["tsvector(", "tsquery(", "ts_headline("].iter().any(|call| table.canonical.contains(call));
    let configuration = table.settings.get("default_text_search_config").filter(|_| searches);
    definition::digest(session, table.definition, configuration.map(String::as_str))
}

/// **Invariant:** a compiled view scans exactly the relations that its query reads: the changes of another one would reach no
/// program.
pub fn require_same_relations(view: &View, read: impl Iterator<Item = QName>) -> Result<()> {
    let (scanned, read): (BTreeSet<QName>, BTreeSet<QName>) =
        (view.sources.iter().map(|source| source.name.clone()).collect(), read.collect());
    if scanned == read {
        return Ok(());
    }
    let list = |names: &BTreeSet<QName>| names.iter().map(QName::to_string).collect::<Vec<_>>().join(", ");
    let figures = format!("The plan scans {}; the query reads {}.", list(&scanned), list(&read));
    Err(Error::Broken("a compiled plan scans other relations than its query reads", figures))
}

/// A digest of what the tables and programs of a view are made from: names, types and SQL. A column that is added to a
/// source and not read changes nothing.
pub fn fingerprint(session: &Session, view: &View) -> Result<String> {
    let mut text = String::new();
    for (index, node) in view.nodes.iter().enumerate() {
        let query = print::query(&ivm::compile::full_query(view, index)?);
        text += &format!("{}\n{query}\n{:?}\n{:?}\n", node.table, node.columns, node.identity);
    }
    definition::sha256(session, &text)
}

/// The compiled view of a stream table, or the opaque one of a query that is only recomputed.
pub fn view(session: &Session, table: &StreamTable) -> Result<View> {
    session.as_owner(table.owner, &table.evaluation(), |owner| {
        let name = QName::qualified(&table.schema, &table.name);
        match table.full_reason {
            None => Ok(frontend::compile(owner, &frontend::reread(&table.canonical)?, &name, table.id)?.0),
            Some(_) => Ok(opaque(owner, table, name)?.0),
        }
    })
}

/// A view of one node that is recomputed from its definition as a whole; the schemas as for [`frontend::compile`].
pub fn opaque(owner: &OwnerSession, table: &StreamTable, name: QName) -> Result<(View, BTreeSet<String>)> {
    let definition = frontend::definition_view(table.id);
    let statement = ddl::prepare_table(owner, &definition)?;
    let columns = types::columns(statement.result_desc()?);
    let schemas = columns.iter().filter_map(|column| types::equality_schema(column.oid)).collect();
    let columns = columns
        .into_iter()
        .map(|column| NodeColumn { name: Ident::new(column.name), ty: column.ty, not_null: false })
        .collect();
    Ok((ivm::compile::opaque(&definition, columns, &name), schemas))
}
