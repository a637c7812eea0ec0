//! `explain_stream_table`: what a refresh does, what it costs, and what would make it cheaper.

mod json;
mod text;

use std::collections::BTreeMap;
use std::rc::Rc;

use ivm::beside::Beside;
use ivm::choice::{Choice, Way};
use ivm::explain::cost::{self, Cost};
use ivm::explain::key::{Constraints, Remedy};
use ivm::explain::{self, Operator};
use ivm::plan::Relation;
use ivm::sql::ident::QName;
use pgrx::PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
use pgrx::iter::SetOfIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{default, pg_extern};

use crate::api::moment::{self, Moment};
use crate::api::succeeded;
use crate::api::{given, named, owned, require_writable, rights, shows_messages, without_message};
use crate::catalog::constraint;
use crate::catalog::history::{self, Action, Refresh};
use crate::catalog::index::Index;
use crate::catalog::stream_table::{self, StreamTable};
use crate::error::{Error, Result};
use crate::pg::subxact::subtransaction;
use crate::pg::{relation, spi};
use crate::refresh::{Loaded, Outlook, Prepared, Ran, Ready};
use crate::{frontend, refresh};

/// The operators of a stream table with their laws, the identity of its rows, what each source's change costs, and what would
/// make it cheaper; one line a row. `verbose` adds nodes and SQL. `analyze` runs one refresh, shows time and rows of each
/// statement, and rolls it back. Format `json` is one row.
#[pg_extern(name = "explain_stream_table")]
fn explain_or_analyze(
    name: Option<&str>,
    verbose: default!(Option<bool>, false),
    analyze: default!(Option<bool>, false),
    format: default!(Option<&str>, "'text'"),
) -> std::result::Result<SetOfIterator<'static, String>, ErrorReport> {
    let show = formatter(format.unwrap_or("text"))?;
    let report = report(given("name", name)?, analyze.unwrap_or(false))?;
    Ok(SetOfIterator::new(show(&report, verbose.unwrap_or(false))?))
}

/// Makes lines of a report; whether with what only `verbose` shows.
type Formatter = fn(&Report, bool) -> Result<Vec<String>>;

fn formatter(format: &str) -> Result<Formatter> {
    match format.to_ascii_lowercase().as_str() {
        "text" => Ok(text::lines),
        "json" => Ok(|report, verbose| Ok(vec![json::document(report, verbose)?.to_string()])),
        _ => Err(Error::new(ERRCODE_INVALID_PARAMETER_VALUE, format!("invalid format \"{format}\""))
            .hint("Use 'text' or 'json'.")),
    }
}

/// Everything that is shown of a stream table.
struct Report {
    table: StreamTable,
    moment: Moment,
    open_schemas: Vec<String>,
    /// The choice of the last refresh that had one.
    choice: Option<Choice>,
    /// What its plan tells, or why the next refresh builds it anew.
    plan: std::result::Result<Planned, String>,
    /// What a live read would do, where queries read the table live.
    live: Option<Outlook>,
    analysis: Option<Analysis>,
}

/// What the plan of a stream table tells.
struct Planned {
    prepared: Rc<Prepared>,
    /// None where its query can only be recomputed.
    operators: Option<Operator>,
    /// What would give its rows a key.
    remedy: Option<Remedy>,
    costs: Vec<SourceCost>,
    missing: Vec<Index>,
}

struct SourceCost {
    /// `None`: the passing of time.
    source: Option<String>,
    cost: Cost,
    /// The index is missing that this cost presumes.
    misses_index: bool,
}

/// A refresh that was rolled back.
struct Analysis {
    refresh: Refresh,
    /// The other stream tables that it refreshed before.
    upstream: Vec<(String, Refresh)>,
    ran: Vec<Ran>,
}

impl Report {
    /// The sources whose writers maintain the stream table beside each other: all of them, or those of rows that differ in some columns.
    fn beside(&self) -> Vec<(&QName, &Beside)> {
        let Ok(plan) = &self.plan else { return vec![] };
        let names = &plan.prepared.loaded.names;
        plan.prepared.beside().iter().filter_map(|(source, beside)| Some((names.get(source)?, beside))).collect()
    }
}

fn report(name: &str, analyze: bool) -> Result<Report> {
    if !analyze {
        let table = named(name)?;
        return match shows_messages(&table)? {
            true => explained(table),
            false => subtransaction(|| explained(table.clone())).map_err(|error| without_message(&table, error)),
        };
    }
    require_writable("explain_stream_table")?;
    let report = explained(owned(name)?)?;
    let analysis = Some(analyzed(&report.table)?);
    Ok(Report { analysis, ..report })
}

