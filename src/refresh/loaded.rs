//! A stream table made ready to refresh: its catalog row, its compiled view, its prepared programs. Kept
//! per backend until an invalidation says that something it depends on changed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::ManuallyDrop;
use std::rc::Rc;

use ivm::catalog::Equality;
use ivm::dag::Dag;
use ivm::sql::ident::{Ident, QName};
use ivm::sql::print;
use ivm::view::{Identity, NodeColumn, View};
use pgrx::pg_sys::Oid;

use crate::catalog::definition::{self, DefinitionDigest};
use crate::catalog::dependency::{self, Dependency, Edge};
use crate::catalog::stream_table::{self, StreamTable};
use crate::catalog::{ddl, quietly, shape};
use crate::error::{Error, Result};
use crate::pg::invalidation::{self, Invalidation, RowKey};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::{guard, object, relation, types};
use crate::refresh::adaptive::Experience;
use crate::refresh::planned::Programs;
use crate::{capture, frontend};

/// Everything a refresh needs to know of one stream table.
pub struct Loaded {
    pub table: StreamTable,
    pub view: View,
    pub dependencies: Vec<Dependency>,
    pub programs: Programs,
    pub experience: Experience,
    /// What the sources are called in the view, by source id.
    pub names: HashMap<i32, QName>,
    /// When it was last asked for, by a count of such times.
    used: Cell<u64>,
}

/// What statements may take before the stream tables that were not refreshed for longest lose theirs: most of what a
/// thousand stream tables need, and a bound for a process that lives as long as the server.
const KEPT_BYTES: usize = 512 << 20;
/// Statements that are prepared between two looks at what all of them take: far more work than the look.
const LOOK: u64 = 256;

/// Whether a stream table can be refreshed as it was compiled.
pub enum Ready {
    Yes(Rc<Loaded>),
    /// Its definition or what is captured for it changed: it must be built anew, for this reason.
    Stale(Box<StreamTable>, String),
}

/// The graph of stream tables. Those that read no other and are read by none are not in it.
#[derive(Default)]
pub struct Edges {
    graph: Dag<i32>,
    /// Where each stands in an order in which all come after what they read.
    places: HashMap<i32, usize>,
    /// Those that others read, and who they are.
    pub readers: BTreeMap<i32, Readers>,
    /// Those among them that poll: whoever reads them does not make them look.
    pub polling: BTreeSet<i32>,
}

/// Who reads a stream table.
pub struct Readers {
    /// The source that it is to them.
    pub source: i32,
    pub ids: Vec<i32>,
}

thread_local! {
    // Never dropped, as statements are: the server's memory is gone by then.
    static LOADED: RefCell<ManuallyDrop<HashMap<i32, Rc<Loaded>>>> = RefCell::default();
    static EDGES: RefCell<Option<Rc<Edges>>> = const { RefCell::new(None) };
    /// Relations whose invalidation puts stream tables in doubt.
    static WATCHED: RefCell<HashMap<Oid, BTreeSet<i32>>> = RefCell::default();
    /// The same for the rows of other catalogs.
    static WATCHED_ROWS: RefCell<HashMap<RowKey, BTreeSet<i32>>> = RefCell::default();
    static DOUBTED: RefCell<BTreeSet<i32>> = const { RefCell::new(BTreeSet::new()) };
    /// How often a stream table was asked for.
    static TIMES: Cell<u64> = const { Cell::new(0) };
    /// How many statements were prepared when their memory was last looked at.
    static LOOKED: Cell<u64> = const { Cell::new(0) };
    /// `pgt_dependencies`: its invalidation says that the graph changed. None: to be looked up.
    static GRAPH: Cell<Option<Oid>> = const { Cell::new(None) };
    /// Where it was when the graph was last looked at.
    static CATALOG: Cell<Option<Oid>> = const { Cell::new(None) };
}

/// Forgets what is known of `id`; the next refresh reads the catalog again.
pub fn forget(id: i32) {
    LOADED.with_borrow_mut(|loaded| loaded.remove(&id));
}

/// Notes the stream tables that need revalidation.
pub fn invalidate(what: Invalidation) {
    DOUBTED.with_borrow_mut(|doubted| match what {
        Invalidation::Relation(relation) => WATCHED.with_borrow(|watched| match relation {
            Some(oid) => doubted.extend(watched.get(&oid).into_iter().flatten()),
            None => doubted.extend(watched.values().flatten()),
        }),
        Invalidation::Row(key) => WATCHED_ROWS.with_borrow(|watched| {
            doubted.extend(watched.iter().filter(|(of, _)| of.matches(key)).flat_map(|(_, ids)| ids));
        }),
    });
    if let Invalidation::Relation(relation) = what
        && (relation.is_none() || relation == GRAPH.get())
    {
        EDGES.with_borrow_mut(|edges| *edges = None);
        GRAPH.set(None);
    }
}

