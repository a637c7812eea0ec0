//! Stream tables that are dropped, in whatever way, leave nothing behind.

use pg_trickle_tests::Database;
use pg_trickle_tests::session::HANG;

/// Everything that belongs to stream tables and their sources in the catalogs.
const REMAINS: &str =
    "select (select count(*) from pgtrickle.pgt_stream_tables) + (select count(*) from pgtrickle.pgt_frontiers)
    + (select count(*) from pgtrickle.pgt_sources) + (select count(*) from pgtrickle.pgt_dependencies)
    + (select count(*) from pgtrickle.pgt_layouts) + (select count(*) from pgtrickle.pgt_source_members)
    + (select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace
        where nspname in ('pgtrickle_state', 'pgtrickle_changes') and c.relkind in ('r', 'v', 'i'))
    + (select count(*) from pg_trigger where tgrelid <> 'pgtrickle.pgt_stream_tables'::regclass
         and (tgfoid::regproc::text like '%pgtrickle%' or tgname like '%pgtrickle%'))";

#[tokio::test]
async fn drops_leave_nothing_behind() {
    let database = Database::fresh("drops").await;
    let session = database.connect().await;
    let setup = "create schema app; create table app.t (id int primary key, g int, v int); insert into app.t values (1, 1, 1);
        create table app.u (g int); insert into app.u values (1);
        create view app.w as select g, v from app.t where v > 0;
        select pgtrickle.create_stream_table('app.one', 'select g, avg(v) as a, count(*) as n from app.w group by g', '0s');
        select pgtrickle.create_stream_table('app.two', 'select o.g, o.a from app.one o join app.u using (g)', '0s');
        select pgtrickle.create_stream_table('app.three', 'select max(n) as m from (select g, sum(v) as n from app.t group by g) x', '0s')";
    let drops = [
        "drop table app.t, app.u cascade",
        "drop table app.t cascade; drop table app.u",
        "drop view app.w cascade; select pgtrickle.drop_stream_table('app.three')",
        "select pgtrickle.drop_stream_table('app.one', cascade => true); drop table app.three",
        "drop table app.two; drop table app.one; drop table app.three",
        "drop table app.one cascade; drop table app.three",
        "alter table app.t drop column v cascade",
        "drop schema app cascade",
        "begin; drop schema app cascade; rollback; drop schema app cascade",
        "do $$ begin perform pgtrickle.drop_stream_table('app.three'); raise division_by_zero; exception when others then null; end $$; drop schema app cascade",
    ];
    for drop in drops {
        session.run(setup).await;
        session.run("insert into app.t values (2, 1, 5); update app.t set v = 7 where id = 1").await;
        assert!(session.number(REMAINS).await > 0);
        session.run(drop).await;
        // A worker ends capture that was in use at the time.
        let nothing = format!("select ({REMAINS}) = 0");
        assert!(session.reaches(&nothing, HANG).await, "left behind by: {drop}");
        session.run("drop schema if exists app cascade").await;
    }
    database.close().await;
}
