//! Live reads: what a stream table lacks for the snapshot of the statement that reads it.
//!
//! Let σ be that snapshot, F the frontier of the table that σ sees. The stored rows, seen under σ, are the query at F; the programs of
//! the refresh compute Δ from the changes that σ sees and F does not. So the stored rows and Δ together are the query under σ, by the
//! proof of the refresh: see `ivm::delta`. Nothing is written, and no lock is taken that a writer meets.
//!
//! **Law:** F ⊆ σ, and every change of a source that σ sees and F does not is in a change buffer or in a chunk of this transaction.
//! Where that does not hold, the query is computed instead ([`Reader::query`]): all stored rows count as deleted, and its rows as
//! inserted. That is so
//! - while a statement of this transaction writes, and under a snapshot that is older than its last write: rows are in their tables, and captured
//!   in part or too early ([`dml`]);
//! - where this transaction keeps its snapshot and has refreshed the table itself: F is newer than σ;
//! - where there is no F, or the table starts over, or was rebuilt after σ;
//! - where an expression fails on a row that was inserted and deleted since F;
//! - where changes are not captured, or not followed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
use pgrx::pg_sys::Oid;

use crate::capture;
use crate::catalog::{quietly, shape};
use crate::error::{Error, Result};
use crate::guc::{self, Reads};
use crate::pg::invalidation::Invalidation;
use crate::pg::overlay::{self, Changes, Overlay};
use crate::pg::snapshot::Snapshot;
use crate::pg::{dml, relation, trigger, xact};
use crate::refresh::freshness::{self, Stamp};

mod follow;

use follow::{Obstacle, Reader};

pgrx::extension_sql_file!("../../sql/live.sql", name = "live", requires = ["bootstrap"]);

/// Changes that were computed for an earlier statement.
struct Memo {
    stamp: Stamp,
    changes: Rc<Changes>,
}

/// Stream tables of which a process keeps the changes.
const KEPT: usize = 64;

thread_local! {
    /// Relations that queries read, and whether they have the guard of a stream table.
    static GUARDED: RefCell<HashMap<Oid, bool>> = RefCell::default();
    static MEMOS: RefCell<HashMap<Oid, Memo>> = RefCell::default();
}

/// Lets queries of users read live stream tables.
pub fn install() {
    overlay::install(overlay::Reader { is_live, known, changes });
}

pub fn invalidate(what: Invalidation) {
    let Invalidation::Relation(relation) = what else { return };
    // Rows may have moved.
    MEMOS.with_borrow_mut(|memos| forget(memos, relation));
    GUARDED.with_borrow_mut(|guarded| forget(guarded, relation));
}

fn forget<T>(known: &mut HashMap<Oid, T>, relation: Option<Oid>) {
    match relation {
        Some(relation) => _ = known.remove(&relation),
        None => known.clear(),
    }
}

/// Whether queries of this session read a relation live.
pub fn is_live(relation: Oid) -> bool {
    let reads = guc::reads();
    if reads == Reads::Stored || !is_guarded(relation) {
        return false;
    }
    // A catalog of another version has no live tables.
    let tables = freshness::tables();
    tables.is_ok_and(|tables| {
        tables.get(&relation).is_some_and(|it| !it.table.immediate && (reads == Reads::Live || it.table.live))
    })
}

/// Whether queries of this session read one of these relations live that is computed from a stream table with such an id.
pub fn reads(relations: &[Oid], is: impl Fn(i32) -> bool) -> Result<bool> {
    let tables = freshness::tables()?;
    let below = |relation: &Oid| tables.get(relation).is_some_and(|it| it.table.tables.iter().any(|id| is(*id)));
    Ok(relations.iter().any(|relation| is_live(*relation) && below(relation)))
}

/// Only stream tables and their nodes have a guard: of other relations nothing more is read.
fn is_guarded(relation: Oid) -> bool {
    if let Some(known) = GUARDED.with_borrow(|guarded| guarded.get(&relation).copied()) {
        return known;
    }
    let found = trigger::has(relation, shape::GUARD);
    GUARDED.with_borrow_mut(|guarded| guarded.insert(relation, found));
    found
}

/// What these stream tables lack for a statement with this snapshot, where it is known of all of them.
fn known(relations: &[Oid], snapshot: &Snapshot) -> Result<Option<Overlay>> {
    let (overlay, looks) = (Overlay::default(), look(relations, snapshot)?);
    if looks.len() < relations.len() {
        return Ok(None);
    }
    for look in looks {
        let Some(changes) = look.changes else { return Ok(None) };
        overlay.put(look.relation, changes);
    }
    Ok(Some(overlay))
}

