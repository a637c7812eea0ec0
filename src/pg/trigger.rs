//! Row triggers in native code: what one is called with, and making and dropping them. See `commands/trigger.c`.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::relation;
use crate::pg::row::Row;
use crate::pg::spi::c_string;

/// The argument of a function called by the server.
#[repr(transparent)]
pub struct Call(pg_sys::FunctionCallInfo);

impl Call {
    pub fn into_raw(self) -> pg_sys::FunctionCallInfo {
        self.0
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// One call of a trigger.
pub struct Fired<'a> {
    data: &'a pg_sys::TriggerData,
}

/// Runs the body of a trigger function.
#[inline]
pub fn enter(call: Call, body: fn(&Fired) -> Result<()>) -> pg_sys::Datum {
    guarded(|| {
        // SAFETY: the server calls a trigger function with a TriggerData as context; anybody else with
        // something else or nothing.
        unsafe {
            let call = call.into_raw();
            let context = (*call).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                return Err(Error::new(
                    pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                    "this function can only be called by a trigger",
                ));
            }
            (*call).isnull = false;
            body(&Fired { data: &*context.cast::<pg_sys::TriggerData>() })
        }
    })
}

/// Runs the body of a function that the server calls: errors and panics become server errors.
#[inline]
pub fn guarded(body: impl FnOnce() -> Result<()>) -> pg_sys::Datum {
    // SAFETY: on the one thread that a backend has.
    unsafe {
        pg_sys::submodules::panic::pgrx_extern_c_guard(|| match body() {
            Ok(()) => pg_sys::Datum::from(0),
            Err(error) => raise(error),
        })
    }
}

/// Raises an error where there is no caller to return it to.
pub fn raise(error: Error) -> ! {
    pg_sys::panic::ErrorReport::from(error).report(pgrx::PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

impl<'a> Fired<'a> {
    /// What happened, as a trigger learns that fires after rows or after TRUNCATE: others have no rows to give.
    #[inline]
    pub fn event(&self) -> Result<Event> {
        const KIND: u32 = pg_sys::TRIGGER_EVENT_OPMASK | pg_sys::TRIGGER_EVENT_ROW | pg_sys::TRIGGER_EVENT_TIMINGMASK;
        const AFTER_ROW: u32 = pg_sys::TRIGGER_EVENT_ROW | pg_sys::TRIGGER_EVENT_AFTER;
        const INSERT: u32 = pg_sys::TRIGGER_EVENT_INSERT | AFTER_ROW;
        const DELETE: u32 = pg_sys::TRIGGER_EVENT_DELETE | AFTER_ROW;
        const UPDATE: u32 = pg_sys::TRIGGER_EVENT_UPDATE | AFTER_ROW;
        const TRUNCATE: u32 = pg_sys::TRIGGER_EVENT_TRUNCATE | pg_sys::TRIGGER_EVENT_AFTER;
        match self.data.tg_event & KIND {
            INSERT => Ok(Event::Insert),
            DELETE => Ok(Event::Delete),
            UPDATE => Ok(Event::Update),
            TRUNCATE => Ok(Event::Truncate),
            _ => Err(Error::new(
                pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "this function can only be called by a trigger that fires after each row, or after TRUNCATE",
            )
            .hint("Drop the trigger: pg_trickle makes those that it needs.")),
        }
    }

    /// The trigger, which is unique to its table.
    #[inline]
    pub fn trigger(&self) -> pg_sys::Oid {
        // SAFETY: the server fills it in.
        unsafe { (*self.data.tg_trigger).tgoid }
    }

    /// The table the trigger is on: a partition's own, not the one named in the statement.
    pub fn table(&self) -> pg_sys::Oid {
        // SAFETY: open during the call.
        unsafe { (*self.data.tg_relation).rd_id }
    }

    /// The trigger's first argument.
    pub fn argument(&self) -> Option<&'a str> {
        // SAFETY: `tgnargs` NUL-terminated strings that live as long as the call.
        unsafe {
            let trigger = &*self.data.tg_trigger;
            if trigger.tgnargs < 1 {
                return None;
            }
            CStr::from_ptr(*trigger.tgargs).to_str().ok()
        }
    }

    /// The first `width` columns of the row inserted or deleted, or of the old version of one updated.
    /// Only for row events and up to the number of columns of the table.
    #[inline]
    pub fn row(&self, width: usize) -> Row<'a> {
        // SAFETY: a row trigger has this slot.
        unsafe { Row::of_slot(self.data.tg_trigslot, width) }
    }

    /// The same of the new version of a row updated.
    #[inline]
    pub fn new_row(&self, width: usize) -> Row<'a> {
        // SAFETY: an update has this slot.
        unsafe { Row::of_slot(self.data.tg_newslot, width) }
    }
}

