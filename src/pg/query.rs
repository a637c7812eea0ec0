//! The server's own analysis of a query: parse, analyse, rewrite, print, and list what it calls.
//! See `src/backend/rewrite/`, `utils/adt/ruleutils.c` and `nodes/nodeFuncs.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;

use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::SQLValueFunctionOp::*;
use pgrx::{pg_guard, pg_sys};

use crate::error::{Error, Result};
use crate::pg::spi::OwnerSession;
use crate::pg::text::{c_string, string};
use crate::pg::{node, unread};

/// An analysed and rewritten query: views within views are expanded, and columns that nothing reads call nothing whose
/// result can change. Lives in the current memory context.
pub struct Analysed(*mut pg_sys::Query);

/// What a query calls in all of its parts: in the views that it reads, in subqueries, through operators, casts, aggregates,
/// sort orders and groups.
#[derive(Debug, Default)]
pub struct Calls {
    /// By oid, with the number of places where each is called.
    pub functions: BTreeMap<u32, usize>,
    /// Domains that a value is converted to, which runs their checks.
    pub domains: BTreeSet<u32>,
    /// Keywords that stand for a value of the session or the server, as `CURRENT_USER`.
    pub keywords: BTreeSet<&'static str>,
    /// The settings that `current_setting` reads by a constant name: those calls are not among the functions.
    pub settings: BTreeSet<String>,
}

/// The keyword of a clause that locks rows.
pub const LOCKING: &str = "FOR UPDATE";

/// The error for a query with such a clause, in any of its parts.
pub fn locks_rows() -> Error {
    Error::new(pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, "a stream table's query must not lock rows")
        .detail("FOR UPDATE and similar clauses would delay writers at every refresh.")
        .hint("Remove the locking clause.")
}

/// The query behind a view.
pub fn of_view(_owner: &OwnerSession, view: pg_sys::Oid) -> Result<Analysed> {
    // SAFETY: the relation is open while its rule is copied; everything below works on the copy.
    unsafe {
        let relation = pg_sys::relation_open(view, pg_sys::AccessShareLock as i32);
        let query = pg_sys::copyObjectImpl(pg_sys::get_view_query(relation).cast()).cast::<pg_sys::Query>();
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        rewrite(query)
    }
}

/// A query text, analysed under the current search path.
pub fn of_text(owner: &OwnerSession, sql: &str) -> Result<Analysed> {
    let query = analyse(owner, sql)?;
    // SAFETY: the tree was just made.
    unsafe { rewrite(query) }
}

/// The tree of one query, in the current memory context.
pub(super) fn analyse(_owner: &OwnerSession, sql: &str) -> Result<*mut pg_sys::Query> {
    let text = c_string(sql)?;
    // SAFETY: the raw tree is ours; the text outlives the analysis.
    unsafe {
        let raw = single_select(text.as_ptr())?;
        Ok(pg_sys::parse_analyze_fixedparams(raw, text.as_ptr(), std::ptr::null(), 0, std::ptr::null_mut()))
    }
}

/// Refuses anything that is not exactly one SELECT (or VALUES, or WITH … SELECT).
pub fn check_is_select(sql: &str) -> Result<()> {
    let text = c_string(sql)?;
    // SAFETY: reads the raw tree that was just made.
    unsafe { single_select(text.as_ptr()).map(|_| ()) }
}

unsafe fn single_select(text: *const std::ffi::c_char) -> Result<*mut pg_sys::RawStmt> {
    use pgrx::PgSqlErrorCode::ERRCODE_SYNTAX_ERROR;
    let refuse = |detail: &str| {
        Err(Error::new(ERRCODE_SYNTAX_ERROR, "a stream table is defined by one query")
            .detail(detail)
            .hint("Give one SELECT, VALUES or WITH … SELECT."))
    };
    // SAFETY: `text` is NUL-terminated; the parser returns a list of RawStmt; the tag says what the node is.
    unsafe {
        let statements: Vec<*mut pg_sys::RawStmt> = node::pointers(pg_sys::pg_parse_query(text)).collect();
        let raw = match statements[..] {
            [raw] => raw,
            [] => return refuse("The text holds no statement."),
            _ => return refuse("The text holds more than one statement."),
        };
        if (*(*raw).stmt).type_ != T_SelectStmt {
            return refuse("The statement is not a query.");
        }
        let select = &*(*raw).stmt.cast::<pg_sys::SelectStmt>();
        match (select.lockingClause.is_null(), select.intoClause.is_null()) {
            (true, true) => Ok(raw),
            (false, _) => Err(locks_rows()),
            (_, false) => refuse("SELECT INTO creates a table of its own."),
        }
    }
}

unsafe fn rewrite(query: *mut pg_sys::Query) -> Result<Analysed> {
    // SAFETY: `query` is a private, analysed tree; the rewriter returns a list of queries.
    unsafe {
        pg_sys::AcquireRewriteLocks(query, true, false);
        let rewritten = node::pointers(pg_sys::pg_rewrite_query(query)).next();
        let rewritten = rewritten.ok_or(Error::Bug("a SELECT rewrites to a query"))?;
        unread::prune(rewritten);
        Ok(Analysed(rewritten))
    }
}

