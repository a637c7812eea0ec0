//! The utility hook: classifies a statement before it runs. See `tcop/utility.c`.
//!
//! It reads parse trees, and its lookups accept that an object is missing, so it never fails a statement.

use std::ffi::{CStr, c_char};
use std::ptr::null;
use std::sync::OnceLock;

use pgrx::pg_sys::DropBehavior::DROP_CASCADE;
use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::ObjectType::{OBJECT_DATABASE, OBJECT_EXTENSION, OBJECT_SCHEMA, OBJECT_TABLE};
use pgrx::pg_sys::TransactionStmtKind::{TRANS_STMT_BEGIN, TRANS_STMT_COMMIT_PREPARED, TRANS_STMT_START};
use pgrx::pg_sys::VariableSetKind::{VAR_SET_MULTI, VAR_SET_VALUE};
use pgrx::{pg_guard, pg_sys};

use crate::pg::text::string;
use crate::pg::wake::Change;
use crate::pg::writes::{self, Needs};
use crate::pg::{database, dml, event, maintaining, node, reading};

/// What a utility statement means to the workers.
#[derive(Debug, PartialEq, Eq)]
pub struct Utility {
    pub vacates: Option<Vacated>,
    /// What has changed once it is committed.
    pub change: Option<Change>,
    /// The tables that it drops or alters, looked up where they may be stream tables.
    pub tables: Vec<pg_sys::Oid>,
    /// It drops them.
    pub drops: bool,
    /// It begins a transaction that keeps its first snapshot, which must see this.
    pub fixes_snapshot: Option<Needs>,
}

/// What our workers have to leave before a statement runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Vacated {
    /// A database, by name, in which the server accepts no other session.
    Database(String),
    /// This database, because a refresh may hold locks on the tables of the extension for long.
    Extension,
}

static BEFORE: OnceLock<fn(&Utility)> = OnceLock::new();
static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Has `before` called ahead of every utility statement, except for our own.
pub fn install(before: fn(&Utility)) {
    if BEFORE.set(before).is_ok() {
        // SAFETY: run once, by the postmaster alone; the hook chains to the one before it.
        unsafe {
            PREVIOUS = pg_sys::ProcessUtility_hook;
            pg_sys::ProcessUtility_hook = Some(process_utility);
        }
    }
}

// Without pgrx's guard, which would replace the errors of every utility statement on the server by incomplete copies.
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
        let mut change = None;
        announce(statement, &raw mut change);
        if !read_only_tree {
            omit_state(statement);
        }
        let moved = prepare_copy(statement);
        let next = PREVIOUS.unwrap_or(raw::standard_ProcessUtility);
        // Scripts and event triggers run while the catalog has only a part of the change.
        let writes = matches!(change, Some(Change::Everything | Change::Catalog)) || is_copy_from(statement);
        if writes {
            dml::open();
        }
        next(statement, query, read_only_tree, context, params, environment, dest, completion);
        if writes {
            dml::close();
            if change == Some(Change::Everything) {
                maintaining::redefined();
            }
            maintaining::after_statement();
        }
        if moved {
            pg_sys::PopActiveSnapshot();
        }
    }
}

/// Whether a statement writes the rows of a table, as those of the executor do.
unsafe fn is_copy_from(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: a planned utility statement has a node, whose tag says what it is.
    unsafe {
        let parsed = (*statement).utilityStmt;
        (*parsed).type_ == T_CopyStmt && (*parsed.cast::<pg_sys::CopyStmt>()).is_from
    }
}

/// Has `before` called, and says what the statement changes.
#[pg_guard]
unsafe extern "C-unwind" fn announce(statement: *mut pg_sys::PlannedStmt, changes: *mut Option<Change>) {
    let Some(before) = BEFORE.get().filter(|_| !event::is_own()) else { return };
    // SAFETY: a planned utility statement has a node.
    let statement = Statement(unsafe { &*(*statement).utilityStmt });
    let (tables, drops) = (statement.altered(), statement.0.type_ == T_DropStmt);
    let fixes_snapshot = writes::needs().filter(|_| statement.fixes_snapshot());
    let change = statement.change();
    before(&Utility { vacates: statement.vacates(), change, tables, drops, fixes_snapshot });
    // SAFETY: a variable of the caller.
    unsafe { *changes = change };
}

