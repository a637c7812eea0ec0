//! Locks, names and dependencies of database objects. See `storage/lmgr/README` and
//! `catalog/dependency.c`.

use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE;
use pgrx::pg_sys::{self, Oid};

use crate::error::{Error, Result};
use crate::pg::guard;
use crate::pg::spi::c_string;

/// The fourth field of our advisory lock tags: users' own advisory locks have 1 or 2 there.
const LOCK_CLASS: u16 = 7;

/// What is locked, by an id of our own.
#[derive(Clone, Copy, Debug)]
enum Lock {
    /// Refreshes of a stream table.
    StreamTable(i32),
    /// The change rows of a source.
    Source(i32),
}

impl Lock {
    fn tag(self) -> pg_sys::LOCKTAG {
        let (kind, id) = match self {
            Lock::StreamTable(id) => (0, id),
            Lock::Source(id) => (1, id),
        };
        pg_sys::LOCKTAG {
            // SAFETY: plain state of this backend.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: kind,
            locktag_field3: id as u32,
            locktag_field4: LOCK_CLASS,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }

    /// Until the end of the transaction; false if it would have to wait and must not.
    fn take(self, mode: u32, wait: bool) -> bool {
        // SAFETY: the tag outlives the call; the lock goes with the transaction.
        let taken = unsafe { pg_sys::LockAcquire(&self.tag(), mode as i32, false, !wait) };
        taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Whether another transaction, a prepared one included, holds it at this moment.
    fn is_held_elsewhere(self) -> bool {
        let taken = self.take(pg_sys::ExclusiveLock, false);
        if taken {
            // SAFETY: just taken, in this mode.
            unsafe { pg_sys::LockRelease(&self.tag(), pg_sys::ExclusiveLock as i32, false) };
        }
        !taken
    }
}

/// Takes the refresh lock of a stream table until the end of the transaction.
pub fn lock_stream_table(id: i32) {
    Lock::StreamTable(id).take(pg_sys::ExclusiveLock, true);
}

/// The same where that needs no waiting; false elsewhere.
pub fn try_lock_stream_table(id: i32) -> bool {
    Lock::StreamTable(id).take(pg_sys::ExclusiveLock, false)
}

/// Whether another transaction refreshes, alters or drops a stream table at this moment.
pub fn is_stream_table_busy(id: i32) -> bool {
    Lock::StreamTable(id).is_held_elsewhere()
}

/// Keeps the change rows of a source from being pruned until the end of the transaction.
pub fn keep_changes(source: i32) {
    Lock::Source(source).take(pg_sys::ShareLock, true);
}

/// Whether another transaction wants the change rows of a source kept.
pub fn are_changes_kept(source: i32) -> bool {
    Lock::Source(source).is_held_elsewhere()
}

/// The qualified name of a relation.
pub fn name(relid: Oid) -> QName {
    // SAFETY: look-ups by oid that return NULL for what does not exist; strings are copied at once.
    unsafe {
        let text = |pointer: *mut std::ffi::c_char| match pointer.is_null() {
            true => String::new(),
            false => std::ffi::CStr::from_ptr(pointer).to_string_lossy().into_owned(),
        };
        let schema = text(pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid)));
        QName::qualified(schema, text(pg_sys::get_rel_name(relid)))
    }
}

/// Whether the current role has the privileges of the owner of a relation, a database or an extension, which exists.
/// Takes no lock.
pub fn owns(class: Oid, object: Oid) -> bool {
    let user = guard::current_role();
    // SAFETY: catalog look-ups by oid; an error where there is no such object.
    unsafe {
        #[cfg(feature = "pg15")]
        return match class {
            pg_sys::RelationRelationId => pg_sys::pg_class_ownercheck(object, user),
            pg_sys::DatabaseRelationId => pg_sys::pg_database_ownercheck(object, user),
            _ => pg_sys::pg_extension_ownercheck(object, user),
        };
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(class, object, user);
    }
}

/// Whether row security hides rows of `relid` from `role`.
pub fn is_row_secured(relid: Oid, role: Oid) -> bool {
    // SAFETY: catalog look-up by oid.
    unsafe { pg_sys::check_enable_rls(relid, role, true) == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 }
}

/// Whether there is such a role.
pub fn is_role(role: Oid) -> bool {
    // SAFETY: a look-up by oid; NULL for what does not exist.
    !unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null()
}

/// A role's name, quoted where needed.
pub fn role_name(role: Oid) -> String {
    // SAFETY: an existing role; the string is copied at once.
    let name = unsafe { std::ffi::CStr::from_ptr(pg_sys::GetUserNameFromId(role, false)) };
    pgrx::spi::quote_identifier(name.to_string_lossy())
}

