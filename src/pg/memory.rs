//! Memory of the server. See `utils/mmgr/mcxt.c`.

use pgrx::pg_sys;

/// Allocations below this size are not asked for: the server's own need as much all the time.
const LARGE: usize = 1 << 20;

/// Whether an allocation of this size would succeed now. A failed one is an error of the statement that runs.
pub fn is_available(size: usize) -> bool {
    if size < LARGE {
        return true;
    }
    // SAFETY: a block of its own, freed at once; with these flags no error is raised.
    unsafe {
        let block = pg_sys::palloc_extended(size, pg_sys::MCXT_ALLOC_NO_OOM as i32);
        if !block.is_null() {
            pg_sys::pfree(block);
        }
        !block.is_null()
    }
}

/// Returns freed memory to the operating system, which the allocator would keep for later.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: a function of the C library without conditions.
        unsafe { malloc_trim(0) };
    }
}