/// Prepares COPY of a table, which has no plan; whether it gets a later snapshot.
#[pg_guard]
unsafe extern "C-unwind" fn prepare_copy(statement: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: a planned utility statement has a node, whose tag says what it is.
    unsafe {
        let parsed = (*statement).utilityStmt;
        if (*parsed).type_ != T_CopyStmt {
            return false;
        }
        let copy = &*parsed.cast::<pg_sys::CopyStmt>();
        let table = copy.relation.as_ref().filter(|_| !copy.is_from);
        let table = table.and_then(|table| find((table.schemaname.cast_const(), table.relname.cast_const())));
        let waits = |table| writes::needs().is_some_and(|needs| reading::prepare_command(table, needs));
        table.is_some_and(|table| maintaining::prepare_command(table) || waits(table))
    }
}

/// Makes pg_dump read no rows of internal nodes: a refresh computes them, and they may be as large as the tables of users.
#[pg_guard]
unsafe extern "C-unwind" fn omit_state(statement: *mut pg_sys::PlannedStmt) {
    // SAFETY: a planned utility statement has a node, whose tag says what it is; only this call uses the tree.
    unsafe {
        let parsed = (*statement).utilityStmt;
        if (*parsed).type_ != T_CopyStmt || CStr::from_ptr(pg_sys::application_name) != c"pg_dump" {
            return;
        }
        let copy = &mut *parsed.cast::<pg_sys::CopyStmt>();
        let Some(relation) = copy.relation.as_ref().filter(|_| !copy.is_from) else { return };
        if relation.schemaname.is_null() || CStr::from_ptr(relation.schemaname) != c"pgtrickle_state" {
            return;
        }
        let nothing = pg_sys::pg_parse_query(c"select where false".as_ptr());
        copy.query = node::pointers::<pg_sys::RawStmt>(nothing).next().map_or(std::ptr::null_mut(), |raw| (*raw).stmt);
        copy.relation = std::ptr::null_mut();
        copy.attlist = std::ptr::null_mut();
    }
}

/// The node of a utility statement.
struct Statement<'a>(&'a pg_sys::Node);

/// A name as it stands in a statement: schema, which may be null, and relation.
type Name = (*const c_char, *const c_char);

