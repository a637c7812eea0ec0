//! Random DAGs of stream tables under writers of all kinds, through `kill -9` of the server: exact at every moment.
//!
//! Each round has a DAG, which its seed reproduces. Readers check in every snapshot the tables without pending changes; at pauses
//! commits are held back, everything is brought up to date and compared; so it is after each crash, with the
//! transactions that were prepared before it still open.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use pg_trickle_tests::dag::{Dag, Way};
use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::operator::operator;
use pg_trickle_tests::oracle::{SETTINGS, make_world};
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::settled::{self, Fact};
use pg_trickle_tests::traffic::{Traffic, Workload};
use pg_trickle_tests::world::{self, Shuffle};
use pg_trickle_tests::{Database, Dice, Session, exact, live};
use tokio::time::sleep;

const WRITERS: u64 = 4;
const READERS: u64 = 2;
const CRASHES: usize = 5;
const STRETCH: Duration = Duration::from_millis(900);
const WAYS: [Way; 3] = [Way::Hand, Way::Workers, Way::Waiting];

/// What was done in all.
#[derive(Default)]
struct Tally {
    tables: usize,
    crashes: usize,
    pauses: usize,
    transactions: u64,
    committed: u64,
    readings: u64,
}

/// One database, its DAG, and the facts to check.
struct Round {
    database: Arc<Database>,
    dag: Arc<Dag>,
    facts: Arc<Vec<Fact>>,
    live: Arc<Vec<live::Fact>>,
    dice: Dice,
}

async fn connect(database: &Database) -> Session {
    let session = database.reconnect().await;
    session.run(SETTINGS).await;
    session
}

impl Round {
    async fn begin(server: &PrivateServer, seed: u64) -> Round {
        println!("random_dags: SEED={seed}");
        let mut dice = Dice::new(seed);
        let database = Arc::new(Database::on(&server.server(), "random_dags").await);
        let session = connect(&database).await;
        make_world(&session).await;
        let workers = dice.pick(&[0, 1, 4]);
        session.run(&format!("alter system set pg_trickle.max_parallel_workers = {workers}")).await;
        session.run("select pg_reload_conf()").await;
        for statement in world::fill(&mut dice) {
            session.run(&statement).await;
        }
        let dag = Arc::new(Dag::grow(&session, &mut dice).await);
        println!("{}", dag.script());
        let facts = Arc::new(settled::facts(&session, &dag).await);
        let live = Arc::new(live::facts(&session, &dag).await);
        Round { database, dag, facts, live, dice }
    }

    /// Writers, readers, an operator. What was prepared before is decided by the writers.
    async fn start(&mut self) -> Workload {
        let mut workload = Workload::default();
        let (database, seed) = (&self.database, self.dice.between(0, i64::MAX) as u64);
        let session = connect(database).await;
        workload.traffic.recover(&session).await;
        for at in 0..READERS {
            workload.add(settled::reader(
                database.clone(),
                workload.traffic.clone(),
                self.facts.clone(),
                seed ^ (100 + at),
            ));
        }
        let (traffic, live) = (workload.traffic.clone(), self.live.clone());
        let reader = database.try_connect().await.expect("connected");
        workload.add(live::reader((reader, "live"), traffic, live, seed ^ 300));
        workload.add(operator(database.clone(), workload.traffic.clone(), self.dag.clone(), seed ^ 200));
        workload.add_writers(WRITERS, Shuffle, database, seed);
        workload
    }

    /// Work with a pause in it, then a crash or a proper end.
    async fn stretch(&mut self, crash: Option<&mut PrivateServer>, tally: &mut Tally) {
        let workload = self.start().await;
        let session = connect(&self.database).await;
        sleep(STRETCH).await;
        assert!(workload.is_complete(), "a task ended: {:?}", workload.end().await);
        {
            let _still = workload.traffic.commits.write().await;
            let way = *self.dice.pick(&WAYS);
            self.compare(&session, way, "in a pause").await;
        }
        tally.pauses += 1;
        let rest = self.dice.pause(STRETCH);
        sleep(rest).await;
        if let Some(server) = crash {
            server.kill_all();
            tally.crashes += 1;
        }
        let traffic = Arc::clone(&workload.traffic);
        workload.end().await;
        tally.readings += traffic.compared.load(Relaxed);
        tally.transactions += traffic.finished.load(Relaxed);
        tally.committed += traffic.committed.load(Relaxed);
    }

    async fn compare(&self, session: &Session, way: Way, when: &str) {
        self.dag.bring_up_to_date(session, way).await;
        let found = self.dag.differences(session).await;
        if !found.is_empty() {
            let state = session.column("select s::text from pgtrickle.pgt_status() s").await;
            panic!("{when}, {way:?}:\n{}\n{}", found.join("\n"), state.join("\n"));
        }
    }

    async fn replay(&mut self, server: &mut PrivateServer, crashes: usize, tally: &mut Tally) {
        for crash in 0..crashes {
            self.stretch(Some(server), tally).await;
            server.restart();
            let session = connect(&self.database).await;
            let way = WAYS[(crash + self.dice.below(3)) % 3];
            self.compare(&session, way, "after a crash").await;
        }
        self.stretch(None, tally).await;
    }

    /// All transactions are finished, no refresh failed, and no rows are retained that all consumers have read.
    async fn end(self) {
        let session = connect(&self.database).await;
        let traffic = Traffic::default();
        traffic.recover(&session).await;
        let mut commit = true;
        while traffic.decide(&session, 0, commit).await.expect("decided") {
            commit = !commit;
        }
        self.compare(&session, Way::Workers, "at the end").await;
        let empty = "select coalesce(sum(pending_rows), 0) = 0 from pgtrickle.change_buffer_sizes()";
        session.wait_until(empty).await;
        let mut errors = exact::errors(&session).await;
        // A tick is the victim of a deadlock with a TRUNCATE of several of its sources, and the operator's ALTER cancels a
        // refresh: both are retried.
        let gives_way = ["deadlock detected", "canceling statement due to user request"];
        errors.retain(|error| !gives_way.iter().any(|what| error.ends_with(what)));
        assert_eq!(errors, Vec::<String>::new());
        drop(session);
        Arc::into_inner(self.database).expect("all others ended").close().await;
    }
}

#[tokio::test]
async fn random_dags_stay_exact_through_crashes() {
    let first = seed("random_dags");
    let (started, budget) = (Instant::now(), budget(45));
    let mut server = PrivateServer::start(&["checkpoint_timeout = '30s'", "max_wal_size = '64MB'"]);
    let mut tally = Tally::default();
    let mut rounds = 0;
    while tally.crashes < CRASHES || tally.readings == 0 || tally.committed == 0 || started.elapsed() < budget {
        let mut round = Round::begin(&server, first.wrapping_add(rounds)).await;
        let crashes = 1 + round.dice.below(2);
        round.replay(&mut server, crashes, &mut tally).await;
        tally.tables += round.dag.nodes.len();
        round.end().await;
        rounds += 1;
    }
    let Tally { tables, crashes, pauses, transactions, committed, readings } = tally;
    println!(
        "random_dags: {rounds} DAGs of {tables} tables, {crashes} crashes, {transactions} transactions, \
         {committed} committed, {pauses} pauses, {readings} comparisons by readers, {:?}, exact",
        started.elapsed()
    );
}
