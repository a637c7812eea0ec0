//! Rows of the catalog that refreshes write again and again, by the places (`ctid`) where they were last found.
//!
//! Each such write makes a new version of the row, and a long transaction retains all of them. A search by key reads each
//! version, so a backend caches the place of each row and follows the updates from there. Under a snapshot that is the
//! row that a search would find; rows that are not found there are searched by key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::LocalKey;

use ivm::sql::ident::QName;
use pgrx::pg_sys::ItemPointerData;

use crate::error::Result;
use crate::pg::spi::{Arg, Row, Session};
use crate::pg::{guard, object, relation};

/// Where each row of a table was last found.
pub struct Places {
    table: &'static str,
    of: RefCell<BTreeMap<i32, ItemPointerData>>,
}

/// A statement in two versions: with places as its last argument, and with ids. The first two columns of its result are the id of
/// a row and its place.
pub struct Twice {
    pub by_place: &'static str,
    pub by_id: &'static str,
}

impl Places {
    pub const fn of(table: &'static str) -> Places {
        Places { table, of: RefCell::new(BTreeMap::new()) }
    }

    /// The id of a row; caches its place.
    fn note(&self, row: &Row) -> Result<i32> {
        let (id, place) = (row.require(1)?, row.require(2)?);
        self.of.borrow_mut().insert(id, place);
        Ok(id)
    }

    fn cached(&self, ids: &BTreeSet<i32>) -> Vec<ItemPointerData> {
        let places = self.of.borrow();
        ids.iter().filter_map(|id| places.get(id)).copied().collect()
    }
}

/// Runs `f`, whose statements read cached places. A generic plan from when the table was small might scan it.
fn by_place<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    guard::with_settings(&[("enable_seqscan", "off")], f)
}

/// The rows with these ids.
pub fn get<R>(
    key: &'static LocalKey<Places>,
    session: &Session,
    query: &Twice,
    ids: &[i32],
    read: impl Fn(&Row) -> Result<R>,
) -> Result<BTreeMap<i32, R>> {
    let wanted: BTreeSet<i32> = ids.iter().copied().collect();
    key.with(|places| {
        let mut cached = places.cached(&wanted);
        let read = |row: &Row| Ok((places.note(row)?, read(row)?));
        let mut found = BTreeMap::new();
        if !cached.is_empty() {
            // Other processes may have updated the rows; and new versions are to find room on these pages.
            let table = object::oid(&QName::qualified("pgtrickle", places.table))?;
            session.with_snapshot(|snapshot| relation::follow_updates(table, &mut cached, snapshot));
            found.extend(by_place(|| session.query(query.by_place, &[cached.into()], read))?);
        }
        // A cached place may hold another row by now.
        found.retain(|id, _| wanted.contains(id));
        let rest: Vec<i32> = wanted.into_iter().filter(|id| !found.contains_key(id)).collect();
        if !rest.is_empty() {
            found.extend(session.query(query.by_id, &[rest.into()], read)?);
        }
        Ok(found)
    })
}

/// Updates the rows with these ids, which are the first argument, followed by `values`; returns the ids of those that it found.
pub fn update(
    key: &'static LocalKey<Places>,
    session: &Session,
    statement: &Twice,
    ids: &[i32],
    values: impl Fn() -> Vec<Arg<'static>>,
) -> Result<BTreeSet<i32>> {
    key.with(|places| {
        let mut rest: BTreeSet<i32> = ids.iter().copied().collect();
        let mut updated = BTreeSet::new();
        let cached = places.cached(&rest);
        if !cached.is_empty() {
            let mut arguments = vec![ids.to_vec().into()];
            arguments.extend(values());
            arguments.push(cached.into());
            updated.extend(by_place(|| session.query(statement.by_place, &arguments, |row| places.note(row)))?);
            rest.retain(|id| !updated.contains(id));
        }
        if !rest.is_empty() {
            let mut arguments = vec![rest.into_iter().collect::<Vec<i32>>().into()];
            arguments.extend(values());
            updated.extend(session.query(statement.by_id, &arguments, |row| places.note(row))?);
        }
        Ok(updated)
    })
}
