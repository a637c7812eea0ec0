//! Cached descriptions of sources and of capture triggers.
//!
//! **Invariant:** a change of a source, a member or a layout invalidates the relation cache entries of the source and of the
//! member (`track` does it for layouts). That evicts the descriptions made from them; a caller that holds one may use it
//! until its call ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use chunk::{Format, UNRECORDED};
use pgrx::PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN;
use pgrx::pg_sys::Oid;

use crate::capture::pending::Destination;
use crate::catalog::cluster;
use crate::catalog::layout::{self, Layout};
use crate::catalog::source::{self, Source};
use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::invalidation::{self, Invalidation};
use crate::pg::relation::{self, Attribute};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::subxact::rolled_back;
use crate::pg::trigger::Fired;
use crate::pg::{object, row, xact};

/// A source with everything needed to read and write its change buffer.
pub struct SourceInfo {
    pub source: Source,
    pub buffer: Oid,
    /// The current columns of the source.
    pub attributes: Vec<Attribute>,
    /// Every layout that chunks may have, with its format where its types still exist.
    layouts: HashMap<i32, (Layout, Option<Format>)>,
}

/// Where and how one capture trigger records.
pub struct Target {
    pub to: Destination,
    pub format: Format,
    /// Positions of the captured columns in rows of the trigger's own table, counted from 0.
    pub positions: Box<[usize]>,
    /// How many columns of a row have to be deformed to reach them all.
    pub width: usize,
    pub touch: bool,
    member: Oid,
    source: Oid,
}

/// By trigger. `None`: not a trigger of ours, so it captures nothing.
type Targets = HashMap<Oid, Option<Rc<Target>>>;

thread_local! {
    static SOURCES: RefCell<HashMap<i32, Rc<SourceInfo>>> = RefCell::default();
    static TARGETS: RefCell<Targets> = RefCell::default();
    /// The target of the last call: consecutive calls mostly come from one trigger.
    static LAST: RefCell<Option<(Oid, Rc<Target>)>> = const { RefCell::new(None) };
    /// Targets under a catalog of another version, with the start of the transaction that resolved them.
    static OTHER_VERSION: RefCell<(i64, Targets)> = RefCell::default();
}

/// Evicts what was read from a relation.
pub fn invalidate(what: Invalidation) {
    let Invalidation::Relation(relation) = what else { return };
    let changed = |oid: Oid| relation.is_none_or(|relation| relation == oid);
    let is_current = |target: &Target| ![target.member, target.source, target.to.buffer].into_iter().any(changed);
    SOURCES.with_borrow_mut(|sources| {
        sources.retain(|_, info| !changed(info.source.relid) && !changed(info.buffer));
    });
    // A relation that is no source may become one, so no `None` outlives an invalidation.
    let retain = |targets: &mut Targets| targets.retain(|_, target| target.as_deref().is_some_and(is_current));
    TARGETS.with_borrow_mut(retain);
    OTHER_VERSION.with_borrow_mut(|(_, targets)| retain(targets));
    LAST.with_borrow_mut(|last| _ = last.take_if(|(_, target)| !is_current(target)));
}

/// Reads the catalog as it is now, whatever the transaction's own snapshot: a layout that another transaction has widened
/// must be used from the first row on.
pub fn read_catalog<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let snapshot = Snapshot::latest();
    spi::connect(Some(&snapshot), f)
}

/// The source with this id; `None` if it is no longer a source.
pub fn source(id: i32) -> Result<Option<Rc<SourceInfo>>> {
    if let Some(info) = SOURCES.with_borrow(|sources| sources.get(&id).cloned()) {
        return Ok(Some(info));
    }
    let info = invalidation::read_consistently(|| read(id))?.map(Rc::new);
    if let Some(info) = &info {
        SOURCES.with_borrow_mut(|sources| sources.insert(id, Rc::clone(info)));
    }
    Ok(info)
}

