//! Relations as the server's relation cache knows them. See `utils/cache/relcache.c`.

use std::collections::BTreeSet;

use ivm::sql::ident::QName;
use pgrx::itemptr::item_pointer_get_block_number_no_check;
use pgrx::pg_sys::ForkNumber::MAIN_FORKNUM;
use pgrx::pg_sys::{self, Oid};

use crate::error::Result;
use crate::pg::row::Row;
use crate::pg::snapshot::Snapshot;
use crate::pg::{node, object, tuplestore};

/// A column of a table that is not dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub number: i16,
    pub name: String,
    pub ty: Oid,
    pub modifier: i32,
    pub collation: Oid,
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

/// An open relation; its lock is held until the transaction ends.
pub(super) struct Open(pub(super) pg_sys::Relation);

impl Open {
    fn new(oid: Oid) -> Option<Open> {
        Open::locked(oid, pg_sys::AccessShareLock)
    }

    /// `None` if there is no such relation.
    pub(super) fn locked(oid: Oid, mode: u32) -> Option<Open> {
        // SAFETY: the server returns NULL for a relation that was dropped; closed by drop.
        let raw = unsafe { pg_sys::try_relation_open(oid, mode as i32) };
        (!raw.is_null()).then(|| Open(raw))
    }

    pub(super) fn form(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: open as long as self.
        unsafe { &*(*self.0).rd_rel }
    }

    /// A partitioned table, as a view, has no pages.
    pub(super) fn pages(&self) -> u32 {
        match self.form().relkind as u8 {
            // SAFETY: open, and stored in a file.
            b'r' | b'm' | b't' => unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.0, MAIN_FORKNUM) },
            _ => 0,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: opened above, closed once.
        unsafe { pg_sys::relation_close(self.0, pg_sys::NoLock as i32) };
    }
}

/// The columns of a relation, in order; `None` if there is no such relation.
pub fn attributes(oid: Oid) -> Option<Vec<Attribute>> {
    let relation = Open::new(oid)?;
    // SAFETY: open, and its descriptor has `natts` attributes.
    let all = unsafe { tuplestore::attributes((*relation.0).rd_att) };
    let columns = all.filter(|attribute| !attribute.attisdropped).map(|attribute| Attribute {
        number: attribute.attnum,
        name: attribute.name().to_owned(),
        ty: attribute.atttypid,
        modifier: attribute.atttypmod,
        collation: attribute.attcollation,
        is_virtual: attribute.attgenerated as u8 == b'v',
    });
    Some(columns.collect())
}

/// `None` if there is no such relation.
pub fn kind(oid: Oid) -> Option<Kind> {
    Open::new(oid).map(|relation| Kind {
        relkind: relation.form().relkind as u8,
        persistence: relation.form().relpersistence as u8,
        is_catalog: oid.to_u32() < pg_sys::FirstNormalObjectId,
    })
}

/// Whether a crash empties a relation.
pub fn is_unlogged(oid: Oid) -> bool {
    kind(oid).is_some_and(|kind| kind.persistence == pg_sys::RELPERSISTENCE_UNLOGGED)
}

/// The owner of a relation; `None` if there is no such relation.
pub fn owner(oid: Oid) -> Option<Oid> {
    Open::new(oid).map(|relation| relation.form().relowner)
}

/// The numbers of the columns by which unique indexes and exclusion constraints of a table compare rows, except for those
/// that are checked at the end of a statement; 0 for an expression of any column.
pub fn unique_columns(oid: Oid) -> BTreeSet<i16> {
    let mut columns = BTreeSet::new();
    let Some(table) = Open::new(oid) else { return columns };
    // SAFETY: open, and so is each of its indexes while it is read, which has as many keys as it says.
    unsafe {
        for index in node::oids(pg_sys::RelationGetIndexList(table.0)).filter_map(Open::new) {
            let form = &*(*index.0).rd_index;
            if (form.indisunique || form.indisexclusion) && form.indimmediate {
                columns.extend(form.indkey.values.as_slice(form.indnkeyatts.max(0) as usize));
                columns.extend((!pg_sys::RelationGetIndexPredicate(index.0).is_null()).then_some(0));
            }
        }
    }
    columns
}

