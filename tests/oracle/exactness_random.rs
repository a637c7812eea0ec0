//! Every construct over hard values: random changes, then `except all` both ways.

use pg_trickle_tests::Dice;
use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::oracle::{self, Oracle, Subject};
use pg_trickle_tests::queries::{CORRELATED, EXTENSIONS, FULL, MEANINGS, QUERIES, Query, SETS, WINDOWS};

fn subject(query: &Query, by_worker: bool) -> Subject {
    let Query { name, sql, equality, incremental } = *query;
    Subject { name: name.to_owned(), sql: sql.to_owned(), equality, incremental, by_worker }
}

async fn every_construct(test: &str, by_worker: fn(&mut Dice) -> bool) {
    let seed = seed(test);
    let mut dice = Dice::new(seed);
    let mut oracle = Oracle::new(test, &mut dice).await;
    for query in
        QUERIES.iter().chain(SETS).chain(WINDOWS).chain(MEANINGS).chain(CORRELATED).chain(EXTENSIONS).chain(FULL)
    {
        oracle.add(subject(query, by_worker(&mut dice))).await;
    }
    let batches = oracle::run(&mut oracle, &mut dice, budget(60)).await;
    println!("{test}: {} stream tables, {batches} batches", oracle.subjects.len());
    oracle.finish().await;
}

#[tokio::test]
async fn exact_when_refreshed_by_hand() {
    every_construct("random_hand", |_| false).await;
}

#[tokio::test]
async fn exact_when_refreshed_by_workers() {
    every_construct("random_worker", |dice| dice.percent(70)).await;
}

/// An insertion into empty tables and their emptying: where groups, counters and extremes begin and end.
#[tokio::test]
async fn exact_from_empty_to_empty() {
    let mut dice = Dice::new(seed("random_empty"));
    let mut oracle = Oracle::new("random_empty", &mut dice).await;
    let names = ["items", "docs", "keyless", "ref", "link", "folded", "parts", "base", "pairs", "tagged", "tags_bag"];
    let emptying = |verb: &str| names.map(|name| format!("{verb} {name}")).join("; ");
    oracle.act(emptying("delete from")).await;
    for query in QUERIES.iter().chain(SETS).chain(WINDOWS).chain(MEANINGS).chain(CORRELATED).chain(EXTENSIONS) {
        oracle.add(subject(query, false)).await;
    }
    for verb in ["delete from", "truncate", "delete from"] {
        for entry in pg_trickle_tests::world::fill(&mut dice) {
            oracle.act(entry).await;
        }
        oracle.refresh_all().await;
        oracle.act(emptying(verb)).await;
        oracle.refresh_all().await;
    }
    oracle.finish().await;
}
