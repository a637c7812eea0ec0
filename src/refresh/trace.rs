//! The statements of a refresh, with their rows and times, recorded where a caller wants to know.

use std::cell::RefCell;
use std::time::Duration;

use ivm::sql::ident::QName;

/// A statement that a refresh ran.
pub struct Ran {
    /// The table that it maintains.
    pub table: QName,
    /// The name of a step, or what is done to the table.
    pub what: String,
    pub law: Option<String>,
    pub rows: i64,
    pub took: Duration,
}

/// The statements of one stream table so far.
struct Trace {
    id: i32,
    ran: Vec<Ran>,
}

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Runs `f`; its result with the statements of the last attempt to refresh stream table `id` in it.
pub fn during<R>(id: i32, f: impl FnOnce() -> R) -> (R, Vec<Ran>) {
    let outer = TRACE.replace(Some(Trace { id, ran: vec![] }));
    let result = f();
    let trace = TRACE.replace(outer);
    (result, trace.map(|trace| trace.ran).unwrap_or_default())
}

/// An attempt begins.
pub fn begin(id: i32) {
    with(id, |trace| trace.ran.clear());
}

/// A statement ran.
pub fn ran(id: i32, statement: impl FnOnce() -> Ran) {
    with(id, |trace| trace.ran.push(statement()));
}

fn with(id: i32, f: impl FnOnce(&mut Trace)) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace.as_mut().filter(|trace| trace.id == id) {
            f(trace);
        }
    });
}
