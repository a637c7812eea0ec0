//! The comparison of stream tables with their queries.
//!
//! Law: `T except all Q` and `Q except all T` are both empty, T and Q read in one snapshot. Equal values
//! may have different text (numeric 1.0 and 1.00), so where the query determines the text it is compared as well.

use std::time::Duration;

use crate::session::{HANG, Session};

/// What the query determines of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// Values up to `=`: which of several equal keys represents its group is left open.
    Values,
    /// The text of every row as well.
    Text,
    /// The text only: some type has no equality.
    TextOnly,
}

/// The view that holds a stream table's query.
pub async fn definition(session: &Session, table: &str) -> String {
    let sql = format!("select definition::text from pgtrickle.pgt_stream_tables where pgt_relid = '{table}'::regclass");
    let view = session.value(&sql).await;
    assert!(!view.is_empty(), "{table} is not a stream table");
    view
}

fn comparison(table: &str, query: &str, rows: impl Fn(&str) -> String) -> String {
    let (left, right) = (rows(table), rows(query));
    format!(
        "(select 'only in the stream table: ' || d::text from (({left}) except all ({right})) d limit 5)
         union all
         (select 'only in the query: ' || d::text from (({right}) except all ({left})) d limit 5)"
    )
}

/// How `table` differs from its query in the session's present snapshot; empty if it does not.
pub async fn differences(session: &Session, table: &str, equality: Equality) -> Vec<String> {
    let query = definition(session, table).await;
    differences_from(session, table, &query, equality).await
}

/// How `table` differs from another relation: a name, or a query in parentheses with an alias.
pub async fn differences_from(session: &Session, table: &str, other: &str, equality: Equality) -> Vec<String> {
    session.column(&differing(table, other, equality)).await
}

/// The query for that.
pub fn differing(table: &str, other: &str, equality: Equality) -> String {
    let values = comparison(table, other, |relation| format!("select * from {relation}"));
    let text = comparison(table, other, |relation| format!("select r::text from {relation} as r"));
    match equality {
        Equality::Values => values,
        Equality::Text => format!("{values} union all {text}"),
        Equality::TextOnly => text,
    }
}

/// Compares in one snapshot of its own; for times in which nothing is written.
pub async fn check(session: &Session, table: &str, equality: Equality) {
    let found = differences(session, table, equality).await;
    assert!(found.is_empty(), "{table} is not its query:\n{}", found.join("\n"));
}

/// Refreshes and compares.
pub async fn refresh_and_check(session: &Session, table: &str) {
    refresh(session, table).await;
    check(session, table, Equality::Text).await;
}

pub async fn refresh(session: &Session, table: &str) {
    session.run(&format!("select pgtrickle.refresh_stream_table('{table}')")).await;
}

/// All stream tables of the database, in the order of their creation.
pub async fn stream_tables(session: &Session) -> Vec<String> {
    session.column("select pgt_relid::text from pgtrickle.pgt_stream_tables order by pgt_id").await
}

/// Waits until the workers have refreshed every stream table after this moment.
pub async fn wait_fresh(session: &Session) {
    let stale = format!("from pgtrickle.pgt_status() where {}", is_stale(session).await);
    let started = std::time::Instant::now();
    while session.number(&format!("select count(*) {stale}")).await > 0 {
        if started.elapsed() > HANG {
            let report = session.column(&format!("select s::text from (select * {stale}) s")).await;
            panic!("after {HANG:?} still stale:\n{}", report.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The condition on a row of the status that it is older than this moment.
pub async fn is_stale(session: &Session) -> String {
    let asked = session.value("select extract(epoch from clock_timestamp())").await;
    format!("(data_timestamp is null or data_timestamp < to_timestamp({asked}))")
}

/// Refreshes that failed, and their errors.
pub async fn errors(session: &Session) -> Vec<String> {
    session
        .column(
            "select distinct s.pgt_relid::text || ': ' || h.error
               from pgtrickle.pgt_refresh_history h join pgtrickle.pgt_stream_tables s using (pgt_id)
              where h.error is not null",
        )
        .await
}
