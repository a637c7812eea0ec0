//! DDL between the rounds: columns, keys, constraints, views, functions, types, partitions, owners, publications change
//! under the stream tables. Each of them stays exact, starts over, or says why it cannot: never different and ACTIVE.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::exact;
use pg_trickle_tests::oracle::{Oracle, Subject};
use pg_trickle_tests::queries::{CORRELATED, EXTENSIONS, MEANINGS, QUERIES, Query, SETS, WINDOWS};
use pg_trickle_tests::session::HANG;
use pg_trickle_tests::{Dice, Session, world};

/// One step each. The server refuses many of them, some because of dependent objects: that is an outcome as well.
const STEPS: &[&str] = &[
    "alter table items add column extra int default 3",
    "alter table items drop column extra",
    "alter table items alter column val type bigint",
    "alter table items alter column cat type varchar(20)",
    "alter table items rename column cat to category; insert into items (id, category) values (77, 'r'); alter table items rename column category to cat",
    "alter table items rename to things; delete from things where id = 77; alter table things rename to items",
    "alter table ref alter column name set not null",
    "alter table ref alter column name drop not null",
    "alter table ref drop constraint ref_pkey",
    "alter table ref add constraint ref_pkey primary key (id)",
    "create unique index ref_name on ref (name, region) where name is not null",
    "drop index if exists ref_name",
    "alter table keyless add column k serial primary key",
    "alter table keyless drop column k",
    "create or replace view items_view as select id, grp, val, amt from items where val is not null",
    "create or replace view items_view as select id, grp, val, amt from items where val > 0 or val is null",
    "create or replace view items_view as select id, max(grp) as grp, max(val) as val, max(amt) as amt from items group by id",
    "create or replace view nested_view as select grp, count(*) as n, sum(amt) as amt from items_view group by grp",
    "create or replace view nested_view as select grp, count(*) + 1 as n, max(trim_scale(amt)) as amt from items_view group by grp",
    "create or replace aggregate total(numeric) (sfunc = numeric_add, stype = numeric, initcond = '0')",
    "create or replace aggregate total(numeric) (sfunc = numeric_add, stype = numeric, initcond = '1')",
    "alter type mood rename value 'ok' to 'fine'",
    "alter type mood rename value 'fine' to 'ok'",
    "alter type mood add value if not exists 'odd' before 'ok'",
    "alter domain positive add constraint small check (value < 100000)",
    "alter domain positive drop constraint if exists small",
    "alter table parts detach partition parts_high",
    "alter table parts attach partition parts_high for values from (20) to (maxvalue)",
    "alter table child no inherit base",
    "alter table child inherit base",
    "create table if not exists parts_more (v int, g text, id int not null); insert into parts_more values (1, 'm', 5); drop table parts_more",
    "cluster items using items_pkey",
    "vacuum full keyless",
    "alter table link disable trigger user; insert into link values (1, 1, 9); alter table link enable trigger user",
    "alter table docs set unlogged",
    "alter table docs set logged",
    "create publication everything for all tables",
    "drop publication if exists everything",
    "alter table items enable row level security",
    "alter table items disable row level security",
    "alter table folded alter column c type text",
    "alter table folded alter column v set default 5",
    "create or replace function grade(int) returns text language sql immutable as 'select case when $1 > 3 then ''high'' end'",
    "create or replace function grade(int) returns text language sql immutable as 'select case when $1 > 1 then ''high'' else ''low'' end'",
    "alter function grade(int) volatile",
    "alter function grade(int) immutable",
    "alter function grade(int) rename to mark",
    "alter function mark(int) rename to grade",
    "create or replace function matches(int, int) returns boolean language sql immutable as 'select $1 % 2 = $2 % 2'",
    "create or replace function matches(int, int) returns boolean language plpgsql immutable as 'begin return $1 = $2 + 1; end'",
    "create or replace function degrees_of(celsius) returns int language sql immutable as 'select ($1).degrees + 200'",
    "create or replace function degrees_of(celsius) returns int language sql stable as 'select ($1).degrees + 200'",
    "create or replace function upper(int) returns int language sql immutable as 'select $1 * 11'",
    "drop function grade(int)",
    "create function length(int) returns int language sql immutable as 'select $1'",
    "create schema if not exists moved; alter extension hstore set schema moved",
    "create schema if not exists moved; alter extension ltree set schema moved",
    "create schema if not exists moved; alter extension citext set schema moved",
    "create schema if not exists moved; alter table tagged set schema moved; insert into moved.tagged values (91, null, null, 'abc', 3); alter table moved.tagged set schema {home}",
    "create schema if not exists moved; alter function matches(int, int) set schema moved; alter function moved.matches(int, int) set schema {home}",
    "alter operator =~= (int, int) set schema moved",
    "alter operator moved.=~= (int, int) set schema {home}",
    "alter table items owner to ddl_owner",
    "alter table items owner to current_user",
    "alter table {subject} owner to ddl_owner",
    "alter table {subject} owner to current_user",
    "grant usage on schema {home}, {extensions} to ddl_owner; grant create on schema {home} to ddl_owner",
    "grant select on all tables in schema {home} to ddl_owner",
    "revoke select on items from ddl_owner",
    "revoke select on all tables in schema {home} from ddl_owner",
    "alter table ref replica identity full",
    "alter table items add constraint sensible check (val < 1000) not valid",
    "alter table items drop constraint if exists sensible",
    "alter view items_view rename column val to value",
    "alter view items_view rename column value to val",
    "alter collation folding rename to folded",
    "alter collation folded rename to folding",
    "alter type pair rename attribute x to first",
    "alter type pair rename attribute first to x",
    "alter table pairs alter column whole type numeric",
    "create table parts_rest partition of parts default",
    "drop table parts_rest",
    "create publication some for table items, keyless",
    "drop publication if exists some",
    "create index on {subject} (1)",
    "alter table {subject} set unlogged",
    "reindex table items",
    "create rule away as on delete to keyless do instead nothing",
    "drop rule away on keyless",
    "create temporary table items (id int); drop table pg_temp.items",
];

