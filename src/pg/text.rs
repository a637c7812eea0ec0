//! Strings, from Rust to the server and back.

use std::ffi::{CStr, CString, c_char};

use pgrx::pg_sys;

use crate::error::{Error, Result};

/// A NUL-terminated copy.
pub fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Bug("text with a zero byte"))
}

/// A copy in the current memory context.
pub fn palloc(text: &str) -> Result<*mut c_char> {
    // SAFETY: the server copies the string.
    Ok(unsafe { pg_sys::pstrdup(c_string(text)?.as_ptr()) })
}

/// A string of the server, copied; empty for NULL.
pub fn string(pointer: *const c_char) -> String {
    // SAFETY: the server's strings are NUL-terminated.
    if pointer.is_null() { String::new() } else { unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned() }
}
