//! Counting in shared memory. Where the library was not preloaded nothing is counted.
//!
//! What a transaction has done is counted when it commits. A row of the shared memory belongs to one stream table or source; each
//! process remembers which, and checks it before it writes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use monitor::cell::Counter;
use monitor::databases::{DatabaseRow, Server};
use monitor::messages::Messages;
use monitor::rows::{Key, Row, Rows};
use monitor::sources::{Size, SourceRow};
use monitor::tables::{Refreshed, TableRow};
use monitor::{Memory, Micros};

use crate::guc;
use crate::pg::bgworker;
use crate::pg::shmem::{my_database, shared};
use crate::pg::xact::{self, Sub, Top};

thread_local! {
    static TABLES: RefCell<HashMap<Key, usize>> = RefCell::default();
    static SOURCES: RefCell<HashMap<Key, usize>> = RefCell::default();
    static DATABASE: Cell<Option<usize>> = const { Cell::new(None) };
    static PENDING: RefCell<Vec<Pending>> = const { RefCell::new(vec![]) };
    static OBSERVES: Cell<bool> = const { Cell::new(false) };
}

/// To be counted at the commit of the transaction.
struct Pending {
    /// The subtransaction that did it.
    nest: i32,
    what: What,
}

enum What {
    Refreshed(i32, Refreshed),
    /// Changes were removed from the change buffer of a source.
    Pruned(i32, Size),
}

/// The shared memory.
pub fn memory() -> Option<Memory<'static>> {
    shared().map(|shared| shared.counters())
}

/// The messages of processes without a database.
pub fn messages() -> Option<&'static Messages> {
    memory().map(|memory| &memory.server.messages)
}

/// Logs a message, unless it repeats one that was logged: that is counted.
pub fn log(messages: Option<&Messages>, text: &str) {
    let text = messages.map_or_else(|| Some(text.to_owned()), |messages| messages.log(text, bgworker::now()));
    text.into_iter().for_each(|text| pgrx::log!("{text}"));
}

/// Counts an event of the server, such as a hit of a cache.
pub fn count(what: fn(&Server) -> &Counter) {
    memory().into_iter().for_each(|memory| what(memory.server).add(1));
}

/// The row of an object, found or claimed, and whether it is the object's own.
fn row<T: Row>(
    rows: Rows<'static, T>,
    known: &RefCell<HashMap<Key, usize>>,
    id: i32,
    what: &str,
) -> (&'static T, bool) {
    let key = my(id);
    let cached = known.borrow().get(&key).copied().filter(|index| rows.at(*index, key).is_some());
    let index = cached.unwrap_or_else(|| {
        let (index, is_first) = rows.claim(key);
        if is_first {
            let most = guc::counted_rows() - 1;
            pgrx::log!("pg_trickle counts {what} beyond {most} together; raise pg_trickle.max_counted_tables");
        }
        known.borrow_mut().insert(key, index);
        index
    });
    (&rows.rows[index], !rows.is_rest(index))
}

fn my(id: i32) -> Key {
    Key::new(my_database().to_u32(), id)
}

fn table_row(id: i32) -> Option<(&'static TableRow, bool)> {
    memory().map(|memory| TABLES.with(|known| row(memory.tables, known, id, "stream tables")))
}

fn source_row(id: i32) -> Option<(&'static SourceRow, bool)> {
    memory().map(|memory| SOURCES.with(|known| row(memory.sources, known, id, "sources")))
}

/// The row of a stream table of this database. Beyond `pg_trickle.max_counted_tables` several tables share one.
pub fn table(id: i32) -> Option<&'static TableRow> {
    table_row(id).map(|(row, _)| row)
}

/// The row of a stream table of this database, unless it shares one with others: for what describes one table.
pub fn own_table(id: i32) -> Option<&'static TableRow> {
    table_row(id).filter(|(_, is_own)| *is_own).map(|(row, _)| row)
}

/// The same of a source.
pub fn source(id: i32) -> Option<&'static SourceRow> {
    source_row(id).map(|(row, _)| row)
}

/// The same of a source.
pub fn own_source(id: i32) -> Option<&'static SourceRow> {
    source_row(id).filter(|(_, is_own)| *is_own).map(|(row, _)| row)
}

/// What is counted of this database.
pub fn database() -> Option<&'static DatabaseRow> {
    let rows = memory()?.databases;
    let cached = DATABASE.get().and_then(|index| rows.at(index, my(0)));
    cached.or_else(|| {
        let (index, _) = rows.claim(my(0));
        DATABASE.set(Some(index));
        rows.rows.get(index)
    })
}

/// Counts the refresh of a stream table that has been committed, or has failed.
pub fn refreshed(id: i32, refresh: &Refreshed) {
    let now = bgworker::now();
    if let Some(table) = table(id) {
        table.refreshed(refresh, now);
    }
    if let Some(database) = database() {
        database.refreshed(refresh);
    }
}

/// Counts changes that became visible, the oldest of them this long after its commit.
pub fn shown(id: i32, lag: Micros) {
    let now = bgworker::now();
    if let Some(table) = table(id) {
        table.lag.add(lag, now);
    }
    if let Some(database) = database() {
        database.lag.add(lag);
    }
}

/// Counts the changes of a source that this transaction has captured, when it commits or is prepared. Those of a prepared
/// transaction are not pending before COMMIT PREPARED.
pub fn captured(id: i32, size: Size, committed: bool) {
    let Some(source) = source(id) else { return };
    source.captured(size);
    if committed {
        source.pending(size);
    }
}

/// COMMIT PREPARED: the changes of that transaction are pending from now on, and no process has counted them.
pub fn prepared_transaction_committed() {
    database().into_iter().for_each(DatabaseRow::pending_is_unknown);
}

/// Counts the refresh of a stream table when this transaction commits.
pub fn refreshed_at_commit(id: i32, refresh: Refreshed) {
    at_commit(What::Refreshed(id, refresh));
}

/// Counts changes that were removed from the change buffer of a source when this transaction commits.
pub fn pruned_at_commit(id: i32, size: Size) {
    at_commit(What::Pruned(id, size));
}

fn at_commit(what: What) {
    if memory().is_none() {
        return;
    }
    if !OBSERVES.replace(true) {
        xact::observe(on_top, on_sub);
    }
    PENDING.with_borrow_mut(|pending| pending.push(Pending { nest: xact::nest_level(), what }));
}

fn on_top(event: Top) {
    match event {
        Top::PreCommit => {}
        Top::Commit => PENDING.take().into_iter().for_each(|pending| match pending.what {
            What::Refreshed(id, refresh) => refreshed(id, &refresh),
            What::Pruned(id, size) => source(id).into_iter().for_each(|source| source.pruned(size)),
        }),
        Top::Prepared | Top::Abort => drop(PENDING.take()),
    }
}

fn on_sub(event: Sub) {
    let nest = xact::nest_level();
    PENDING.with_borrow_mut(|pending| match event {
        Sub::PreCommit => {}
        Sub::Commit => pending.iter_mut().filter(|it| it.nest >= nest).for_each(|it| it.nest = nest - 1),
        Sub::Abort => pending.retain(|it| it.nest < nest),
    });
}