const OWNER: &str =
    "do $$ begin create role ddl_owner; exception when duplicate_object or unique_violation then null; end $$";

/// An outcome that a definition may have: refused with a reason. What is ours to know must not go wrong.
fn is_expected(code: &str) -> bool {
    !code.starts_with("XX") && !code.starts_with("57") && !code.starts_with("08")
}

enum Outcome {
    Exact,
    Refused(String),
}

/// Exact after a refresh, or refused; a table that the workers refresh reports the error in its status as well.
async fn outcome(session: &Session, subject: &Subject) -> Result<Outcome, String> {
    let refresh = session.attempt(&format!("select pgtrickle.refresh_stream_table('{}')", subject.name)).await;
    match refresh {
        Ok(()) => match exact::differences(session, &subject.name, subject.equality).await {
            found if found.is_empty() => Ok(Outcome::Exact),
            found => Err(format!("is not its query:\n{}", found.join("\n"))),
        },
        Err(failure) if !is_expected(&failure.code) => Err(failure.to_string()),
        Err(failure) if subject.by_worker && !is_reported(session, subject).await => {
            Err(format!("ACTIVE without an error, and another than its query; by hand: {failure}"))
        }
        Err(failure) => Ok(Outcome::Refused(failure.to_string())),
    }
}

/// Whether the status is right: the table equals its query, or is not ACTIVE, or has errors.
async fn is_reported(session: &Session, subject: &Subject) -> bool {
    let Subject { name, equality, .. } = subject;
    let started = Instant::now();
    while started.elapsed() < HANG {
        let told = format!(
            "select 1 from pgtrickle.pgt_status() where to_regclass(name) = '{name}'::regclass
                and (status <> 'ACTIVE' or consecutive_errors > 0)"
        );
        let view =
            format!("select definition::text from pgtrickle.pgt_stream_tables where pgt_relid = '{name}'::regclass");
        let Ok(rows) = session.try_rows(&view).await else { return true };
        // Dropped together with a source.
        let Some(view) = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()) else { return true };
        let equal = session.try_rows(&exact::differing(name, &view, *equality)).await.is_ok_and(|rows| rows.is_empty());
        if equal || session.try_rows(&told).await.is_ok_and(|rows| !rows.is_empty()) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

#[tokio::test]
async fn random_ddl_leaves_no_table_silently_wrong() {
    let mut dice = Dice::new(seed("ddl_rounds"));
    let (started, budget) = (Instant::now(), budget(40));
    let (mut rounds, mut steps, mut refused, mut faults) = (0, [0, 0], [0, 0], vec![]);
    let mut reasons = BTreeMap::<String, usize>::new();
    while faults.is_empty() && (rounds == 0 || started.elapsed() < budget) {
        rounds += 1;
        let mut oracle = Oracle::new("ddl_rounds", &mut dice).await;
        oracle.session.run(OWNER).await;
        let all: Vec<&Query> =
            QUERIES.iter().chain(SETS).chain(WINDOWS).chain(MEANINGS).chain(CORRELATED).chain(EXTENSIONS).collect();
        let mut subjects = vec![];
        for query in &all {
            let by_worker = dice.percent(30);
            let Query { name, sql, equality, .. } = **query;
            let subject =
                Subject { name: name.to_owned(), sql: sql.to_owned(), equality, incremental: false, by_worker };
            // Some read others that may be left out.
            let reads_other = all.iter().any(|other| other.name != query.name && sql.contains(other.name));
            if !reads_other && dice.percent(12) {
                oracle.add(subject.clone()).await;
                subjects.push(subject);
            }
        }
        faults.append(&mut oracle.faults);
        let mut log: Vec<String> = vec![];
        for _ in 0..10 {
            for _ in 0..1 + dice.below(6) {
                let step = dice.pick(STEPS).replace("{subject}", &dice.pick(&subjects).name);
                let step = step.replace("{home}", oracle.home.tables).replace("{extensions}", oracle.home.extensions);
                let done = oracle.session.attempt(&step).await;
                steps[usize::from(done.is_err())] += 1;
                log.push(format!("{step} -- {}", done.map_or_else(|failure| failure.message, |()| "done".to_owned())));
                _ = oracle.session.attempt("rollback").await;
            }
            for _ in 0..3 {
                let entry = world::transaction(&mut dice);
                if oracle.session.attempt(&entry).await.is_err() {
                    _ = oracle.session.attempt("rollback").await;
                }
                log.push(entry);
            }
            tokio::time::sleep(dice.pause(Duration::from_millis(60))).await;
            for subject in &subjects {
                match outcome(&oracle.session, subject).await {
                    Ok(Outcome::Exact) => refused[0] += 1,
                    Ok(Outcome::Refused(reason)) => {
                        refused[1] += 1;
                        *reasons.entry(reason.lines().next().unwrap_or_default().to_owned()).or_default() += 1;
                    }
                    Err(what) => {
                        faults.push(format!("{}: {what}\n{}\nafter:\n{}", subject.name, subject.sql, log.join("\n")))
                    }
                }
            }
            if !faults.is_empty() {
                break;
            }
        }
        oracle.database.close().await;
    }
    for (reason, count) in reasons {
        println!("{count} times {reason}");
    }
    let ([done, denied], [exact, without]) = (steps, refused);
    println!(
        "ddl_rounds: {rounds} rounds; {done} steps of DDL, {denied} denied; {exact} times exact, {without} times refused"
    );
    assert!(exact > 0 && done > 0, "nothing was compared, or no step of DDL succeeded");
    assert!(faults.is_empty(), "{} failures:\n{}", faults.len(), faults.join("\n\n"));
}
