//! What this backend knows about sources, and when it has to look again.
//!
//! **Invariant:** whatever changes a source, a member or a layout invalidates the relation cache entry of
//! the source and of the member (`track` does it for layouts). An invalidation marks what was learned
//! about that relation; marked entries are never used again, but stay in memory while someone holds them.
//! What was learned while an invalidation came in is not kept.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys::Oid;

use crate::capture::format::Format;
use crate::capture::pending::Destination;
use crate::catalog;
use crate::catalog::layout::{self, Layout};
use crate::catalog::source::{self, Source};
use crate::error::Result;
use crate::pg::relation::{self, Attribute};
use crate::pg::row;
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::trigger::Fired;

/// A source with everything needed to read and write its change buffer.
pub struct Known {
    pub source: Source,
    pub buffer: Oid,
    /// The columns of the source now.
    pub attributes: Vec<Attribute>,
    /// Every layout that chunks may have, with its format where its types still exist.
    layouts: HashMap<i32, (Layout, Option<Format>)>,
    stale: Cell<bool>,
}

/// Where and how one capture trigger records.
pub struct Target {
    pub to: Destination,
    pub format: Format,
    /// Where the captured columns are in the rows of the trigger's own table, counted from 0.
    pub positions: Box<[usize]>,
    /// Columns to take apart to reach them all.
    pub width: usize,
    pub touch: bool,
    member: Oid,
    source: Oid,
    stale: Cell<bool>,
}

struct Cache {
    observing: bool,
    known: HashMap<i32, Rc<Known>>,
    targets: HashMap<Oid, Option<Rc<Target>>>,
    /// Relations that a verified source consists of, and the sources verified since they last changed.
    members: HashMap<Oid, HashSet<i32>>,
    verified: HashSet<i32>,
}

thread_local! {
    static CACHE: RefCell<Option<Cache>> = const { RefCell::new(None) };
    /// The target of the last call: one trigger is mostly called many times in a row.
    static LAST: RefCell<Option<(Oid, Rc<Target>)>> = const { RefCell::new(None) };
    /// Counts invalidations.
    static MOMENT: Cell<u64> = const { Cell::new(0) };
}

fn with<R>(f: impl FnOnce(&mut Cache) -> R) -> R {
    CACHE.with_borrow_mut(|cache| {
        f(cache.get_or_insert_with(|| Cache {
            observing: false,
            known: HashMap::new(),
            targets: HashMap::new(),
            members: HashMap::new(),
            verified: HashSet::new(),
        }))
    })
}

/// Must come before anything is learned, or its invalidation would be missed.
fn observe() {
    if !with(|cache| std::mem::replace(&mut cache.observing, true)) {
        relation::observe(invalidated);
    }
}

fn invalidated(relation: Option<Oid>) {
    MOMENT.set(MOMENT.get() + 1);
    let concerns = |oid: Oid| relation.is_none_or(|changed| changed == oid);
    with(|cache| {
        for known in cache.known.values().filter(|known| concerns(known.source.relid) || concerns(known.buffer)) {
            known.stale.set(true);
        }
        for target in cache.targets.values().flatten() {
            if concerns(target.member) || concerns(target.source) || concerns(target.to.buffer) {
                target.stale.set(true);
            }
        }
        // What is not a source today may be one tomorrow: such findings are not worth keeping.
        cache.targets.retain(|_, target| target.is_some());
        match relation {
            None => cache.verified.clear(),
            Some(changed) => {
                for source in cache.members.remove(&changed).into_iter().flatten() {
                    cache.verified.remove(&source);
                }
            }
        }
    });
}

/// Reads the catalog as it is now, whatever the transaction's own snapshot: a layout that others have
/// widened must be used from the first row on.
pub fn read_catalog<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let snapshot = Snapshot::latest();
    catalog::quietly(|| spi::connect(Some(&snapshot), f))
}

/// A source by id; `None` if it is no longer one.
pub fn known(id: i32) -> Result<Option<Rc<Known>>> {
    let found = with(|cache| cache.known.get(&id).filter(|known| !known.stale.get()).cloned());
    match found {
        Some(known) => Ok(Some(known)),
        None => learn(id),
    }
}

fn learn(id: i32) -> Result<Option<Rc<Known>>> {
    observe();
    loop {
        let before = MOMENT.get();
        let Some(known) = read(id)?.map(Rc::new) else { return Ok(None) };
        if MOMENT.get() == before {
            with(|cache| cache.known.insert(id, Rc::clone(&known)));
            return Ok(Some(known));
        }
    }
}

fn read(id: i32) -> Result<Option<Known>> {
    let found = read_catalog(|session| Ok((source::get(session, id)?, layout::of(session, id)?)))?;
    let (Some(source), layouts) = found else { return Ok(None) };
    let Some(buffer) = relation::find("pgtrickle_changes", &format!("changes_{id}"))? else { return Ok(None) };
    let Some(attributes) = relation::attributes(source.relid) else { return Ok(None) };
    let layouts = layouts.into_iter().map(|layout| {
        let shapes: Option<Vec<_>> = layout.types.iter().map(|ty| row::shape(*ty)).collect();
        (layout.id, (layout, shapes.map(Format::new)))
    });
    Ok(Some(Known { source, buffer, attributes, layouts: layouts.collect(), stale: Cell::new(false) }))
}

