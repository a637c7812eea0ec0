//! The utility hook: says what kind of statement is about to run. See `src/backend/tcop/utility.c`.
//!
//! It looks at parse trees only and looks up nothing that could be missing, so it never fails a statement.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use pgrx::pg_sys::DropBehavior::DROP_CASCADE;
use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::ObjectType::{OBJECT_DATABASE, OBJECT_EXTENSION, OBJECT_SCHEMA, OBJECT_TABLE};
use pgrx::{pg_guard, pg_sys};

use crate::pg::{database, list};

/// What a utility statement means to the workers.
#[derive(Debug, PartialEq, Eq)]
pub struct Utility {
    pub vacates: Option<Room>,
    pub effect: Effect,
    /// The tables that it drops or alters, looked up where they may be stream tables.
    pub tables: Vec<pg_sys::Oid>,
}

/// What a statement needs for itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// A database, by name, without anybody else in it.
    Database(String),
    /// The tables of the extension in this database, which a refresh may hold for long.
    Extension,
}

/// What is different once a utility statement has been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// The list of databases.
    Databases,
    /// Rows written by another transaction are committed.
    CommitPrepared,
    /// There may be a new extension.
    Extension,
    /// Objects that queries may depend on.
    Objects,
}

thread_local! {
    static UNANNOUNCED: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f`, whose utility statements are our own: whoever runs it says what they mean to the workers.
pub fn unannounced<R>(f: impl FnOnce() -> R) -> R {
    struct Leave(u32);
    impl Drop for Leave {
        fn drop(&mut self) {
            UNANNOUNCED.set(self.0);
        }
    }
    let leave = Leave(UNANNOUNCED.get());
    UNANNOUNCED.set(leave.0 + 1);
    f()
}

static BEFORE: OnceLock<fn(&Utility)> = OnceLock::new();
static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Has `before` called ahead of every utility statement.
pub fn install(before: fn(&Utility)) {
    if BEFORE.set(before).is_ok() {
        // SAFETY: run once, by the postmaster alone; the hook chains to what was there.
        unsafe {
            PREVIOUS = pg_sys::ProcessUtility_hook;
            pg_sys::ProcessUtility_hook = Some(process_utility);
        }
    }
}

// Without pgrx's guard: it would turn the errors of every utility statement on the server into copies that
// lack half of what they said.
mod raw {
    use super::{c_char, pg_sys};

    unsafe extern "C-unwind" {
        #[allow(clippy::too_many_arguments)]
        pub fn standard_ProcessUtility(
            statement: *mut pg_sys::PlannedStmt,
            query: *const c_char,
            read_only_tree: bool,
            context: pg_sys::ProcessUtilityContext::Type,
            params: pg_sys::ParamListInfo,
            environment: *mut pg_sys::QueryEnvironment,
            dest: *mut pg_sys::DestReceiver,
            completion: *mut pg_sys::QueryCompletion,
        );
    }
}

/// **Invariant:** nothing in this frame has a destructor, as errors of the statement jump over it.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the arguments are the server's own, passed on unchanged.
    unsafe {
        announce(statement);
        let next = match PREVIOUS {
            Some(previous) => previous,
            None => raw::standard_ProcessUtility,
        };
        next(statement, query, read_only_tree, context, params, environment, dest, completion);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn announce(statement: *mut pg_sys::PlannedStmt) {
    if let Some(before) = BEFORE.get().filter(|_| UNANNOUNCED.get() == 0) {
        // SAFETY: a planned utility statement has a node.
        before(&unsafe { classify((*statement).utilityStmt) });
    }
}

unsafe fn classify(node: *mut pg_sys::Node) -> Utility {
    // SAFETY: the tag says what the node is.
    unsafe {
        let vacates = vacated(node);
        let effect = match (*node).type_ {
            T_CreatedbStmt | T_DropdbStmt | T_AlterDatabaseStmt => Effect::Databases,
            T_RenameStmt if (*node.cast::<pg_sys::RenameStmt>()).renameType == OBJECT_DATABASE => Effect::Databases,
            T_TransactionStmt => {
                let kind = (*node.cast::<pg_sys::TransactionStmt>()).kind;
                match kind == pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED {
                    true => Effect::CommitPrepared,
                    false => Effect::Nothing,
                }
            }
            T_CreateExtensionStmt => Effect::Extension,
            _ if changes_objects(node) => Effect::Objects,
            _ => Effect::Nothing,
        };
        let tables = altered(node);
        Utility { vacates, effect, tables }
    }
}

/// The tables that a statement drops or alters, where there are stream tables.
unsafe fn altered(node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    // SAFETY: the tag says what the node is; names are NUL-terminated or null.
    unsafe {
        if !changes_tables(node) || pg_sys::creating_extension || !database::has_extension() {
            return vec![];
        }
        let of = |relation: *const pg_sys::RangeVar| match relation.is_null() {
            true => vec![],
            false => found((*relation).schemaname, (*relation).relname).into_iter().collect(),
        };
        match (*node).type_ {
            T_AlterTableStmt => of((*node.cast::<pg_sys::AlterTableStmt>()).relation),
            T_RenameStmt => of((*node.cast::<pg_sys::RenameStmt>()).relation),
            T_AlterObjectSchemaStmt => of((*node.cast::<pg_sys::AlterObjectSchemaStmt>()).relation),
            T_DropStmt if (*node.cast::<pg_sys::DropStmt>()).removeType == OBJECT_TABLE => {
                let objects = list::pointers((*node.cast::<pg_sys::DropStmt>()).objects);
                let named = objects.map(|object| list::pointers(object).map(|name| string(name)).collect::<Vec<_>>());
                let oid = |names: Vec<*const c_char>| match names.as_slice() {
                    [name] => found(std::ptr::null(), *name),
                    [schema, name] => found(*schema, *name),
                    _ => None,
                };
                named.filter_map(oid).collect()
            }
            _ => vec![],
        }
    }
}

/// Whether a statement may drop or alter tables by name.
unsafe fn changes_tables(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag is readable in any node.
    matches!(unsafe { (*node).type_ }, T_AlterTableStmt | T_RenameStmt | T_AlterObjectSchemaStmt | T_DropStmt)
}

/// The relation of this name. The look-up never fails, and needs a transaction, in which all these statements run.
unsafe fn found(schema: *const c_char, name: *const c_char) -> Option<pg_sys::Oid> {
    // SAFETY: as above.
    let oid = unsafe {
        match schema.is_null() {
            true => pg_sys::RelnameGetRelid(name),
            false => pg_sys::get_relname_relid(name, pg_sys::get_namespace_oid(schema, true)),
        }
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Where the server wants to be alone.
unsafe fn vacated(node: *mut pg_sys::Node) -> Option<Room> {
    // SAFETY: the tag says what the node is; names are NUL-terminated.
    unsafe {
        let name = match (*node).type_ {
            T_DropdbStmt => (*node.cast::<pg_sys::DropdbStmt>()).dbname.cast_const(),
            T_RenameStmt => {
                let rename = node.cast::<pg_sys::RenameStmt>();
                if (*rename).renameType != OBJECT_DATABASE {
                    return None;
                }
                (*rename).subname.cast_const()
            }
            T_AlterDatabaseStmt => {
                let alter = node.cast::<pg_sys::AlterDatabaseStmt>();
                option((*alter).options, c"tablespace")?;
                (*alter).dbname.cast_const()
            }
            T_CreatedbStmt => {
                let create = node.cast::<pg_sys::CreatedbStmt>();
                option((*create).options, c"template").unwrap_or(c"template1".as_ptr())
            }
            T_DropStmt => return drops_extension(node.cast()).then_some(Room::Extension),
            _ => return None,
        };
        (!name.is_null()).then(|| Room::Database(CStr::from_ptr(name).to_string_lossy().into_owned()))
    }
}

/// The value of an option that is a word; the one that the server names itself counts as none.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*const c_char> {
    // SAFETY: options of database statements are lists of DefElem.
    unsafe {
        list::pointers::<pg_sys::DefElem>(options).find_map(|option| {
            let argument = (*option).arg;
            let wanted = CStr::from_ptr((*option).defname) == name && !argument.is_null();
            (wanted && (*argument).type_ == T_String).then(|| string(argument))
        })
    }
}

unsafe fn string(node: *mut pg_sys::Node) -> *const c_char {
    // SAFETY: called for T_String only.
    unsafe { (*node.cast::<pg_sys::String>()).sval }
}

/// By its own name, or with the schema it lives in.
unsafe fn drops_extension(drop: *mut pg_sys::DropStmt) -> bool {
    // SAFETY: the objects of DROP EXTENSION and DROP SCHEMA are names.
    unsafe {
        let ours = match (*drop).removeType {
            OBJECT_EXTENSION => c"pg_trickle",
            OBJECT_SCHEMA if (*drop).behavior == DROP_CASCADE => c"pgtrickle",
            _ => return false,
        };
        list::pointers((*drop).objects).any(|name| CStr::from_ptr(string(name)) == ours)
    }
}

/// Whether queries may mean something else, or fail, after this statement.
unsafe fn changes_objects(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag says what the node is.
    unsafe {
        match (*node).type_ {
            T_AlterTableStmt => !is_temporary((*node.cast::<pg_sys::AlterTableStmt>()).relation),
            T_RenameStmt => !is_temporary((*node.cast::<pg_sys::RenameStmt>()).relation),
            T_DropStmt => !drops_temporary(node.cast()),
            T_CreateStmt => {
                let create = node.cast::<pg_sys::CreateStmt>();
                !(*create).inhRelations.is_null() && !is_temporary((*create).relation)
            }
            T_ViewStmt => (*node.cast::<pg_sys::ViewStmt>()).replace,
            T_CreateFunctionStmt => (*node.cast::<pg_sys::CreateFunctionStmt>()).replace,
            T_DefineStmt => (*node.cast::<pg_sys::DefineStmt>()).replace,
            T_DropOwnedStmt
            | T_AlterObjectSchemaStmt
            | T_AlterOwnerStmt
            | T_CreateTrigStmt
            | T_RuleStmt
            | T_AlterFunctionStmt
            | T_AlterDomainStmt
            | T_AlterEnumStmt
            | T_AlterTypeStmt
            | T_AlterOperatorStmt
            | T_AlterCollationStmt
            | T_AlterTSConfigurationStmt
            | T_AlterTSDictionaryStmt
            | T_AlterExtensionStmt
            | T_CreatePolicyStmt
            | T_AlterPolicyStmt => true,
            _ => false,
        }
    }
}

/// Whether a relation named in a statement is this session's own. Looked up along the search path, which
/// never fails: applications create and drop temporary tables all day.
unsafe fn is_temporary(relation: *const pg_sys::RangeVar) -> bool {
    // SAFETY: a range variable's names are NUL-terminated or null.
    unsafe {
        !relation.is_null()
            && ((*relation).relpersistence == pg_sys::RELPERSISTENCE_TEMP as c_char
                || is_temporary_name((*relation).schemaname, (*relation).relname))
    }
}

unsafe fn is_temporary_name(schema: *const c_char, name: *const c_char) -> bool {
    // SAFETY: as above; the lookup needs a transaction, in which all these statements run.
    unsafe {
        if !schema.is_null() {
            return CStr::from_ptr(schema) == c"pg_temp";
        }
        let found = pg_sys::RelnameGetRelid(name);
        found != pg_sys::InvalidOid && pg_sys::get_rel_persistence(found) == pg_sys::RELPERSISTENCE_TEMP as c_char
    }
}

unsafe fn drops_temporary(drop: *mut pg_sys::DropStmt) -> bool {
    // SAFETY: the objects of DROP TABLE are lists of names.
    unsafe {
        (*drop).removeType == OBJECT_TABLE
            && list::pointers((*drop).objects).all(|object| {
                let names: Vec<_> = list::pointers(object).map(|name| string(name)).collect();
                match names.as_slice() {
                    [name] => is_temporary_name(std::ptr::null(), *name),
                    [schema, name] => is_temporary_name(*schema, *name),
                    _ => false,
                }
            })
    }
}
