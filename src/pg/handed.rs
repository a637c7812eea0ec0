//! Bytes that a session hands to a background worker that it starts. See `storage/ipc/dsm.c`.

use std::ptr;

use pgrx::pg_sys;

/// Bytes in shared memory, for as long as this lives or a worker reads them.
pub struct Handed(*mut pg_sys::dsm_segment);

impl Handed {
    /// In a transaction. `None` where the server has no shared memory for it.
    pub fn new(bytes: &[u8]) -> Option<Handed> {
        let length = (bytes.len() as u64).to_ne_bytes();
        // SAFETY: a segment of this size is written once, before its handle is known.
        unsafe {
            let size = length.len() + bytes.len();
            let segment = pg_sys::dsm_create(size, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32);
            if segment.is_null() {
                return None;
            }
            let start = pg_sys::dsm_segment_address(segment).cast::<u8>();
            ptr::copy_nonoverlapping(length.as_ptr(), start, length.len());
            ptr::copy_nonoverlapping(bytes.as_ptr(), start.add(length.len()), bytes.len());
            Some(Handed(segment))
        }
    }

    /// By which a worker finds them.
    pub fn handle(&self) -> u32 {
        // SAFETY: a segment that is attached.
        unsafe { pg_sys::dsm_segment_handle(self.0) }
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        // SAFETY: attached until now.
        unsafe { pg_sys::dsm_detach(self.0) };
    }
}

/// The bytes with this handle; `None` if the session that handed them has ended meanwhile.
pub fn take(handle: u32) -> Option<Vec<u8>> {
    // SAFETY: `Handed` wrote a length and as many bytes; they are copied before the segment is left.
    unsafe {
        let segment = pg_sys::dsm_attach(handle);
        if segment.is_null() {
            return None;
        }
        let start = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let length = start.cast::<u64>().read_unaligned() as usize;
        let bytes = std::slice::from_raw_parts(start.add(size_of::<u64>()), length).to_vec();
        pg_sys::dsm_detach(segment);
        Some(bytes)
    }
}
