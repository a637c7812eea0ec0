//! Names, owners and dependencies of database objects. See `catalog/namespace.c` and `catalog/dependency.c`.

use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode::{ERRCODE_INVALID_SCHEMA_NAME, ERRCODE_UNDEFINED_TABLE};
use pgrx::pg_sys::{self, Oid, RelationRelationId};

use crate::error::{Error, Result};
use crate::pg::text::{c_string, palloc, string};
use crate::pg::{guard, node};

/// The qualified name of a relation; empty if it was dropped.
pub fn name(relid: Oid) -> QName {
    // SAFETY: lookups by oid that return NULL for what does not exist.
    let (schema, name) =
        unsafe { (pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relid)), pg_sys::get_rel_name(relid)) };
    QName::qualified(string(schema), string(name))
}

/// Whether the current role has the privileges of the owner of a relation, a database or an extension, which exists.
/// Takes no lock.
pub fn owns(class: Oid, object: Oid) -> bool {
    let user = guard::current_role();
    // SAFETY: catalog lookups by oid; an error where there is no such object.
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
    // SAFETY: catalog lookup by oid.
    unsafe { pg_sys::check_enable_rls(relid, role, true) == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 }
}

/// Whether there is such a role.
pub fn is_role(role: Oid) -> bool {
    // SAFETY: a lookup by oid; NULL for what does not exist.
    !unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null()
}

/// The name of an existing role, quoted where needed.
pub fn role_name(role: Oid) -> String {
    // SAFETY: a lookup by oid; an error where there is no such role.
    pgrx::spi::quote_identifier(string(unsafe { pg_sys::GetUserNameFromId(role, false) }))
}

/// The relation with this name, under the current search path if it has no schema.
pub fn find(name: &QName) -> Result<Option<Oid>> {
    let (range, no_lock) = (range(name)?, pg_sys::NoLock as i32);
    let missing_ok = pg_sys::RVROption::RVR_MISSING_OK;
    // SAFETY: a new RangeVar; InvalidOid for a relation that is missing.
    let oid = unsafe { pg_sys::RangeVarGetRelidExtended(range, no_lock, missing_ok, None, std::ptr::null_mut()) };
    Ok((oid != pg_sys::InvalidOid).then_some(oid))
}

/// The relation with this name, which must exist.
pub fn oid(name: &QName) -> Result<Oid> {
    find(name)?.ok_or_else(|| Error::new(ERRCODE_UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))
}

/// The name as the server's parser would give it.
pub(super) fn range(name: &QName) -> Result<*mut pg_sys::RangeVar> {
    let schema = name.schema.as_ref().map_or(Ok(std::ptr::null_mut()), |schema| palloc(schema.as_str()))?;
    // SAFETY: copies of the names in server memory.
    Ok(unsafe { pg_sys::makeRangeVar(schema, palloc(name.name.as_str())?, -1) })
}

/// Splits a name as a user wrote it: `table`, `schema.table`, quoted or not.
pub fn split_name(text: &str) -> Result<QName> {
    let text = c_string(text)?;
    // SAFETY: a list of one to three strings; bad syntax raises a server ERROR.
    unsafe {
        let names = pg_sys::stringToQualifiedNameList(
            text.as_ptr(),
            #[cfg(not(feature = "pg15"))]
            std::ptr::null_mut(),
        );
        let range = &*pg_sys::makeRangeVarFromNameList(names);
        Ok(match range.schemaname.is_null() {
            true => QName::bare(string(range.relname)),
            false => QName::qualified(string(range.schemaname), string(range.relname)),
        })
    }
}

/// The schema in which a new table without schema would be created.
pub fn creation_schema() -> Result<String> {
    // SAFETY: a list of existing schemas, empty when the path names none.
    let first = unsafe { node::oids(pg_sys::fetch_search_path(false)) }.next();
    let none = || Error::new(ERRCODE_INVALID_SCHEMA_NAME, "no schema has been selected to create in");
    // SAFETY: lookup by oid.
    first.map(|schema| string(unsafe { pg_sys::get_namespace_name(schema) })).ok_or_else(none)
}

/// Whether a schema is for temporary objects, of whatever session.
pub fn is_temporary(schema: &str) -> Result<bool> {
    let name = c_string(schema)?;
    // SAFETY: lookups by name and oid; InvalidOid, which is no such schema, for what does not exist.
    Ok(schema == "pg_temp" || unsafe { pg_sys::isAnyTempNamespace(pg_sys::get_namespace_oid(name.as_ptr(), true)) })
}

