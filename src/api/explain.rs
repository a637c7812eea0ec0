//! `explain_stream_table`: what will be done, and why not less.

use ivm::choice::{Choice, Way};
use ivm::sql::ident::Ident;
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::api::{given, named, rights, shows_messages, without_message};
use crate::catalog::history::{self, Action};
use crate::catalog::stream_table::StreamTable;
use crate::error::Result;
use crate::pg::spi;
use crate::pg::subxact::subtransaction;
use crate::refresh;

/// The plan, nodes and identities of a stream table, the law of each operator, the SQL that one changed
/// source makes it run, and what keeps it from being cheaper.
#[pg_extern]
fn explain_stream_table(name: Option<&str>) -> std::result::Result<String, ErrorReport> {
    Ok(explain(given("name", name)?)?)
}

fn explain(name: &str) -> Result<String> {
    let table = named(name)?;
    match shows_messages(&table)? {
        true => explained(&table),
        false => subtransaction(|| explained(&table)).map_err(|error| without_message(&table, error)),
    }
}

fn explained(table: &StreamTable) -> Result<String> {
    let ready = refresh::load(table.id)?;
    let mut text = format!(
        "stream table {}, refresh mode {}, schedule {}\n",
        table.display(),
        table.mode.as_str(),
        table.schedule
    );
    let prepared = match ready {
        refresh::Ready::Yes(prepared) => prepared,
        refresh::Ready::Stale(_, reason) => {
            return Ok(text + &format!("will be built anew by the next refresh: {reason}\n"));
        }
    };
    for schema in rights::open_schemas(table)? {
        text += &format!(
            "evaluated under schema {}, in which other roles may create: {}\n",
            Ident::new(schema),
            rights::CAPTURED
        );
    }
    match &table.full_reason {
        Some(reason) => {
            text += &format!("recomputed as a whole: {reason}\n");
            if let Some(hint) = &table.full_hint {
                text += &format!("rewrite: {hint}\n");
            }
        }
        None => {
            text += &last_choice(table)?;
            text += &ivm::explain::view(&prepared.loaded.view)?;
            text += &ivm::explain::programs(&prepared.loaded.view)?;
            text += &advice(&prepared.loaded)?;
        }
    }
    Ok(text)
}

/// What the last refresh that had a choice expected, and did.
fn last_choice(table: &StreamTable) -> Result<String> {
    let last = spi::connect(None, |session| history::last_choice(session, table.id))?;
    Ok(last.map_or_else(String::new, |Choice { way, delta_ms: delta, full_ms: full }| {
        let (action, why) = match way {
            Way::Full => (Action::Full, "recomputing is cheaper"),
            Way::Delta if delta > full => (Action::Differential, "recomputing would save too little to be sure of it"),
            Way::Delta => (Action::Differential, "the delta is cheaper"),
        };
        let action = action.as_str();
        format!("last choice: {action}: {why}: expected {delta:.3} ms for the delta, {full:.3} ms for recomputing\n")
    }))
}

/// The indexes that would make a delta cheap.
fn advice(loaded: &refresh::Loaded) -> Result<String> {
    let lines = refresh::missing_indexes(loaded)?.into_iter().map(|missing| {
        format!("\nmissing index: {missing} is read as a whole for a few changed rows: {};", missing.statement())
    });
    Ok(lines.collect())
}
