//! Whether a source's change buffer has every change since the last `track`.
//!
//! A change of the triggers, the members or the captured columns may have let changes pass unrecorded, and a crash empties
//! an unlogged buffer. Consumers then start over, and [`track`](super::track) repairs the capture.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use chunk::SENTINEL;
use pgrx::pg_sys::{self, Oid};

use crate::capture::cache::{self, SourceInfo};
use crate::catalog::source::{self, Member};
use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::invalidation::{self, Invalidation};
use crate::pg::snapshot::Snapshot;
use crate::pg::{relation, spi, xact};

struct Verified {
    members: HashSet<Oid>,
    /// The snapshot under which the catalog was read.
    at: u64,
}

thread_local! {
    /// Sources whose capture was found complete.
    static VERIFIED: RefCell<HashMap<i32, Verified>> = RefCell::default();
}

/// Evicts the sources that have this relation as a member.
pub fn invalidate(what: Invalidation) {
    let Invalidation::Relation(relation) = what else { return };
    VERIFIED.with_borrow_mut(|verified| match relation {
        Some(relation) => verified.retain(|_, it| !it.members.contains(&relation)),
        None => verified.clear(),
    });
}

/// Why the change buffer of a source may lack changes, if so.
///
/// Must be called after the snapshot of the refresh was taken: it then finds every change of the triggers that precedes a
/// change which that snapshot sees, whatever locks were or were not held.
pub fn lost_changes(id: i32) -> Result<Option<String>> {
    invalidation::accept();
    if VERIFIED.with_borrow(|verified| verified.contains_key(&id)) {
        return Ok(None);
    }
    let before = invalidation::count();
    let Some(info) = cache::source(id)? else { return Ok(Some("the source is no longer captured".to_owned())) };
    if let Some(reason) = layout_changed(&info) {
        return Ok(Some(reason));
    }
    let latest = Snapshot::latest();
    let (now, is_derived) = current(&info, &latest)?;
    let reason = members_changed(&now, recorded(id, &latest)?, is_derived);
    let crashed = || lacks_sentinel(&info).then(|| "an unlogged table was emptied by a crash".to_owned());
    let reason = reason.or_else(crashed);
    if reason.is_none() && invalidation::count() == before {
        let members = now.iter().map(|member| member.relid).collect();
        VERIFIED.with_borrow_mut(|verified| verified.insert(id, Verified { members, at: latest.number() }));
    }
    Ok(reason)
}

/// An error, after which the refresh is repeated, where the members of a source or their triggers have changed since
/// `snapshot` was taken. Queries under it then read the rows of other members than it sees recorded, and it sees neither what
/// a repair of the capture recorded nor its mark for the consumers.
pub fn require_same_members(id: i32, snapshot: &Snapshot) -> Result<()> {
    invalidation::accept();
    if VERIFIED.with_borrow(|verified| verified.get(&id).is_some_and(|it| it.at < snapshot.number())) {
        return Ok(());
    }
    let info = cache::require_source(id)?;
    let (now, is_derived) = current(&info, &Snapshot::latest())?;
    let recorded = recorded(id, snapshot)?;
    // None: the source is newer than the snapshot.
    if recorded.is_empty() {
        return Ok(());
    }
    members_changed(&now, recorded, is_derived).map_or(Ok(()), |what| Err(Error::Altered(what)))
}

/// The members of a source, and whether it is a stream table.
fn current(info: &SourceInfo, snapshot: &Snapshot) -> Result<(Vec<Member>, bool)> {
    spi::connect(Some(snapshot), |session| {
        let is_derived = source::is_stream_table(session, info.source.relid)?;
        Ok((source::members(session, &info.source)?, is_derived))
    })
}

/// The recorded fingerprints of its members.
fn recorded(id: i32, snapshot: &Snapshot) -> Result<HashMap<Oid, String>> {
    Ok(spi::connect(Some(snapshot), |session| source::recorded(session, id))?.into_iter().collect())
}

/// Records that a source lost changes, so that `lost_changes` says so until `track` repairs it, even if what was altered is
/// altered back.
pub fn record_loss(id: i32) -> Result<()> {
    let Some(info) = cache::source(id)? else { return Ok(()) };
    cache::read_catalog(|session| source::clear_fingerprints(session, id))?;
    relation::invalidate(info.source.relid);
    xact::advance_command();
    Ok(())
}

fn layout_changed(info: &SourceInfo) -> Option<String> {
    let Some((layout, _)) = info.current() else { return Some("the type of a captured column was dropped".to_owned()) };
    let changed = layout.attnums.iter().zip(&layout.types).find_map(|(number, ty)| match info.attribute(*number) {
        None => Some("a captured column was dropped".to_owned()),
        Some(attribute) if attribute.ty != *ty => Some(format!("the type of column {} changed", attribute.name)),
        Some(_) => None,
    });
    changed.map(|what| format!("{what} in {}", relation::display(info.source.relid)))
}

fn members_changed(now: &[Member], mut recorded: HashMap<Oid, String>, is_derived: bool) -> Option<String> {
    for member in now {
        let name = || relation::display(member.relid);
        match recorded.remove(&member.relid) {
            _ if !is_derived && !member.is_covered() => {
                return Some(format!("a capture trigger on {} is missing or disabled", name()));
            }
            None => return Some(format!("{} was attached", name())),
            Some(fingerprint) if fingerprint != member.fingerprint => {
                return Some(format!("a capture trigger or a generated column of {} was changed", name()));
            }
            Some(_) => {}
        }
    }
    recorded.into_keys().next().map(|relid| format!("{} was detached or dropped", relation::display(relid)))
}

/// Whether the buffer is unlogged and a crash has emptied it.
pub fn lacks_sentinel(info: &SourceInfo) -> bool {
    if !relation::is_unlogged(info.buffer) {
        return false;
    }
    let Some(buffer) = Table::open(info.buffer, pg_sys::AccessShareLock) else { return true };
    let mut found = false;
    let read = buffer.for_each(&Snapshot::latest(), |chunk| {
        found |= chunk.stamp.layout == SENTINEL;
        Ok(())
    });
    read.is_err() || !found
}