impl Statement<'_> {
    /// The statement as what its tag says it is.
    fn as_ref<T>(&self) -> &T {
        // SAFETY: callers have checked the tag.
        unsafe { &*std::ptr::from_ref(self.0).cast::<T>() }
    }

    fn change(&self) -> Option<Change> {
        match self.0.type_ {
            T_CreatedbStmt | T_DropdbStmt | T_AlterDatabaseStmt => Some(Change::Databases),
            T_RenameStmt if self.as_ref::<pg_sys::RenameStmt>().renameType == OBJECT_DATABASE => {
                Some(Change::Databases)
            }
            T_CreateExtensionStmt => Some(Change::Catalog),
            // It commits rows that another session has written.
            T_TransactionStmt => {
                let kind = self.as_ref::<pg_sys::TransactionStmt>().kind;
                (kind == TRANS_STMT_COMMIT_PREPARED).then_some(Change::Rows)
            }
            _ => self.changes_objects().then_some(Change::Everything),
        }
    }

    /// Whether queries may return another result, or fail, after this statement.
    fn changes_objects(&self) -> bool {
        match self.0.type_ {
            // Applications create and drop temporary tables all the time.
            T_AlterTableStmt | T_RenameStmt | T_DropStmt => {
                let tables = self.tables();
                tables.is_empty() || !tables.into_iter().all(is_temporary)
            }
            T_CreateStmt => {
                let create = self.as_ref::<pg_sys::CreateStmt>();
                // SAFETY: a parsed statement names its relation.
                let relation = unsafe { &*create.relation };
                let temporary = relation.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP;
                !create.inhRelations.is_null() && !temporary && !is_temporary((relation.schemaname, relation.relname))
            }
            T_ViewStmt => self.as_ref::<pg_sys::ViewStmt>().replace,
            T_CreateFunctionStmt => self.as_ref::<pg_sys::CreateFunctionStmt>().replace,
            T_DefineStmt => self.as_ref::<pg_sys::DefineStmt>().replace,
            tag => [
                T_DropOwnedStmt,
                T_AlterObjectSchemaStmt,
                T_AlterOwnerStmt,
                T_CreateTrigStmt,
                T_RuleStmt,
                T_AlterFunctionStmt,
                T_AlterDomainStmt,
                T_AlterEnumStmt,
                T_AlterTypeStmt,
                T_AlterOperatorStmt,
                T_AlterCollationStmt,
                T_AlterTSConfigurationStmt,
                T_AlterTSDictionaryStmt,
                T_AlterExtensionStmt,
                T_CreatePolicyStmt,
                T_AlterPolicyStmt,
            ]
            .contains(&tag),
        }
    }

    /// Whether it begins a transaction, or changes one, that keeps its first snapshot.
    fn fixes_snapshot(&self) -> bool {
        let (level, default) = match self.0.type_ {
            T_TransactionStmt => {
                let begin = self.as_ref::<pg_sys::TransactionStmt>();
                if ![TRANS_STMT_BEGIN, TRANS_STMT_START].contains(&begin.kind) {
                    return false;
                }
                // SAFETY: a plain variable of this backend.
                let keeps = unsafe { pg_sys::DefaultXactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 };
                (constant(begin.options, c"transaction_isolation"), keeps)
            }
            T_VariableSetStmt => {
                let set = self.as_ref::<pg_sys::VariableSetStmt>();
                // SAFETY: a setting has a name, and a value that is set; the arguments of SET TRANSACTION are its options.
                let (is_transaction, is_level) = unsafe {
                    let name = set.name.as_ref().map(|name| CStr::from_ptr(name));
                    (name == Some(c"TRANSACTION"), name == Some(c"transaction_isolation"))
                };
                let level = match set.kind {
                    VAR_SET_MULTI if is_transaction => constant(set.args, c"transaction_isolation"),
                    // SAFETY: as above.
                    VAR_SET_VALUE if is_level => unsafe { node::pointers(set.args).next() }.and_then(text),
                    _ => None,
                };
                (level, false)
            }
            _ => return false,
        };
        // SAFETY: NUL-terminated text of the statement.
        level.map_or(default, |level| {
            let level = unsafe { CStr::from_ptr(level) };
            [c"repeatable read", c"serializable"]
                .iter()
                .any(|keeps| level.to_bytes().eq_ignore_ascii_case(keeps.to_bytes()))
        })
    }

    /// The names of the tables that a statement drops or alters.
    fn tables(&self) -> Vec<Name> {
        let relation: *const pg_sys::RangeVar = match self.0.type_ {
            T_AlterTableStmt => self.as_ref::<pg_sys::AlterTableStmt>().relation,
            T_RenameStmt => self.as_ref::<pg_sys::RenameStmt>().relation,
            T_AlterObjectSchemaStmt => self.as_ref::<pg_sys::AlterObjectSchemaStmt>().relation,
            T_DropStmt if self.as_ref::<pg_sys::DropStmt>().removeType == OBJECT_TABLE => {
                // SAFETY: the objects of DROP TABLE are lists of names.
                let names =
                    |object| match unsafe { node::pointers(object).map(|name| word(name)) }.collect::<Vec<_>>()[..] {
                        [name] => Some((null(), name)),
                        [schema, name] => Some((schema, name)),
                        _ => None,
                    };
                // SAFETY: as above.
                return unsafe { node::pointers(self.as_ref::<pg_sys::DropStmt>().objects) }
                    .filter_map(names)
                    .collect();
            }
            _ => null(),
        };
        // SAFETY: null, or a node of the statement.
        unsafe { relation.as_ref() }
            .map(|relation| (relation.schemaname.cast_const(), relation.relname.cast_const()))
            .into_iter()
            .collect()
    }

    /// The tables that a statement drops or alters, where there may be stream tables.
    fn altered(&self) -> Vec<pg_sys::Oid> {
        let tables = self.tables();
        // SAFETY: a plain variable of this backend.
        if tables.is_empty() || unsafe { pg_sys::creating_extension } || database::extension().is_none() {
            return vec![];
        }
        tables.into_iter().filter_map(find).collect()
    }

    fn vacates(&self) -> Option<Vacated> {
        let name = match self.0.type_ {
            T_DropdbStmt => self.as_ref::<pg_sys::DropdbStmt>().dbname,
            T_RenameStmt if self.as_ref::<pg_sys::RenameStmt>().renameType == OBJECT_DATABASE => {
                self.as_ref::<pg_sys::RenameStmt>().subname
            }
            T_AlterDatabaseStmt => {
                let alter = self.as_ref::<pg_sys::AlterDatabaseStmt>();
                option(alter.options, c"tablespace").map(|_| alter.dbname)?
            }
            T_CreatedbStmt => {
                let template = option(self.as_ref::<pg_sys::CreatedbStmt>().options, c"template");
                template.unwrap_or(c"template1".as_ptr()).cast_mut()
            }
            T_DropStmt => return self.drops_extension().then_some(Vacated::Extension),
            _ => return None,
        };
        (!name.is_null()).then(|| Vacated::Database(string(name)))
    }

    /// Whether it drops our extension, by its own name or with its schema.
    fn drops_extension(&self) -> bool {
        let drop = self.as_ref::<pg_sys::DropStmt>();
        let ours = match drop.removeType {
            OBJECT_EXTENSION => super::EXTENSION,
            OBJECT_SCHEMA if drop.behavior == DROP_CASCADE => c"pgtrickle",
            _ => return false,
        };
        // SAFETY: the objects of DROP EXTENSION and DROP SCHEMA are names.
        unsafe { node::pointers(drop.objects).any(|name| CStr::from_ptr(word(name)) == ours) }
    }
}