/// The same, of a source that must exist.
pub fn require_source(id: i32) -> Result<Rc<SourceInfo>> {
    source(id)?.ok_or(Error::Bug("the source has no change buffer"))
}

/// A source with its change buffer, opened; `None` if one of them was dropped.
pub fn open(id: i32, lock: u32) -> Result<Option<(Rc<SourceInfo>, Table)>> {
    Ok(source(id)?.and_then(|info| Table::open(info.buffer, lock).map(|buffer| (info, buffer))))
}

fn read(id: i32) -> Result<Option<SourceInfo>> {
    let (found, layouts, buffer) = read_catalog(|session| {
        let buffer = object::find(&source::buffer_name(id))?;
        Ok((source::get(session, id)?, layout::of(session, id)?, buffer))
    })?;
    Ok(found.zip(buffer).and_then(|(source, buffer)| describe(source, layouts, buffer)))
}

fn describe(source: Source, layouts: Vec<Layout>, buffer: Oid) -> Option<SourceInfo> {
    let attributes = relation::attributes(source.relid)?;
    let layouts = layouts.into_iter().map(|layout| {
        let shapes: Option<Vec<_>> = layout.types.iter().map(|ty| row::shape(*ty)).collect();
        (layout.id, (layout, shapes.map(Format::new)))
    });
    Some(SourceInfo { source, buffer, attributes, layouts: layouts.collect() })
}

impl SourceInfo {
    pub fn layout(&self, id: i32) -> Option<(&Layout, &Format)> {
        self.layouts.get(&id).and_then(|(layout, format)| Some((layout, format.as_ref()?)))
    }

    /// The layout that writers use now.
    pub fn current(&self) -> Option<(&Layout, &Format)> {
        self.layout(self.source.layout)
    }

    /// The columns with these names.
    pub fn columns(&self, names: &[String]) -> Result<Vec<&Attribute>> {
        columns(self.source.relid, &self.attributes, names)
    }

    pub fn attribute(&self, number: i16) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.number == number)
    }

    pub fn destination(&self, layout: i32, align: usize) -> Destination {
        Destination { source: self.source.id, layout, buffer: self.buffer, align, immediate: self.source.immediate }
    }
}

/// The columns of a relation that have these names.
pub fn columns<'a>(relid: Oid, attributes: &'a [Attribute], names: &[String]) -> Result<Vec<&'a Attribute>> {
    let missing = |name: &str| {
        let table = relation::display(relid);
        Error::new(ERRCODE_UNDEFINED_COLUMN, format!("column \"{name}\" of {table} does not exist"))
    };
    let find = |name: &String| attributes.iter().find(|a| a.name == *name).ok_or_else(|| missing(name));
    names.iter().map(find).collect()
}

/// Where this trigger records; `None` if it captures nothing: its source is not tracked, or it is not a trigger of ours.
#[inline]
pub fn target(fired: &Fired) -> Result<Option<Rc<Target>>> {
    let trigger = fired.trigger();
    let last = LAST.with_borrow(|last| match last {
        Some((oid, target)) if *oid == trigger => Some(Rc::clone(target)),
        _ => None,
    });
    match last {
        Some(target) => Ok(Some(target)),
        None => find_target(trigger, fired),
    }
}

#[cold]
fn find_target(trigger: Oid, fired: &Fired) -> Result<Option<Rc<Target>>> {
    let target = match TARGETS.with_borrow(|targets| targets.get(&trigger).cloned()) {
        Some(found) => found,
        None => {
            if let Some(known) = known_in_other_version(trigger) {
                return Ok(known);
            }
            if spi::other_version()?.is_some() {
                let target = resolve_in_other_version(fired)?.map(Rc::new);
                OTHER_VERSION.with_borrow_mut(|(_, targets)| targets.insert(trigger, target.clone()));
                return Ok(target);
            }
            let target = invalidation::read_consistently(|| resolve_target(trigger, fired))?.map(Rc::new);
            TARGETS.with_borrow_mut(|targets| targets.insert(trigger, target.clone()));
            target
        }
    };
    if let Some(target) = &target {
        LAST.set(Some((trigger, Rc::clone(target))));
    }
    Ok(target)
}

