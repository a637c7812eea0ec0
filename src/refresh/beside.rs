//! Passes over one stream table beside each other.
//!
//! **Law:** where the locks of two transactions are compatible, neither delta reads what the other changes, and they change different
//! rows of every node: see `ivm::beside`. All share the lock of the stream table; of each pair of its sources they take a *side*, so that
//! no two of them change different ones; and where that is not enough, they lock the *keys* of their changed rows. What is not the
//! delta of their own changes, such as recomputing, needs the lock of the stream table alone.

use std::collections::BTreeSet;
use std::rc::Rc;

use ivm::beside::Beside;
use ivm::sql::ident::Ident;

use crate::capture;
use crate::error::Result;
use crate::pg::lock::{Lock, Side};
use crate::pg::snapshot::Snapshot;
use crate::pg::xact;
use crate::refresh::passes;
use crate::refresh::prepared::{self, Prepared};

/// Rows of which the keys are read, and keys that are locked, at most: the server has room for some thousands of locks. A transaction
/// with more of them takes the stream table for itself.
const MOST_ROWS: i64 = 1000;
const MOST_KEYS: usize = 32;

/// Takes the lock of a stream table beside other transactions, and the sides and keys of this one; whether that was possible.
pub fn share(id: i32) -> Result<bool> {
    // One that keeps its snapshot has to know what others have changed.
    if xact::keeps_its_snapshot() || changes(id)?.is_none() {
        return Ok(false);
    }
    Lock::StreamTable(id).acquire_shared();
    // As the last holder of the lock left it.
    let changes = changes(id)?;
    let keys = changes.as_ref().map(Changes::keys).transpose()?.flatten();
    let (Some(changes), Some(keys)) = (changes, keys) else {
        Lock::StreamTable(id).release_shared();
        return Ok(false);
    };
    changes.sides().into_iter().for_each(|(pair, side)| Lock::Sides(id, pair).acquire_side(side));
    keys.into_iter().for_each(|key| Lock::Key(id, key).acquire());
    Ok(true)
}

/// What this transaction has changed of what a stream table reads.
struct Changes {
    prepared: Rc<Prepared>,
    sources: BTreeSet<i32>,
}

/// None where that needs the lock alone. What fails when a stream table is loaded has to do so in a refresh: the first pass of a process is
/// made alone.
fn changes(id: i32) -> Result<Option<Changes>> {
    let Some(prepared) = prepared::known(id)? else { return Ok(None) };
    let changed: BTreeSet<i32> = capture::changed_after(0).into_iter().collect();
    let sources: BTreeSet<i32> = prepared.loaded.sources().filter(|source| changed.contains(source)).collect();
    let beside = prepared.beside();
    let of = |source: &i32| beside.get(source);
    let may_share = match sources.len() {
        1 => sources.iter().all(|source| of(source).is_some()),
        _ => !beside.is_empty() && beside.values().all(|beside| *beside == Beside::All),
    };
    Ok(may_share.then_some(Changes { prepared, sources }))
}

impl Changes {
    /// The pairs of sources, each by its number, and which of them were changed.
    fn sides(&self) -> Vec<(u16, Side)> {
        let sources: Vec<i32> = self.prepared.loaded.sources().collect();
        let pairs =
            sources.iter().enumerate().flat_map(|(at, first)| sources[at + 1..].iter().map(move |it| (first, it)));
        let side = |(first, second)| match (self.sources.contains(first), self.sources.contains(second)) {
            (true, true) => Some(Side::Both),
            (true, false) => Some(Side::First),
            (false, true) => Some(Side::Second),
            (false, false) => None,
        };
        (0..).zip(pairs).filter_map(|(number, pair)| Some((number, side(pair)?))).collect()
    }

    /// The hashes of the keys of the changed rows, where those of other keys may be changed meanwhile; none if they are too many.
    fn keys(&self) -> Result<Option<BTreeSet<u32>>> {
        let (beside, mut keys) = (self.prepared.beside(), BTreeSet::new());
        let loaded = &self.prepared.loaded;
        for dependency in loaded.dependencies.iter().filter(|dependency| self.sources.contains(&dependency.source)) {
            let Some(Beside::Keys(columns)) = beside.get(&dependency.source) else { continue };
            let now = Snapshot::latest();
            let seen = passes::shown(loaded.table.id, &now);
            // With all columns: changes that cancel out in the key alone concern its group.
            let pending = capture::pending(dependency.source, (&seen, &now), &dependency.columns, MOST_ROWS)?;
            let key = pending.store.places(columns.iter().map(Ident::as_str))?;
            let Some(hashes) = pending.store.hashes(&key)?.filter(|_| pending.is_complete()) else { return Ok(None) };
            keys.extend(hashes);
        }
        Ok(Some(keys).filter(|keys| keys.len() <= MOST_KEYS))
    }
}
