//! The capture trigger, called once per changed row of a source.

use std::cell::{Cell, RefCell};

use chunk::UNRECORDED;
use pgrx::pg_sys;

use crate::capture::cache::{self, Target};
use crate::capture::pending::Pending;
use crate::error::Result;
use crate::pg::call::{Call, V1, raise};
use crate::pg::row::Row;
use crate::pg::trigger::{Event, Fired, enter};
use crate::pg::xact::{self, Sub, Top};
use crate::pg::{counters, wake};

thread_local! {
    static PENDING: RefCell<Pending> = const { RefCell::new(Pending::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` with the changes that this backend has captured and not yet written.
pub fn with_pending<R>(f: impl FnOnce(&mut Pending) -> R) -> R {
    if !REGISTERED.replace(true) {
        xact::observe(on_top, on_sub);
    }
    PENDING.with_borrow_mut(f)
}

/// The number of the last change for which this transaction maintains stream tables.
#[inline]
pub fn last_change() -> u64 {
    PENDING.with_borrow(Pending::last_change)
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_capture(call: Call) -> pg_sys::Datum {
    enter(&call, capture)
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_capture() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

fn capture(fired: &Fired) -> Result<()> {
    let event = fired.event()?;
    let Some(target) = cache::target(fired)? else { return Ok(()) };
    match event {
        _ if target.to.layout == UNRECORDED => record_loss(&target),
        Event::Insert => record(&target, &fired.row(target.width), 1),
        Event::Delete => record(&target, &fired.row(target.width), -1),
        Event::Update => update(&target, fired),
        Event::Truncate => record_loss(&target),
    }
}

/// Records that a change was not recorded.
pub(super) fn record_loss(target: &Target) -> Result<()> {
    with_pending(|pending| pending.append_unrecorded(&target.to))
}

/// Records a row that was inserted or deleted.
#[inline]
pub(super) fn record(target: &Target, row: &Row, weight: i64) -> Result<()> {
    with_pending(|pending| {
        pending.append(&target.to, 1, |bytes| target.format.append(bytes, row, &target.positions, weight))
    })
}

#[inline]
fn update(target: &Target, fired: &Fired) -> Result<()> {
    let (old, new) = (fired.row(target.width), fired.new_row(target.width));
    let same = target.format.same(&old, &new, &target.positions);
    if same && !target.touch {
        return Ok(());
    }
    with_pending(|pending| {
        if same {
            return pending.append(&target.to, 1, |bytes| Ok(target.format.append_touch(bytes)));
        }
        pending.append(&target.to, 2, |bytes| target.format.append_update(bytes, &old, &new, &target.positions))
    })
}

fn on_top(event: Top) {
    match event {
        Top::PreCommit => {
            or_raise(with_pending(|pending| if pending.has_levels() { pending.flush().map(|_| ()) } else { Ok(()) }))
        }
        Top::Commit | Top::Prepared | Top::Abort => with_pending(|pending| {
            let committed = event == Top::Commit;
            if !pending.touched().is_empty() && event != Top::Abort {
                pending.written().iter().for_each(|it| counters::captured(it.source, it.size, committed));
            }
            if !pending.touched().is_empty() && committed {
                wake::sources_changed(pending.touched());
            }
            if !pending.is_idle() {
                pending.end();
            }
        }),
    }
}

fn on_sub(event: Sub) {
    with_pending(|pending| {
        if pending.is_idle() {
            return;
        }
        let nest = xact::nest_level();
        match event {
            Sub::PreCommit => or_raise(pending.before_sub_commit(nest)),
            Sub::Commit => pending.after_sub_commit(nest),
            Sub::Abort => pending.after_sub_abort(nest),
        }
    });
}

/// Raises an error where no caller takes a result.
fn or_raise(result: Result<()>) {
    if let Err(error) = result {
        raise(error);
    }
}
