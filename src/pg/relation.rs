//! Tables as the server's catalogs and relation cache know them. See `utils/cache/relcache.c`.

use std::collections::BTreeSet;

use pgrx::itemptr::item_pointer_get_block_number_no_check;
use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::spi::c_string;
use crate::pg::{list, tuplestore};

/// A column of a table that is not dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub number: i16,
    pub name: String,
    pub ty: pg_sys::Oid,
    pub modifier: i32,
    pub collation: pg_sys::Oid,
    /// A generated column that is computed when it is read, never stored.
    pub is_virtual: bool,
}

/// What kind of table a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `pg_class.relkind`
    pub relkind: u8,
    /// `pg_class.relpersistence`
    pub persistence: u8,
    pub is_catalog: bool,
}

/// An open relation; its lock is kept until the transaction ends.
struct Open(pg_sys::Relation);

impl Open {
    fn new(oid: pg_sys::Oid) -> Option<Open> {
        Open::locked(oid, pg_sys::AccessShareLock)
    }

    fn locked(oid: pg_sys::Oid, mode: u32) -> Option<Open> {
        // SAFETY: the server answers NULL for a relation that is gone; closed by drop.
        let raw = unsafe { pg_sys::try_relation_open(oid, mode as i32) };
        (!raw.is_null()).then(|| Open(raw))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: opened above, closed once.
        unsafe { pg_sys::relation_close(self.0, pg_sys::NoLock as i32) };
    }
}

/// The columns of a relation, in order; `None` if there is no such relation.
pub fn attributes(oid: pg_sys::Oid) -> Option<Vec<Attribute>> {
    let relation = Open::new(oid)?;
    // SAFETY: open, and its descriptor has `natts` attributes.
    unsafe {
        let desc = (*relation.0).rd_att;
        let all = (0..(*desc).natts as usize).map(|i| &*tuplestore::attribute(desc, i));
        let kept = all.filter(|attribute| !attribute.attisdropped).map(|attribute| Attribute {
            number: attribute.attnum,
            name: attribute.name().to_owned(),
            ty: attribute.atttypid,
            modifier: attribute.atttypmod,
            collation: attribute.attcollation,
            is_virtual: attribute.attgenerated as u8 == b'v',
        });
        Some(kept.collect())
    }
}

/// `None` if there is no such relation.
pub fn kind(oid: pg_sys::Oid) -> Option<Kind> {
    let relation = Open::new(oid)?;
    // SAFETY: open.
    let form = unsafe { &*(*relation.0).rd_rel };
    Some(Kind {
        relkind: form.relkind as u8,
        persistence: form.relpersistence as u8,
        is_catalog: oid.to_u32() < pg_sys::FirstNormalObjectId,
    })
}

/// Who owns a relation; `None` if there is no such relation.
pub fn owner(oid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: open.
    Open::new(oid).map(|relation| unsafe { (*(*relation.0).rd_rel).relowner })
}

/// The numbers of the columns by which unique indexes and exclusion constraints of a table tell rows apart at once, those
/// left out that look at the end of a statement; 0 for an expression of any column.
pub fn unique_columns(oid: pg_sys::Oid) -> BTreeSet<i16> {
    let mut columns = BTreeSet::new();
    let Some(table) = Open::new(oid) else { return columns };
    // SAFETY: open, and so is each of its indexes while it is looked at; its keys are as many as it says.
    unsafe {
        for index in list::oids(pg_sys::RelationGetIndexList(table.0)) {
            let Some(index) = Open::new(index) else { continue };
            let form = &*(*index.0).rd_index;
            if (form.indisunique || form.indisexclusion) && form.indimmediate {
                let keys = form.indkey.values.as_slice(form.indnkeyatts.max(0) as usize);
                columns.extend(keys);
                if !pg_sys::RelationGetIndexPredicate(index.0).is_null() {
                    columns.insert(0);
                }
            }
        }
    }
    columns
}

/// The pages of a table: none if it is gone, or has members only.
pub fn pages(oid: pg_sys::Oid) -> u32 {
    let pages = |relation: &Open| {
        // SAFETY: open; a partitioned table has no file to ask.
        unsafe {
            let stored = matches!((*(*relation.0).rd_rel).relkind as u8, b'r' | b'm' | b't');
            if stored {
                pg_sys::RelationGetNumberOfBlocksInFork(relation.0, pg_sys::ForkNumber::MAIN_FORKNUM)
            } else {
                0
            }
        }
    };
    Open::new(oid).as_ref().map_or(0, pages)
}

/// Clears the pages of these places in a table of row versions that nobody may ask for, as a scan does with the pages that it reads and
/// a look at a known place does not. See `access/heap/pruneheap.c`.
pub fn clear_pages(oid: pg_sys::Oid, places: &[pg_sys::ItemPointerData]) {
    let Some(table) = Open::new(oid) else { return };
    // SAFETY: open and locked meanwhile; each page is pinned, and one that is not there any more is left out.
    unsafe {
        let page = |place: &pg_sys::ItemPointerData| item_pointer_get_block_number_no_check(*place);
        let pages: BTreeSet<u32> = places.iter().map(page).collect();
        let end = pg_sys::RelationGetNumberOfBlocksInFork(table.0, pg_sys::ForkNumber::MAIN_FORKNUM);
        for page in pages.iter().filter(|page| **page < end) {
            let buffer = pg_sys::ReadBuffer(table.0, *page);
            pg_sys::heap_page_prune_opt(table.0, buffer);
            pg_sys::ReleaseBuffer(buffer);
        }
    }
}

