//! What a defining query depends on: the tables it reads, the path it needs, the functions it must not call.

use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::{
    ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_TABLE_DEFINITION,
};
use pgrx::pg_sys::Oid;

use crate::catalog::ddl;
use crate::error::{Error, Result};
use crate::pg::object;
use crate::pg::spi::Session;

/// A table that a defining query reads, directly or through views.
#[derive(Clone, Debug)]
pub struct SourceTable {
    pub relid: Oid,
    pub schema: String,
    pub name: String,
    /// What it is, where its changes cannot be captured: such a source is read as a whole, and compared.
    pub uncaptured: Option<&'static str>,
}

/// The tables that `view` reads, directly or through other views, as `owner`; an error for what cannot be
/// a source.
pub fn sources(session: &Session, view: &QName, owner: Oid) -> Result<Vec<SourceTable>> {
    let relations = ddl::prepare_table(session, view)?.relations()?;
    let own = object::oid(view)?;
    checked(session, relations.into_iter().filter(|relid| *relid != own).collect(), owner)
}

/// The tables among `relations`, all of them fit to be sources of a stream table of `owner`.
pub fn checked(session: &Session, relations: Vec<Oid>, owner: Oid) -> Result<Vec<SourceTable>> {
    let rows = session.query(
        "select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
                c.oid < 16384 or n.nspname in ('pg_catalog', 'information_schema', 'pg_toast'),
                exists (with recursive below(oid) as (
                          select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = c.oid
                          union
                          select i.inhrelid from below join pg_catalog.pg_inherits i on i.inhparent = below.oid
                        )
                        select from below join pg_catalog.pg_class p using (oid) where p.relkind = 'f')
           from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = any ($1)
          order by c.oid",
        &[relations.into()],
        |row| {
            let kind: String = row.require(4)?;
            let uncaptured = uncaptured(&kind, row.require(7)?);
            let table =
                SourceTable { relid: row.require(1)?, schema: row.require(2)?, name: row.require(3)?, uncaptured };
            Ok((table, (kind, row.require::<String>(5)?, row.require::<bool>(6)?)))
        },
    )?;
    let mut tables = vec![];
    for (table, (kind, persistence, system)) in rows {
        if kind == "v" && !system {
            continue;
        }
        refuse_source(&table, &kind, &persistence, system)?;
        refuse_row_security(&table, owner)?;
        tables.push(table);
    }
    Ok(tables)
}

/// What a relation of this kind is called where it has no triggers that tell of every change.
fn uncaptured(kind: &str, has_foreign_children: bool) -> Option<&'static str> {
    match kind {
        "f" => Some("foreign table"),
        "m" => Some("materialized view"),
        _ => has_foreign_children.then_some("table with foreign children"),
    }
}

fn refuse_row_security(table: &SourceTable, owner: Oid) -> Result<()> {
    match object::is_row_secured(table.relid, owner) {
        false => Ok(()),
        true => Err(Error::new(
            ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "row security of table \"{}.{}\" applies to the owner of the stream table",
                table.schema, table.name
            ),
        )
        .detail("The stream table would hold what its owner may see, and show it to everyone who may read it.")
        .hint("Create the stream table as the owner of the source or as a role with BYPASSRLS.")),
    }
}

fn refuse_source(table: &SourceTable, kind: &str, persistence: &str, system: bool) -> Result<()> {
    let name = format!("\"{}.{}\"", table.schema, table.name);
    let unsupported = |what: &str, hint: &str| {
        Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("{what} {name} cannot be the source of a stream table"))
            .detail("Its changes cannot be captured.")
            .hint(hint))
    };
    match (kind, persistence) {
        _ if system => unsupported("system relation", "Copy what you need into a table of your own."),
        (_, "t") => Err(Error::new(
            ERRCODE_INVALID_TABLE_DEFINITION,
            format!("temporary table {name} cannot be the source of a stream table"),
        )
        .detail("A stream table outlives the session, its source would not.")
        .hint("Use a permanent or unlogged table.")),
        ("r" | "p" | "f" | "m", _) => Ok(()),
        _ => unsupported("relation", "Use a table."),
    }
}

/// `pg_catalog`, and the schemas of the operators that the definition uses: PostgreSQL prints some
/// constructs (`IS DISTINCT FROM`, `NULLIF`, simple CASE) without the operator's schema, so reading
/// them back must find the same operator.
pub fn evaluation_path(session: &Session, view: Oid) -> Result<String> {
    let schemas = session.query(
        "with recursive rules(rule) as (
           select r.oid from pg_catalog.pg_rewrite r where r.ev_class = $1
           union
           select r.oid
             from rules
             join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                        and d.refclassid = 'pg_catalog.pg_class'::regclass
             join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind = 'v'
             join pg_catalog.pg_rewrite r on r.ev_class = c.oid
         )
         select distinct pg_catalog.quote_ident(n.nspname)
           from rules
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = rules.rule
                                      and d.refclassid = 'pg_catalog.pg_operator'::regclass
           join pg_catalog.pg_operator o on o.oid = d.refobjid
           join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
          where n.nspname <> 'pg_catalog'
          order by 1",
        &[view.into()],
        |row| row.require::<String>(1),
    )?;
    Ok(["pg_catalog".to_owned()]
        .into_iter()
        .chain(schemas)
        .chain(["pg_temp".to_owned()])
        .collect::<Vec<_>>()
        .join(", "))
}