fn accept_invalidations() -> Result<()> {
    invalidation::accept();
    if GRAPH.get().is_none() {
        let graph = Some(object::oid(&QName::qualified("pgtrickle", "pgt_dependencies"))?);
        GRAPH.set(graph);
        if CATALOG.replace(graph) != graph {
            // The extension was dropped and created again, and ids start anew.
            LOADED.with_borrow_mut(|loaded| loaded.clear());
            EDGES.with_borrow_mut(|edges| *edges = None);
        }
    }
    Ok(())
}

/// Tells every backend, at commit, that a stream table or the graph changed.
pub fn announce(table: Option<Oid>) -> Result<()> {
    table.into_iter().for_each(relation::invalidate);
    relation::invalidate(object::oid(&QName::qualified("pgtrickle", "pgt_dependencies"))?);
    Ok(())
}

/// Which stream table reads which: as it is now, whatever the snapshot of who asks. It does not change for a stream
/// table while its lock is held: to be filled from it, or from others than before, takes that lock too.
pub fn edges() -> Result<Rc<Edges>> {
    loop {
        accept_invalidations()?;
        if let Some(edges) = EDGES.with_borrow(Clone::clone) {
            return Ok(edges);
        }
        let now = Snapshot::latest();
        let list = quietly(|| spi::connect(Some(&now), dependency::edges))?;
        let edges = Rc::new(Edges::new(list)?);
        // What was read while the graph changed is read again.
        if GRAPH.get().is_some() {
            EDGES.with_borrow_mut(|kept| *kept = Some(Rc::clone(&edges)));
        }
    }
}

impl Edges {
    fn new(list: Vec<Edge>) -> Result<Edges> {
        let mut edges = Edges::default();
        let mut reads: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for Edge { reader, read, source, polls } in list {
            reads.entry(reader).or_default().push(read);
            edges.polling.extend(polls.then_some(read));
            let readers = edges.readers.entry(read).or_insert(Readers { source, ids: vec![] });
            readers.ids.push(reader);
        }
        reads.iter().try_for_each(|(reader, reads)| edges.graph.put(reader, reads))?;
        edges.places = edges.graph.all().into_iter().zip(1..).collect();
        Ok(edges)
    }

    /// The given stream tables and all that they read, each after what it reads.
    pub fn in_order(&self, ids: &[i32]) -> Vec<i32> {
        let mut found: Vec<i32> = self.graph.upstream(&ids.iter().copied().collect()).into_iter().collect();
        found.sort_by_key(|id| self.places.get(id));
        found
    }

    /// A stream table and all that read it, directly or through others, each after what it reads.
    pub fn with_readers(&self, id: i32) -> Vec<i32> {
        let mut found: Vec<i32> = self.graph.downstream(&[id].into()).into_iter().chain([id]).collect();
        found.sort_by_key(|id| self.places.get(id));
        found.dedup();
        found
    }

    /// Those of the given stream tables that an edge among them leads to from some of them, in whatever direction.
    pub fn connected(&self, ids: &[i32], from: &BTreeSet<i32>) -> BTreeSet<i32> {
        if from.is_empty() {
            return BTreeSet::new();
        }
        let groups = self.graph.components(&ids.iter().copied().collect());
        groups.into_iter().filter(|group| !group.is_disjoint(from)).flatten().collect()
    }

    /// The graph, were `id` to read these.
    pub fn with(&self, id: i32, reads: &[i32]) -> Result<Dag<i32>> {
        let mut graph = self.graph.clone();
        graph.put(&id, reads)?;
        Ok(graph)
    }

    /// What a stream table reads, directly.
    pub fn reads(&self, id: i32) -> BTreeSet<i32> {
        self.graph.reads(&id)
    }
}

/// The relations that a refresh of `id` reads: its sources, then its own table.
pub fn relations(session: &Session, id: i32) -> Result<Vec<Oid>> {
    accept_invalidations()?;
    let doubted = DOUBTED.with_borrow(|doubted| doubted.contains(&id));
    if let Some(loaded) = LOADED.with_borrow(|loaded| loaded.get(&id).cloned()).filter(|_| !doubted) {
        return Ok(relations_of(Some(&loaded.table), &loaded.dependencies));
    }
    Ok(relations_of(stream_table::find(session, id)?.as_ref(), &dependency::of(session, id)?))
}

fn relations_of(table: Option<&StreamTable>, dependencies: &[Dependency]) -> Vec<Oid> {
    let polled = table.into_iter().flat_map(|table| table.polled.iter().copied());
    let sources = dependencies.iter().map(|dependency| dependency.relid).chain(polled);
    sources.chain(table.map(|table| table.relid)).collect()
}