impl Analysed {
    /// The query as PostgreSQL prints it under the current search path. A copy is printed: from release 18 on, the printer puts
    /// the expressions of GROUP BY into the select list too, where they would count as further calls.
    pub fn text(&self) -> String {
        // SAFETY: the printer reads an analysed tree; the text is copied at once.
        unsafe { string(pg_sys::pg_get_querydef(pg_sys::copyObjectImpl(self.0.cast()).cast(), false)) }
    }

    /// The relations that the query reads, except for those that only unread columns read.
    pub fn relations(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: an analysed tree.
        unsafe { node::relations(self.0.cast()) }
    }

    pub fn calls(&self) -> Calls {
        let mut calls = Calls::default();
        // SAFETY: an analysed tree.
        unsafe { node::walk(self.0.cast(), |node| note(&mut calls, node)) };
        calls
    }
}

impl Calls {
    fn note(&mut self, function: pg_sys::Oid) {
        *self.functions.entry(function.to_u32()).or_default() += 1;
    }

    /// The functions that are not the server's own, with the number of places where each is called.
    pub fn of_users(&self) -> Vec<(u32, usize)> {
        let own = |(oid, _): &(u32, usize)| *oid >= pg_sys::FirstNormalObjectId;
        self.functions.iter().map(|(oid, count)| (*oid, *count)).filter(own).collect()
    }
}

/// Notes what a node calls by itself.
unsafe fn note(calls: &mut Calls, node: *mut pg_sys::Node) {
    // SAFETY: the tag says what the node is.
    unsafe {
        match (*node).type_ {
            T_Query if !(*node.cast::<pg_sys::Query>()).rowMarks.is_null() => _ = calls.keywords.insert(LOCKING),
            T_FuncExpr => match setting_read(node.cast()) {
                Some(name) => _ = calls.settings.insert(name),
                None => calls.note((*node.cast::<pg_sys::FuncExpr>()).funcid),
            },
            T_SortGroupClause => {
                let clause = node.cast::<pg_sys::SortGroupClause>();
                let operators = [(*clause).eqop, (*clause).sortop].into_iter();
                operators
                    .filter(|operator| *operator != pg_sys::InvalidOid)
                    .for_each(|operator| calls.note(pg_sys::get_opcode(operator)));
            }
            T_CoerceToDomain => _ = calls.domains.insert((*node.cast::<pg_sys::CoerceToDomain>()).resulttype.to_u32()),
            T_NextValueExpr => _ = calls.keywords.insert("nextval"),
            T_TableSampleClause => _ = calls.keywords.insert("TABLESAMPLE"),
            T_SQLValueFunction => _ = calls.keywords.insert(keyword((*node.cast::<pg_sys::SQLValueFunction>()).op)),
            T_Query | T_RangeTblEntry => {}
            _ => _ = pg_sys::check_functions_in_node(node, Some(note_function), std::ptr::from_mut(calls).cast()),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn note_function(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context is that of `note`.
    unsafe { (*context.cast::<Calls>()).note(function) };
    false
}

/// The setting that a call reads, if it is `current_setting` of a constant.
unsafe fn setting_read(call: *mut pg_sys::FuncExpr) -> Option<String> {
    const READING: [u32; 2] = [pg_sys::F_CURRENT_SETTING_TEXT, pg_sys::F_CURRENT_SETTING_TEXT_BOOL];
    // SAFETY: a call's arguments are expressions; a constant of type text that is not NULL holds a datum of it.
    unsafe {
        if !READING.contains(&(*call).funcid.to_u32()) || (*call).args.is_null() {
            return None;
        }
        let first = (*(*(*call).args).elements).ptr_value.cast::<pg_sys::Const>();
        if (*first).xpr.type_ != T_Const || (*first).constisnull || (*first).consttype != pg_sys::TEXTOID {
            return None;
        }
        <String as pgrx::FromDatum>::from_datum((*first).constvalue, false)
    }
}

/// How a keyword that stands for a value is spelled, without its precision.
fn keyword(op: pg_sys::SQLValueFunctionOp::Type) -> &'static str {
    match op {
        SVFOP_CURRENT_DATE => "CURRENT_DATE",
        SVFOP_CURRENT_TIME | SVFOP_CURRENT_TIME_N => "CURRENT_TIME",
        SVFOP_CURRENT_TIMESTAMP | SVFOP_CURRENT_TIMESTAMP_N => "CURRENT_TIMESTAMP",
        SVFOP_LOCALTIME | SVFOP_LOCALTIME_N => "LOCALTIME",
        SVFOP_LOCALTIMESTAMP | SVFOP_LOCALTIMESTAMP_N => "LOCALTIMESTAMP",
        SVFOP_CURRENT_ROLE => "CURRENT_ROLE",
        SVFOP_CURRENT_USER => "CURRENT_USER",
        SVFOP_USER => "USER",
        SVFOP_SESSION_USER => "SESSION_USER",
        SVFOP_CURRENT_CATALOG => "CURRENT_CATALOG",
        _ => "CURRENT_SCHEMA",
    }
}
