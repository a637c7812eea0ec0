//! Tables full of hard values, and random changes of them.
//!
//! Values are drawn from small pools, so that keys collide, groups appear and vanish, and NULL is everywhere.

use crate::dice::Dice;
use crate::home::Home;
use crate::session::{Failure, Session};
use crate::traffic::Changes;

/// The type of a column, for drawing values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Key,
    Int,
    Text,
    /// numeric of any scale, with NaN and infinities
    Numeric,
    Price,
    Float,
    Time,
    Bool,
    Array,
    Jsonb,
    Json,
    Mood,
    Positive,
    /// text whose equality is not identity: case-insensitive
    Folded,
    Region,
    /// a composite type, fields of which may be NULL
    Pair,
    /// numeric and bigint that are one as float8
    Digits,
    Whole,
    /// hstore
    Store,
    /// ltree
    Tree,
}

pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// Whether `id` is its primary key.
    pub keyed: bool,
}

/// The tables; `SETUP` makes them.
pub static TABLES: [Table; 11] = [
    Table {
        name: "items",
        columns: &[
            ("id", Kind::Key),
            ("grp", Kind::Int),
            ("cat", Kind::Text),
            ("val", Kind::Int),
            ("amt", Kind::Numeric),
            ("price", Kind::Price),
            ("f", Kind::Float),
            ("ts", Kind::Time),
            ("flag", Kind::Bool),
            ("mood", Kind::Mood),
            ("pos", Kind::Positive),
        ],
        keyed: true,
    },
    Table {
        name: "docs",
        columns: &[("id", Kind::Key), ("tags", Kind::Array), ("js", Kind::Jsonb), ("doc", Kind::Json)],
        keyed: true,
    },
    Table { name: "keyless", columns: &[("a", Kind::Int), ("b", Kind::Text), ("n", Kind::Numeric)], keyed: false },
    Table { name: "ref", columns: &[("id", Kind::Key), ("name", Kind::Text), ("region", Kind::Region)], keyed: true },
    Table { name: "link", columns: &[("item", Kind::Int), ("ref", Kind::Int), ("qty", Kind::Int)], keyed: false },
    Table {
        name: "folded",
        columns: &[("id", Kind::Key), ("c", Kind::Folded), ("t", Kind::Folded), ("v", Kind::Int)],
        keyed: true,
    },
    Table { name: "parts", columns: &[("id", Kind::Key), ("g", Kind::Text), ("v", Kind::Int)], keyed: true },
    Table {
        name: "pairs",
        columns: &[
            ("id", Kind::Key),
            ("v", Kind::Pair),
            ("g", Kind::Int),
            ("near", Kind::Float),
            ("far", Kind::Digits),
            ("whole", Kind::Whole),
        ],
        keyed: true,
    },
    Table {
        name: "tagged",
        columns: &[("id", Kind::Key), ("h", Kind::Store), ("l", Kind::Tree), ("w", Kind::Text), ("v", Kind::Int)],
        keyed: true,
    },
    Table { name: "tags_bag", columns: &[("v", Kind::Int), ("h", Kind::Store), ("l", Kind::Tree)], keyed: false },
    Table { name: "child", columns: &[("a", Kind::Int), ("b", Kind::Text)], keyed: false },
];

/// Of Debian's PostgreSQL.
const EXTENSIONS: [&str; 5] = ["citext", "hstore", "ltree", "pg_trgm", "btree_gist"];

/// What users make: a function, an operator, a cast, and names of the server's functions for other arguments.
const OWN: &str = "
        create function grade(int) returns text language sql immutable as 'select case when $1 > 2 then ''high'' else ''low'' end';
        create function matches(int, int) returns boolean language sql immutable as 'select $1 % 3 = $2 % 3';
        create operator =~= (leftarg = int, rightarg = int, function = matches, commutator = =~=);
        create type celsius as (degrees int);
        create function degrees_of(celsius) returns int language sql immutable as 'select ($1).degrees + 273';
        create cast (celsius as int) with function degrees_of(celsius);
        create function upper(int) returns int language sql immutable as 'select $1 * 10';
        ";