/// The rows of a table, as the planner estimates them; but where it takes a table that was never analyzed for
/// larger than it is, to be careful, that much less.
pub fn estimated_rows(oid: pg_sys::Oid) -> f64 {
    let rows = |relation: &Open| {
        let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
        // SAFETY: open; the server writes the three results.
        unsafe { pg_sys::estimate_rel_size(relation.0, std::ptr::null_mut(), &mut pages, &mut rows, &mut visible) };
        if pages == 0 { 0.0 } else { rows * f64::from(self::pages(oid)) / f64::from(pages) }
    };
    Open::new(oid).as_ref().map_or(0.0, rows)
}

/// Whether a crash empties a relation.
pub fn is_unlogged(oid: pg_sys::Oid) -> bool {
    kind(oid).is_some_and(|kind| kind.persistence == b'u')
}

/// Locks a relation until the transaction ends, and learns what others have changed about it.
pub fn lock(oid: pg_sys::Oid, mode: u32) {
    // SAFETY: any oid may be locked.
    unsafe { pg_sys::LockRelationOid(oid, mode as i32) };
}

mod raw {
    use pgrx::pg_sys::{LOCKMODE, List, Oid};
    unsafe extern "C-unwind" {
        pub fn find_all_inheritors(parent: Oid, lock: LOCKMODE, parents: *mut *mut List) -> *mut List;
    }
}

/// Locks a relation and everything below it, partitions and inheritance children, until the transaction ends.
/// What that is: nothing, if the relation is gone.
pub fn lock_tree(oid: pg_sys::Oid, mode: u32) -> Vec<pg_sys::Oid> {
    // The server locks what is below a relation, not the relation itself; and it wants that to be there.
    if Open::locked(oid, mode).is_none() {
        return vec![];
    }
    tree(oid, mode)
}

/// A relation that is there and everything below it, which is locked on the way.
fn tree(oid: pg_sys::Oid, mode: u32) -> Vec<pg_sys::Oid> {
    // SAFETY: a list of oids in the current memory context, copied at once.
    unsafe {
        let list =
            pg_sys::ffi::pg_guard_ffi_boundary(|| raw::find_all_inheritors(oid, mode as i32, std::ptr::null_mut()));
        list::oids(list).collect()
    }
}

/// Keeps TRUNCATE and rewrites, which a snapshot does not protect from, away from a relation that is going to be
/// read, and from everything below it, which is returned.
pub fn lock_for_reading(oid: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    lock_tree(oid, pg_sys::AccessShareLock)
}

/// The same where nobody stands in the way; false elsewhere.
pub fn try_lock_for_reading(oid: pg_sys::Oid) -> bool {
    // SAFETY: any oid may be locked.
    let lock = |oid| unsafe { pg_sys::ConditionalLockRelationOid(oid, pg_sys::AccessShareLock as i32) };
    lock(oid) && (Open::new(oid).is_none() || tree(oid, pg_sys::NoLock).into_iter().all(lock))
}

/// Tells every backend, when this transaction commits, that this relation is not what it was.
pub fn invalidate(oid: pg_sys::Oid) {
    // SAFETY: an existing relation.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(oid) };
}

/// `schema.name`, quoted where needed; for messages.
pub fn display(oid: pg_sys::Oid) -> String {
    // SAFETY: the server copes with an oid that is gone; the strings are copied at once.
    unsafe {
        let name = pg_sys::get_rel_name(oid);
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid));
        if name.is_null() || schema.is_null() {
            return format!("relation {}", oid.to_u32());
        }
        let quoted = pg_sys::quote_qualified_identifier(schema, name);
        std::ffi::CStr::from_ptr(quoted).to_string_lossy().into_owned()
    }
}

/// Whether a role has a privilege (`ACL_…`) on a relation.
pub fn may(role: pg_sys::Oid, oid: pg_sys::Oid, privilege: u32) -> bool {
    // SAFETY: an existing relation.
    unsafe { pg_sys::pg_class_aclcheck(oid, role, privilege as pg_sys::AclMode) == pg_sys::AclResult::ACLCHECK_OK }
}

/// Makes a relation go when the extension is dropped, without being asked about.
pub fn depend_on_extension(oid: pg_sys::Oid) -> Result<()> {
    depend(pg_sys::RelationRelationId, oid, pg_sys::DependencyType::DEPENDENCY_AUTO)
}

/// The same for an object of any catalog.
pub fn depend(catalog: pg_sys::Oid, oid: pg_sys::Oid, how: pg_sys::DependencyType::Type) -> Result<()> {
    let name = c_string("pg_trickle")?;
    // SAFETY: both objects exist; missing, the extension is only being created by hand.
    unsafe {
        let extension = pg_sys::get_extension_oid(name.as_ptr(), true);
        if extension != pg_sys::InvalidOid {
            let object = pg_sys::ObjectAddress { classId: catalog, objectId: oid, objectSubId: 0 };
            let on =
                pg_sys::ObjectAddress { classId: pg_sys::ExtensionRelationId, objectId: extension, objectSubId: 0 };
            pg_sys::recordDependencyOn(&object, &on, how);
        }
    }
    Ok(())
}

impl Attribute {
    /// A column like this one.
    pub fn definition(&self) -> tuplestore::ColumnDef {
        tuplestore::ColumnDef {
            name: self.name.clone(),
            ty: self.ty,
            modifier: self.modifier,
            collation: self.collation,
        }
    }
}
