//! The graph of stream tables: which reads which, and which show one moment.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use ivm::dag::Dag;
use ivm::moment::{Moments, Moving};
use ivm::schedule::Schedule;
use ivm::sql::ident::QName;
use pgrx::pg_sys::Oid;

use crate::catalog::dependency::{self, Edge};
use crate::catalog::stream_table;
use crate::error::Result;
use crate::guc;
use crate::pg::invalidation::{self, Invalidation};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::{object, relation};

/// The graph. Stream tables that read no other and are read by none are not in it.
pub struct Edges {
    graph: Dag<i32>,
    /// The same as refreshes see it: without the edges from a stream table that workers refresh to one that writers maintain, which
    /// is to the former what an ordinary table is.
    refreshed: Dag<i32>,
    /// The stream tables that writers maintain.
    immediate: BTreeSet<i32>,
    moments: Moments,
    /// The schedule of `'calculated'` tables that no other reads, on which moments depend.
    default: Schedule,
    /// The place of each in an order in which all come after what they read.
    places: HashMap<i32, usize>,
    /// The readers of those that have any.
    pub readers: BTreeMap<i32, Readers>,
}

/// The stream tables that read one.
pub struct Readers {
    /// Its number as a source.
    pub source: i32,
    pub ids: Vec<i32>,
}