/// Makes the tables. `folded` has a nondeterministic collation where the server has one.
pub fn setup(icu: bool, home: &Home) -> String {
    let x = home.extensions;
    let collate = if icu { "collate folding" } else { "" };
    let mut sql = home.schemas();
    for extension in EXTENSIONS {
        sql += &format!("create extension if not exists {extension} schema {x};\n");
    }
    if icu {
        sql += "create collation folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);\n";
    }
    sql += "
        create type mood as enum ('sad', 'ok', 'happy');
        create domain positive as int check (value > 0);
        create table items (id int primary key, grp int, cat text, val int, amt numeric, price numeric(12,2), f float8,
                            ts timestamptz, flag bool, mood mood, pos positive);
        create index on items (grp, val);
        create index on items (grp, amt desc nulls last);
        create index on items (grp, id);
        create table docs (id int primary key, tags int[], js jsonb, doc json);
        create table keyless (a int, b text, n numeric);
        create table ref (id int primary key, name text, region text not null);
        create type pair as (x int, y text);
        create table pairs (id int primary key, v pair, g int, near float8, far numeric, whole bigint);
        create table link (item int, ref int, qty int);
        create index on link (item, qty nulls first);
        create table parts (id int primary key, g text, v int) partition by range (id);
        create table parts_low partition of parts for values from (minvalue) to (20);
        create table parts_high partition of parts for values from (20) to (maxvalue);
        create table base (a int, b text);
        create table child (extra int default 7) inherits (base);
        create aggregate total(numeric) (sfunc = numeric_add, stype = numeric, initcond = '0');
        create view items_view as select id, grp, val, amt from items where val is not null;
        create view nested_view as select grp, count(*) as n, sum(amt) as amt from items_view group by grp;
        ";
    sql += &format!(
        "create table folded (id int primary key, c {x}.citext, t text {collate}, v int);
         create table tagged (id int primary key, h {x}.hstore, l {x}.ltree, w text, v int);
         create table tags_bag (v int, h {x}.hstore, l {x}.ltree);
         create domain store as {x}.hstore;
         create domain tree as {x}.ltree;
        "
    );
    sql += OWN;
    sql + &home.trap()
}

impl Kind {
    /// A random literal.
    pub fn literal(self, dice: &mut Dice) -> String {
        let null_chance = match self {
            Kind::Key | Kind::Region => 0,
            _ => 20,
        };
        if dice.percent(null_chance) {
            return "null".to_owned();
        }
        let pool: &[&str] = match self {
            Kind::Key => return dice.between(1, 40).to_string(),
            Kind::Int => return dice.between(-2, 6).to_string(),
            Kind::Text => &["'a'", "'b'", "'c'", "'A'", "''", "'it''s'"],
            Kind::Numeric => &[
                "0",
                "0.00",
                "1",
                "1.0",
                "1.000",
                "-1.5",
                "2.250",
                "12345678901234567890.0001",
                "'NaN'",
                "'Infinity'",
                "1e-10",
            ],
            Kind::Price => &["0", "9.99", "100.5", "-3.01", "12345.67"],
            Kind::Float => &["0", "'-0'", "0.25", "1.5", "-2.75", "1048576.25", "'NaN'", "'Infinity'", "'-Infinity'"],
            Kind::Time => &[
                "'2024-03-10 06:30+00'",
                "'2024-03-10 07:30+00'",
                "'2024-12-31 23:30+00'",
                "'infinity'",
                "'1999-01-01 00:00+05:30'",
            ],
            Kind::Bool => &["true", "false"],
            Kind::Array => &["'{}'", "'{1}'", "'{1,2}'", "'{2,1}'", "'{1,null}'", "'{{1,2},{3,4}}'"],
            Kind::Jsonb => &["'{}'", "'1'", "'1.0'", "'null'", "'{\"a\": 1}'", "'{\"a\": 1.00}'", "'[1, 2]'"],
            Kind::Json => &["'{}'", "'{\"a\":1}'", "'{\"a\": 1}'", "'[1,2]'"],
            Kind::Mood => &["'sad'", "'ok'", "'happy'"],
            Kind::Positive => &["1", "2", "3"],
            Kind::Folded => &["'x'", "'X'", "'y'", "'Y'", "'straße'", "'STRASSE'"],
            Kind::Region => &["'north'", "'south'"],
            Kind::Pair => {
                &["'(,)'::pair", "'(1,)'::pair", "'(,a)'::pair", "'(1,a)'::pair", "'(1,b)'::pair", "'(,\"\")'::pair"]
            }
            Kind::Digits => &["1", "1.0", "1.000000000000000000001", "0.25", "9007199254740993", "'NaN'", "1048576.25"],
            Kind::Store => &["'a=>1'", "'a=>1, b=>2'", "'b=>2, a=>1'", "'a=>NULL'", "''", "'a=>\"x y\"'"],
            Kind::Tree => &["'a'", "'a.b'", "'a.b.c'", "'b'", "'b.a'", "''"],
            Kind::Whole => &["0", "1", "9007199254740992", "9007199254740993"],
        };
        (*dice.pick(pool)).to_owned()
    }

