//! DDL between the rounds: columns, keys, constraints, views, functions, types, partitions, owners, publications change
//! under the stream tables. Each of them stays exact, starts over, or says why it cannot: never different and ACTIVE.

use std::time::{Duration, Instant};

use pg_trickle_tests::dice::{budget, seed};
use pg_trickle_tests::exact;
use pg_trickle_tests::oracle::{Oracle, Subject};
use pg_trickle_tests::queries::{QUERIES, Query, SETS, WINDOWS};
use pg_trickle_tests::{Dice, Session, world};

/// One step each. Many are refused, by the server or by what depends on them: that is an outcome as well.
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
    "create or replace view nested_view as select grp, count(*) + 1 as n, max(amt) as amt from items_view group by grp",
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
];

/// An outcome that a definition may have: refused with a reason. What is ours to know must not go wrong.
fn is_fair(code: &str) -> bool {
    !code.starts_with("XX") && !code.starts_with("57") && !code.starts_with("08")
}

/// Makes what DDL broke for good as it was, so that the others go on.
async fn outcome(session: &Session, subject: &Subject) -> Result<(), String> {
    let refresh = session.attempt(&format!("select pgtrickle.refresh_stream_table('{}')", subject.name)).await;
    if let Err(failure) = refresh {
        return if is_fair(&failure.code) { Ok(()) } else { Err(failure.to_string()) };
    }
    match exact::differences(session, &subject.name, subject.look).await {
        found if found.is_empty() => Ok(()),
        found => Err(format!("is not its query:\n{}", found.join("\n"))),
    }
}

#[tokio::test]
async fn ddl_between_rounds_leaves_nothing_different_and_active() {
    let mut dice = Dice::new(seed("ddl_rounds"));
    let (started, budget) = (Instant::now(), budget(40));
    let (mut rounds, mut steps, mut faults) = (0, 0, vec![]);
    while faults.is_empty() && (rounds == 0 || started.elapsed() < budget) {
        rounds += 1;
        let mut oracle = Oracle::new("ddl_rounds", &mut dice).await;
        let all: Vec<&Query> = QUERIES.iter().chain(SETS).chain(WINDOWS).collect();
        let mut subjects = vec![];
        for query in &all {
            let by_worker = dice.percent(30);
            let Query { name, sql, look, .. } = **query;
            let subject = Subject { name: name.to_owned(), sql: sql.to_owned(), look, incremental: false, by_worker };
            // Some read others that are left out.
            let reads_other = sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.starts_with("s_"));
            if !reads_other && dice.percent(15) {
                oracle.add(subject.clone()).await;
                subjects.push(subject);
            }
        }
        let mut log: Vec<String> = vec![];
        for _ in 0..10 {
            for _ in 0..1 + dice.below(3) {
                let step = *dice.pick(STEPS);
                steps += 1;
                let done = oracle.session.attempt(step).await;
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
                if let Err(what) = outcome(&oracle.session, subject).await {
                    faults.push(format!("{}: {what}\n{}\nafter:\n{}", subject.name, subject.sql, log.join("\n")));
                }
            }
            if !faults.is_empty() {
                break;
            }
        }
        oracle.database.close().await;
    }
    println!("ddl_rounds: {rounds} rounds, {steps} steps of DDL");
    assert!(faults.is_empty(), "{} failures:\n{}", faults.len(), faults.join("\n\n"));
}
