//! While a stream table is computed from the start, however long that takes, writers of its source and readers of the table
//! wait for nothing. A query that stops at a gate stands for a long one.

use pg_trickle_tests::exact::{self, Equality};
use pg_trickle_tests::{Database, Session};

/// A source that is too large to be locked while it is read, and a function that waits at the row with 1.
const SETUP: &str = "
    create table big (id int primary key, v int, filler text);
    alter table big alter filler set storage plain;
    insert into big select n, n, repeat('x', 6000) from generate_series(1, 1500) n;
    create function gate(v int) returns int language plpgsql immutable as $$
      begin
        if v = 1 then perform pg_advisory_xact_lock_shared(42); end if;
        return v;
      end $$";
const CREATE: &str =
    "select pgtrickle.create_stream_table('made', 'select id, public.gate(v) as g from big', '0s', 'DIFFERENTIAL')";
const SHUT: &str = "select pg_advisory_lock(42)";
const OPEN: &str = "select pg_advisory_unlock_all()";
const IS_AT_THE_GATE: &str =
    "select exists (select from pg_locks where locktype = 'advisory' and objid = 42 and not granted
                                and database = (select oid from pg_database where datname = current_database()))";

struct World {
    database: Database,
    session: Session,
    keeper: Session,
    others: Session,
}

impl World {
    async fn new(test: &str) -> World {
        let database = Database::fresh(test).await;
        let [session, keeper, others] = [database.connect().await, database.connect().await, database.connect().await];
        session.run(SETUP).await;
        others.run("set lock_timeout = '20s'").await;
        World { database, session, keeper, others }
    }

    /// Runs `statement` with the gate shut, and `meanwhile` once it has come to the gate.
    async fn gated(&self, statement: &str, meanwhile: impl AsyncFnOnce(&Session)) {
        self.keeper.run(SHUT).await;
        tokio::join!(self.session.run(statement), async {
            self.keeper.wait_until(IS_AT_THE_GATE).await;
            meanwhile(&self.others).await;
            assert!(self.keeper.holds(IS_AT_THE_GATE).await, "{statement} has not waited for the gate");
            self.keeper.run(OPEN).await;
        });
    }

    async fn write(others: &Session, id: i32) {
        others.run(&format!("update big set v = v + 1 where id = {id}")).await;
        others
            .run(&format!("insert into big values ({}, 5); delete from big where id = {}", 10_000 + id, id + 1))
            .await;
    }

    async fn exact(&self) {
        exact::wait_fresh(&self.session).await;
        exact::check(&self.session, "made", Equality::Text).await;
    }
}

#[tokio::test]
async fn writers_and_readers_do_not_wait_for_a_fill() {
    let world = World::new("fills").await;
    world.gated(CREATE, async |others| World::write(others, 10).await).await;
    world.exact().await;
    let statements = [
        "select pgtrickle.refresh_stream_table('made', recompute => true)",
        "select count(*) from pgtrickle.verify_stream_table('made')",
        "insert into big values (-1, 1);
         select count(*) from pgtrickle.explain_stream_table('made', \"analyze\" => true)",
        "insert into big values (-2, 1); select pgtrickle.refresh_stream_table('made')",
        "select pgtrickle.alter_stream_table('made', query => 'select id, public.gate(v) + 1 as g from big where id < 12000')",
        // Another key.
        "select pgtrickle.alter_stream_table('made', query => 'select max(id) as id, public.gate(v) as g from big group by v')",
        "select pgtrickle.alter_stream_table('made', refresh_mode => 'FULL', query => 'select id, public.gate(v) as g from big')",
    ];
    for (statement, id) in statements.into_iter().zip((100..).step_by(100)) {
        let read_and_write = async |others: &Session| {
            World::write(others, id).await;
            others.run("select count(*) from made").await;
        };
        world.gated(statement, read_and_write).await;
        world.exact().await;
    }
    world.database.close().await;
}

/// A transaction that has written to the source delays a creation, but no other writer.
#[tokio::test]
async fn a_creation_waits_for_writers_without_holding_up_others() {
    let world = World::new("fills_writer").await;
    world.keeper.run("begin; update big set v = 7 where id = 7").await;
    tokio::join!(world.session.run(CREATE), async {
        let waits = "select exists (select from pg_stat_activity where backend_type = 'pg_trickle tracker'
                                      and datname = current_database())";
        world.others.wait_until(waits).await;
        for id in (20..60).step_by(2) {
            World::write(&world.others, id).await;
        }
        world.keeper.run("commit").await;
    });
    world.exact().await;
    world.database.close().await;
}

/// What a creation has started and could not use ends.
#[tokio::test]
async fn capture_ends_where_the_creation_fails() {
    let world = World::new("fills_failed").await;
    let cancel =
        "select pg_cancel_backend(pid) from pg_locks where locktype = 'advisory' and objid = 42 and not granted";
    world.keeper.run(SHUT).await;
    let (failed, ()) = tokio::join!(world.session.attempt(CREATE), async {
        world.keeper.wait_until(IS_AT_THE_GATE).await;
        assert!(world.others.holds("select exists (select from pg_trigger where tgrelid = 'big'::regclass)").await);
        world.others.run(cancel).await;
    });
    assert!(failed.is_err());
    world.others.wait_until("select not exists (select from pg_trigger where tgrelid = 'big'::regclass)").await;
    world.others.wait_until("select not exists (select from pgtrickle.source_status())").await;
    world.keeper.run(OPEN).await;
    world.session.run(CREATE).await;
    World::write(&world.others, 10).await;
    world.exact().await;
    world.database.close().await;
}

/// A transaction that has itself written to the source starts its capture itself.
#[tokio::test]
async fn a_writer_creates_a_table_over_its_own_rows() {
    let world = World::new("fills_own").await;
    world.session.run("begin; update big set v = v + 1; insert into big values (-1, 1)").await;
    world.session.run(CREATE).await;
    world.session.run("delete from big where id = 3; commit").await;
    World::write(&world.others, 10).await;
    world.exact().await;
    // Each level and each isolation.
    for (level, id) in [("read committed", 20), ("repeatable read", 22), ("serializable", 24)] {
        world.session.run("select pgtrickle.drop_stream_table('made')").await;
        world.session.run(&format!("begin isolation level {level}; select count(*) from big; savepoint s")).await;
        world.session.run(CREATE).await;
        world.session.run("release s; commit").await;
        World::write(&world.others, id).await;
        world.exact().await;
    }
    world.session.run("select pgtrickle.drop_stream_table('made')").await;
    world.session.run("begin isolation level repeatable read; select count(*) from big").await;
    world.others.run(CREATE).await;
    let second = CREATE.replace("'made'", "'second'");
    assert_eq!(world.session.refuse(&second).await.code, "40001");
    world.session.run("rollback").await;
    world.session.run(&second).await;
    world.database.close().await;
}