/// Built-in functions that say what time it is. The compiler lets them pass in temporal filters.
const CLOCK_FUNCTIONS: [&str; 3] = ["now", "transaction_timestamp", "statement_timestamp"];

const CLOCK_KEYWORDS: [&str; 3] = ["current_date", "current_timestamp", "localtimestamp"];

/// Built-in functions whose result depends on the clock, the session or the state of the server.
const SESSION_FUNCTIONS: [&str; 27] = [
    "age",
    "current_setting",
    "current_schema",
    "current_schemas",
    "current_database",
    "current_query",
    "getpgusername",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "pg_backend_pid",
    "pg_conf_load_time",
    "pg_current_snapshot",
    "pg_current_xact_id",
    "pg_current_xact_id_if_assigned",
    "pg_postmaster_start_time",
    "txid_current",
    "txid_current_snapshot",
    "version",
    "has_table_privilege",
    "pg_table_size",
    "pg_total_relation_size",
    "pg_relation_size",
    "pg_get_viewdef",
    "to_regclass",
    "row_security_active",
];

const SESSION_KEYWORDS: [&str; 8] = [
    "current_time",
    "localtime",
    "current_role",
    "current_user",
    "session_user",
    "current_catalog",
    "current_schema",
    "user",
];

/// Refuses functions whose result can change while no source does. `canonical` names built-in functions
/// bare; functions of users are found by what the view depends on.
pub fn refuse_unsafe_functions(session: &Session, view: Oid, canonical: &str) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("{what} cannot be used in a stream table"))
            .detail("Its result can change while no source changes, so the table would silently go stale.")
            .hint("Filter by time when reading the stream table, or store the value in a column."))
    };
    if let Some(name) = session_dependent(canonical) {
        return refuse(name);
    }
    let stable = session.query(
        "select p.oid::regprocedure::text
           from pg_catalog.pg_rewrite r
           join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
                                      and d.refclassid = 'pg_catalog.pg_proc'::regclass
           join pg_catalog.pg_proc p on p.oid = d.refobjid
          where r.ev_class = $1 and p.provolatile = 's' and p.prokind = 'f'",
        &[view.into()],
        |row| row.require::<String>(1),
    )?;
    match stable.into_iter().next() {
        Some(name) => Err(Error::new(
            ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("stable function {name} cannot be used in a stream table"),
        )
        .detail("A stable function may read tables or settings, whose changes would go unnoticed.")
        .hint("Declare it IMMUTABLE if its result depends on nothing but its arguments.")),
        None => Ok(()),
    }
}

/// Whether a canonical text asks what time it is.
pub fn reads_clock(canonical: &str) -> bool {
    first_of(canonical, &CLOCK_FUNCTIONS, &CLOCK_KEYWORDS).is_some()
}

/// The first session-dependent function or keyword.
fn session_dependent(canonical: &str) -> Option<String> {
    first_of(canonical, &SESSION_FUNCTIONS, &SESSION_KEYWORDS)
}

/// The first of these functions and keywords in canonical SQL, outside of literals and quoted names.
fn first_of(canonical: &str, functions: &[&str], keywords: &[&str]) -> Option<String> {
    let mut rest = canonical;
    let mut qualified = false;
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            rest = skip_quoted(rest, first);
            qualified = false;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            let lower = word.to_ascii_lowercase();
            let called = tail.starts_with('(') && functions.contains(&lower.as_str());
            let keyword = word == word.to_ascii_uppercase() && keywords.contains(&lower.as_str());
            if !qualified && (keyword || called && !two_argument_age(&lower, tail)) {
                return Some(if keyword { word.to_owned() } else { format!("{word}()") });
            }
            rest = tail;
            qualified = false;
        } else {
            qualified = first == '.';
            rest = &rest[first.len_utf8()..];
        }
    }
    None
}

/// `age(a, b)` is immutable or stable in its arguments alone; `age(a)` looks at the clock.
fn two_argument_age(name: &str, tail: &str) -> bool {
    if name != "age" {
        return false;
    }
    let mut depth = 0;
    for c in tail.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return false,
            ')' => depth -= 1,
            ',' if depth == 1 => return true,
            _ => {}
        }
    }
    false
}

fn skip_quoted(text: &str, quote: char) -> &str {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => drop(chars.next()),
                _ => return &text[at + 1..],
            }
        }
    }
    ""
}