/// Only a trigger that we made for the source that it names captures for it: anyone may create other triggers that call the
/// same function.
fn resolve_target(trigger: Oid, fired: &Fired) -> Result<Option<Target>> {
    let Some(id) = fired.argument().and_then(|text| text.parse().ok()) else { return Ok(None) };
    let Some(info) = source(id)? else { return Ok(None) };
    let ours = read_catalog(|session| {
        Ok(source::is_ours(session, id, fired.table(), trigger)?
            || cluster::is_moved(session)? && cluster::captures(session, id, trigger)?)
    })?;
    Ok(ours.then(|| target_of(&info, fired.table())))
}

/// The target of a trigger that this transaction has resolved under a catalog of another version.
fn known_in_other_version(trigger: Oid) -> Option<Option<Rc<Target>>> {
    let transaction = i64::from(xact::started());
    OTHER_VERSION.with_borrow_mut(|(of, targets)| {
        if std::mem::replace(of, transaction) != transaction {
            targets.clear();
        }
        targets.get(&trigger).cloned()
    })
}

/// Reads what every version of the catalog has: the source, its layouts and its members. Where that fails the trigger records
/// that changes were lost, because a writer must not fail. Rolled back, so that the writer holds no lock of the catalog,
/// for which ALTER EXTENSION UPDATE would wait, and later writers behind it.
fn resolve_in_other_version(fired: &Fired) -> Result<Option<Target>> {
    let Some(id) = fired.argument().and_then(|text| text.parse().ok()) else { return Ok(None) };
    let Some(buffer) = object::find(&source::buffer_name(id))? else { return Ok(None) };
    let member = fired.table();
    let read = |session: &Session| {
        // In this order, in which the scripts of updates lock them.
        let (found, layouts) = (source::get(session, id)?, layout::of(session, id)?);
        Ok((found, layouts, source::is_member(session, id, member)?))
    };
    match rolled_back(|| spi::connect_to_any_version(read)) {
        Ok((Some(source), layouts, true)) => Ok(describe(source, layouts, buffer).map(|info| target_of(&info, member))),
        Ok(_) => Ok(None),
        Err(_) => {
            let to = Destination { source: id, layout: UNRECORDED, buffer, align: 1, immediate: false };
            Ok(Some(loss(to, member, member)))
        }
    }
}

/// How rows of `member` are recorded. Where its columns are not those of the layout, the trigger records only that a change
/// was missed, as for TRUNCATE, and the consumers start over.
pub(super) fn target_of(info: &SourceInfo, member: Oid) -> Target {
    let source = info.source.relid;
    let exact = info.current().and_then(|(layout, format)| {
        let positions = positions(info, layout, &relation::attributes(member)?)?;
        let width = positions.iter().map(|i| i + 1).max().unwrap_or(0);
        let (to, format) = (info.destination(layout.id, format.align()), format.clone());
        Some(Target { to, format, positions: positions.into(), width, touch: layout.touch, member, source })
    });
    exact.unwrap_or_else(|| loss(info.destination(UNRECORDED, 1), member, source))
}

fn loss(to: Destination, member: Oid, source: Oid) -> Target {
    Target { to, format: Format::new(vec![]), positions: Box::default(), width: 0, touch: true, member, source }
}

/// Positions of a layout's columns in rows of a table with these columns. Columns match by name, as PostgreSQL itself
/// relates a partition to its parent.
fn positions(info: &SourceInfo, layout: &Layout, columns: &[Attribute]) -> Option<Vec<usize>> {
    let find = |(number, ty): (&i16, &Oid)| {
        let root = info.attribute(*number)?;
        let own = columns.iter().find(|column| column.name == root.name)?;
        (own.ty == *ty && !own.is_virtual).then_some(own.number as usize - 1)
    };
    layout.attnums.iter().zip(&layout.types).map(find).collect()
}