/// The relation with this name, under the current search path if it has no schema.
pub fn find(name: &QName) -> Result<Option<Oid>> {
    let parsed = range(name)?;
    // SAFETY: a fresh RangeVar; a missing relation gives InvalidOid.
    let oid = unsafe {
        pg_sys::RangeVarGetRelidExtended(
            parsed,
            pg_sys::NoLock as i32,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    };
    Ok((oid != pg_sys::InvalidOid).then_some(oid))
}

/// The relation with this name, which must exist.
pub fn oid(name: &QName) -> Result<Oid> {
    find(name)?.ok_or_else(|| Error::new(ERRCODE_UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))
}

/// The name as the server's parser would give it.
pub(super) fn range(name: &QName) -> Result<*mut pg_sys::RangeVar> {
    let schema = name.schema.as_ref().map(|schema| c_string(schema.as_str())).transpose()?;
    let relation = c_string(name.name.as_str())?;
    // SAFETY: copies of the names in server memory.
    unsafe {
        let schema = schema.map_or(std::ptr::null_mut(), |schema| pg_sys::pstrdup(schema.as_ptr()));
        Ok(pg_sys::makeRangeVar(schema, pg_sys::pstrdup(relation.as_ptr()), -1))
    }
}

/// Splits a name as a user wrote it: `table`, `schema.table`, quoted or not.
pub fn split_name(text: &str) -> Result<QName> {
    let c_text = c_string(text)?;
    // SAFETY: a list of one to three strings, copied at once; bad syntax raises a server ERROR.
    unsafe {
        let list = pg_sys::stringToQualifiedNameList(
            c_text.as_ptr(),
            #[cfg(not(feature = "pg15"))]
            std::ptr::null_mut(),
        );
        let range = pg_sys::makeRangeVarFromNameList(list);
        let text = |pointer: *mut std::ffi::c_char| std::ffi::CStr::from_ptr(pointer).to_string_lossy().into_owned();
        match (*range).schemaname.is_null() {
            true => Ok(QName::bare(text((*range).relname))),
            false => Ok(QName::qualified(text((*range).schemaname), text((*range).relname))),
        }
    }
}

/// The schema in which a new table without schema would be made.
pub fn creation_schema() -> Result<String> {
    // SAFETY: plain look-up; InvalidOid when the path names no schema.
    unsafe {
        let list = pg_sys::fetch_search_path(false);
        let schema = match list.is_null() || (*list).length == 0 {
            true => pg_sys::InvalidOid,
            false => (*(*list).elements).oid_value,
        };
        if schema == pg_sys::InvalidOid {
            return Err(Error::new(
                pgrx::PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
                "no schema has been selected to create in",
            ));
        }
        Ok(std::ffi::CStr::from_ptr(pg_sys::get_namespace_name(schema)).to_string_lossy().into_owned())
    }
}

/// Whether a schema is for temporary objects, of whatever session.
pub fn is_temporary(schema: &str) -> Result<bool> {
    let name = c_string(schema)?;
    // SAFETY: look-ups by name and oid; InvalidOid, which is no such schema, for what does not exist.
    Ok(schema == "pg_temp" || unsafe { pg_sys::isAnyTempNamespace(pg_sys::get_namespace_oid(name.as_ptr(), true)) })
}

/// Makes `part` an internal part of `whole`: it cannot be dropped alone and goes with it. Whatever the
/// part depends on then guards the whole.
pub fn depend_internally(part: Oid, whole: Oid) {
    let address = |oid| pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: oid, objectSubId: 0 };
    // SAFETY: two existing relations.
    unsafe {
        pg_sys::recordDependencyOn(&address(part), &address(whole), pg_sys::DependencyType::DEPENDENCY_INTERNAL);
        pg_sys::CommandCounterIncrement();
    }
}

/// A name that no relation in the schema of `relid` has: after `relid`, with `label` behind it, and a number if need be.
pub fn free_name(relid: Oid, label: &str) -> Result<Ident> {
    let label = c_string(label)?;
    // SAFETY: an existing relation; the server's copies of the names are read at once.
    unsafe {
        let (table, schema) = (pg_sys::get_rel_name(relid), pg_sys::get_rel_namespace(relid));
        let name = pg_sys::ChooseRelationName(table, std::ptr::null(), label.as_ptr(), schema, false);
        Ok(Ident::new(std::ffi::CStr::from_ptr(name).to_string_lossy()))
    }
}

/// Drops a relation that is an internal part of another, leaving the whole, with all that depends on it.
pub fn drop_internal(part: Oid) {
    drop_part(part, pg_sys::DropBehavior::DROP_CASCADE);
}

/// Drops an index that is an internal part of its table. An error where something of a user depends on it.
pub fn drop_index(part: Oid) {
    drop_part(part, pg_sys::DropBehavior::DROP_RESTRICT);
}

fn drop_part(part: Oid, behaviour: pg_sys::DropBehavior::Type) {
    let address = pg_sys::ObjectAddress { classId: pg_sys::RelationRelationId, objectId: part, objectSubId: 0 };
    // SAFETY: an existing relation; the dependency row that forbids dropping it alone goes first.
    unsafe {
        pg_sys::deleteDependencyRecordsForClass(
            pg_sys::RelationRelationId,
            part,
            pg_sys::RelationRelationId,
            pg_sys::DependencyType::DEPENDENCY_INTERNAL as std::ffi::c_char,
        );
        pg_sys::CommandCounterIncrement();
        pg_sys::performDeletion(&address, behaviour, pg_sys::PERFORM_DELETION_INTERNAL as i32);
        pg_sys::CommandCounterIncrement();
    }
}
