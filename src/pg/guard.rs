//! Runs code as another role, or under other settings. Both are restored on return; after an ERROR the server's
//! (sub)transaction abort has restored them already.

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::Result;
use crate::pg::text::{c_string, string};

/// Runs `f` as `role`, in a security-restricted operation, which forbids to change session state, to set another role and
/// to leave deferred triggers behind.
pub fn as_role<R>(role: pg_sys::Oid, f: impl FnOnce() -> Result<R>) -> Result<R> {
    as_user(role, pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION, f)
}

fn as_user<R>(role: pg_sys::Oid, context: u32, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let saved = switch_role(role, context);
    let result = f();
    saved.restore();
    result
}

/// What a switch replaced. Switching and restoring are functions of their own, because this code is compiled again for each
/// closure that it calls.
#[must_use]
#[derive(Default)]
struct Saved {
    role: Option<(pg_sys::Oid, i32)>,
    settings: Option<i32>,
}

impl Saved {
    #[inline(never)]
    fn restore(self) {
        // SAFETY: a nest level that is open, then plain state of this backend.
        unsafe {
            if let Some(level) = self.settings {
                pg_sys::AtEOXact_GUC(false, level);
            }
            if let Some((role, context)) = self.role {
                pg_sys::SetUserIdAndSecContext(role, context);
            }
        }
    }
}

#[inline(never)]
fn switch_role(role: pg_sys::Oid, context: u32) -> Saved {
    let (mut saved_role, mut saved_context) = (pg_sys::InvalidOid, 0);
    // SAFETY: plain state of this backend; restored by the caller or by abort.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut saved_role, &mut saved_context);
        pg_sys::SetUserIdAndSecContext(role, saved_context | context as i32);
    }
    Saved { role: Some((saved_role, saved_context)), settings: None }
}

/// Opens a level of settings, which its end restores.
#[inline(never)]
fn open_level() -> Saved {
    // SAFETY: closed by the caller, or by abort.
    Saved { role: None, settings: Some(unsafe { pg_sys::NewGUCNestLevel() }) }
}

/// A path that no user can write to.
pub const PATH: &CStr = c"pg_catalog, pg_temp";

/// The settings under which our own statements are parsed, whatever those of the session are.
pub const PARSING: [(&str, &str); 3] =
    [("standard_conforming_strings", "on"), ("transform_null_equals", "off"), ("array_nulls", "on")];

/// The settings under which objects of ours are created, whatever those of the session are: we do not check whether the user
/// may create them elsewhere.
pub const OBJECTS: [(&str, &str); 2] = [("default_tablespace", ""), ("default_table_access_method", "heap")];

/// That path as a setting, under which a user's query is parsed again once the server has analysed it.
pub fn catalog_path() -> (&'static str, &'static str) {
    ("search_path", PATH.to_str().unwrap_or("pg_catalog"))
}

/// Runs `f`, which calls no code of users, as the owner of the extension's objects, under that path: only for our own catalog
/// and schemas.
pub fn as_catalog<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let saved = enter_catalog();
    let result = f();
    saved.restore();
    result
}

#[inline(never)]
fn enter_catalog() -> Saved {
    let superuser = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
    let Saved { role, .. } = match current_role() == superuser {
        true => Saved::default(),
        false => switch_role(superuser, pg_sys::SECURITY_LOCAL_USERID_CHANGE),
    };
    // Compiling a statement on the catalog takes longer than running it.
    let Saved { settings, .. } = match is(c"search_path", PATH) && is(c"jit", c"off") {
        true => Saved::default(),
        false => {
            let saved = open_level();
            set(c"search_path", PATH);
            set(c"jit", c"off");
            saved
        }
    };
    Saved { role, settings }
}

/// Runs `f` under the given settings, and restores at its end what was set in it: by us, and by code of users, whose SET would
/// otherwise stay in the session that refreshes, explains or verifies their table. A setting that has its value already is not
/// set: setting the path makes the server revalidate every cached plan.
pub fn with_settings<R>(settings: &[(&str, &str)], f: impl FnOnce() -> Result<R>) -> Result<R> {
    let saved = open_level();
    let result = set_all(settings).and_then(|()| f());
    saved.restore();
    result
}

fn set_all(settings: &[(&str, &str)]) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| {
        set(&c_string(name)?, &c_string(value)?);
        Ok(())
    })
}

/// Until the end of the open nest level.
fn set(name: &CStr, value: &CStr) {
    use pg_sys::{GucAction::GUC_ACTION_SAVE, GucContext::PGC_SUSET, GucSource::PGC_S_SESSION};
    if is(name, value) {
        return;
    }
    let (name, value) = (name.as_ptr(), value.as_ptr());
    // SAFETY: both strings outlive the call; the server copies the value.
    unsafe { pg_sys::set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false) };
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
    // SAFETY: the server returns its own copy; an error where there is no such setting.
    Ok(string(unsafe { pg_sys::GetConfigOptionByName(name.as_ptr(), std::ptr::null_mut(), false) }))
}

/// The milliseconds after which a statement of this session stops waiting for a lock, if not earlier: the value of `lock_timeout`
/// where the server applies no other.
pub fn shorter_timeout() -> String {
    // SAFETY: plain variables of this backend.
    let timeouts = unsafe { [pg_sys::LockTimeout, pg_sys::StatementTimeout] };
    timeouts.into_iter().filter(|timeout| *timeout > 0).min().unwrap_or(0).to_string()
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