/// The pages of a table; 0 if it was dropped or has partitions only.
pub fn pages(oid: Oid) -> u32 {
    Open::new(oid).map_or(0, |relation| relation.pages())
}

/// Moves each place to the newest version of its row that `snapshot` sees, along the chain of updates; a place that no longer
/// leads there is not moved. Then prunes dead versions on the pages of these places, as a scan does with the pages that it
/// reads and a read by a known place does not. See `access/heap/heapam.c`, `access/heap/pruneheap.c`.
pub fn follow_updates(oid: Oid, places: &mut [pg_sys::ItemPointerData], snapshot: pg_sys::Snapshot) {
    let Some(table) = Open::new(oid) else { return };
    let end = table.pages();
    // SAFETY: reads the number out of a place.
    let page = |place: &pg_sys::ItemPointerData| unsafe { item_pointer_get_block_number_no_check(*place) };
    let on_a_page = |place: &&mut pg_sys::ItemPointerData| page(place) < end;
    // SAFETY: open and locked, so that it has these pages; each is pinned meanwhile. The scan is ended.
    unsafe {
        let none = std::ptr::null_mut();
        let scan =
            pg_sys::heap_beginscan(table.0, snapshot, 0, none, none.cast(), pg_sys::ScanOptions::SO_TYPE_TIDSCAN);
        places.iter_mut().filter(on_a_page).for_each(|place| pg_sys::heap_get_latest_tid(scan, place));
        pg_sys::heap_endscan(scan);
        for page in places.iter().map(page).collect::<BTreeSet<u32>>().range(..end) {
            let buffer = pg_sys::ReadBuffer(table.0, *page);
            pg_sys::heap_page_prune_opt(table.0, buffer);
            pg_sys::ReleaseBuffer(buffer);
        }
    }
}

/// Calls `f` with the first `width` columns of every row of a table, without its children, that the newest snapshot sees.
pub fn for_each_row(oid: Oid, width: usize, mut f: impl FnMut(&Row) -> Result<()>) -> Result<()> {
    let Some(table) = Open::new(oid) else { return Ok(()) };
    let snapshot = Snapshot::latest();
    let mut result = Ok(());
    // SAFETY: open until the scan ends; each row is used before the scan moves on. What an error leaves the server ends.
    unsafe {
        let slot = pg_sys::table_slot_create(table.0, std::ptr::null_mut());
        let scan = pg_sys::table_beginscan(table.0, snapshot.raw(), 0, std::ptr::null_mut());
        while result.is_ok() && pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot)
        {
            pgrx::check_for_interrupts!();
            result = f(&Row::of_slot(slot, width));
        }
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
    }
    result
}

/// The rows of a table, as the planner estimates them, except that it takes a table that was never analyzed for larger
/// than it is: that is corrected by the pages.
pub fn estimated_rows(oid: Oid) -> f64 {
    let rows = |relation: &Open| {
        let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
        // SAFETY: open; the server writes the three results.
        unsafe { pg_sys::estimate_rel_size(relation.0, std::ptr::null_mut(), &mut pages, &mut rows, &mut visible) };
        if pages == 0 { 0.0 } else { rows * f64::from(relation.pages()) / f64::from(pages) }
    };
    Open::new(oid).as_ref().map_or(0.0, rows)
}

/// Locks a relation until the transaction ends, and accepts the invalidations that are pending for it.
pub fn lock(oid: Oid, mode: u32) {
    // SAFETY: any oid may be locked.
    unsafe { pg_sys::LockRelationOid(oid, mode as i32) };
}

mod raw {
    use pgrx::pg_sys::{LOCKMODE, List, Oid};
    unsafe extern "C-unwind" {
        pub fn find_all_inheritors(parent: Oid, lock: LOCKMODE, parents: *mut *mut List) -> *mut List;
        pub fn has_superclass(relation: Oid) -> bool;
        pub fn get_partition_parent(partition: Oid, even_if_detached: bool) -> Oid;
    }
}

