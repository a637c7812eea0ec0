//! Triggers in native code: the data of a call, and how they are created and dropped. See `commands/trigger.c`.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::call::{Call, guarded};
use crate::pg::object;
use crate::pg::relation::Open;
use crate::pg::row::Row;
use crate::pg::text::{c_string, palloc};

/// The event that fired a trigger.
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
pub fn enter(call: &Call, body: fn(&Fired) -> Result<()>) -> pg_sys::Datum {
    guarded(|| match call.context(pg_sys::NodeTag::T_TriggerData) {
        Some(data) => body(&Fired { data }),
        None => {
            Err(Error::new(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "this function can only be called by a trigger"))
        }
    })
}

/// Runs the body of a function for BEFORE triggers, which lets rows pass unchanged unless it fails.
pub fn enter_before(call: &Call, body: fn(&Fired) -> Result<()>) -> pg_sys::Datum {
    enter(call, body);
    let Some(data) = call.context::<pg_sys::TriggerData>(pg_sys::NodeTag::T_TriggerData) else {
        return pg_sys::Datum::from(0);
    };
    let (of_row, updates) = (
        data.tg_event & pg_sys::TRIGGER_EVENT_ROW != 0,
        data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE,
    );
    match (of_row, updates) {
        (true, true) => data.tg_newtuple.into(),
        (true, false) => data.tg_trigtuple.into(),
        (false, _) => pg_sys::Datum::from(0),
    }
}

impl<'a> Fired<'a> {
    /// The event of a trigger that fires after each row or after TRUNCATE; an error for others, which have no such rows.
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
                ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "this function can only be called by a trigger that fires after each row, or after TRUNCATE",
            )
            .hint("Drop the trigger: pg_trickle creates those that it needs.")),
        }
    }

    /// The trigger's oid.
    #[inline]
    pub fn trigger(&self) -> pg_sys::Oid {
        // SAFETY: the server fills it in.
        unsafe { (*self.data.tg_trigger).tgoid }
    }

    /// The table of the trigger: of a partition's trigger the partition, not the table named in the statement.
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

    /// The first `width` columns of the row inserted or deleted, or of the old version of the row updated. Only for row
    /// events and up to the number of columns of the table.
    #[inline]
    pub fn row(&self, width: usize) -> Row<'a> {
        // SAFETY: a row trigger has this slot.
        unsafe { Row::of_slot(self.data.tg_trigslot, width) }
    }

    /// The same of the new version of the row updated.
    #[inline]
    pub fn new_row(&self, width: usize) -> Row<'a> {
        // SAFETY: an update has this slot.
        unsafe { Row::of_slot(self.data.tg_newslot, width) }
    }
}

/// A trigger to be created.
pub struct Definition<'a> {
    pub name: &'a str,
    pub argument: Option<&'a str>,
    pub function: pg_sys::Oid,
    /// Before the event, rather than after it.
    pub before: bool,
    /// For each TRUNCATE, rather than for each row that is changed.
    pub truncate: bool,
}

/// Creates a trigger that fires always, also for replicated changes. On a partitioned table a row trigger is created on every
/// partition as well. The caller holds ShareRowExclusiveLock; no privilege is checked.
pub fn create(table: pg_sys::Oid, definition: &Definition) -> Result<pg_sys::Oid> {
    let (name, argument) = (palloc(definition.name)?, definition.argument.map(palloc).transpose()?);
    let events = match definition.truncate {
        true => pg_sys::TRIGGER_TYPE_TRUNCATE,
        false => pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE,
    };
    let timing = if definition.before { pg_sys::TRIGGER_TYPE_BEFORE } else { pg_sys::TRIGGER_TYPE_AFTER };
    let (function, none) = (definition.function, pg_sys::InvalidOid);
    let always = pg_sys::TRIGGER_FIRES_ALWAYS as std::ffi::c_char;
    // SAFETY: a statement node as the parser would make it, in the current memory context.
    let made = unsafe {
        let statement = pg_sys::palloc0(size_of::<pg_sys::CreateTrigStmt>()).cast::<pg_sys::CreateTrigStmt>();
        (*statement).type_ = pg_sys::NodeTag::T_CreateTrigStmt;
        (*statement).trigname = name;
        if let Some(argument) = argument {
            (*statement).args = pg_sys::lappend(null_mut(), pg_sys::makeString(argument).cast());
        }
        (*statement).row = !definition.truncate;
        (*statement).timing = timing as i16;
        (*statement).events = events as i16;
        pg_sys::CreateTriggerFiringOn(
            statement,
            null(),
            table,
            none,
            none,
            none,
            function,
            none,
            null_mut(),
            false,
            false,
            always,
        )
    };
    let how = pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION;
    object::depend_on_extension(pg_sys::TriggerRelationId, made.objectId, how);
    Ok(made.objectId)
}

/// `wanted`, or a name like it that no trigger of the table has.
pub fn free_name(table: pg_sys::Oid, wanted: &str) -> Result<String> {
    let mut name = wanted.to_owned();
    // SAFETY: a lookup by name; the string outlives the call.
    while unsafe { pg_sys::get_trigger_oid(table, c_string(&name)?.as_ptr(), true) } != pg_sys::InvalidOid {
        name.push('_');
    }
    Ok(name)
}

/// Drops a trigger and its copies on partitions. No privilege is checked.
pub fn drop(trigger: pg_sys::Oid) {
    object::drop(pg_sys::TriggerRelationId, trigger);
}

/// Whether a table, which is locked, has a trigger of this name.
pub fn has(table: pg_sys::Oid, name: &str) -> bool {
    any(table, |trigger| name_of(trigger) == name.as_bytes())
}

/// Whether a change of a table, which is locked, runs code of users: a trigger whose name does not start like this, or the actions of
/// foreign keys, which change other tables.
pub fn runs_code(table: pg_sys::Oid, ours: &str) -> bool {
    any(table, |trigger| {
        // SAFETY: a function that compares an oid with those of the server's own triggers.
        let refers = || unsafe { pg_sys::RI_FKey_trigger_type(trigger.tgfoid) } == pg_sys::RI_TRIGGER_PK as i32;
        if trigger.tgisinternal { refers() } else { !name_of(trigger).starts_with(ours.as_bytes()) }
    })
}

fn name_of(trigger: &pg_sys::Trigger) -> &[u8] {
    // SAFETY: a description has a name.
    unsafe { CStr::from_ptr(trigger.tgname) }.to_bytes()
}

fn any(table: pg_sys::Oid, is: impl Fn(&pg_sys::Trigger) -> bool) -> bool {
    let Some(open) = Open::locked(table, pg_sys::NoLock) else { return false };
    // SAFETY: open as long as `open`; the server keeps the triggers of open relations.
    unsafe {
        let Some(triggers) = (*open.0).trigdesc.as_ref() else { return false };
        std::slice::from_raw_parts(triggers.triggers, triggers.numtriggers.max(0) as usize).iter().any(is)
    }
}
