//! What is true in every snapshot, whatever writers, refreshes and crashes go on.
//!
//! **Law:** a stream table that has read all changes of its sources that a snapshot shows equals its query in that
//! snapshot. It has read those of a source if the source's change buffer is empty; those of a stream table also if both
//! are at the same frontier, as after a common tick.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::dag::Dag;
use crate::exact;
use crate::oracle::SETTINGS;
use crate::session::{Failure, Session};
use crate::traffic::Traffic;
use crate::{Database, Dice};

/// How many facts are checked in one snapshot.
const AT_ONCE: usize = 4;
/// TRUNCATE ignores snapshots: these locks exclude it before one is taken.
const BEGIN: &str = "begin isolation level repeatable read, read only;
    lock table items, docs, keyless, ref, link, folded, parts, base, pairs, tagged, tags_bag in access share mode";

/// Where the condition holds the comparison finds nothing.
pub struct Fact {
    what: String,
    condition: String,
    comparison: String,
}

/// The facts about a DAG: of each table, and of the twins.
pub async fn facts(session: &Session, dag: &Dag) -> Vec<Fact> {
    let [one, other] = &dag.twins;
    let equality = exact::Equality::Values;
    let mut facts = vec![Fact {
        what: format!("{one} and {other} show two moments"),
        condition: "select true".to_owned(),
        comparison: exact::differing(one, other, equality),
    }];
    for node in &dag.nodes {
        let query = exact::definition(session, &node.name).await;
        facts.push(Fact {
            what: format!("{} is settled and not its query", node.name),
            condition: session.value(&condition(&node.name)).await,
            comparison: exact::differing(&node.name, &query, node.equality),
        });
    }
    facts
}

/// The query for the query that says whether a stream table has no pending changes.
fn condition(name: &str) -> String {
    format!(
        "select 'select f.frontier is not null and r.reinitialize is null'
             || string_agg(format(' and (not exists (select from pgtrickle_changes.changes_%s)%s)', s.source_id,
                  format(' or exists (select from pgtrickle.pgt_seen u where u.pgt_id = %s and u.frontier::text = f.frontier::text)',
                         coalesce(u.pgt_id, 0))), '')
             || format(' from pgtrickle.pgt_seen f join pgtrickle.pgt_frontiers r using (pgt_id) where f.pgt_id = %s', t.pgt_id)
           from pgtrickle.pgt_stream_tables t
           join pgtrickle.pgt_dependencies d using (pgt_id)
           join pgtrickle.pgt_sources s using (source_id)
           left join pgtrickle.pgt_stream_tables u on u.pgt_relid = s.relid
          where t.pgt_relid = '{name}'::regclass
          group by t.pgt_id"
    )
}

/// Reads until the traffic stops; how many comparisons were made.
pub async fn reader(
    database: Arc<Database>,
    traffic: Arc<Traffic>,
    facts: Arc<Vec<Fact>>,
    seed: u64,
) -> Result<u64, Failure> {
    let session = database.try_connect().await?;
    session.attempt(SETTINGS).await?;
    let mut dice = Dice::new(seed);
    let mut compared = 0;
    while !traffic.stopped() {
        match compare(&session, &facts, &mut dice).await {
            Ok(count) => {
                compared += count;
                traffic.compared.fetch_add(count, Relaxed);
            }
            Err(failure) if failure.is_contention() => session.attempt("rollback").await?,
            Err(failure) => return Err(failure),
        }
    }
    Ok(compared)
}

async fn compare(session: &Session, facts: &[Fact], dice: &mut Dice) -> Result<u64, Failure> {
    session.attempt(BEGIN).await?;
    let mut compared = 0;
    for _ in 0..AT_ONCE {
        let fact = dice.pick(facts);
        let holds = session.try_rows(&fact.condition).await?.concat();
        if holds.first().is_some_and(|value| value.as_deref() == Some("t")) {
            let found = session.try_rows(&fact.comparison).await?.concat();
            let found: Vec<String> = found.into_iter().flatten().collect();
            assert!(found.is_empty(), "{}:\n{}\n{}", fact.what, found.join("\n"), fact.condition);
            compared += 1;
        }
    }
    session.attempt("commit").await?;
    Ok(compared)
}
