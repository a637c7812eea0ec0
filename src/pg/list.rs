//! The server's lists, read cell by cell. See `nodes/pg_list.h`.

use pgrx::pg_sys;

/// The pointers of a list.
///
/// # Safety
/// A list of pointers to `T`, or NULL, that outlives the iterator.
pub unsafe fn pointers<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: by contract.
    unsafe { cells(list) }.map(|cell| unsafe { cell.ptr_value.cast() })
}

/// The oids of a list of oids.
///
/// # Safety
/// A list of oids, or NULL, that outlives the iterator.
pub unsafe fn oids(list: *mut pg_sys::List) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: by contract.
    unsafe { cells(list) }.map(|cell| unsafe { cell.oid_value })
}

unsafe fn cells(list: *mut pg_sys::List) -> impl Iterator<Item = pg_sys::ListCell> {
    // SAFETY: by contract; an empty list is a null pointer.
    let length = if list.is_null() { 0 } else { unsafe { (*list).length as usize } };
    // SAFETY: as many cells follow.
    (0..length).map(move |at| unsafe { *(*list).elements.add(at) })
}
