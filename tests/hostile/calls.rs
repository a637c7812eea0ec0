//! Statements that a hostile role may think of.

use pg_trickle_tests::Dice;

use crate::surface::{Function, Surface};

pub struct Caller<'a> {
    pub surface: &'a Surface,
}

const TEXTS: [&str; 34] = [
    "den.s1",
    "den.s2",
    "den.s3",
    "den.s4",
    "den.mine",
    "den.twin",
    "den.face",
    "den.missing",
    "vault.st",
    "vault.grouped",
    "vault.broken",
    "vault.t",
    "vault.part1",
    "vault.new",
    "pgtrickle.pgt_stream_tables",
    "pgtrickle_state.q_1",
    "pgtrickle_state.n_1_1",
    "pgtrickle_changes.changes_1",
    "pg_catalog.pg_class",
    "",
    "\"",
    "\"den\".\"s1\"",
    "a.b.c.d",
    "''",
    "select 1",
    "0s",
    "1d",
    "* * * * *",
    "FULL",
    "DIFFERENTIAL",
    "ACTIVE",
    "SUSPENDED",
    "\u{1F600}\u{7}",
    "den.s1'); drop table vault.t; --",
];

/// Queries of `poor`: over its own tables, over those of others, with code of its own where it is parsed.
const QUERIES: [&str; 25] = [
    "select id, v from den.mine",
    "select v, count(*) as n from den.mine group by v",
    "select id, '{1,2}'::den.d[] as a from den.mine",
    "select id, v from den.mine where v = any ('{0,1}'::den.d[])",
    "select id, v::den.d as v from den.mine",
    "select v::den.d as v, count(*) as n from den.mine group by 1",
    "select m.id, t.v from den.mine m left join den.twin t on t.id = m.id and t.v = any ('{1}'::den.d[])",
    "select id, v from den.mine where den.spy(v)",
    "select id, den.note() as v from den.mine",
    "select * from vault.t",
    "select * from vault.st",
    "select id, n from vault.broken",
    "select id from vault.broken where n > 0",
    "select b.id, m.v from vault.broken b left join den.mine m on m.id = b.id",
    "select s from pgtrickle_state.n_2_1",
    "select last_error from pgtrickle.pgt_frontiers",
    "select * from pgtrickle_changes.changes_1",
    "select * from pgtrickle_changes.pending_1",
    "table den.face",
    "select id, v from den.s1",
    "select 1 as id; drop table vault.t",
    "select 1 as id) q; drop table vault.t; --",
    "with w as (delete from den.mine returning id) select id from w",
    "select id, v into den.other from den.mine",
    "values (1, '{1}'::den.d[])",
];

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "1e300",
    "'NaN'",
    "1.5",
];

const COLUMNS: [&str; 9] = [
    "action text, copies bigint, xid xid8",
    "action text, copies bigint, xid text",
    "action text, copies bigint, xid xid8, id int, v int, s text",
    "action text, copies bigint, xid xid8, id int, s text",
    "action text, copies bigint, xid xid8, id text, v text, s int",
    "a int",
    "a point, b box, c \"char\", d internal",
    "a text[], b record",
    "a den.d, b den.mine",
];

