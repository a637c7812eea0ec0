//! Event triggers in native code: the command that fired one. See `commands/event_trigger.c`.

use std::cell::Cell;

use pgrx::PgSqlErrorCode::ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED;
use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::call::{Call, guarded};
use crate::pg::defer::Defer;
use crate::pg::node;
use crate::pg::subscription::Subscribed;
use crate::pg::text::string;

thread_local! {
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// A command that has just been run.
pub struct Command<'a> {
    tree: &'a pg_sys::Node,
}

/// Runs the body of an event trigger's function, except for commands of our own.
pub fn enter(call: &Call, body: fn(&Command) -> Result<()>) -> pg_sys::Datum {
    guarded(|| {
        let Some(data) = call.context::<pg_sys::EventTriggerData>(pg_sys::NodeTag::T_EventTriggerData) else {
            let what = "this function can only be called by an event trigger";
            return Err(Error::new(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED, what));
        };
        // SAFETY: null, or the tree of the command.
        match unsafe { data.parsetree.as_ref() } {
            Some(tree) if !is_own() => body(&Command { tree }),
            _ => Ok(()),
        }
    })
}

/// Whether commands of our own are running.
pub fn is_own() -> bool {
    OWN.get() > 0
}

/// Runs commands of our own: neither the event trigger nor the utility hook acts on them.
pub fn own<R>(f: impl FnOnce() -> R) -> R {
    OWN.set(OWN.get() + 1);
    let _leave = Defer(|| OWN.set(OWN.get() - 1));
    f()
}

impl Command<'_> {
    /// Whether it created a temporary table without parents, as applications do all the time.
    pub fn creates_temporary_table(&self) -> bool {
        if self.tree.type_ != pg_sys::NodeTag::T_CreateStmt {
            return false;
        }
        // SAFETY: the tag says what the node is; a parsed statement names its relation.
        unsafe {
            let create = &*std::ptr::from_ref(self.tree).cast::<pg_sys::CreateStmt>();
            create.inhRelations.is_null() && (*create.relation).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP
        }
    }

    /// The subscription to which it may have added tables.
    pub fn subscribed(&self) -> Option<Subscribed> {
        Subscribed::by(self.tree)
    }

    /// Whether it created a trigger.
    pub fn creates_trigger(&self) -> bool {
        self.tree.type_ == pg_sys::NodeTag::T_CreateTrigStmt
    }

    /// Whether it may have attached a table to another one or detached it, in one transaction.
    pub fn changes_children(&self) -> bool {
        use pg_sys::AlterTableType::*;
        if self.tree.type_ == pg_sys::NodeTag::T_CreateStmt {
            // SAFETY: the tag says what the node is.
            return unsafe { !(*std::ptr::from_ref(self.tree).cast::<pg_sys::CreateStmt>()).inhRelations.is_null() };
        }
        let changes = [AT_AttachPartition, AT_DetachPartition, AT_AddInherit, AT_DropInherit];
        // SAFETY: this action has such a definition.
        let twice = |command: &pg_sys::AlterTableCmd| unsafe {
            command.subtype == AT_DetachPartition && (*command.def.cast::<pg_sys::PartitionCmd>()).concurrent
        };
        self.alterations().any(|command| changes.contains(&command.subtype) && !twice(command))
    }

    /// Whether it may have created a constraint, or an index that is one.
    pub fn creates_constraint(&self) -> bool {
        use pg_sys::AlterTableType::*;
        let made = [AT_AddColumn, AT_SetNotNull, AT_AddConstraint, AT_AddIndex, AT_AddIndexConstraint];
        match self.tree.type_ {
            pg_sys::NodeTag::T_CreateStmt | pg_sys::NodeTag::T_IndexStmt => true,
            _ => self.alterations().any(|command| made.contains(&command.subtype)),
        }
    }

    /// The actions of ALTER TABLE.
    fn alterations(&self) -> impl Iterator<Item = &pg_sys::AlterTableCmd> {
        let alters = self.tree.type_ == pg_sys::NodeTag::T_AlterTableStmt;
        // SAFETY: the tag says what the node is; its commands are nodes of one kind.
        unsafe {
            let alter = std::ptr::from_ref(self.tree).cast::<pg_sys::AlterTableStmt>();
            let commands = if alters { (*alter).cmds } else { std::ptr::null_mut() };
            node::pointers::<pg_sys::AlterTableCmd>(commands).map(|command| &*command)
        }
    }

    /// The columns whose type ALTER TABLE changed, and with it possibly their values.
    pub fn retyped(&self) -> Vec<String> {
        let retypes = |command: &&pg_sys::AlterTableCmd| command.subtype == pg_sys::AlterTableType::AT_AlterColumnType;
        self.alterations().filter(retypes).map(|command| string(command.name)).collect()
    }
}
