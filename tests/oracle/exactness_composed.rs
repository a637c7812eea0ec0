//! Random queries over random changes: any combination of operators.

use std::time::Instant;

use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::exact::Equality;
use pg_trickle_tests::oracle::{Oracle, Subject};
use pg_trickle_tests::{Dice, compose};

const AT_ONCE: usize = 12;

#[tokio::test]
async fn composed_queries_stay_exact() {
    let mut dice = Dice::new(seed("composed"));
    let started = Instant::now();
    let budget = budget(60);
    let mut queries = 0;
    while queries == 0 || started.elapsed() < budget {
        let mut oracle = Oracle::new("composed", &mut dice).await;
        for at in 0..AT_ONCE {
            let depth = 1 + dice.below(4);
            let sql = compose::query(&mut dice, depth);
            let by_worker = dice.percent(30);
            let name = format!("q{at}");
            oracle.add(Subject { name, sql, equality: Equality::Values, incremental: true, by_worker }).await;
            queries += 1;
        }
        for _ in 0..8 {
            oracle.batch(&mut dice).await;
        }
        oracle.refresh_all().await;
        oracle.finish().await;
    }
    println!("composed: {queries} queries, exact");
}
