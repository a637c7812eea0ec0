//! Event triggers in native code: what one is called with. See `commands/event_trigger.c`.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::{PgSqlErrorCode, pg_sys};

use crate::error::{Error, Result};
use crate::pg::list;
use crate::pg::trigger::{Call, guarded};

thread_local! {
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// A command that has just been run.
pub struct Command<'a> {
    tree: &'a pg_sys::Node,
}

/// Runs the body of an event trigger's function; not for commands of our own.
pub fn enter(call: Call, body: fn(&Command) -> Result<()>) -> pg_sys::Datum {
    guarded(|| {
        // SAFETY: the server calls an event trigger's function with its data as context; anybody else with something
        // else or nothing.
        unsafe {
            let call = call.into_raw();
            let context = (*call).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_EventTriggerData {
                return Err(Error::new(
                    PgSqlErrorCode::ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED,
                    "this function can only be called by an event trigger",
                ));
            }
            (*call).isnull = false;
            let tree = (*context.cast::<pg_sys::EventTriggerData>()).parsetree;
            if OWN.get() > 0 || tree.is_null() { Ok(()) } else { body(&Command { tree: &*tree }) }
        }
    })
}

/// Runs commands of our own, which know what they do.
pub fn own<R>(f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            OWN.set(OWN.get() - 1);
        }
    }
    OWN.set(OWN.get() + 1);
    let _leave = Leave;
    f()
}

impl Command<'_> {
    /// Whether it made a table that has nothing to do with others: most are temporary ones.
    pub fn makes_lone_table(&self) -> bool {
        if self.tree.type_ != pg_sys::NodeTag::T_CreateStmt {
            return false;
        }
        // SAFETY: the tag says what the node is.
        let create = unsafe { &*std::ptr::from_ref(self.tree).cast::<pg_sys::CreateStmt>() };
        // SAFETY: a statement that was parsed has a relation.
        let persistence = unsafe { (*create.relation).relpersistence };
        create.inhRelations.is_null() && persistence as u8 == pg_sys::RELPERSISTENCE_TEMP
    }

    /// Whether it may have made a constraint, or an index that is one.
    pub fn constrains(&self) -> bool {
        use pg_sys::AlterTableType::*;
        let made = [AT_AddColumn, AT_SetNotNull, AT_AddConstraint, AT_AddIndex, AT_AddIndexConstraint];
        match self.tree.type_ {
            pg_sys::NodeTag::T_CreateStmt | pg_sys::NodeTag::T_IndexStmt => true,
            _ => self.alterations().any(|command| made.contains(&command.subtype)),
        }
    }

    /// What ALTER TABLE did.
    fn alterations(&self) -> impl Iterator<Item = &pg_sys::AlterTableCmd> {
        let alters = self.tree.type_ == pg_sys::NodeTag::T_AlterTableStmt;
        // SAFETY: the tag says what the node is; its commands are nodes of one kind.
        unsafe {
            let alter = std::ptr::from_ref(self.tree).cast::<pg_sys::AlterTableStmt>();
            let commands = if alters { (*alter).cmds } else { std::ptr::null_mut() };
            list::pointers::<pg_sys::AlterTableCmd>(commands).map(|command| &*command)
        }
    }

    /// The columns to which ALTER TABLE gave a type, and with it other values maybe.
    pub fn retyped(&self) -> Vec<String> {
        let retypes = |command: &&pg_sys::AlterTableCmd| command.subtype == pg_sys::AlterTableType::AT_AlterColumnType;
        // SAFETY: such a command has a name, which ends.
        let name =
            |command: &pg_sys::AlterTableCmd| unsafe { CStr::from_ptr(command.name) }.to_string_lossy().into_owned();
        self.alterations().filter(retypes).map(name).collect()
    }
}
