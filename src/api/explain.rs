//! `explain_stream_table`: what will be done, and why not less.

use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::api::named;
use crate::catalog::quietly;
use crate::error::Result;
use crate::pg::{guard, spi};
use crate::refresh;

/// The plan, nodes and identities of a stream table, the law of each operator, the SQL that one changed
/// source makes it run, and what keeps it from being cheaper.
#[pg_extern]
fn explain_stream_table(name: &str) -> std::result::Result<String, ErrorReport> {
    Ok(explain(name)?)
}

fn explain(name: &str) -> Result<String> {
    let table = named(name)?;
    let ready = quietly(|| spi::connect(None, |session| refresh::load(session, table.id)))?;
    let mut text = format!(
        "stream table {}, refresh mode {}, schedule {}\n",
        table.display(),
        table.mode.as_str(),
        table.schedule
    );
    let loaded = match ready {
        refresh::Ready::Yes(loaded) => loaded,
        refresh::Ready::Stale(_, reason) => {
            return Ok(text + &format!("will be built anew by the next refresh: {reason}\n"));
        }
    };
    match &table.full_reason {
        Some(reason) => {
            text += &format!("recomputed as a whole: {reason}\n");
            if let Some(hint) = &table.full_hint {
                text += &format!("rewrite: {hint}\n");
            }
        }
        None => {
            text += &ivm::explain::view(&loaded.view)?;
            let settings = table.evaluation();
            let programs = guard::with_settings(&settings, || refresh::explain_programs(&loaded))?;
            text += &programs.join("\n");
        }
    }
    Ok(text)
}