/// The value of an option that is a constant, as those of a transaction are.
fn constant(options: *mut pg_sys::List, name: &CStr) -> Option<*const c_char> {
    // SAFETY: such options are lists of DefElem, whose names are NUL-terminated.
    unsafe {
        let found =
            node::pointers::<pg_sys::DefElem>(options).find(|option| CStr::from_ptr((**option).defname) == name);
        found.and_then(|option| text((*option).arg))
    }
}

/// The text of a constant, if it is one.
fn text(constant: *mut pg_sys::Node) -> Option<*const c_char> {
    // SAFETY: a node or NULL, whose tag says what it is.
    unsafe {
        let constant = constant.as_ref().filter(|node| node.type_ == T_A_Const)?;
        let value = &(*std::ptr::from_ref(constant).cast::<pg_sys::A_Const>()).val;
        (value.node.type_ == T_String).then_some(value.sval.sval.cast_const())
    }
}

/// The value of an option of a database statement, if it is a word.
fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*const c_char> {
    // SAFETY: such options are lists of DefElem, whose names are NUL-terminated.
    unsafe {
        node::pointers::<pg_sys::DefElem>(options).find_map(|option| {
            let argument = (*option).arg;
            let wanted = CStr::from_ptr((*option).defname) == name && !argument.is_null();
            (wanted && (*argument).type_ == T_String).then(|| word(argument))
        })
    }
}

/// # Safety
/// The node is a T_String.
unsafe fn word(node: *mut pg_sys::Node) -> *const c_char {
    // SAFETY: by contract.
    unsafe { (*node.cast::<pg_sys::String>()).sval }
}

/// The relation of this name. Needs a transaction, in which all statements with such names run.
fn find((schema, name): Name) -> Option<pg_sys::Oid> {
    // SAFETY: lookups of NUL-terminated names; InvalidOid where there is no such schema or relation.
    let oid = unsafe {
        match schema.is_null() {
            true => pg_sys::RelnameGetRelid(name),
            false => pg_sys::get_relname_relid(name, pg_sys::get_namespace_oid(schema, true)),
        }
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// Whether a relation is this session's own temporary one.
fn is_temporary(name: Name) -> bool {
    let (schema, _) = name;
    // SAFETY: a NUL-terminated name; an existing relation.
    unsafe {
        match schema.is_null() {
            true => find(name).is_some_and(|oid| pg_sys::get_rel_persistence(oid) as u8 == pg_sys::RELPERSISTENCE_TEMP),
            false => CStr::from_ptr(schema) == c"pg_temp",
        }
    }
}