impl Known {
    pub fn layout(&self, id: i32) -> Option<(&Layout, &Format)> {
        self.layouts.get(&id).and_then(|(layout, format)| Some((layout, format.as_ref()?)))
    }

    /// The layout that writers use now.
    pub fn current(&self) -> Option<(&Layout, &Format)> {
        self.layout(self.source.layout)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub fn destination(&self, layout: i32, align: usize) -> Destination {
        Destination { source: self.source.id, layout, buffer: self.buffer, align }
    }
}

/// Where this trigger records; `None` if its source is not tracked (any more).
#[inline]
pub fn target(fired: &Fired) -> Result<Option<Rc<Target>>> {
    let trigger = fired.trigger();
    let last = LAST.with_borrow(|last| match last {
        Some((oid, target)) if *oid == trigger && !target.stale.get() => Some(Rc::clone(target)),
        _ => None,
    });
    match last {
        Some(target) => Ok(Some(target)),
        None => other_target(trigger, fired),
    }
}

#[cold]
fn other_target(trigger: Oid, fired: &Fired) -> Result<Option<Rc<Target>>> {
    let found = with(|cache| cache.targets.get(&trigger).cloned());
    let target = match found {
        Some(None) => None,
        Some(Some(target)) if !target.stale.get() => Some(target),
        _ => {
            observe();
            let target = ours(fired, trigger)?.and_then(|known| aim(&known, fired.table())).map(Rc::new);
            with(|cache| cache.targets.insert(trigger, target.clone()));
            target
        }
    };
    if let Some(target) = &target {
        LAST.set(Some((trigger, Rc::clone(target))));
    }
    Ok(target)
}

/// The source that a trigger captures for, where we made it for that source: whoever else calls the same function, from
/// whatever table, says nothing about the source.
fn ours(fired: &Fired, trigger: Oid) -> Result<Option<Rc<Known>>> {
    let Some(id) = fired.argument().and_then(|text| text.parse().ok()) else { return Ok(None) };
    let Some(known) = known(id)? else { return Ok(None) };
    let ours = read_catalog(|session| source::is_ours(session, id, fired.table(), trigger))?;
    Ok(ours.then_some(known))
}

/// How rows of `member` are recorded. Where its columns are not what the layout says, only the fact that
/// something was missed is recorded, as by TRUNCATE: the readers start over.
fn aim(known: &Known, member: Oid) -> Option<Target> {
    let exact = known.current().and_then(|(layout, format)| {
        let positions = positions(known, layout, &relation::attributes(member)?)?;
        let width = positions.iter().map(|i| i + 1).max().unwrap_or(0);
        let to = known.destination(layout.id, format.align());
        Some((to, format.clone(), positions, width, layout.touch))
    });
    let missed = || (known.destination(0, 1), Format::new(vec![]), vec![], 0, true);
    let (to, format, positions, width, touch) = exact.unwrap_or_else(missed);
    let source = known.source.relid;
    Some(Target { to, format, positions: positions.into(), width, touch, member, source, stale: Cell::new(false) })
}

/// Where a layout's columns are in rows of a table with these columns: found by name, as PostgreSQL
/// itself relates a partition to its parent.
fn positions(known: &Known, layout: &Layout, columns: &[Attribute]) -> Option<Vec<usize>> {
    let find = |(number, ty): (&i16, &Oid)| {
        let root = known.attributes.iter().find(|attribute| attribute.number == *number)?;
        let own = columns.iter().find(|column| column.name == root.name)?;
        (own.ty == *ty && !own.is_virtual).then_some(own.number as usize - 1)
    };
    layout.attnums.iter().zip(&layout.types).map(find).collect()
}

/// Whether nothing has happened to any member since [`verified`] was last called for this source.
pub fn is_verified(id: i32) -> bool {
    with(|cache| cache.verified.contains(&id))
}

/// Remembers that capture of a source was found intact at `moment`, until one of these relations changes.
pub fn verified(id: i32, members: impl Iterator<Item = Oid>, moment: u64) {
    if MOMENT.get() != moment {
        return;
    }
    with(|cache| {
        for member in members {
            cache.members.entry(member).or_default().insert(id);
        }
        cache.verified.insert(id);
    });
}

/// Learns what has happened by now, and starts listening for more. What this returns goes to [`verified`]
/// when all was looked at.
pub fn moment() -> u64 {
    observe();
    relation::catch_up();
    MOMENT.get()
}

/// Forgets a source that this backend has dropped.
pub fn forget(id: i32) {
    with(|cache| {
        if let Some(known) = cache.known.remove(&id) {
            known.stale.set(true);
        }
        cache.verified.remove(&id);
    });
}