impl Caller<'_> {
    /// A call of any function with arguments of its types, of others, too few or too many.
    pub fn function(&self, dice: &mut Dice) -> String {
        let Function { name, arguments, result } = dice.pick(&self.surface.functions);
        let mut values: Vec<String> = arguments.iter().map(|ty| argument(dice, ty)).collect();
        match dice.below(12) {
            0 => _ = values.pop(),
            1 => values.push(literal(dice)),
            _ => {}
        }
        let call = format!("{name}({})", values.join(", "));
        match result.as_str() {
            "record" if dice.percent(80) => format!("select * from {call} as c({})", dice.pick(&COLUMNS)),
            _ if dice.percent(50) => format!("select * from {call}"),
            _ => format!("select {call}"),
        }
    }

    /// A trigger function attached in some way to a table of the caller's or of others, and then fired.
    pub fn trigger(&self, dice: &mut Dice) -> Vec<String> {
        let function = dice.pick(&self.surface.triggers);
        let table = *dice.pick(&["den.mine", "den.twin", "den.face", "den.s1", "vault.t", "vault.st"]);
        let argument = match dice.below(5) {
            0 => String::new(),
            1 => quoted(one(dice, &TEXTS)),
            _ => format!("'{}'", dice.pick(&NUMBERS).trim_matches('\'')),
        };
        if dice.percent(10) {
            return vec![format!("create event trigger mine on ddl_command_end execute function {function}()")];
        }
        let events =
            *dice.pick(&["insert", "insert or update or delete", "update of v", "truncate", "delete or truncate"]);
        let level = *dice.pick(&["row", "statement"]);
        let timing = *dice.pick(&["before", "after", "instead of"]);
        let when = if dice.percent(10) { "when (den.note())" } else { "" };
        let name = *dice.pick(&["mine", "pgtrickle_capture_1", "pgtrickle_guard"]);
        let create = match dice.below(6) {
            0 => format!(
                "create constraint trigger {name} after {events} on {table} deferrable initially deferred for each row {when} execute function {function}({argument})"
            ),
            1 => format!(
                "create trigger {name} after insert on {table} referencing new table as fresh for each {level} {when} execute function {function}({argument})"
            ),
            _ => format!(
                "create trigger {name} {timing} {events} on {table} for each {level} {when} execute function {function}({argument})"
            ),
        };
        vec![
            create,
            format!("insert into {table} values (500, 1, 'x')"),
            format!("update {table} set v = v + 1 where id = 500"),
            format!("delete from {table} where id = 500"),
            format!("truncate {table}"),
            format!("drop trigger {name} on {table}"),
        ]
    }

    /// A statement about a relation of the extension.
    pub fn relation(&self, dice: &mut Dice) -> String {
        let relation = dice.pick(&self.surface.relations);
        match dice.below(16) {
            0..4 => format!("select * from {relation}"),
            4 => format!("select r::text from {relation} r"),
            5 => format!("insert into {relation} default values"),
            6 => format!("insert into {relation} select * from {relation}"),
            7 => format!("delete from {relation}"),
            8 => format!("truncate {relation} cascade"),
            9 => format!("drop table {relation} cascade"),
            10 => format!("alter table {relation} owner to poor"),
            11 => format!("alter table {relation} add column mine int"),
            12 => format!(
                "create trigger mine after insert on {relation} for each row execute function pgtrickle.capture('1')"
            ),
            13 => format!("grant all on {relation} to poor"),
            14 => format!("lock table {relation} in access exclusive mode"),
            _ => {
                format!("create view den.peek as select * from {relation}; select * from den.peek; drop view den.peek")
            }
        }
    }

    /// What the caller does to stream tables and sources of its own.
    pub fn own(&self, dice: &mut Dice) -> String {
        let (table, query) = (format!("den.s{}", dice.between(1, 4)), quoted(one(dice, &QUERIES)));
        let schedule = *dice.pick(&["0s", "1d", "1d", "calculated"]);
        let mode = *dice.pick(&["AUTO", "AUTO", "FULL", "DIFFERENTIAL"]);
        match dice.below(18) {
            0..4 => format!("select pgtrickle.create_stream_table('{table}', {query}, '{schedule}', '{mode}')"),
            4 | 5 => format!("select pgtrickle.create_or_replace_stream_table('{table}', {query}, '{schedule}')"),
            6 | 7 => format!("select pgtrickle.alter_stream_table('{table}', query => {query})"),
            8 => format!("select pgtrickle.drop_stream_table('{table}', true)"),
            9 => format!("select pgtrickle.refresh_stream_table('{table}')"),
            10 => format!("insert into den.mine values ({}, 1, 'x') on conflict (id) do update set v = den.mine.v + 1", dice.below(400)),
            11 => "create or replace function den.spy(v int) returns bool immutable language plpgsql as $$ begin return den.note() or v is null; end $$".to_owned(),
            12 => "create or replace function den.spy(v int) returns bool immutable language plpgsql as $$ begin return den.note(); end $$".to_owned(),
            13 => format!("alter table {table} owner to rich"),
            14 => format!("create index on {table} ((id::den.d))"),
            15 => format!("update den.command set sql = {}", quoted(&self.function(dice))),
            16 => format!("update den.command set sql = {}", quoted(&format!("select pgtrickle.refresh_stream_table('{table}')"))),
            _ => "alter table den.mine add column if not exists more den.d default 7".to_owned(),
        }
    }

    /// What a superuser does with the stream tables of the caller.
    pub fn superuser(&self, dice: &mut Dice) -> String {
        let table = format!("den.s{}", dice.between(1, 4));
        match dice.below(7) {
            0 => format!("select pgtrickle.explain_stream_table('{table}', verbose => true)"),
            1 => format!("select pgtrickle.explain_stream_table('{table}', false, true)"),
            2 | 3 => format!("select pgtrickle.refresh_stream_table('{table}')"),
            4 => format!("select * from pgtrickle.verify_stream_table('{table}')"),
            5 => format!("select pgtrickle.alter_stream_table('{table}', refresh_mode => 'AUTO')"),
            _ => "select * from pgtrickle.pgt_status()".to_owned(),
        }
    }
}

fn one(dice: &mut Dice, of: &[&'static str]) -> &'static str {
    of[dice.below(of.len())]
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => "null".to_owned(),
        1 => one(dice, &NUMBERS).to_owned(),
        2 => quoted(one(dice, &QUERIES)),
        _ => quoted(one(dice, &TEXTS)),
    }
}

/// Mostly of the type, so that the call is not refused before it is made.
fn argument(dice: &mut Dice, ty: &str) -> String {
    if dice.percent(12) {
        return format!("null::{ty}");
    }
    if dice.percent(5) {
        return literal(dice);
    }
    match ty {
        "text" | "name" => match dice.percent(20) {
            true => quoted(one(dice, &QUERIES)),
            false => quoted(one(dice, &TEXTS)),
        },
        "boolean" => (*dice.pick(&["true", "false"])).to_owned(),
        "interval" => format!("interval '{}'", dice.pick(&["0", "10 ms", "-1 day", "1000000 years", "1 month"])),
        "regclass" => match dice.percent(70) {
            true => format!("{}::regclass", quoted(one(dice, &TEXTS[..19]))),
            false => format!("{}::oid::regclass", dice.below(20000)),
        },
        "regrole" => {
            (*dice.pick(&["'poor'::regrole", "'rich'::regrole", "0::oid::regrole", "4000000000::oid::regrole"]))
                .to_owned()
        }
        "bytea" => format!("'\\x{:016x}'::bytea", dice.between(0, i64::MAX)),
        "integer" | "bigint" | "smallint" | "double precision" | "oid" => format!("{}::{ty}", dice.pick(&NUMBERS)),
        _ => format!("{}::{ty}", quoted(one(dice, &TEXTS))),
    }
}