thread_local! {
    static EDGES: RefCell<Option<Rc<Edges>>> = const { RefCell::new(None) };
    /// `pgt_dependencies`, whose invalidation says that the graph changed; none until it is looked up.
    static CATALOG: Cell<Option<Oid>> = const { Cell::new(None) };
    /// The catalog that `EDGES` was read from.
    static READ_FROM: Cell<Option<Oid>> = const { Cell::new(None) };
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// Another number means that the graph may have changed since.
pub fn number() -> u64 {
    NUMBER.get()
}

pub fn invalidate(what: Invalidation) {
    if let Invalidation::Relation(relation) = what
        && (relation.is_none() || relation == CATALOG.get())
    {
        EDGES.with_borrow_mut(|edges| *edges = None);
        CATALOG.set(None);
        NUMBER.set(NUMBER.get() + 1);
    }
}

/// The catalog of the graph, after all invalidations so far: another one belongs to an extension that was created again.
pub fn catalog() -> Result<Oid> {
    invalidation::accept();
    if let Some(catalog) = CATALOG.get() {
        return Ok(catalog);
    }
    let catalog = object::oid(&QName::qualified("pgtrickle", "pgt_dependencies"))?;
    CATALOG.set(Some(catalog));
    if READ_FROM.replace(Some(catalog)) != Some(catalog) {
        EDGES.with_borrow_mut(|edges| *edges = None);
    }
    Ok(catalog)
}

/// Tells every backend, at commit, that a stream table or the graph changed.
pub fn announce(table: Option<Oid>) -> Result<()> {
    table.into_iter().for_each(relation::invalidate);
    dependency::announce()
}

/// The graph as it is now, whatever the caller's snapshot. It does not change for a stream table while its lock is held: a
/// definition is created or altered under that lock.
pub fn edges() -> Result<Rc<Edges>> {
    loop {
        catalog()?;
        let default = guc::default_schedule();
        if let Some(edges) = EDGES.with_borrow(Clone::clone).filter(|edges| edges.default == default) {
            return Ok(edges);
        }
        let now = Snapshot::latest();
        let read = |session: &Session| {
            Ok((dependency::edges(session)?, stream_table::immediate(session)?, stream_table::moving(session)?))
        };
        let (list, immediate, moving) = spi::connect(Some(&now), read)?;
        let edges = Rc::new(Edges::new(list, immediate, &moving, default)?);
        // A graph that changed as it was read is read again.
        if CATALOG.get().is_some() {
            EDGES.with_borrow_mut(|cached| *cached = Some(Rc::clone(&edges)));
        }
    }
}

impl Edges {
    fn new(
        list: Vec<Edge>,
        immediate: BTreeSet<i32>,
        moving: &BTreeMap<i32, Moving>,
        default: Schedule,
    ) -> Result<Edges> {
        let (mut graph, mut refreshed, mut readers) = (Dag::default(), Dag::default(), BTreeMap::new());
        let mut reads: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for Edge { reader, read, source } in list {
            reads.entry(reader).or_default().push(read);
            readers.entry(read).or_insert(Readers { source, ids: vec![] }).ids.push(reader);
        }
        for (reader, reads) in &mut reads {
            graph.put(reader, reads)?;
            reads.retain(|read| immediate.contains(reader) || !immediate.contains(read));
            refreshed.put(reader, reads)?;
        }
        let moments = Moments::new(&refreshed, moving, &default);
        let places = graph.all().into_iter().zip(1..).collect();
        Ok(Edges { graph, refreshed, immediate, moments, default, places, readers })
    }

    /// The given stream tables and all that they read, each after what it reads.
    pub fn in_order(&self, ids: &[i32]) -> Vec<i32> {
        self.ordered(self.closed(ids, |ids| self.refreshed.upstream(ids)))
    }

    /// Everything that a refresh of these stream tables refreshes, each after what it reads.
    pub fn refreshed_with(&self, ids: &[i32]) -> Vec<i32> {
        self.ordered(self.closed(ids, |ids| self.moments.closed(&self.refreshed, ids)))
    }

    /// The least set with these in which each is with those that `with` says, and with its readers where writers maintain both.
    fn closed(&self, ids: &[i32], with: impl Fn(&BTreeSet<i32>) -> BTreeSet<i32>) -> BTreeSet<i32> {
        let mut found: BTreeSet<i32> = ids.iter().copied().collect();
        loop {
            let before = found.len();
            found = with(&found);
            found.append(&mut self.refreshed.downstream(&found.intersection(&self.immediate).copied().collect()));
            if found.len() == before {
                return found;
            }
        }
    }

    fn ordered(&self, ids: BTreeSet<i32>) -> Vec<i32> {
        let mut ids: Vec<i32> = ids.into_iter().collect();
        ids.sort_by_key(|id| self.places.get(id));
        ids
    }

    /// A stream table and its direct and indirect readers, each after what it reads.
    pub fn with_readers(&self, id: i32) -> Vec<i32> {
        self.ordered(self.graph.downstream(&[id].into()))
    }

    /// Those of the given stream tables that must be refreshed with some of them: connected by edges among them, in any
    /// direction, or by a common moment.
    pub fn connected(&self, ids: &[i32], from: &BTreeSet<i32>) -> BTreeSet<i32> {
        if from.is_empty() {
            return BTreeSet::new();
        }
        let groups = self.moments.groups(&self.refreshed, &ids.iter().copied().collect());
        groups.into_iter().filter(|group| !group.is_disjoint(from)).flatten().collect()
    }

    /// The stream tables that show one moment with one of these.
    pub fn of_one_moment(&self, ids: &BTreeSet<i32>) -> BTreeSet<i32> {
        self.moments.mates(ids).collect()
    }

    /// Whether a refresh of this stream table may have to wait for a paused or suspended one of a refresh group.
    pub fn may_be_held(&self, id: i32) -> bool {
        self.refreshed_with(&[id]).into_iter().any(|id| self.moments.may_be_held(id))
    }

    /// Those of the given stream tables that must not be refreshed where these failed.
    pub fn held(&self, ids: &[i32], failed: &BTreeSet<i32>) -> BTreeSet<i32> {
        self.moments.held(&self.refreshed, &ids.iter().copied().collect(), failed)
    }

    /// The graph as it would be if `id` read these.
    pub fn with(&self, id: i32, reads: &[i32]) -> Result<Dag<i32>> {
        let mut graph = self.graph.clone();
        graph.put(&id, reads)?;
        Ok(graph)
    }

    /// The stream tables that one reads directly and that are refreshed before it.
    pub fn reads(&self, id: i32) -> BTreeSet<i32> {
        self.refreshed.reads(&id)
    }

    /// The direct readers of a stream table that writers maintain.
    pub fn immediate_readers(&self, id: i32) -> Vec<i32> {
        let readers = self.readers.get(&id).into_iter().flat_map(|readers| &readers.ids);
        readers.filter(|reader| self.immediate.contains(reader)).copied().collect()
    }

    /// Whether writers maintain a stream table.
    pub fn is_immediate(&self, id: i32) -> bool {
        self.immediate.contains(&id)
    }
}