    fn type_name(self) -> &'static str {
        match self {
            Kind::Key | Kind::Int => "int",
            Kind::Text | Kind::Folded | Kind::Region => "text",
            Kind::Numeric => "numeric",
            Kind::Price => "numeric(12,2)",
            Kind::Float => "float8",
            Kind::Time => "timestamptz",
            Kind::Bool => "bool",
            Kind::Array => "int[]",
            Kind::Jsonb => "jsonb",
            Kind::Json => "json",
            Kind::Mood => "mood",
            Kind::Positive => "positive",
            Kind::Pair => "pair",
            Kind::Digits => "numeric",
            Kind::Whole => "bigint",
            Kind::Store => "store",
            Kind::Tree => "tree",
        }
    }

    /// Whether values can be compared under any path.
    fn has_equality(self) -> bool {
        ![Kind::Json, Kind::Store, Kind::Tree].contains(&self)
    }
}

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn row(&self, dice: &mut Dice) -> String {
        let values: Vec<String> = self.columns.iter().map(|(_, kind)| kind.literal(dice)).collect();
        format!("({})", values.join(", "))
    }

    fn rows(&self, dice: &mut Dice, at_most: usize) -> String {
        let count = 1 + dice.below(at_most);
        (0..count).map(|_| self.row(dice)).collect::<Vec<_>>().join(", ")
    }

    /// Which rows a change is about: mostly few, sometimes all.
    fn condition(&self, dice: &mut Dice) -> String {
        if dice.percent(3) {
            return "true".to_owned();
        }
        if self.keyed && dice.percent(60) {
            return format!("id = {}", dice.between(1, 40));
        }
        let (name, kind) = dice.pick(self.columns);
        if !kind.has_equality() || dice.percent(15) {
            return format!("{name} is null");
        }
        format!("{name} = {}", kind.literal(dice))
    }

    fn assignments(&self, dice: &mut Dice) -> String {
        let changeable: Vec<_> = self.columns.iter().filter(|(_, kind)| *kind != Kind::Key).collect();
        let count = 1 + dice.below(2.min(changeable.len()));
        let mut chosen = vec![];
        for _ in 0..count {
            let (name, kind) = *dice.pick(&changeable);
            if chosen.iter().all(|(other, _): &(&str, String)| other != name) {
                chosen.push((name, kind.literal(dice)));
            }
        }
        chosen.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    }
}

/// Initial rows of every table.
pub fn fill(dice: &mut Dice) -> Vec<String> {
    let mut statements: Vec<String> = TABLES
        .iter()
        .map(|table| {
            format!(
                "insert into {} ({}) values {} on conflict do nothing",
                table.name,
                table.names(),
                table.rows(dice, 40)
            )
        })
        .collect();
    statements.push("insert into base values (1, 'a'), (1, 'a'), (null, 'b'), (2, null)".to_owned());
    statements
}

