//! The explanation for people: a page, plain words, one fact a line.

use ivm::beside::Beside;
use ivm::explain::key::{PrimaryKey, Remedy};
use ivm::explain::{self, Operator};
use ivm::sql::ident::{Ident, QName};
use ivm::sql::print::commas;
use ivm::view::{Identity, Node};

use super::{Analysis, Planned, Report, SourceCost, reasoned};
use crate::api::rights;
use crate::catalog::history::{Action, Refresh};
use crate::error::{Error, Result};
use crate::refresh::Outlook;

/// Characters of an operator beyond which it is cut off, unless everything is to be shown.
const WIDTH: usize = 100;

/// When writers maintain a stream table, and which others then wait for one of them.
fn writers(report: &Report) -> String {
    let beside = report.beside();
    let keys = beside.iter().filter_map(|(source, beside)| match beside {
        Beside::All => None,
        Beside::Keys(columns) => Some(format!("rows of {source} with the same {}", commas(columns))),
    });
    let others = if beside.is_empty() {
        "a source".to_owned()
    } else {
        keys.chain(["other sources".to_owned()]).collect::<Vec<_>>().join(" or ")
    };
    format!(
        "writers maintain it: a transaction that changes a source does so before it reads the table, else when it commits, and until it \
         ends those that change {others} wait for it"
    )
}

pub fn lines(report: &Report, verbose: bool) -> Result<Vec<String>> {
    let table = &report.table;
    let mut lines = vec![format!(
        "stream table {}, refresh mode {}, schedule {}",
        table.display(),
        table.mode.as_str(),
        table.schedule
    )];
    lines.extend(moment(report));
    for schema in &report.open_schemas {
        let schema = Ident::new(schema.as_str());
        lines.push(format!("evaluated under schema {schema}, in which other roles may create: {}", rights::CAPTURED));
    }
    if let Some(reason) = &table.full_reason {
        lines.push(format!("recomputed as a whole: {reason}"));
        lines.extend(table.full_hint.iter().map(|hint| format!("rewrite: {hint}")));
    }
    if let Some(choice) = &report.choice {
        let (action, why) = reasoned(choice);
        let (action, delta, full) = (action.as_str(), choice.delta_ms, choice.full_ms);
        lines.push(format!(
            "last choice: {action}: {why}: expected {delta:.3} ms for the delta, {full:.3} ms for recomputing"
        ));
    }
    if table.is_immediate() {
        lines.push(writers(report));
    }
    lines.extend(report.live.as_ref().map(|outlook| format!("queries read it live: {}", live(outlook))));
    match &report.plan {
        Ok(plan) => lines.extend(planned(plan, verbose)?),
        Err(reason) => lines.push(format!("will be built anew by the next refresh: {reason}")),
    }
    lines.extend(report.analysis.iter().flat_map(analyzed));
    Ok(lines)
}

fn live(outlook: &Outlook) -> String {
    match outlook {
        Outlook::Stored => "nothing is pending, they read what is stored".to_owned(),
        Outlook::Follows(rows, ms) => {
            let ms = ms.map(|ms| format!(", expected {ms:.3} ms the first time")).unwrap_or_default();
            format!("{rows} pending change rows are followed{ms}")
        }
        Outlook::Query(reason) => format!("they compute the query, because {reason}"),
    }
}

/// Of the stream tables that show one moment, at most so many are named.
const NAMED: usize = 8;

fn moment(Report { table, moment, .. }: &Report) -> Vec<String> {
    let mut lines = vec![];
    if !moment.with.is_empty() {
        let more = moment.with.len().saturating_sub(NAMED);
        let named = moment.with.iter().take(NAMED).cloned().chain((more > 0).then(|| format!("{more} more")));
        let group = table.refresh_group.as_ref().map(|group| format!(" (refresh group \"{group}\")"));
        let slowest = moment.slowest.as_ref().map(|(name, ms)| format!(", of which {name} took {ms:.3} ms"));
        lines.push(format!(
            "shows one moment with {}{}: their last refresh took {:.3} ms{}",
            named.collect::<Vec<_>>().join(", "),
            group.unwrap_or_default(),
            moment.bound.together_ms,
            slowest.unwrap_or_default()
        ));
    }
    lines.extend(
        moment.bound.waits_for.iter().map(|name| format!("waits for {name}, which is not refreshed: see its status")),
    );
    lines
}

