//! What a role with nothing but LOGIN and a schema can do to the extension: whatever it calls, with whatever arguments, and
//! whatever others do with what it made. An error or its own result; no crash, no row of others, no right gained.
//!
//! What there is to call is read from `pg_depend`, so that a new function, trigger function or relation is tried as well.

mod calls;
mod surface;

use std::collections::BTreeMap;

use calls::Caller;
use pg_trickle_tests::private::PrivateServer;
use pg_trickle_tests::{Dice, Failure, Session, dice};
use surface::Surface;

/// What no answer to `poor` may hold: it is in every row of `rich`.
const SECRET: &str = "s3cr3t";
/// The path of the superuser, whom no code of `poor` may give another.
const PATH: &str = "pg_catalog, public";

/// Two owners. Code of `poor` runs when a literal of its domain is read: it records its role, tries to leave its path in the
/// session, and calls a function of the extension from within the call.
const SETUP: &str = "
    create role rich login;
    create role poor login;
    create schema vault authorization rich;
    create schema den authorization poor;
    grant usage on schema vault to poor;
    set role rich;
    create table vault.t (id int primary key, v int, s text);
    insert into vault.t select g, g % 5, 's3cr3t ' || g from generate_series(1, 50) g;
    create table vault.parts (id int, s text) partition by range (id);
    create table vault.part1 partition of vault.parts for values from (0) to (1000);
    insert into vault.parts select g, 's3cr3t ' || g from generate_series(1, 20) g;
    select pgtrickle.create_stream_table('vault.st', 'select id, v, s from vault.t where v > 0', '0s');
    select pgtrickle.create_stream_table('vault.grouped', 'select s, count(*) as n, max(id) as m from vault.parts group by s', '1d');
    select pgtrickle.create_stream_table('vault.failing', 'select s, 1 / v as x from vault.t where v > 0', '1d');
    create table vault.copy (id int primary key, s text);
    insert into vault.copy values (1, '1');
    select pgtrickle.create_stream_table('vault.broken', 'select id, s::int as n from vault.copy', '0s');
    grant select on vault.broken to poor;
    select pgtrickle.allow_capture('vault.broken', 'poor');
    set role poor;
    create table den.command (sql text);
    insert into den.command values ('select 1');
    create table den.ran (as_role name);
    grant insert on den.ran to public;
    create function den.note() returns bool language plpgsql as $$
    begin
      insert into den.ran values (current_user);
      perform set_config('search_path', 'den, pg_catalog', false);
      begin
        create role poor_thief superuser;
      exception when others then null;
      end;
      begin
        alter role poor superuser;
      exception when others then null;
      end;
      if current_setting('den.busy', true) is distinct from 'yes' then
        perform set_config('den.busy', 'yes', true);
        begin
          execute (select sql from den.command limit 1);
        exception
          when internal_error then raise;
          when others then null;
        end;
        perform set_config('den.busy', '', true);
      end if;
      return true;
    end $$;
    grant usage on schema den to public;
    create function den.spy(v int) returns bool immutable language plpgsql as $$ begin return den.note(); end $$;
    create domain den.d as int check (den.spy(value));
    create table den.mine (id int primary key, v int, s text);
    insert into den.mine select g, g % 3, 'x' from generate_series(1, 20) g;
    create table den.twin (id int primary key, v int, s text);
    create view den.face as select * from den.mine;
    reset role;
    create schema desk;
    create view desk.now as
      select 'pg_proc' as what, oid, proowner as owner, proacl::text as acl, md5(prosrc) as body from pg_proc
       where pronamespace = 'pgtrickle'::regnamespace
      union all
      select 'pg_class', oid, relowner, relacl::text, relname from pg_class
       where relnamespace = any ('{pgtrickle,vault}'::regnamespace[])
      union all
      select 'pg_trigger', oid, tgrelid, tgenabled::text, tgname from pg_trigger
       where tgrelid in (select oid from pg_class where relnamespace = 'vault'::regnamespace)
      union all
      select 'pgt_stream_tables', pgt_relid::oid, 0::oid, schedule, defining_query from pgtrickle.pgt_stream_tables
       where pgt_relid::text like 'vault.%'
      union all
      select 'pg_authid', oid, 0::oid, concat(rolsuper, rolcreaterole, rolcreatedb, rolbypassrls), rolname from pg_authid
      union all
      select 'pg_auth_members', roleid, member, '', '' from pg_auth_members;
    create table desk.before as table desk.now;
