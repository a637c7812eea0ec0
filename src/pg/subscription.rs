//! Subscriptions to publications of other servers. See `commands/subscriptioncmds.c`.

use std::ffi::CStr;

use pgrx::pg_sys::AlterSubscriptionType::{
    ALTER_SUBSCRIPTION_ADD_PUBLICATION, ALTER_SUBSCRIPTION_REFRESH, ALTER_SUBSCRIPTION_SET_PUBLICATION,
};
use pgrx::pg_sys::{self, NodeTag};

use crate::error::Result;
use crate::pg::node;
use crate::pg::text::{palloc, string};

mod raw {
    use pgrx::pg_sys;
    unsafe extern "C-unwind" {
        pub fn DropSubscription(statement: *mut pg_sys::DropSubscriptionStmt, is_top_level: bool);
    }
}

/// A subscription that has just got tables.
pub struct Subscribed {
    pub name: String,
    /// The command has created its replication slot on the publisher, where a rollback leaves it.
    made_slot: bool,
}

impl Subscribed {
    /// The subscription to which a command may have added tables.
    pub fn by(tree: &pg_sys::Node) -> Option<Subscribed> {
        let adds = [ALTER_SUBSCRIPTION_SET_PUBLICATION, ALTER_SUBSCRIPTION_ADD_PUBLICATION, ALTER_SUBSCRIPTION_REFRESH];
        let pointer = std::ptr::from_ref(tree);
        // SAFETY: the tag says what the node is; a parsed statement names its subscription.
        unsafe {
            match tree.type_ {
                NodeTag::T_CreateSubscriptionStmt => {
                    let create = &*pointer.cast::<pg_sys::CreateSubscriptionStmt>();
                    let made_slot = is_on(create.options, c"connect") && is_on(create.options, c"create_slot");
                    Some(Subscribed { name: string(create.subname), made_slot })
                }
                NodeTag::T_AlterSubscriptionStmt => {
                    let alter = &*pointer.cast::<pg_sys::AlterSubscriptionStmt>();
                    adds.contains(&alter.kind).then(|| Subscribed { name: string(alter.subname), made_slot: false })
                }
                _ => None,
            }
        }
    }

    /// Drops the slot on the publisher if this command has made it. Only for a command that is rolled back afterwards.
    pub fn drop_slot(&self) -> Result<()> {
        if !self.made_slot {
            return Ok(());
        }
        let subname = palloc(&self.name)?;
        let mut statement =
            pg_sys::DropSubscriptionStmt { type_: NodeTag::T_DropSubscriptionStmt, subname, ..Default::default() };
        // SAFETY: a statement as the parser builds it. A command that makes a slot runs outside of transaction blocks, as
        // this one must.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| raw::DropSubscription(&raw mut statement, true)) };
        Ok(())
    }
}

/// The value of a Boolean option that is on by default.
///
/// # Safety
/// The options of a statement that has been run.
unsafe fn is_on(options: *mut pg_sys::List, name: &CStr) -> bool {
    // SAFETY: by contract, a list of DefElem whose names are NUL-terminated.
    unsafe {
        node::pointers::<pg_sys::DefElem>(options)
            .find(|option| CStr::from_ptr((**option).defname) == name)
            .is_none_or(|option| pg_sys::defGetBoolean(option))
    }
}