/// A stream table whose verification is under way. Its doubt is taken back first, so that an invalidation that comes in
/// meanwhile is one more, and put back unless the stream table is found to be as it was compiled: nothing goes on under a
/// definition that was not verified.
struct Verification(i32);

impl Verification {
    fn begin(id: i32) -> Verification {
        DOUBTED.with_borrow_mut(|doubted| doubted.remove(&id));
        Verification(id)
    }

    fn succeed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        DOUBTED.with_borrow_mut(|doubted| doubted.insert(self.0));
    }
}

/// The stream table `id`. Verifies what invalidations put in doubt: by the catalogs as they are now, whatever the snapshot
/// of a tick. What an invalidation tells of may have been committed after it.
pub fn load(id: i32) -> Result<Ready> {
    accept_invalidations()?;
    make_room();
    let doubted = DOUBTED.with_borrow(|doubted| doubted.contains(&id));
    let known = LOADED.with_borrow(|loaded| loaded.get(&id).cloned());
    if let Some(found) = known.as_ref().filter(|_| !doubted) {
        found.used.set(TIMES.replace(TIMES.get() + 1));
        return Ok(Ready::Yes(Rc::clone(found)));
    }
    let verification = Verification::begin(id);
    let (table, dependencies, digest) = watched(id)?;
    let ready = latest(|session| verified(session, table, dependencies, &digest, known))?;
    if let Ready::Yes(_) = ready {
        verification.succeed();
    }
    Ok(ready)
}

/// Reads the catalogs as they are at this moment.
fn latest<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let now = Snapshot::latest();
    quietly(|| spi::connect(Some(&now), f))
}

/// The catalog's word on a stream table, all that it names being watched by now. What is watched becomes known as it is
/// read, and an invalidation that comes before that passes unnoticed: then it is read once more.
fn watched(id: i32) -> Result<(StreamTable, Vec<Dependency>, DefinitionDigest)> {
    let mut seen: Option<DefinitionDigest> = None;
    loop {
        let count = invalidation::count();
        let (table, dependencies, digest) = latest(|session| {
            let table = stream_table::get(session, id)?;
            let dependencies = dependency::of(session, id)?;
            let digest = definition_digest(session, &table)?;
            watch(session, &table, &dependencies, &digest)?;
            Ok((table, dependencies, digest))
        })?;
        invalidation::accept();
        if invalidation::count() == count || seen.is_some_and(|seen| seen.objects == digest.objects) {
            return Ok((table, dependencies, digest));
        }
        seen = Some(digest);
    }
}

fn verified(
    session: &Session,
    table: StreamTable,
    dependencies: Vec<Dependency>,
    digest: &DefinitionDigest,
    known: Option<Rc<Loaded>>,
) -> Result<Ready> {
    if !shape::is_guarded_wholly(session, &table)? {
        let reason = "its guard was disabled or dropped, and its rows may have been changed".to_owned();
        return Ok(Ready::Stale(Box::new(table), reason));
    }
    if let Some(reason) = doubt(session, &table, &dependencies, digest)? {
        return Ok(Ready::Stale(Box::new(table), reason));
    }
    require_rights(session, &table)?;
    let view = match view(session, &table) {
        Ok(view) => view,
        // What the query reads has changed so that it compiles to something else, or not at all.
        Err(Error::Query(error)) => return Ok(Ready::Stale(Box::new(table), error.to_string())),
        Err(error) => return Err(error),
    };
    if fingerprint(session, &view)? != table.fingerprint {
        return Ok(Ready::Stale(Box::new(table), "a key or type that the plan relies on changed".to_owned()));
    }
    if let Some(found) = known.filter(|known| known.table == table && known.dependencies == dependencies) {
        return Ok(Ready::Yes(found));
    }
    let names: HashMap<i32, QName> = dependencies.iter().map(|d| (d.source, object::name(d.relid))).collect();
    if table.full_reason.is_none() {
        require_same_relations(&view, names.values().cloned())?;
    }
    let experience = Experience::load(session, table.id)?;
    let used = Cell::new(TIMES.get());
    let loaded = Rc::new(Loaded { table, view, dependencies, programs: Programs::default(), experience, names, used });
    LOADED.with_borrow_mut(|kept| kept.insert(loaded.table.id, Rc::clone(&loaded)));
    Ok(Ready::Yes(loaded))
}

/// Refuses to go on where the owner may no longer read what the query reads, or would no longer see all of its rows. The
/// server is asked about the whole query, as its owner: about columns, memberships of roles, views and their owners.
fn require_rights(session: &Session, table: &StreamTable) -> Result<()> {
    let settings = [guard::catalog_path(), ("row_security", "off")];
    session.as_owner(table.owner, &settings, |owner| ddl::probe_table(owner, &frontend::definition_view(table.id)))
}