";

/// What of the above is not as it was.
const CHANGED: &str = "
    select format('%s %s %s %s', n.what, n.oid, n.acl, n.body)
      from (table desk.now except table desk.before union (table desk.before except table desk.now)) n";

/// An error that shows a fault of the extension rather than of the caller. While an index is built the server cannot read it:
/// a function in its expression that reads the table gets such an error.
fn is_fault(sql: &str, failure: &Failure) -> bool {
    let index_reads_itself = failure.code == "XX001" && sql.starts_with("create index");
    failure.is_disconnect()
        || failure.code.starts_with("XX") && !index_reads_itself
        || failure.message.starts_with("internal error")
}

struct Trial {
    admin: Session,
    poor: Session,
    done: Vec<String>,
    /// How often each SQLSTATE was the answer; 00000 is success.
    answers: BTreeMap<String, usize>,
}

impl Trial {
    /// Runs a statement as `poor`; fails, with the statements before it, if it does what it must not.
    async fn call(&mut self, sql: &str) {
        self.done.push(sql.to_owned());
        let result = self.poor.try_rows(sql).await;
        let code = result.as_ref().map_or_else(|failure| failure.code.clone(), |_| "00000".to_owned());
        *self.answers.entry(code).or_default() += 1;
        match result {
            Err(failure) if is_fault(sql, &failure) => panic!("{failure}\nafter:\n{}", self.latest()),
            Err(failure) => {
                let text = failure.to_string();
                assert!(!text.contains(SECRET), "{text}\nafter:\n{}", self.latest());
            }
            Ok(rows) => {
                let leak = rows.concat().into_iter().flatten().find(|value| value.contains(SECRET));
                assert!(leak.is_none(), "poor read {leak:?}\nafter:\n{}", self.latest());
            }
        }
    }

    /// Runs a statement on objects of `poor` as superuser.
    async fn touch(&mut self, sql: &str) {
        self.done.push(format!("-- as superuser\n{sql}"));
        if let Err(failure) = self.admin.attempt(sql).await {
            assert!(!is_fault(sql, &failure), "{failure}\nafter:\n{}", self.latest());
        }
        let path = self.admin.column("show search_path").await;
        assert_eq!(path, [PATH], "what the superuser names without a schema\nafter:\n{}", self.latest());
    }

    fn latest(&self) -> String {
        self.done.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join(";\n")
    }

    async fn check(&self) {
        let strangers = self.admin.column("select distinct as_role from den.ran where as_role <> 'poor'").await;
        assert!(strangers.is_empty(), "code of poor ran as {strangers:?}");
        let changed = self.admin.column(CHANGED).await;
        assert!(changed.is_empty(), "not as it was: {changed:#?}");
    }
}