/// What is known of a stream table for a snapshot without computing anything.
struct Look {
    relation: Oid,
    stamp: Option<Stamp>,
    changes: Option<Rc<Changes>>,
}

fn look(relations: &[Oid], snapshot: &Snapshot) -> Result<Vec<Look>> {
    let tables = freshness::tables()?;
    // A SERIALIZABLE transaction has later writers conflict with each of its reads.
    let is_clean = !dml::is_ahead_of(snapshot.command()) && !capture::has_changes() && !xact::is_serializable();
    let look = |relation: &Oid| {
        let table = tables.get(relation)?;
        if is_clean && table.is_current(snapshot) {
            return Some(Look { relation: *relation, stamp: None, changes: Some(Changes::none()) });
        }
        let stamp = if is_clean { table.stamp(snapshot) } else { None };
        let changes = stamp.as_ref().and_then(|stamp| remembered(*relation, stamp));
        Some(Look { relation: *relation, stamp, changes })
    };
    Ok(relations.iter().filter_map(look).collect())
}

/// What these stream tables lack for a statement with this snapshot.
fn changes(relations: &[Oid], snapshot: Snapshot) -> Result<Overlay> {
    let (overlay, tables) = (Overlay::default(), freshness::tables()?);
    let mut rest = vec![];
    for Look { relation, stamp, changes } in look(relations, &snapshot)? {
        match changes {
            Some(changes) => overlay.put(relation, changes),
            None => rest.push((relation, stamp)),
        }
    }
    if rest.is_empty() {
        return Ok(overlay);
    }
    if xact::is_parallel() {
        return Err(within_parallel_query(&rest.iter().map(|(relation, _)| *relation).collect::<Vec<_>>()));
    }
    let reader = quietly(|| {
        let follows = !dml::is_ahead_of(snapshot.command());
        let reader = Reader::new(snapshot, follows)?;
        for (relation, _) in &rest {
            let table = tables.get(relation).ok_or(Error::Bug("a stream table stays known"))?;
            reader.read(table.table.id, *relation)?;
        }
        Ok(reader)
    })?;
    for (relation, stamp) in rest {
        let changes = reader.overlay.get(relation).ok_or(Error::Bug("the changes were computed"))?;
        if let Some(stamp) = stamp.filter(|stamp| changes.is_small() && stamp.is_settled()) {
            remember(relation, Memo { stamp, changes: Rc::clone(&changes) });
        }
        overlay.put(relation, changes);
    }
    Ok(overlay)
}

fn remembered(relation: Oid, now: &Stamp) -> Option<Rc<Changes>> {
    MEMOS.with_borrow(|memos| {
        let memo = memos.get(&relation).filter(|memo| memo.stamp.is_still(now))?;
        Some(Rc::clone(&memo.changes))
    })
}

fn remember(relation: Oid, memo: Memo) {
    MEMOS.with_borrow_mut(|memos| {
        if memos.len() >= KEPT {
            memos.clear();
        }
        memos.insert(relation, memo);
    });
}

fn within_parallel_query(relations: &[Oid]) -> Error {
    let tables: Vec<String> = relations.iter().map(|relation| relation::display(*relation)).collect();
    let message = format!("live stream table {} cannot be read within a parallel query", tables.join(", "));
    Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, message)
        .detail("A function that the parallel query calls reads it.")
        .hint("Mark the function PARALLEL UNSAFE, or set pg_trickle.reads = 'stored'.")
}

/// What a live read would do now.
pub enum Outlook {
    /// Nothing is pending.
    Stored,
    /// It follows so many change rows, and is expected to take so many milliseconds, where that is known.
    Follows(i64, Option<f64>),
    /// It computes the query, for this reason.
    Query(String),
}

pub fn outlook(id: i32) -> Result<Outlook> {
    quietly(|| {
        let reader = Reader::new(Snapshot::of_caller(), true)?;
        Ok(match reader.lack(id)? {
            Err(obstacle) => Outlook::Query(obstacle.to_string()),
            Ok(lack) if lack.is_empty() => Outlook::Stored,
            Ok(lack) => {
                let expected = reader.as_owner(&lack.prepared, lack.before, |session| lack.expected(session))?;
                match lack.is_dearer(expected.as_ref()) {
                    true => Outlook::Query(Obstacle::Dearer.to_string()),
                    false => Outlook::Follows(lack.rows(), expected.map(|choice| choice.delta_ms)),
                }
            }
        })
    })
}