/// One random statement.
pub fn statement(dice: &mut Dice) -> String {
    let table = dice.pick(&TABLES);
    let name = table.name;
    let names = table.names();
    match dice.weighted(&[28, 24, 14, 6, 6, 6, 4, 4, 4, 1, 3]) {
        0 => format!("insert into {name} ({names}) values {} on conflict do nothing", table.rows(dice, 5)),
        1 => format!("update {name} set {} where {}", table.assignments(dice), table.condition(dice)),
        2 => format!("delete from {name} where {}", table.condition(dice)),
        3 if table.keyed => format!(
            "insert into {name} ({names}) values {} on conflict (id) do update set {}",
            table.row(dice),
            table.assignments(dice)
        ),
        4 if table.keyed => merge(table, dice),
        5 if table.keyed => {
            format!("update {name} set id = id + 40 - 80 * (id > 40)::int where {}", table.condition(dice))
        }
        6 if !table.keyed => format!("insert into {name} select * from {name} limit {}", dice.between(1, 4)),
        7 if !table.keyed => {
            format!("delete from {name} where ctid in (select ctid from only {name} limit {})", dice.between(1, 3))
        }
        8 => copy(table, dice),
        9 => format!("truncate {name}"),
        10 => moving(dice),
        _ => format!("update {name} set {0} = {0}", dice.pick(table.columns).0),
    }
}

/// PostgreSQL 15 and later: matched rows are changed or deleted, others inserted.
fn merge(table: &Table, dice: &mut Dice) -> String {
    let row: Vec<String> =
        table.columns.iter().map(|(_, kind)| format!("{}::{}", kind.literal(dice), kind.type_name())).collect();
    format!(
        "merge into {name} t using (values ({row})) s({names}) on t.id = s.id
         when matched and t.id % 3 = 0 then delete
         when matched then update set {assignments}
         when not matched then insert ({names}) values ({values})",
        name = table.name,
        row = row.join(", "),
        names = table.names(),
        assignments = table.assignments(dice),
        values = table.columns.iter().map(|(name, _)| format!("s.{name}")).collect::<Vec<_>>().join(", "),
    )
}

fn copy(table: &Table, dice: &mut Dice) -> String {
    let first = if table.keyed { dice.between(41, 80).to_string() } else { dice.between(0, 3).to_string() };
    format!("copy {} ({}) from program 'printf \"{first}\\n\"'", table.name, table.columns[0].0)
}

/// A statement that changes two tables at once.
fn moving(dice: &mut Dice) -> String {
    let id = dice.between(1, 40);
    match dice.below(3) {
        0 => format!(
            "with gone as (delete from items where id = {id} returning *) insert into keyless select grp, cat, amt from gone"
        ),
        1 => format!(
            "with gone as (delete from base where a = {} returning *) insert into child select * from gone",
            id % 5
        ),
        _ => format!(
            "with changed as (update items set val = val + 1 where id = {id} returning id, val)
             update ref set name = 'moved' from changed where ref.id = changed.id"
        ),
    }
}

/// One random transaction: several statements, some of them undone.
pub fn transaction(dice: &mut Dice) -> String {
    let mut parts = vec!["begin".to_owned()];
    for _ in 0..1 + dice.below(4) {
        match dice.below(10) {
            0 => parts.extend(["savepoint s".to_owned(), statement(dice), "rollback to savepoint s".to_owned()]),
            1 => parts.extend(["savepoint s".to_owned(), statement(dice), "release savepoint s".to_owned()]),
            _ => parts.push(statement(dice)),
        }
    }
    parts.push(if dice.percent(8) { "rollback" } else { "commit" }.to_owned());
    parts.join(";\n")
}

/// Writers of these tables, any number at a time.
#[derive(Clone)]
pub struct Shuffle;

impl Changes for Shuffle {
    async fn change(&self, session: &Session, dice: &mut Dice) -> Result<bool, Failure> {
        let rows = loop {
            let statement = statement(dice);
            if !statement.starts_with("truncate") {
                break statement;
            }
        };
        session.attempt(&rows).await?;
        Ok(true)
    }

    fn alone(&self, dice: &mut Dice) -> Option<String> {
        dice.percent(1).then(|| format!("truncate {}", dice.pick(&TABLES).name))
    }

    /// Taken keys and invalid values belong to random changes.
    fn is_expected(&self, failure: &Failure) -> bool {
        failure.is_contention() || ["22", "23"].iter().any(|class| failure.code.starts_with(class))
    }
}
