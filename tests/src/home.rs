//! Where the tables, types and extensions of a test live: none of it may matter.

use crate::dice::Dice;

/// Schemas, as SQL writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub tables: &'static str,
    pub extensions: &'static str,
    /// Whether the extensions are found without their schema.
    pub on_path: bool,
    /// Whether there are tables of the same names elsewhere, and functions that have names of the server's.
    pub decoys: bool,
}

/// Names that need quotes, or would mean something else without them.
const TABLES: [&str; 3] = ["public", "\"quoted \"\"names\"\"\"", "\"select\""];
const EXTENSIONS: &str = "ext";

impl Home {
    pub const PLAIN: Home = Home { tables: "public", extensions: EXTENSIONS, on_path: true, decoys: false };

    pub fn any(dice: &mut Dice) -> Home {
        let tables = *dice.pick(&TABLES);
        let extensions = if dice.percent(50) { tables } else { EXTENSIONS };
        let on_path = extensions == tables || dice.percent(50);
        Home { tables, extensions, on_path, decoys: dice.percent(70) }
    }

    /// A query with the names of the extensions' objects as they are found from here: `{x}` is their schema.
    pub fn place(&self, sql: &str) -> String {
        if !self.on_path {
            return sql.replace("{x}", self.extensions);
        }
        let (first, rest) = sql.split_once("operator({x}.").unwrap_or((sql, ""));
        let placed = rest.split("operator({x}.").map(|part| part.replacen(')', "", 1));
        let rest: String = if rest.is_empty() { String::new() } else { placed.collect() };
        (first.to_owned() + &rest).replace("{x}.", "")
    }

    /// Makes the schemas and puts them on the path.
    pub fn schemas(&self) -> String {
        let Home { tables, extensions, .. } = self;
        let made = format!("create schema if not exists {tables}; create schema if not exists {extensions};\n");
        made + &format!("set search_path = {};\n", self.path())
    }

    /// Drops the schemas of all homes.
    pub fn clear() -> String {
        let schemas = TABLES.iter().chain([&EXTENSIONS, &"decoy"]);
        let dropped: String = schemas.map(|schema| format!("drop schema if exists {schema} cascade; ")).collect();
        dropped + "create schema public; reset all"
    }

    pub fn path(&self) -> String {
        match self.tables == self.extensions || !self.on_path {
            true => self.tables.to_owned(),
            false => format!("{}, {}", self.tables, self.extensions),
        }
    }

    /// Objects that a query must not resolve to: tables that are not on the path, and functions that a call reaches only
    /// where their arguments fit better than those of the server's.
    pub fn trap(&self) -> String {
        if !self.decoys {
            return String::new();
        }
        "create schema decoy;
         create table decoy.items (id text, grp text); create table decoy.ref (id int, name int);
         create table decoy.keyless (n int); create view decoy.items_view as select 1 as id;
         create function array_length(int[], int) returns int language sql immutable as 'select coalesce($1[1], 0)';
         create function abs(text) returns text language sql immutable as 'select $1 || ''!''';
         create aggregate lower(text) (sfunc = textcat, stype = text, initcond = '');
         create function decoy.grade(int) returns text language sql immutable as 'select ''decoy''';
         create function decoy.matches(int, int) returns boolean language sql immutable as 'select false';
         create operator decoy.=~= (leftarg = int, rightarg = int, function = decoy.matches);
        "
        .to_owned()
    }
}
