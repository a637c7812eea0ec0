//! The server's own analysis of a query: parse, analyse, rewrite, print, and list what it calls.
//! See `src/backend/rewrite/`, `utils/adt/ruleutils.c` and `nodes/nodeFuncs.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_void};

use pgrx::pg_sys::NodeTag::*;
use pgrx::pg_sys::SQLValueFunctionOp::*;
use pgrx::{pg_guard, pg_sys};

use crate::error::{Error, Result};
use crate::pg::spi::{OwnerSession, c_string};
use crate::pg::unread;

/// An analysed and rewritten query: views within views are expanded, and columns that nothing reads call nothing whose
/// result can change. Lives in the current memory context.
pub struct Analysed(*mut pg_sys::Query);

/// What a query calls, wherever in it that is: in views that it reads, in subqueries, behind operators, casts,
/// aggregates, sort orders and groups.
#[derive(Debug, Default)]
pub struct Calls {
    /// By oid, with the number of places where each is called.
    pub functions: BTreeMap<u32, usize>,
    /// Domains that a value is converted to, which runs their checks.
    pub domains: BTreeSet<u32>,
    /// Keywords that stand for a value of the session or the server, as `CURRENT_USER`.
    pub keywords: BTreeSet<&'static str>,
    /// The settings that `current_setting` is asked for with a constant: those calls are not among the functions.
    pub settings: BTreeSet<String>,
}

/// The keyword of a clause that locks rows.
pub const LOCKING: &str = "FOR UPDATE";

/// The refusal of a query that has one, wherever in it that is.
pub fn locks_rows() -> Error {
    Error::new(pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, "a stream table's query must not lock rows")
        .detail("FOR UPDATE and its kin would hold up writers at every refresh.")
        .hint("Leave the locking clause out.")
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
            return Err(locks_rows());
        }
        if !(*(*raw).stmt.cast::<pg_sys::SelectStmt>()).intoClause.is_null() {
            return Err(refuse("SELECT INTO makes a table of its own."));
        }
        Ok(raw)
    }
}

unsafe fn rewrite(query: *mut pg_sys::Query) -> Result<Analysed> {
    // SAFETY: `query` is a private, analysed tree; the rewriter returns a list of queries.
    unsafe {
        pg_sys::AcquireRewriteLocks(query, true, false);
        let list = pg_sys::pg_rewrite_query(query);
        if list.is_null() || (*list).length != 1 {
            return Err(Error::Bug("a SELECT rewrites to one query"));
        }
        let rewritten = (*(*list).elements).ptr_value.cast();
        unread::prune(rewritten);
        Ok(Analysed(rewritten))
    }
}

impl Analysed {
    /// The query as PostgreSQL prints it under the current search path.
    pub fn text(&self) -> String {
        // SAFETY: the printer reads an analysed tree; the text is copied at once.
        unsafe { CStr::from_ptr(pg_sys::pg_get_querydef(self.0, false)).to_string_lossy().into_owned() }
    }

    /// The relations that the query reads, those that only unread columns asked for left out.
    pub fn relations(&self) -> Vec<pg_sys::Oid> {
        // SAFETY: an analysed tree.
        unsafe { read_by(self.0.cast()) }
    }

    pub fn calls(&self) -> Calls {
        let mut calls = Calls::default();
        // SAFETY: the walker reads an analysed tree and gives its callback the calls, which outlive it.
        unsafe { walk(self.0.cast(), (&raw mut calls).cast()) };
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

/// The relations that a rewritten query, or a list of them, reads.
///
/// # Safety
/// The node is an analysed query or a list of such.
pub(super) unsafe fn read_by(node: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    let mut relations: BTreeSet<u32> = BTreeSet::new();
    // SAFETY: the walker reads analysed trees, and gives its callback the set, which outlives it.
    unsafe { walk_relations(node, (&raw mut relations).cast()) };
    relations.into_iter().map(pg_sys::Oid::from).collect()
}

#[pg_guard]
unsafe extern "C-unwind" fn walk_relations(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag says what the node is; the context is that of `read_by`.
    unsafe {
        match (*node).type_ {
            T_Query => {
                let flags = pg_sys::QTW_EXAMINE_RTES_BEFORE as i32;
                pg_sys::query_tree_walker(node.cast(), Some(walk_relations), context, flags)
            }
            // What is below it is walked as well.
            T_RangeTblEntry => {
                let relid = (*node.cast::<pg_sys::RangeTblEntry>()).relid;
                if relid != pg_sys::InvalidOid {
                    (*context.cast::<BTreeSet<u32>>()).insert(relid.to_u32());
                }
                false
            }
            _ => pg_sys::expression_tree_walker(node, Some(walk_relations), context),
        }
    }
}

/// Visits a node and all below it. Never ends early.
#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: the tag says what the node is; the context is that of `Analysed::calls`.
    unsafe {
        let calls = &mut *context.cast::<Calls>();
        match (*node).type_ {
            T_Query => {
                if !(*node.cast::<pg_sys::Query>()).rowMarks.is_null() {
                    calls.keywords.insert(LOCKING);
                }
                let flags = pg_sys::QTW_EXAMINE_SORTGROUP as i32;
                return pg_sys::query_tree_walker(node.cast(), Some(walk), context, flags);
            }
            T_FuncExpr => match asked_setting(node.cast()) {
                Some(name) => _ = calls.settings.insert(name),
                None => calls.note((*node.cast::<pg_sys::FuncExpr>()).funcid),
            },
            T_SortGroupClause => {
                let clause = node.cast::<pg_sys::SortGroupClause>();
                for operator in [(*clause).eqop, (*clause).sortop] {
                    if operator != pg_sys::InvalidOid {
                        calls.note(pg_sys::get_opcode(operator));
                    }
                }
            }
            T_CoerceToDomain => _ = calls.domains.insert((*node.cast::<pg_sys::CoerceToDomain>()).resulttype.to_u32()),
            T_NextValueExpr => _ = calls.keywords.insert("nextval"),
            T_TableSampleClause => _ = calls.keywords.insert("TABLESAMPLE"),
            T_SQLValueFunction => _ = calls.keywords.insert(keyword((*node.cast::<pg_sys::SQLValueFunction>()).op)),
            _ => _ = pg_sys::check_functions_in_node(node, Some(note_function), context),
        }
        // What the server does not walk into is no expression: it holds none.
        pg_sys::expression_tree_walker(node, Some(walk), context)
    }
}

unsafe extern "C-unwind" fn note_function(function: pg_sys::Oid, context: *mut c_void) -> bool {
    // SAFETY: the context is that of `Analysed::calls`.
    unsafe { (*context.cast::<Calls>()).note(function) };
    false
}

/// The setting that a call asks for, if it is `current_setting` of a constant.
unsafe fn asked_setting(call: *mut pg_sys::FuncExpr) -> Option<String> {
    const ASKING: [u32; 2] = [pg_sys::F_CURRENT_SETTING_TEXT, pg_sys::F_CURRENT_SETTING_TEXT_BOOL];
    // SAFETY: a call's arguments are expressions; a constant of type text that is not NULL holds a datum of it.
    unsafe {
        if !ASKING.contains(&(*call).funcid.to_u32()) || (*call).args.is_null() {
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
