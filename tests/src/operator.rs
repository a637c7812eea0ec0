//! Commands by hand during the work of writers and workers: refreshes, other schedules and modes, pauses.

use std::sync::Arc;
use std::time::Duration;

use crate::dag::{Dag, SCHEDULES};
use crate::oracle::SETTINGS;
use crate::session::{Failure, Session};
use crate::traffic::Traffic;
use crate::{Database, Dice};

const PAUSE: Duration = Duration::from_millis(300);

/// Runs until the traffic stops; how many changes were made.
pub async fn operator(
    database: Arc<Database>,
    traffic: Arc<Traffic>,
    dag: Arc<Dag>,
    seed: u64,
) -> Result<u64, Failure> {
    let session = database.try_connect().await?;
    session.attempt(SETTINGS).await?;
    // A prepared transaction may hold the locks that a change of mode waits for, and stay open.
    session.attempt("set lock_timeout = '1s'").await?;
    let mut dice = Dice::new(seed);
    let mut count = 0;
    while !traffic.stopped() {
        match act(&session, &traffic, &dag, &mut dice).await {
            Ok(()) => count += 1,
            Err(failure) if failure.is_contention() => {}
            Err(failure) => return Err(failure),
        }
        let pause = dice.pause(PAUSE);
        tokio::time::sleep(pause).await;
    }
    Ok(count)
}

async fn act(session: &Session, traffic: &Traffic, dag: &Dag, dice: &mut Dice) -> Result<(), Failure> {
    if dice.percent(70) {
        let name = &dice.pick(&dag.refreshable()).name;
        return session.attempt(&format!("select pgtrickle.refresh_stream_table('{name}')")).await;
    }
    // `bring_up_to_date` goes by schedules, and waits for the end of a pause.
    let _still = traffic.commits.read().await;
    let node = *dice.pick(&dag.changeable());
    let modes = ["AUTO", "FULL", node.mode];
    let (name, schedule, mode) = (&node.name, dice.pick(&SCHEDULES), dice.pick(&modes));
    let change = match dice.below(3) {
        0 => format!("schedule => '{schedule}'"),
        1 => format!("refresh_mode => '{mode}'"),
        _ => "status => 'PAUSED'".to_owned(),
    };
    session.attempt(&format!("select pgtrickle.alter_stream_table('{name}', {change})")).await?;
    if change.starts_with("status") {
        let pause = dice.pause(PAUSE);
        tokio::time::sleep(pause).await;
        resume(session, name).await?;
    }
    Ok(())
}

async fn resume(session: &Session, name: &str) -> Result<(), Failure> {
    loop {
        match session.attempt(&format!("select pgtrickle.resume_stream_table('{name}')")).await {
            Err(failure) if failure.is_contention() => {}
            outcome => return outcome,
        }
    }
}
