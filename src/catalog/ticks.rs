//! `pgt_ticks`: what stream tables have seen that are refreshed together again and again, in one row for all of them.
//!
//! **Law:** the frontier of a stream table is that with the greatest number in its row of `pgt_frontiers` and in the rows of
//! `pgt_ticks` that this one names. Every writer of one of them holds the locks of all stream tables that it is about, so that
//! the later one of two has the greater number.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ivm::frontier::Frontier;
use pgrx::datum::TimestampWithTimeZone;

use crate::catalog::places::{self, Places, Twice};
use crate::error::{Error, Result};
use crate::pg::spi::{Arg, Row, Session};

/// One row.
#[derive(Debug)]
pub struct Tick {
    id: i32,
    /// Ascending.
    tables: Vec<i32>,
    pub next: Next,
}

/// A frontier as it is written.
#[derive(Clone, Debug)]
pub struct Next {
    pub number: i64,
    pub frontier: Frontier,
    pub moment: TimestampWithTimeZone,
}

/// How often a process refreshes just these tables until they get a row.
const RECURS: u32 = 8;
/// Sets of tables that a process counts.
const COUNTED: usize = 64;
/// Rows that a stream table names, until a new one takes the place of all of them.
const MOST: usize = 8;

thread_local! {
    static PLACES: Places = const { Places::of("pgt_ticks") };
    static COUNTS: RefCell<BTreeMap<Vec<i32>, u32>> = const { RefCell::new(BTreeMap::new()) };
}

macro_rules! ticks {
    ($condition:literal) => {
        concat!(
            "select tick_id, ctid, tables, number, frontier::text, own_xid::text, own_seq, data_timestamp
               from pgtrickle.pgt_ticks where ",
            $condition
        )
    };
}
const GET: Twice = Twice { by_place: ticks!("ctid = any ($1)"), by_id: ticks!("tick_id = any ($1)") };

macro_rules! advance {
    ($condition:literal) => {
        concat!(
            "update pgtrickle.pgt_ticks
                set number = $2, frontier = $3::pg_snapshot, own_xid = $4::xid8, own_seq = $5, data_timestamp = $6
              where ",
            $condition,
            " returning tick_id, ctid"
        )
    };
}
const ADVANCE: Twice = Twice {
    by_place: advance!("ctid = any ($7) and array_position($1, tick_id) is not null"),
    by_id: advance!("tick_id = any ($1)"),
};

/// The rows with these ids.
pub fn get(session: &Session, ids: &[i32]) -> Result<BTreeMap<i32, Rc<Tick>>> {
    places::get(&PLACES, session, &GET, ids, |row| {
        let frontier = read_frontier(row, 5)?.ok_or(Error::Bug("a tick has a frontier"))?;
        let next = Next { number: row.require(4)?, frontier, moment: row.require(8)? };
        Ok(Rc::new(Tick { id: row.require(1)?, tables: row.require(3)?, next }))
    })
}

/// The frontier in this column and the two behind it.
pub fn read_frontier(row: &Row, column: i32) -> Result<Option<Frontier>> {
    let Some(text) = row.get::<String>(column) else { return Ok(None) };
    let own = row.get::<String>(column + 1).and_then(|xid| xid.parse().ok()).zip(row.get::<i32>(column + 2));
    Ok(Some(Frontier::parse(&text)?.with_own(own)))
}

impl Next {
    /// As arguments.
    pub fn values(&self) -> Vec<Arg<'static>> {
        let (own_xid, own_seq) = self.frontier.own().unzip();
        let own_xid = own_xid.map(|xid: u64| xid.to_string());
        vec![self.number.into(), self.frontier.to_string().into(), own_xid.into(), own_seq.into(), self.moment.into()]
    }
}

/// The rows that some tables name.
pub type Named<'a> = BTreeMap<i32, &'a [Rc<Tick>]>;

/// Advances the frontier of these tables.
pub fn advance(session: &Session, named: &Named, next: &Next) -> Result<()> {
    let mut rest: BTreeSet<i32> = named.keys().copied().collect();
    let mut covered = vec![];
    for tick in within(named) {
        if tick.tables.iter().all(|id| rest.contains(id)) {
            tick.tables.iter().for_each(|id| _ = rest.remove(id));
            covered.push(tick.id);
        }
    }
    let tables: Vec<i32> = named.keys().copied().collect();
    if covered.len() + rest.len() > 1 && recurs(&tables) {
        let is_full = named.values().any(|ticks| ticks.len() >= MOST);
        return insert(session, &tables, is_full, next);
    }
    if !covered.is_empty() {
        let found = places::update(&PLACES, session, &ADVANCE, &covered, || next.values())?;
        if found.len() < covered.len() {
            return Err(Error::Bug("a tick that stream tables name is there"));
        }
    }
    rest.into_iter().try_for_each(|id| insert(session, &[id], false, next))
}

/// The rows that are about none but these tables, and that all of those name, the largest first.
fn within(named: &Named) -> Vec<Rc<Tick>> {
    let names = |id: &i32, tick: &Tick| named.get(id).is_some_and(|ticks| ticks.iter().any(|it| it.id == tick.id));
    let all = named.values().copied().flatten();
    let mut within: Vec<Rc<Tick>> =
        all.filter(|tick| tick.tables.iter().all(|id| names(id, tick))).map(Rc::clone).collect();
    within.sort_by_key(|tick| (Reverse(tick.tables.len()), tick.id));
    within.dedup_by_key(|tick| tick.id);
    within
}

/// Adds a row; these tables name it, and no other where it is `instead` of those.
fn insert(session: &Session, tables: &[i32], instead: bool, next: &Next) -> Result<()> {
    let mut arguments = vec![tables.to_vec().into()];
    arguments.extend(next.values());
    arguments.push(instead.into());
    session.run(
        "with tick as (
           insert into pgtrickle.pgt_ticks (tables, number, frontier, own_xid, own_seq, data_timestamp)
           values ($1, $2, $3::pg_snapshot, $4::xid8, $5, $6) returning tick_id
         )
         update pgtrickle.pgt_frontiers f set ticks = case when $7 then '{}' else f.ticks end || tick.tick_id
           from tick where f.pgt_id = any ($1)",
        &arguments,
    )?;
    if instead { delete_unnamed(session) } else { Ok(()) }
}

/// Whether these tables were often refreshed together before.
fn recurs(tables: &[i32]) -> bool {
    COUNTS.with_borrow_mut(|counts| {
        if counts.len() >= COUNTED {
            counts.clear();
        }
        let count = counts.entry(tables.to_vec()).or_default();
        *count = (*count + 1) % RECURS;
        *count == 0
    })
}

/// Deletes rows that no stream table names, of which none ever will: only a new row is ever named.
pub fn delete_unnamed(session: &Session) -> Result<()> {
    session.run(
        "delete from pgtrickle.pgt_ticks t
          using (select u.ctid as place from pgtrickle.pgt_ticks u
                  where not exists (select from pgtrickle.pgt_frontiers f where u.tick_id = any (f.ticks))
                    for update skip locked) free
          where t.ctid = free.place",
        &[],
    )
}