/// A name that no relation in the schema of `relid` has: after `relid`, with `label` behind it, and a number if need be.
pub fn free_name(relid: Oid, label: &str) -> Result<Ident> {
    let label = c_string(label)?;
    // SAFETY: an existing relation.
    let name = unsafe {
        let (table, schema) = (pg_sys::get_rel_name(relid), pg_sys::get_rel_namespace(relid));
        pg_sys::ChooseRelationName(table, std::ptr::null(), label.as_ptr(), schema, false)
    };
    Ok(Ident::new(string(name)))
}

fn address(class: Oid, object: Oid) -> pg_sys::ObjectAddress {
    pg_sys::ObjectAddress { classId: class, objectId: object, objectSubId: 0 }
}

/// Makes `part` an internal part of `whole`: it cannot be dropped alone and is dropped with it. What the part depends on
/// then cannot be dropped without the whole.
pub fn depend_internally(part: Oid, whole: Oid) {
    let (part, whole) = (address(RelationRelationId, part), address(RelationRelationId, whole));
    // SAFETY: two existing relations.
    unsafe {
        pg_sys::recordDependencyOn(&part, &whole, pg_sys::DependencyType::DEPENDENCY_INTERNAL);
        pg_sys::CommandCounterIncrement();
    }
}

/// Makes an object depend on the extension, if that exists yet.
pub fn depend_on_extension(class: Oid, object: Oid, how: pg_sys::DependencyType::Type) {
    // SAFETY: both objects exist.
    unsafe {
        let extension = pg_sys::get_extension_oid(super::EXTENSION.as_ptr(), true);
        if extension != pg_sys::InvalidOid {
            let extension = address(pg_sys::ExtensionRelationId, extension);
            pg_sys::recordDependencyOn(&address(class, object), &extension, how);
        }
    }
}

/// Has a relation dropped with the extension, of which it is no member: with a member, DROP … CASCADE of what it depends on
/// would drop the extension.
pub fn follow_extension(relid: Oid) {
    depend_on_extension(RelationRelationId, relid, pg_sys::DependencyType::DEPENDENCY_AUTO);
}

/// Makes a relation that depends on no object of a user a member of the extension: it is dropped with it, and dumps leave it
/// out.
pub fn join_extension(relid: Oid) {
    depend_on_extension(RelationRelationId, relid, pg_sys::DependencyType::DEPENDENCY_EXTENSION);
}

/// Drops a relation that is a member of the extension, and not the extension. An error where an object of a user depends on it.
pub fn drop_member(relid: Oid) {
    let flags = pg_sys::PERFORM_DELETION_INTERNAL | pg_sys::PERFORM_DELETION_SKIP_EXTENSIONS;
    // SAFETY: an existing relation.
    unsafe {
        pg_sys::performDeletion(&address(RelationRelationId, relid), pg_sys::DropBehavior::DROP_RESTRICT, flags as i32);
        pg_sys::CommandCounterIncrement();
    }
}

/// Drops an object. No privilege is checked.
pub(super) fn drop(class: Oid, object: Oid) {
    // SAFETY: an existing object.
    unsafe { pg_sys::performDeletion(&address(class, object), pg_sys::DropBehavior::DROP_RESTRICT, 0) };
}

/// Drops a relation that is an internal part of another, with everything that depends on it, and not the other.
pub fn drop_internal(part: Oid) {
    drop_part(part, pg_sys::DropBehavior::DROP_CASCADE);
}

/// Drops an index that is an internal part of its table. An error where an object of a user depends on it.
pub fn drop_index(part: Oid) {
    drop_part(part, pg_sys::DropBehavior::DROP_RESTRICT);
}

fn drop_part(part: Oid, behaviour: pg_sys::DropBehavior::Type) {
    let internal = pg_sys::DependencyType::DEPENDENCY_INTERNAL as std::ffi::c_char;
    let address = address(RelationRelationId, part);
    // SAFETY: an existing relation; the dependency row that forbids dropping it alone is deleted first.
    unsafe {
        pg_sys::deleteDependencyRecordsForClass(RelationRelationId, part, RelationRelationId, internal);
        pg_sys::CommandCounterIncrement();
        pg_sys::performDeletion(&address, behaviour, pg_sys::PERFORM_DELETION_INTERNAL as i32);
        pg_sys::CommandCounterIncrement();
    }
}
