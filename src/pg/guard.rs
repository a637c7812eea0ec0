//! Identity and settings for a stretch of code. Both are undone on return; after an ERROR the server's
//! (sub)transaction abort has undone them already.

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::spi::c_string;

/// Runs `f` as `role`. `restricted` forbids what a security-restricted operation must not do
/// (changing session state, SET ROLE, deferred triggers of others).
pub fn as_role<R>(role: pg_sys::Oid, restricted: bool, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let mut saved_role = pg_sys::InvalidOid;
    let mut saved_context = 0;
    let mut context = pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
    if restricted {
        context |= pg_sys::SECURITY_RESTRICTED_OPERATION as i32;
    }
    // SAFETY: plain state of this backend; restored below or by abort.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut saved_role, &mut saved_context);
        pg_sys::SetUserIdAndSecContext(role, saved_context | context);
    }
    let result = f();
    // SAFETY: as above.
    unsafe { pg_sys::SetUserIdAndSecContext(saved_role, saved_context) };
    result
}

/// A path that no user can write to.
pub const PATH: &CStr = c"pg_catalog, pg_temp";

/// What our own text is read under, whatever the session says.
pub const PARSING: [(&str, &str); 3] =
    [("standard_conforming_strings", "on"), ("transform_null_equals", "off"), ("array_nulls", "on")];

/// Where objects of ours are made, whatever the session says: we do not ask whether a user may make them elsewhere.
pub const OBJECTS: [(&str, &str); 2] = [("default_tablespace", ""), ("default_table_access_method", "heap")];

/// That path as a setting, for what a user's query is to be read under once the server has analysed it.
pub fn catalog_path() -> (&'static str, &'static str) {
    ("search_path", PATH.to_str().unwrap_or("pg_catalog"))
}

/// Runs `f` as the owner of the extension's objects, under that path: only for our own catalog and schemas.
pub fn as_catalog<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let superuser = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
    match current_role() == superuser {
        true => with_path(PATH, f),
        false => as_role(superuser, false, || with_path(PATH, f)),
    }
}

/// Runs `f` under the given settings. What is set to its value already is left alone: to set the path makes the server
/// look at every plan again.
pub fn with_settings<R>(settings: &[(&str, &str)], f: impl FnOnce() -> Result<R>) -> Result<R> {
    nested(|| {
        for (name, value) in settings {
            set(&c_string(name)?, &c_string(value)?);
        }
        f()
    })
}

/// Runs `f`, which calls no code of users, under a search path.
pub fn with_path<R>(path: &CStr, f: impl FnOnce() -> Result<R>) -> Result<R> {
    if is(c"search_path", path) {
        return f();
    }
    nested(|| {
        set(c"search_path", path);
        f()
    })
}

/// Undoes, at its end, what was set in `f`: by us, and by code of users, whose SET would otherwise go on in the session of
/// whoever refreshes, explains or verifies their table.
fn nested<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: the nest level opened here is closed below, or by abort.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = f();
    // SAFETY: level from NewGUCNestLevel above.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    result
}

/// For the nest level that is open.
fn set(name: &CStr, value: &CStr) {
    if is(name, value) {
        return;
    }
    // SAFETY: both strings outlive the call; the server copies the value.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        )
    };
}

fn is(name: &CStr, value: &CStr) -> bool {
    // SAFETY: the server's own copy, read at once; NULL where there is no such setting.
    unsafe {
        let current = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        !current.is_null() && CStr::from_ptr(current) == value
    }
}

/// The current value of a setting.
pub fn setting(name: &str) -> Result<String> {
    let name = c_string(name)?;
    // SAFETY: the server returns a pointer to its own copy, read at once.
    unsafe {
        let value = pg_sys::GetConfigOptionByName(name.as_ptr(), std::ptr::null_mut(), false);
        Ok(CStr::from_ptr(value).to_string_lossy().into_owned())
    }
}

/// The current role of this session.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: plain state of this backend.
    unsafe { pg_sys::GetUserId() }
}

/// The settings under which a stream table is evaluated, with their current values: those of the session that creates it.
pub fn evaluation_settings() -> Result<BTreeMap<String, String>> {
    EVALUATION_SETTINGS.into_iter().map(|name| Ok((name.to_owned(), setting(name)?))).collect()
}

/// Their names.
pub const EVALUATION_SETTINGS: [&str; 10] = [
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "extra_float_digits",
    "bytea_output",
    "xmloption",
    "default_text_search_config",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
];