/// Whether a table is a partition or an inheritance child.
pub fn has_parent(oid: Oid) -> bool {
    // SAFETY: a lookup of any oid.
    unsafe { raw::has_superclass(oid) }
}

/// The table of which this one is a partition.
pub fn parent_of_partition(oid: Oid) -> Option<Oid> {
    let is_partition = Open::new(oid).is_some_and(|relation| relation.form().relispartition);
    // SAFETY: a partition has a parent, whether it is being detached or not.
    is_partition.then(|| unsafe { raw::get_partition_parent(oid, true) })
}

/// Locks a relation and its partitions and inheritance children until the transaction ends, and returns them: none if the
/// relation was dropped.
pub fn lock_tree(oid: Oid, mode: u32) -> Vec<Oid> {
    // The server locks the children of a relation, not the relation itself, which has to exist.
    if Open::locked(oid, mode).is_some() { tree(oid, mode) } else { vec![] }
}

/// An existing relation and its children, which are locked.
fn tree(oid: Oid, mode: u32) -> Vec<Oid> {
    // SAFETY: a list of oids in the current memory context, copied at once.
    unsafe {
        let list =
            pg_sys::ffi::pg_guard_ffi_boundary(|| raw::find_all_inheritors(oid, mode as i32, std::ptr::null_mut()));
        node::oids(list).collect()
    }
}

/// Locks a tree of relations that is going to be read against TRUNCATE and rewrites, from which a snapshot does not protect.
pub fn lock_for_reading(oid: Oid) -> Vec<Oid> {
    lock_tree(oid, pg_sys::AccessShareLock)
}

/// The same without waiting; false where another transaction holds a conflicting lock.
pub fn try_lock_for_reading(oid: Oid) -> bool {
    let lock = |oid| try_lock(oid, pg_sys::AccessShareLock);
    lock(oid) && (Open::new(oid).is_none() || tree(oid, pg_sys::NoLock).into_iter().all(lock))
}

/// Locks all of these relations, or none where another transaction holds a conflicting lock on one.
pub fn try_lock_all(oids: &[Oid], mode: u32) -> bool {
    let locked: Vec<Oid> = oids.iter().copied().take_while(|oid| try_lock(*oid, mode)).collect();
    if locked.len() < oids.len() {
        // SAFETY: locked just now, in this mode.
        locked.into_iter().for_each(|oid| unsafe { pg_sys::UnlockRelationOid(oid, mode as i32) });
        return false;
    }
    true
}

fn try_lock(oid: Oid, mode: u32) -> bool {
    // SAFETY: any oid may be locked.
    unsafe { pg_sys::ConditionalLockRelationOid(oid, mode as i32) }
}

/// Whether this transaction has locked a relation in this mode or a stronger one.
pub fn is_locked_by_me(oid: Oid, mode: u32) -> bool {
    // SAFETY: looks up the locks of this process.
    unsafe { pg_sys::CheckRelationOidLockedByMe(oid, mode as i32, true) }
}

/// Invalidates the relation in every backend when this transaction commits.
pub fn invalidate(oid: Oid) {
    // SAFETY: an existing relation.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(oid) };
}

/// `schema.name`, quoted where needed, for messages.
pub fn display(relid: Oid) -> String {
    let QName { schema, name } = object::name(relid);
    match (schema, name.as_str()) {
        (Some(schema), name) if !name.is_empty() => pgrx::spi::quote_qualified_identifier(schema.as_str(), name),
        _ => format!("relation {}", relid.to_u32()),
    }
}

/// Whether a role has a privilege (`ACL_…`) on an existing relation.
pub fn may(role: Oid, relid: Oid, privilege: u32) -> bool {
    // SAFETY: catalog lookup by oid.
    unsafe { pg_sys::pg_class_aclcheck(relid, role, privilege as pg_sys::AclMode) == pg_sys::AclResult::ACLCHECK_OK }
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