fn planned(plan: &Planned, verbose: bool) -> Result<Vec<String>> {
    let loaded = &plan.prepared.loaded;
    let mut lines = vec![];
    if let Some(operators) = &plan.operators {
        lines.push("operators, each with the law of its delta:".to_owned());
        lines.extend(operators.with_depth().into_iter().map(|(depth, of)| operator(depth + 1, of, verbose)));
        let last = loaded.view.nodes.last().ok_or(Error::Bug("a view has a last node"))?;
        lines.push(format!("identity: {}", identity(last)));
        let key = plan.remedy.iter().map(|remedy| format!("  it would be a key with {}", needs(remedy).join(" and ")));
        lines.extend(key);
    }
    lines.push("cost of a change, by the rows that are read:".to_owned());
    let name = |of: &SourceCost| of.source.clone().unwrap_or_else(|| "passing time".to_owned());
    let width = plan.costs.iter().map(|of| name(of).chars().count()).max().unwrap_or_default();
    for of in &plan.costs {
        let what = if loaded.recomputes() { "O(table): every refresh recomputes".to_owned() } else { cost(of) };
        lines.push(format!("  {:width$}  {what}", name(of)));
    }
    for missing in &plan.missing {
        let why = match missing.order {
            Some(_) => "would have the rows of a group in order, of which all are read for a changed one",
            None => "is read as a whole for a few changed rows",
        };
        lines.push(format!("missing index: {missing} {why}: {};", missing.statement()));
    }
    if verbose && plan.operators.is_some() {
        lines.push("nodes:".to_owned());
        lines.extend(explain::view(&loaded.view)?.lines().map(|line| format!("  {line}").trim_end().to_owned()));
        lines.push("statements:".to_owned());
        for of in explain::programs(&loaded.view)? {
            lines.push(format!("-- {}: {} changed: {}: {}", of.table, of.changed, of.step, of.law));
            lines.extend(of.sql.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

fn operator(depth: usize, of: &Operator, verbose: bool) -> String {
    let whole = verbose || of.text.chars().count() <= WIDTH;
    let text = if whole { of.text.clone() } else { of.text.chars().take(WIDTH - 1).chain(['…']).collect() };
    format!("{}{text}  [{}]", "  ".repeat(depth), of.law)
}

fn identity(node: &Node) -> String {
    match &node.identity {
        Identity::Key(names) if names.is_empty() => "one row".to_owned(),
        Identity::Key(names) => format!("key ({})", commas(names)),
        Identity::HashedKey(names) => {
            let is_null = |name: &&Ident| node.columns.iter().any(|column| column.name == **name && !column.not_null);
            let nullable: Vec<&Ident> = names.iter().filter(is_null).collect();
            let why = match nullable.as_slice() {
                [] => "a value of which may be too long for an index".to_owned(),
                nullable => format!("because {} may be NULL", commas(nullable)),
            };
            format!("hash of ({}), {why}", commas(names))
        }
        Identity::Bag => "hash of all columns, because rows may repeat".to_owned(),
    }
}

fn needs(remedy: &Remedy) -> Vec<String> {
    let column = |(table, column): &(QName, Ident)| format!("{table}.{column}");
    let primary_key = |PrimaryKey { table, columns, any }: &PrimaryKey| {
        let on = if *any && columns.len() > 1 { "one or more of " } else { "" };
        format!("a primary key of {table} on {on}({})", commas(columns))
    };
    let mut needs: Vec<String> = remedy.primary_keys.iter().map(primary_key).collect();
    if !remedy.not_null.is_empty() {
        needs.push(format!("NOT NULL on {}", commas(remedy.not_null.iter().map(column))));
    }
    if !remedy.select.is_empty() {
        needs.push(format!("{} in the select list", commas(remedy.select.iter().map(column))));
    }
    needs
}

fn cost(of: &SourceCost) -> String {
    let class = of.cost.class.as_str();
    let class = if of.misses_index { format!("O(table), with the missing index {class}") } else { class.to_owned() };
    match of.cost.rarely {
        Some((rarely, when)) => format!("{class}; {} when {when}", rarely.as_str()),
        None => class,
    }
}

fn analyzed(analysis: &Analysis) -> Vec<String> {
    let mut lines = vec!["analyze, one refresh that was rolled back:".to_owned()];
    for (table, refresh) in &analysis.upstream {
        lines.push(format!("  first {table}: {}", done(refresh)));
    }
    lines.push(format!("  {}", done(&analysis.refresh)));
    if !analysis.ran.is_empty() {
        lines.push("          ms        rows  statement".to_owned());
    }
    for ran in &analysis.ran {
        let law = ran.law.as_ref().map(|law| format!(" ({law})")).unwrap_or_default();
        let ms = ran.took.as_secs_f64() * 1e3;
        lines.push(format!("  {ms:>10.3}  {:>10}  {}: {}{law}", ran.rows, ran.table, ran.what));
    }
    lines
}

fn done(refresh: &Refresh) -> String {
    let took = format!("{:.3} ms", refresh.duration_ms);
    if refresh.action == Action::NoData {
        return format!("NO_DATA in {took}: nothing has changed");
    }
    let Refresh { delta_rows, inserted, updated, deleted, .. } = refresh;
    format!(
        "{} in {took}: change rows read {delta_rows}; rows inserted {inserted}, updated {updated}, deleted {deleted}",
        refresh.action.as_str()
    )
}