/// What the definition of a stream table means beside its text.
pub fn definition_digest(session: &Session, table: &StreamTable) -> Result<DefinitionDigest> {
    let searches = ["tsvector(", "tsquery(", "ts_headline("].iter().any(|call| table.canonical.contains(call));
    let configuration = table.settings.get("default_text_search_config").filter(|_| searches);
    definition::digest(session, table.definition, configuration.map(String::as_str))
}

/// Forgets the half of the stream tables that was not refreshed for longest, where all of them need too much memory.
fn make_room() {
    let prepared = spi::prepared();
    if prepared - LOOKED.get() < LOOK {
        return;
    }
    LOOKED.set(prepared);
    if spi::kept_bytes() <= KEPT_BYTES {
        return;
    }
    LOADED.with_borrow_mut(|loaded| {
        let mut used: Vec<(u64, i32)> = loaded.iter().map(|(id, loaded)| (loaded.used.get(), *id)).collect();
        used.sort_unstable();
        used.truncate(used.len().div_ceil(2));
        used.iter().for_each(|(_, id)| drop(loaded.remove(id)));
    });
}

/// **Invariant:** a compiled view scans exactly the relations that its query reads. One that it knew by another name
/// would have changes that no program follows.
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

/// What the tables and programs of a view are made from, as a digest: another one, another view. Of names, types and
/// SQL alone: a column that is added beside those that are read changes nothing.
pub fn fingerprint(session: &Session, view: &View) -> Result<String> {
    let mut text = String::new();
    for (index, node) in view.nodes.iter().enumerate() {
        text += &format!("{}\n{}\n", node.table, print::query(&ivm::compile::full_query(view, index)?));
        for NodeColumn { name, ty, not_null } in &node.columns {
            let collation = ty.collation.as_ref().map(QName::to_string).unwrap_or_default();
            let equality = match ty.equality {
                Equality::Image => "image",
                Equality::Loose => "loose",
                Equality::Missing => "missing",
            };
            text += &format!("{name} {} {collation} {equality} {} {not_null}\n", ty.name, ty.hashable);
        }
        let (kind, key) = match &node.identity {
            Identity::Key(names) => ("key", &names[..]),
            Identity::HashedKey(names) => ("hashed key", &names[..]),
            Identity::Bag => ("bag", &[][..]),
        };
        text += &format!("{kind} {}\n", key.iter().map(Ident::to_string).collect::<Vec<_>>().join(", "));
    }
    definition::sha256(session, &text)
}

/// Watches everything whose change may change the view: its table, its definition, and all that this reads.
fn watch(session: &Session, table: &StreamTable, dependencies: &[Dependency], digest: &DefinitionDigest) -> Result<()> {
    let read = session.as_owner(table.owner, &[guard::catalog_path()], |owner| {
        ddl::prepare_table(owner, &frontend::definition_view(table.id))?.relations()
    })?;
    let relations = [table.relid, table.definition].into_iter().chain(read).chain(dependencies.iter().map(|d| d.relid));
    WATCHED.with_borrow_mut(|watched| {
        for relation in relations {
            watched.entry(relation).or_default().insert(table.id);
        }
    });
    let rows = digest.objects.iter().flat_map(|(catalog, object)| invalidation::row_keys(*catalog, *object));
    let rows = rows.chain(invalidation::ROLES);
    WATCHED_ROWS.with_borrow_mut(|watched| {
        for row in rows {
            watched.entry(row).or_default().insert(table.id);
        }
    });
    Ok(())
}

/// Why the stored state cannot be trusted, if so.
fn doubt(
    session: &Session,
    table: &StreamTable,
    dependencies: &[Dependency],
    digest: &DefinitionDigest,
) -> Result<Option<String>> {
    let canonical = session
        .as_owner(table.owner, &[guard::catalog_path()], |owner| frontend::canonical(owner, table.definition))?;
    if canonical != table.canonical {
        return Ok(Some("the definition of the query changed".to_owned()));
    }
    if digest.digest != table.definition_digest {
        return Ok(Some("a function, type, collation or dictionary that the query depends on changed".to_owned()));
    }
    for dependency in dependencies {
        if let Some(reason) = capture::lost_changes(dependency.source)? {
            return Ok(Some(reason));
        }
    }
    Ok(None)
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
    let columns = types::columns(statement.result_desc()?)?;
    let schemas = columns.iter().filter_map(|column| types::equality_schema(column.oid)).collect();
    let columns = columns
        .into_iter()
        .map(|column| NodeColumn { name: Ident::new(column.name), ty: column.ty, not_null: false })
        .collect();
    Ok((ivm::compile::opaque(&definition, columns, &name), schemas))
}
