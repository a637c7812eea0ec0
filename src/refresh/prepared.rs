//! The stream tables that this backend is ready to refresh: each definition with its plans and its cost model, cached until
//! an invalidation says that something under the definition changed.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::ManuallyDrop;
use std::rc::Rc;

use ivm::beside::Beside;
use pgrx::pg_sys::Oid;

use crate::catalog::dependency::{self, Dependency};
use crate::catalog::stream_table::{self, StreamTable};
use crate::error::{Error, Result};
use crate::guc;
use crate::pg::spi::{self, Session};
use crate::pg::{counters, memory};
use crate::refresh::cost::model::CostModel;
use crate::refresh::cost::plans::Plans;
use crate::refresh::graph;
use crate::refresh::loaded::{self, Loaded, Verified};
use crate::refresh::watch::{self, Verification};

pub struct Prepared {
    pub loaded: Loaded,
    pub plans: Plans,
    /// Those of live reads.
    pub live_plans: Plans,
    pub model: CostModel,
    /// Which writers maintain it beside each other.
    beside: OnceCell<BTreeMap<i32, Beside>>,
    /// When it was last requested, by the number of requests.
    used: Cell<u64>,
}

/// Whether a stream table can be refreshed as it was compiled.
pub enum Ready {
    Yes(Rc<Prepared>),
    /// Its definition or what is captured for it changed: it must be rebuilt, for this reason.
    Stale(Box<StreamTable>, String),
}

/// Statements that are prepared between two checks of their memory, which take far less time than these.
const CHECK_EVERY: u64 = 32;

thread_local! {
    // Never dropped, as statements are: the server has freed its memory by then.
    static CACHE: RefCell<ManuallyDrop<HashMap<i32, Rc<Prepared>>>> = RefCell::default();
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
    /// How many statements were prepared when their memory was last checked.
    static CHECKED: Cell<u64> = const { Cell::new(0) };
    /// The extension that the cache is of: ids of another one start anew.
    static EXTENSION: Cell<Option<Oid>> = const { Cell::new(None) };
}

impl Prepared {
    /// By source, which transactions that change it may maintain it beside each other.
    pub fn beside(&self) -> &BTreeMap<i32, Beside> {
        self.beside.get_or_init(|| self.loaded.beside())
    }

    /// Drops every plan and estimate.
    pub fn drop_plans(&self) {
        self.plans.clear();
        self.live_plans.clear();
        self.model.drop_estimates();
    }
}

/// Evicts a stream table; the next refresh reads the catalog again.
pub fn forget(id: i32) {
    CACHE.with_borrow_mut(|cache| cache.remove(&id));
}

fn cached(id: i32) -> Result<Option<Rc<Prepared>>> {
    let extension = Some(graph::catalog()?);
    CACHE.with_borrow_mut(|cache| {
        if EXTENSION.replace(extension) != extension {
            cache.clear();
        }
        Ok(cache.get(&id).cloned())
    })
}

/// The stream table `id`, verified where an invalidation requires it: by the catalogs as they are now, whatever the snapshot
/// of a tick. The change behind an invalidation may have been committed after that.
pub fn load(id: i32) -> Result<Ready> {
    let known = cached(id)?;
    evict();
    if let Some(found) = known.as_ref().filter(|_| !watch::needs_revalidation(id)) {
        counters::count(|server| &server.plans.hits);
        found.used.set(REQUESTS.replace(REQUESTS.get() + 1));
        return Ok(Ready::Yes(Rc::clone(found)));
    }
    counters::count(|server| &server.plans.misses);
    let verification = Verification::begin(id);
    let ready = match loaded::verify(id, known.as_ref().map(|known| &known.loaded))? {
        Verified::Stale(table, reason) => return Ok(Ready::Stale(table, reason)),
        Verified::Unchanged => known.ok_or(Error::Bug("an unchanged definition is known"))?,
        Verified::Changed(loaded) => {
            let model = spi::connect(None, |session| CostModel::load(session, id))?;
            let used = Cell::new(REQUESTS.get());
            let prepared = Rc::new(Prepared {
                loaded: *loaded,
                plans: Plans::default(),
                live_plans: Plans::default(),
                model,
                beside: OnceCell::new(),
                used,
            });
            CACHE.with_borrow_mut(|cache| cache.insert(id, Rc::clone(&prepared)));
            prepared
        }
    };
    verification.succeed();
    Ok(Ready::Yes(ready))
}

/// The stream table `id`, if it is known and needs no verification.
pub fn known(id: i32) -> Result<Option<Rc<Prepared>>> {
    Ok(cached(id)?.filter(|_| !watch::needs_revalidation(id)))
}

/// The relations that a refresh of `id` reads: its sources, then its own table.
pub fn relations(session: &Session, id: i32) -> Result<Vec<Oid>> {
    if let Some(Prepared { loaded, .. }) = known(id)?.as_deref() {
        return Ok(relations_of(Some(&loaded.table), &loaded.dependencies));
    }
    Ok(relations_of(stream_table::find(session, id)?.as_ref(), &dependency::of(session, id)?))
}

fn relations_of(table: Option<&StreamTable>, dependencies: &[Dependency]) -> Vec<Oid> {
    let polled = table.into_iter().flat_map(|table| table.polled.iter().copied());
    let sources = dependencies.iter().map(|dependency| dependency.relid).chain(polled);
    sources.chain(table.map(|table| table.relid)).collect()
}

/// Evicts all stream tables but these; whether there were others.
pub fn retain(ids: &BTreeSet<i32>) -> bool {
    let has_others = CACHE.with_borrow(|cache| cache.keys().any(|id| !ids.contains(id)));
    if has_others {
        CACHE.with_borrow_mut(|cache| cache.retain(|id, _| ids.contains(id)));
        memory::give_back();
    }
    has_others
}

/// Evicts the stream tables that were not refreshed for longest, a quarter at a time, while the plans of all of them need too much
/// memory.
fn evict() {
    let prepared = spi::prepared();
    if prepared - CHECKED.get() < CHECK_EVERY {
        return;
    }
    CHECKED.set(prepared);
    if spi::plan_bytes() <= guc::plan_cache_size() {
        return;
    }
    CACHE.with_borrow_mut(|cache| {
        while !cache.is_empty() && spi::plan_bytes() > guc::plan_cache_size() {
            let mut used: Vec<(u64, i32)> = cache.iter().map(|(id, prepared)| (prepared.used.get(), *id)).collect();
            used.sort_unstable();
            used.truncate(used.len().div_ceil(4));
            used.iter().for_each(|(_, id)| drop(cache.remove(id)));
            used.iter().for_each(|_| counters::count(|server| &server.plans.evictions));
        }
    });
    memory::give_back();
}
