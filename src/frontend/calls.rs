//! The functions that a defining query may call: those that return the same result for the same arguments while no source
//! changes.
//!
//! The whole rewritten query is checked, with the views that it reads and the functions behind its operators, casts,
//! aggregates and domains. A function that is not known to be safe is refused by its name.

use pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::guard::EVALUATION_SETTINGS;
use crate::pg::query::{Calls, LOCKING, locks_rows};
use crate::pg::spi::Session;

/// Functions and keywords that read the clock. Temporal filters may compare columns with them.
const CLOCK_FUNCTIONS: [&str; 3] = ["now", "transaction_timestamp", "statement_timestamp"];
const CLOCK_KEYWORDS: [&str; 3] = ["CURRENT_DATE", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP"];

/// STABLE functions of the server that are immutable under fixed [`EVALUATION_SETTINGS`], which a stream table stores: the
/// time zone and the formats of dates, intervals, numbers and money; the text search
/// configuration; how XML and binary text are written. Labels of enums, rows and casts of elements change with DDL only,
/// which is watched.
#[rustfmt::skip]
const IMMUTABLE_UNDER_SETTINGS: &[&str] = &[
    // Times with a time zone: casts, comparisons, arithmetic, parts.
    "age", "date", "date_cmp_timestamptz", "date_eq_timestamptz", "date_ge_timestamptz", "date_gt_timestamptz",
    "date_le_timestamptz", "date_lt_timestamptz", "date_ne_timestamptz", "date_part", "date_trunc", "extract",
    "generate_series", "in_range", "interval_pl_timestamptz", "make_timestamptz", "overlaps", "time",
    "timestamp", "timestamp_cmp_timestamptz", "timestamp_eq_timestamptz", "timestamp_ge_timestamptz",
    "timestamp_gt_timestamptz", "timestamp_le_timestamptz", "timestamp_lt_timestamptz", "timestamp_ne_timestamptz",
    "timestamptz", "timestamptz_cmp_date", "timestamptz_cmp_timestamp", "timestamptz_eq_date",
    "timestamptz_eq_timestamp", "timestamptz_ge_date", "timestamptz_ge_timestamp", "timestamptz_gt_date",
    "timestamptz_gt_timestamp", "timestamptz_le_date", "timestamptz_le_timestamp", "timestamptz_lt_date",
    "timestamptz_lt_timestamp", "timestamptz_mi_interval", "timestamptz_ne_date", "timestamptz_ne_timestamp",
    "timestamptz_pl_interval", "timetz", "timezone", "date_add", "date_subtract",
    // Text of values and values of text.
    "anyarray_out", "anycompatiblearray_out", "anycompatiblemultirange_out", "anycompatiblerange_out", "anyenum_out",
    "anymultirange_out", "anyrange_out", "anytextcat", "array_in", "array_out", "array_to_string", "cash_in", "cash_out",
    "concat", "concat_ws", "date_in", "date_out", "domain_in", "enum_in", "enum_out", "format", "interval_in",
    "interval_out", "money", "multirange_in", "multirange_out", "numeric", "quote_literal", "quote_nullable", "range_in",
    "range_out", "record_in", "record_out", "textanycat", "time_in", "timestamp_in", "timestamp_out", "timestamptz_in",
    "timestamptz_out", "timetz_in", "to_char", "to_date", "to_number", "to_timestamp", "xml_in", "xml_out", "xml",
    "byteaout", "float4out", "float8out", "pg_typeof", "pg_collation_for",
    // Enums.
    "enum_first", "enum_last", "enum_range",
    // JSON.
    "array_to_json", "json_agg", "json_agg_transfn", "json_build_array", "json_build_object", "json_object_agg",
    "json_object_agg_transfn", "json_object_agg_strict", "json_object_agg_strict_transfn", "json_object_agg_unique",
    "json_object_agg_unique_transfn", "json_object_agg_unique_strict", "json_object_agg_unique_strict_transfn",
    "json_agg_strict", "json_agg_strict_transfn", "json_populate_record", "json_populate_recordset", "json_to_record",
    "json_to_recordset", "json_to_tsvector", "jsonb_agg", "jsonb_agg_finalfn", "jsonb_agg_transfn", "jsonb_agg_strict",
    "jsonb_agg_strict_transfn", "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg",
    "jsonb_object_agg_finalfn", "jsonb_object_agg_transfn", "jsonb_object_agg_strict",
    "jsonb_object_agg_strict_transfn", "jsonb_object_agg_unique", "jsonb_object_agg_unique_transfn",
    "jsonb_object_agg_unique_strict", "jsonb_object_agg_unique_strict_transfn", "jsonb_path_exists_tz",
    "jsonb_path_match_tz", "jsonb_path_query_array_tz", "jsonb_path_query_first_tz", "jsonb_path_query_tz",
    "jsonb_populate_record", "jsonb_populate_recordset", "jsonb_to_record", "jsonb_to_recordset", "jsonb_to_tsvector",
    "row_to_json", "to_json", "to_jsonb",
    // Full text search.
    "phraseto_tsquery", "plainto_tsquery", "to_tsquery", "to_tsvector", "ts_headline", "websearch_to_tsquery",
    // Encodings: that of a database never changes.
    "convert", "convert_from", "convert_to", "length",
];

/// Refuses calls whose result can change while no source does. Returns whether the query reads the clock.
///
/// # Errors
/// `feature_not_supported`, with the name of the function or keyword.
pub fn check(session: &Session, calls: &Calls) -> Result<bool> {
    let known = |name: &&String| EVALUATION_SETTINGS.iter().any(|setting| setting.eq_ignore_ascii_case(name));
    if let Some(setting) = calls.settings.iter().find(|name| !known(name)) {
        return Err(session_dependent(&format!("current_setting('{setting}')")));
    }
    let (clock, others): (Vec<&str>, Vec<&str>) =
        calls.keywords.iter().copied().partition(|keyword| CLOCK_KEYWORDS.contains(keyword));
    if others.contains(&LOCKING) {
        return Err(locks_rows());
    }
    if let Some(keyword) = others.first() {
        return Err(if *keyword == "TABLESAMPLE" { volatile(keyword) } else { session_dependent(keyword) });
    }
    let mut reads_clock = !clock.is_empty();
    for (name, own, is_volatile, is_clock) in unsafe_functions(session, calls)? {
        match (is_volatile, is_clock) {
            (_, true) => reads_clock = true,
            (true, _) => return Err(volatile(&name)),
            (false, _) if own => return Err(session_dependent(&name)),
            (false, _) => return Err(stable(&name)),
        }
    }
    Ok(reads_clock)
}

/// The functions that are called, directly or by an aggregate or the check of a domain, and are neither immutable nor
/// known to be so under fixed settings: the name, whether it is built in, whether it is volatile, whether it reads the
/// clock.
///
/// The server never reads the mark of a function with an argument of type `internal`: only an aggregate can call it, and
/// aggregates are immutable. Extensions leave it at the default, VOLATILE, so it means nothing.
fn unsafe_functions(session: &Session, calls: &Calls) -> Result<Vec<(String, bool, bool, bool)>> {
    let functions: Vec<Oid> = calls.functions.keys().copied().map(Oid::from).collect();
    let domains: Vec<Oid> = calls.domains.iter().copied().map(Oid::from).collect();
    session.query(
        "with recursive called(oid) as (
           select unnest($1)
           union
           select support
             from called c join pg_catalog.pg_aggregate a on a.aggfnoid = c.oid,
                  unnest(array[a.aggtransfn, a.aggfinalfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]::oid[]) support
            where support <> 0
         ), domain(oid) as (
           select unnest($2)
           union
           select t.typbasetype from domain join pg_catalog.pg_type t using (oid) where t.typtype = 'd'
         ), checks(oid) as (
           select d.refobjid
             from domain
             join pg_catalog.pg_constraint k on k.contypid = domain.oid
             join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_constraint'::regclass and d.objid = k.oid
                                        and d.refclassid = 'pg_catalog.pg_proc'::regclass
         )
         select p.oid::regprocedure::text, own, p.provolatile = 'v', own and p.proname = any ($4) and p.pronargs = 0
           from pg_catalog.pg_proc p, lateral (select p.oid < 16384 as own) o
          where p.oid in (select oid from called union select oid from checks)
            and p.provolatile <> 'i' and p.prokind <> 'a'
            and not (p.provolatile = 'v' and 'pg_catalog.internal'::regtype = any (p.proargtypes))
            and not (own and p.provolatile = 's' and p.proname = any ($3) and not (p.proname = 'age' and p.pronargs = 1))
          order by p.provolatile desc, p.oid",
        &[functions.into(), domains.into(), names(IMMUTABLE_UNDER_SETTINGS).into(), names(&CLOCK_FUNCTIONS).into()],
        |row| Ok((row.require(1)?, row.require(2)?, row.require(3)?, row.require(4)?)),
    )
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn refused(what: &str, detail: &str, hint: &str) -> Error {
    Error::new(ERRCODE_FEATURE_NOT_SUPPORTED, format!("{what} cannot be used in a stream table"))
        .detail(detail)
        .hint(hint)
}

fn volatile(name: &str) -> Error {
    refused(
        name,
        "It can return another result at every call, so no stored result stays equal to the query.",
        "Compute the value when the source row is written, or use an immutable function.",
    )
}

fn session_dependent(name: &str) -> Error {
    refused(
        name,
        "Its result can change while no source changes, and no refresh would notice.",
        "Use it when reading the stream table, or store the value in a column.",
    )
}

fn stable(name: &str) -> Error {
    refused(
        &format!("stable function {name}"),
        "A stable function may read tables or settings, and no refresh would notice their changes.",
        "Declare the function IMMUTABLE if its result depends on its arguments alone.",
    )
}