fn explained(table: StreamTable) -> Result<Report> {
    let tables = stream_table::schedulable()?.into_iter().map(|(name, it)| (it.id, (name, it))).collect();
    let moment = moment::of(table.id, &tables)?;
    let prepared = match refresh::load(table.id)? {
        Ready::Yes(prepared) => prepared,
        Ready::Stale(_, reason) => {
            return Ok(Report {
                table,
                moment,
                open_schemas: vec![],
                choice: None,
                plan: Err(reason),
                live: None,
                analysis: None,
            });
        }
    };
    let open_schemas = rights::open_schemas(&table)?;
    let choice = match table.full_reason {
        Some(_) => None,
        None => spi::connect(None, |session| history::last_choice(session, table.id))?,
    };
    let live = if table.live { Some(refresh::outlook(table.id)?) } else { None };
    Ok(Report { table, moment, open_schemas, choice, plan: Ok(planned(prepared)?), live, analysis: None })
}

fn planned(prepared: Rc<Prepared>) -> Result<Planned> {
    let loaded = &prepared.loaded;
    let compiled = loaded.table.full_reason.is_none();
    let missing = refresh::missing_indexes(loaded)?;
    let is_missing = |source: &QName| missing.sources.contains(source);
    Ok(Planned {
        operators: compiled.then(|| explain::operators(&loaded.view)).transpose()?,
        remedy: if compiled { remedy(loaded)? } else { None },
        costs: costs(loaded, is_missing)?,
        missing: missing.indexes,
        prepared,
    })
}

fn costs(loaded: &Loaded, is_missing: impl Fn(&QName) -> bool) -> Result<Vec<SourceCost>> {
    let recomputed = |source: String| SourceCost { source: Some(source), cost: Cost::RECOMPUTED, misses_index: false };
    if loaded.recomputes() {
        let sources = loaded.dependencies.iter().map(|dependency| dependency.relid);
        let all = sources.chain(loaded.table.polled.iter().copied());
        return Ok(all.map(|oid| recomputed(relation::display(oid))).collect());
    }
    let of_source = |name: &QName| -> Result<SourceCost> {
        let cost = cost::of(&loaded.view, &Relation::Source(name.clone()))?;
        Ok(SourceCost { source: Some(name.to_string()), cost, misses_index: is_missing(name) })
    };
    let mut costs = loaded.view.sources.iter().map(|source| of_source(&source.name)).collect::<Result<Vec<_>>>()?;
    if loaded.view.reads_clock() {
        let cost = cost::of(&loaded.view, &Relation::Clock)?;
        costs.push(SourceCost { source: None, cost, misses_index: false });
    }
    Ok(costs)
}

/// What would give the rows of a stream table a key, tried with its query as its owner.
fn remedy(loaded: &Loaded) -> Result<Option<Remedy>> {
    let table = &loaded.table;
    spi::connect(None, |session| {
        let of_source = |(id, name): (&i32, &QName)| -> Result<(QName, Constraints)> {
            let found = loaded.dependencies.iter().find(|dependency| dependency.source == *id);
            let relid = found.ok_or(Error::Bug("a source has a name and no dependency"))?.relid;
            Ok((name.clone(), constraint::of(session, relid)?))
        };
        let constraints: BTreeMap<QName, Constraints> = loaded.names.iter().map(of_source).collect::<Result<_>>()?;
        session.as_owner(table.owner, &table.evaluation(), |owner| {
            frontend::key_remedy(owner, &frontend::reread(&table.canonical)?, &loaded.view, &constraints)
        })
    })
}

fn analyzed(table: &StreamTable) -> Result<Analysis> {
    let (refreshes, ran) = refresh::analyze(table.id)?;
    let (mut own, others): (Vec<Refresh>, Vec<Refresh>) =
        succeeded(refreshes)?.into_iter().partition(|refresh| refresh.id == table.id);
    let named = |refresh: Refresh| -> Result<(String, Refresh)> {
        let table = spi::connect(None, |session| stream_table::get(session, refresh.id))?;
        Ok((table.display(), refresh))
    };
    let upstream = others.into_iter().filter(Refresh::is_applied).map(named).collect::<Result<_>>()?;
    Ok(Analysis { refresh: own.pop().ok_or(Error::Bug("a tick refreshes its table"))?, upstream, ran })
}

/// What a choice was, and why.
fn reasoned(choice: &Choice) -> (Action, &'static str) {
    match choice.way {
        Way::Full if choice.delta_ms <= choice.full_ms => {
            (Action::Full, "following the changes took too long, now or the last times")
        }
        Way::Full => (Action::Full, "recomputing is cheaper"),
        Way::Delta if choice.delta_ms > choice.full_ms => {
            (Action::Differential, "the expected times are too unsure to recompute")
        }
        Way::Delta => (Action::Differential, "the delta is cheaper"),
    }
}
