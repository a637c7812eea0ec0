//! Settings of the extension and of this process. See `utils/guc.h`.

use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;

/// Checks the values of a setting.
pub trait Check {
    /// `Err` is the reason why a value is refused.
    fn check(value: &str) -> Result<(), String>;

    /// Takes over a value that passed.
    fn assign(_value: &str) {}
}

/// Defines a text setting that accepts the values that pass `C`.
pub fn define_checked<C: Check>(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    context: GucContext,
) {
    // SAFETY: the hook neither raises an error nor panics across the server's frames.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            short,
            long,
            setting,
            context,
            GucFlags::default(),
            Some(hook::<C>),
            Some(assign::<C>),
            None,
        );
    }
}

/// Defines a setting of a session on which plans depend: all are made anew when it changes.
pub fn define_of_plans<T: GucEnum + Copy>(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<T>,
) {
    // SAFETY: the hook only marks cached plans.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
            name,
            short,
            long,
            setting,
            GucContext::Userset,
            GucFlags::default(),
            None,
            Some(invalidate_plans),
            None,
        );
    }
}

unsafe extern "C-unwind" fn invalidate_plans(_value: i32, _extra: *mut c_void) {
    // SAFETY: changes nothing but flags of the plans of this process.
    unsafe { pg_sys::ResetPlanCache() };
}

/// Whether the server is starting and preloads this library.
pub fn is_server_starting() -> bool {
    // SAFETY: a plain variable, set by the postmaster.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Reserves a prefix: a setting with it that is not defined is an error when it is set, and is removed with a warning if it was
/// set before.
pub fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: the server copies the prefix.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

unsafe extern "C-unwind" fn hook<C: Check>(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server passes the address of a NUL-terminated string or of NULL, and reads the detail
    // while it lives in the current memory context.
    unsafe {
        let text = match (*value).is_null() {
            true => "".into(),
            false => CStr::from_ptr(*value).to_string_lossy(),
        };
        let Err(reason) = C::check(&text) else { return true };
        if let Ok(reason) = CString::new(format!("The value is invalid because {reason}.")) {
            pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(reason.as_ptr());
        }
        false
    }
}

unsafe extern "C-unwind" fn assign<C: Check>(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: NULL, or a string of the server.
    let text = if value.is_null() { "".into() } else { unsafe { CStr::from_ptr(value) }.to_string_lossy() };
    C::assign(&text);
}

/// Sets a setting of this process until it ends.
pub fn set(name: &'static CStr, value: &'static CStr) {
    // SAFETY: both strings outlive the call; the server copies the value.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Keeps Rust from adding backtraces, with paths of the machine on which it was built, to errors that clients see. Called when
/// the library is loaded, before any error can be raised.
pub fn hide_backtraces() {
    // SAFETY: a server process has one thread.
    unsafe { ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"].into_iter().for_each(|name| std::env::remove_var(name)) };
}
