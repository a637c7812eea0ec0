//! The server's own analysis of a query: parse, analyse, rewrite, print. No tree is walked here.
//! See `src/backend/rewrite/` and `utils/adt/ruleutils.c`.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::{Error, Result};
use crate::pg::spi::c_string;

/// What the server says about a stored or given query.
pub struct Analysed {
    /// The query as PostgreSQL prints it, views expanded.
    pub text: String,
    pub volatile: bool,
}

/// The query behind a view, rewritten (views within views expanded) and printed.
pub fn of_view(view: pg_sys::Oid) -> Result<Analysed> {
    // SAFETY: the relation is open while its rule is copied; everything below works on the copy.
    unsafe {
        let relation = pg_sys::relation_open(view, pg_sys::AccessShareLock as i32);
        let query = pg_sys::copyObjectImpl(pg_sys::get_view_query(relation).cast()).cast::<pg_sys::Query>();
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        print(query)
    }
}

/// A query text, analysed under the current search path, rewritten and printed.
pub fn of_text(sql: &str) -> Result<Analysed> {
    let text = c_string(sql)?;
    // SAFETY: the raw tree is ours; the text outlives the analysis.
    unsafe {
        let raw = single_select(text.as_ptr())?;
        print(pg_sys::parse_analyze_fixedparams(raw, text.as_ptr(), std::ptr::null(), 0, std::ptr::null_mut()))
    }
}

/// Refuses anything that is not exactly one SELECT (or VALUES, or WITH … SELECT).
pub fn check_is_select(sql: &str) -> Result<()> {
    let text = c_string(sql)?;
    // SAFETY: only looks at the raw tree just made.
    unsafe { single_select(text.as_ptr()).map(|_| ()) }
}

unsafe fn single_select(text: *const std::ffi::c_char) -> Result<*mut pg_sys::RawStmt> {
    use pgrx::PgSqlErrorCode::ERRCODE_SYNTAX_ERROR;
    // SAFETY: `text` is NUL-terminated; a list of RawStmt is what the parser returns.
    unsafe {
        let list = pg_sys::pg_parse_query(text);
        let refuse = |detail: &str| {
            Error::new(ERRCODE_SYNTAX_ERROR, "a stream table is defined by one query")
                .detail(detail)
                .hint("Give one SELECT, VALUES or WITH … SELECT.")
        };
        if list.is_null() || (*list).length == 0 {
            return Err(refuse("The text holds no statement."));
        }
        if (*list).length > 1 {
            return Err(refuse("The text holds more than one statement."));
        }
        let raw = (*(*list).elements).ptr_value.cast::<pg_sys::RawStmt>();
        if (*(*raw).stmt).type_ != pg_sys::NodeTag::T_SelectStmt {
            return Err(refuse("The statement is not a query."));
        }
        if !(*(*raw).stmt.cast::<pg_sys::SelectStmt>()).lockingClause.is_null() {
            return Err(Error::new(
                pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "a stream table's query must not lock rows",
            )
            .detail("FOR UPDATE and its kin would hold up writers at every refresh.")
            .hint("Leave the locking clause out."));
        }
        if !(*(*raw).stmt.cast::<pg_sys::SelectStmt>()).intoClause.is_null() {
            return Err(refuse("SELECT INTO makes a table of its own."));
        }
        Ok(raw)
    }
}

unsafe fn print(query: *mut pg_sys::Query) -> Result<Analysed> {
    // SAFETY: `query` is a private, analysed tree; the rewriter returns a list of queries.
    unsafe {
        pg_sys::AcquireRewriteLocks(query, true, false);
        let list = pg_sys::pg_rewrite_query(query);
        if list.is_null() || (*list).length != 1 {
            return Err(Error::Bug("a SELECT rewrites to one query"));
        }
        let rewritten = (*(*list).elements).ptr_value.cast::<pg_sys::Query>();
        let volatile = pg_sys::contain_volatile_functions(rewritten.cast());
        let text = pg_sys::pg_get_querydef(rewritten, false);
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        Ok(Analysed { text: owned, volatile })
    }
}
