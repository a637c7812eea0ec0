//! The explanation for programs. docs/OPERATING.md describes its fields, which are only ever added to.

use ivm::beside::Beside;
use ivm::explain::key::Remedy;
use ivm::explain::{self, Operator};
use ivm::sql::ident::{Ident, QName};
use ivm::view::{Identity, Node};
use serde_json::{Map, Value, json};

use super::{Analysis, Planned, Report, SourceCost, reasoned};
use crate::catalog::history::Refresh;
use crate::error::{Error, Result};
use crate::refresh::Outlook;

pub fn document(report: &Report, verbose: bool) -> Result<Value> {
    let table = &report.table;
    let mut document = json!({
        "name": table.display(),
        "refresh_mode": table.mode.as_str(),
        "schedule": table.schedule,
        "refresh_group": table.refresh_group,
        "moment": {
            "with": report.moment.with, "together_ms": report.moment.bound.together_ms,
            "slowest": report.moment.slowest.as_ref().map(|(name, ms)| json!({ "name": name, "ms": ms })),
            "waits_for": report.moment.bound.waits_for,
        },
        "rebuild_reason": report.plan.as_ref().err(),
        "full_reason": table.full_reason,
        "full_rewrite": table.full_hint,
        "open_schemas": report.open_schemas,
        "last_choice": report.choice.as_ref().map(|choice| {
            let (action, reason) = reasoned(choice);
            json!({
                "action": action.as_str(), "reason": reason, "delta_ms": choice.delta_ms, "full_ms": choice.full_ms,
            })
        }),
        "live": report.live.as_ref().map(|outlook| match outlook {
            Outlook::Stored => json!({ "pending_rows": 0 }),
            Outlook::Follows(rows, ms) => json!({ "pending_rows": rows, "delta_ms": ms }),
            Outlook::Query(reason) => json!({ "query_reason": reason }),
        }),
        "writers": table.is_immediate().then(|| writers(report)),
        "operators": null,
        "identity": null,
        "cost": [],
        "missing_indexes": [],
    });
    if let Ok(plan) = &report.plan {
        add_plan(&mut document, plan, verbose)?;
    }
    if let Some(analysis) = &report.analysis {
        document["analyze"] = analyzed(analysis);
    }
    Ok(document)
}

/// What a transaction that changes a source waits for until another one ends.
fn writers(report: &Report) -> Value {
    let beside = report.beside();
    let keys = beside.iter().filter_map(|(source, beside)| match beside {
        Beside::All => None,
        Beside::Keys(columns) => Some((source.to_string(), columns.iter().map(Ident::as_str).collect())),
    });
    let keys: Map<String, Value> = keys.collect();
    let wait_for = match (beside.is_empty(), keys.is_empty()) {
        (true, _) => "stream table",
        (false, true) => "other sources",
        (false, false) => "keys",
    };
    json!({ "wait_for": wait_for, "keys": keys })
}

fn add_plan(document: &mut Value, plan: &Planned, verbose: bool) -> Result<()> {
    let view = &plan.prepared.loaded.view;
    document["cost"] = plan.costs.iter().map(cost).collect();
    document["missing_indexes"] = plan.missing.iter().map(|missing| json!(missing.statement())).collect();
    let Some(operators) = &plan.operators else { return Ok(()) };
    let last = view.nodes.last().ok_or(Error::Bug("a view has a last node"))?;
    document["operators"] = operator(operators);
    document["identity"] = identity(last);
    document["identity"]["key_with"] = plan.remedy.as_ref().map(key_with).into();
    if verbose {
        let node = |node: &Node| -> Result<Value> {
            let operators = operator(&explain::node(view, node)?);
            Ok(json!({ "table": node.table.to_string(), "identity": identity(node), "operators": operators }))
        };
        document["nodes"] = view.nodes.iter().map(node).collect::<Result<_>>()?;
        let statement = |of: explain::Statement| {
            json!({
                "table": of.table.to_string(), "changed": of.changed.to_string(), "step": of.step.as_str(),
                "law": of.law, "sql": of.sql,
            })
        };
        document["statements"] = explain::programs(view)?.into_iter().map(statement).collect();
    }
    Ok(())
}

fn operator(of: &Operator) -> Value {
    json!({ "operator": of.text, "law": of.law, "inputs": of.inputs.iter().map(operator).collect::<Value>() })
}

fn identity(node: &Node) -> Value {
    let (kind, names) = match &node.identity {
        Identity::Key(names) if names.is_empty() => ("one row", vec![]),
        Identity::Key(names) => ("key", names.clone()),
        Identity::HashedKey(names) => ("hashed key", names.clone()),
        Identity::Bag => ("all columns", vec![]),
    };
    json!({ "kind": kind, "columns": names.iter().map(Ident::as_str).collect::<Vec<_>>() })
}

fn key_with(remedy: &Remedy) -> Value {
    let columns = |of: &[(QName, Ident)]| {
        of.iter().map(|(table, column)| json!({ "table": table.to_string(), "column": column.as_str() })).collect()
    };
    let (not_null, select): (Value, Value) = (columns(&remedy.not_null), columns(&remedy.select));
    let primary_keys = remedy.primary_keys.iter().map(|key| {
        let columns: Vec<&str> = key.columns.iter().map(Ident::as_str).collect();
        json!({ "table": key.table.to_string(), "columns": columns, "any": key.any })
    });
    json!({ "not_null": not_null, "select": select, "primary_keys": primary_keys.collect::<Value>() })
}

fn cost(of: &SourceCost) -> Value {
    json!({
        "source": of.source,
        "class": of.cost.class.word(),
        "rarely": of.cost.rarely.map(|(class, when)| json!({ "class": class.word(), "when": when })),
        "missing_index": of.misses_index,
    })
}

fn analyzed(analysis: &Analysis) -> Value {
    let upstream = analysis.upstream.iter().map(|(table, refresh)| {
        let mut done = done(refresh);
        done["table"] = json!(table);
        done
    });
    let statements = analysis.ran.iter().map(|ran| {
        json!({
            "table": ran.table.to_string(), "statement": ran.what, "law": ran.law, "rows": ran.rows,
            "ms": ran.took.as_secs_f64() * 1e3,
        })
    });
    let mut document = done(&analysis.refresh);
    document["upstream"] = upstream.collect();
    document["statements"] = statements.collect();
    document
}

fn done(refresh: &Refresh) -> Value {
    json!({
        "action": refresh.action.as_str(), "delta_rows": refresh.delta_rows, "rows_inserted": refresh.inserted,
        "rows_updated": refresh.updated, "rows_deleted": refresh.deleted, "duration_ms": refresh.duration_ms,
    })
}
