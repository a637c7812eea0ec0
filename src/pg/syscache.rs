//! Rows of system caches. See `utils/cache/syscache.c`.

use pgrx::pg_sys;

/// Reads the row of an object in the cache whose key is its oid; `None` if it does not exist.
///
/// # Safety
/// `F` is the row type of that cache's catalog.
pub unsafe fn read<F, R>(
    cache: pg_sys::SysCacheIdentifier::Type,
    oid: pg_sys::Oid,
    read: impl FnOnce(&F) -> R,
) -> Option<R> {
    // SAFETY: by contract; the row is released after it was read.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, oid.into());
        if tuple.is_null() {
            return None;
        }
        let result = read(&*pg_sys::GETSTRUCT(tuple).cast::<F>());
        pg_sys::ReleaseSysCache(tuple);
        Some(result)
    }
}