/// A trigger to be made.
pub struct Definition<'a> {
    pub name: &'a str,
    pub argument: Option<&'a str>,
    pub function: pg_sys::Oid,
    /// Before it happens, rather than after.
    pub before: bool,
    /// For each TRUNCATE, rather than for each row that is changed.
    pub truncate: bool,
}

/// Makes a trigger that fires always, also for replicated changes. On a partitioned table a row trigger
/// is made on every partition as well. The caller holds ShareRowExclusiveLock; no privilege is checked.
pub fn create(table: pg_sys::Oid, definition: &Definition) -> Result<pg_sys::Oid> {
    let (name, argument) = (c_string(definition.name)?, definition.argument.map(c_string).transpose()?);
    let events = match definition.truncate {
        true => pg_sys::TRIGGER_TYPE_TRUNCATE,
        false => pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE,
    };
    // SAFETY: a statement node as the parser would make it, in the current memory context.
    let made = unsafe {
        let statement = pg_sys::palloc0(size_of::<pg_sys::CreateTrigStmt>()).cast::<pg_sys::CreateTrigStmt>();
        (*statement).type_ = pg_sys::NodeTag::T_CreateTrigStmt;
        (*statement).trigname = pg_sys::pstrdup(name.as_ptr());
        if let Some(argument) = &argument {
            let text = pg_sys::makeString(pg_sys::pstrdup(argument.as_ptr()));
            (*statement).args = pg_sys::lappend(std::ptr::null_mut(), text.cast());
        }
        (*statement).row = !definition.truncate;
        (*statement).timing =
            if definition.before { pg_sys::TRIGGER_TYPE_BEFORE as i16 } else { pg_sys::TRIGGER_TYPE_AFTER as i16 };
        (*statement).events = events as i16;
        let none = pg_sys::InvalidOid;
        pg_sys::CreateTriggerFiringOn(
            statement,
            std::ptr::null(),
            table,
            none,
            none,
            none,
            definition.function,
            none,
            std::ptr::null_mut(),
            false,
            false,
            pg_sys::TRIGGER_FIRES_ALWAYS as std::ffi::c_char,
        )
    };
    relation::depend(pg_sys::TriggerRelationId, made.objectId, pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION)?;
    Ok(made.objectId)
}

/// `wanted`, or a name like it that no trigger of the table has.
pub fn free_name(table: pg_sys::Oid, wanted: &str) -> Result<String> {
    let mut name = wanted.to_owned();
    // SAFETY: a look-up by name; the string outlives the call.
    while unsafe { pg_sys::get_trigger_oid(table, c_string(&name)?.as_ptr(), true) } != pg_sys::InvalidOid {
        name.push('_');
    }
    Ok(name)
}

/// Drops a trigger, and its copies on partitions. No privilege is checked.
pub fn drop(trigger: pg_sys::Oid) {
    let object = pg_sys::ObjectAddress { classId: pg_sys::TriggerRelationId, objectId: trigger, objectSubId: 0 };
    // SAFETY: an existing trigger.
    unsafe { pg_sys::performDeletion(&object, pg_sys::DropBehavior::DROP_RESTRICT, 0) };
}