fn calls() -> usize {
    std::env::var("HOSTILE_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

#[tokio::test]
async fn random_calls_gain_nothing() {
    let mut dice = Dice::new(dice::seed("random_calls_gain_nothing"));
    let private = PrivateServer::start(&["log_min_messages = fatal"]);
    let server = private.server();
    let admin = server.connect("postgres").await;
    admin.run("create extension pg_trickle").await;
    admin.run(SETUP).await;
    // For a stream table that will fail, and for change buffers that are not pruned.
    admin
        .run(
            "update vault.copy set s = 's3cr3t' where id = 1;
             insert into vault.t values (200, 0, 's3cr3t pending'); insert into vault.parts values (200, 's3cr3t pending')",
        )
        .await;
    admin.run(&format!("set search_path = {PATH}; set statement_timeout = '20s'; set lock_timeout = '2s'")).await;
    let poor = server.connect("postgres").await;
    poor.run("set session authorization poor; set statement_timeout = '500ms'; set lock_timeout = '200ms'").await;
    let surface = Surface::read(&admin).await;
    assert!(surface.functions.len() > 15 && surface.relations.len() > 6, "the extension has members");
    let mut trial = Trial { admin, poor, done: vec![], answers: BTreeMap::new() };
    for _ in 0..calls() {
        let caller = Caller { surface: &surface };
        match dice.weighted(&[50, 12, 15, 15, 8]) {
            0 => trial.call(&caller.function(&mut dice)).await,
            1 => {
                for sql in caller.trigger(&mut dice) {
                    trial.call(&sql).await;
                }
            }
            2 => trial.call(&caller.relation(&mut dice)).await,
            3 => trial.call(&caller.own(&mut dice)).await,
            _ => trial.touch(&caller.superuser(&mut dice)).await,
        }
    }
    println!("answers: {:?}", trial.answers);
    let count = |code: &str| trial.answers.get(code).copied().unwrap_or(0);
    // What timed out may have done anything: on a slow machine that is much.
    let (successes, timeouts) = (count("00000"), count("57014") + count("55P03"));
    assert!(
        successes * 8 > trial.done.len() - timeouts,
        "too many calls are refused before they do anything: {successes} were not, {timeouts} timed out"
    );
    trial.check().await;
    let ran = trial.admin.number("select count(*) from den.ran").await;
    assert!(ran > 100, "code of poor ran {ran} times");
    settle(&trial.admin).await;
}

/// Every stream table of `rich` still equals its query, once it has been refreshed.
async fn settle(admin: &Session) {
    admin.run("reset statement_timeout; reset lock_timeout").await;
    admin
        .run("insert into vault.t values (1000, 1, 's3cr3t late'); insert into vault.parts values (999, 's3cr3t late')")
        .await;
    for (table, query) in [
        ("vault.st", "select id, v, s from vault.t where v > 0"),
        ("vault.grouped", "select s, count(*) as n, max(id) as m from vault.parts group by s"),
    ] {
        admin.run(&format!("select pgtrickle.refresh_stream_table('{table}')")).await;
        let differ = format!(
            "select count(*) from ((table {table} except all ({query})) union all (({query}) except all table {table})) d"
        );
        assert_eq!(admin.number(&differ).await, 0, "{table} is what its query says");
    }
}

/// The routes by which a worker parses text of `poor`: a refresh, a rebuild, a definition that is verified.
#[tokio::test]
async fn workers_run_user_code_as_the_owner() {
    let private = PrivateServer::start(&[]);
    let server = private.server();
    let admin = server.connect("postgres").await;
    admin.run("create extension pg_trickle").await;
    admin.run(SETUP).await;
    let poor = server.connect("postgres").await;
    poor.run("set session authorization poor").await;
    poor.run(
        "select pgtrickle.create_stream_table('den.watched',
           'select id, ''{1,2}''::den.d[] as a from den.mine where v = any (''{0,1}''::den.d[])', '0s')",
    )
    .await;
    let shown = |id: i32| format!("select exists (select from den.watched where id = {id})");
    poor.run("insert into den.mine values (100, 1, 'x')").await;
    poor.wait_until(&shown(100)).await;
    poor.run("truncate den.ran").await;
    poor.run(
        "create or replace function den.spy(v int) returns bool immutable language plpgsql as
           $$ begin return den.note() and v is not null; end $$;
         insert into den.mine values (101, 1, 'x')",
    )
    .await;
    poor.wait_until(&shown(101)).await;
    poor.run("alter table den.mine alter column v set not null; insert into den.mine values (102, 1, 'x')").await;
    poor.wait_until(&shown(102)).await;
    let roles = admin.column("select distinct as_role from den.ran").await;
    assert_eq!(roles, ["poor"], "the check of the domain ran, as its owner");
    assert!(admin.column(CHANGED).await.is_empty());
}
