//! Random queries: operators of every kind upon each other, over the tables of `world` and whatever else is there.

use crate::dice::Dice;

/// Types among which columns may be joined, united and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Int,
    Big,
    Numeric,
    Text,
}

/// What a query may read.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub columns: Vec<(String, Type)>,
    /// Of how many tables its rows are multiplied, itself or in what it reads.
    pub factors: usize,
}

/// Names that deltas and the tables of nodes have for columns of their own.
const TAKEN: [&str; 12] =
    ["w", "w_", "n", "sum", "key", "first", "last", "touched", "rows_before", "total", "place", "hash"];

/// A subquery and the types of its columns, which are named c0, c1, ….
struct Piece {
    sql: String,
    columns: Vec<Type>,
}

const BASES: [(&str, &[(&str, Type)]); 6] = [
    (
        "items",
        &[("id", Type::Int), ("grp", Type::Int), ("val", Type::Int), ("cat", Type::Text), ("amt", Type::Numeric)],
    ),
    ("keyless", &[("a", Type::Int), ("b", Type::Text), ("n", Type::Numeric)]),
    ("ref", &[("id", Type::Int), ("name", Type::Text), ("region", Type::Text)]),
    ("link", &[("item", Type::Int), ("ref", Type::Int), ("qty", Type::Int)]),
    ("parts", &[("id", Type::Int), ("g", Type::Text), ("v", Type::Int)]),
    ("items_view", &[("id", Type::Int), ("grp", Type::Int), ("val", Type::Int), ("amt", Type::Numeric)]),
];

/// The tables of `world` with columns of these types.
pub fn tables() -> Vec<Relation> {
    let owned = |(name, ty): &(&str, Type)| ((*name).to_owned(), *ty);
    let relation = |(name, columns): &(&str, &[(&str, Type)])| Relation {
        name: (*name).to_owned(),
        columns: columns.iter().map(owned).collect(),
        factors: 1,
    };
    BASES.iter().map(relation).collect()
}

impl Type {
    /// The type that the server calls so.
    pub fn named(name: &str) -> Option<Type> {
        match name {
            "integer" => Some(Type::Int),
            "bigint" => Some(Type::Big),
            "numeric" => Some(Type::Numeric),
            "text" => Some(Type::Text),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Type::Int => "int",
            Type::Big => "bigint",
            Type::Numeric => "numeric",
            Type::Text => "text",
        }
    }

    fn is_number(self) -> bool {
        self != Type::Text
    }
}

fn select(items: &[String]) -> String {
    let named = items.iter().enumerate().map(|(at, item)| format!("{item} as c{at}"));
    named.collect::<Vec<_>>().join(", ")
}

impl Piece {
    fn base(relation: &Relation) -> Piece {
        let items: Vec<String> = relation.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sql = format!("select {} from {}", select(&items), relation.name);
        Piece { sql, columns: relation.columns.iter().map(|(_, ty)| *ty).collect() }
    }

    fn column(&self, dice: &mut Dice, fits: impl Fn(Type) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.columns.len()).filter(|at| fits(self.columns[*at])).collect();
        (!fitting.is_empty()).then(|| *dice.pick(&fitting))
    }

    fn any_column(&self, dice: &mut Dice) -> usize {
        dice.below(self.columns.len())
    }

    /// A condition on the columns under the alias `q`.
    fn condition(&self, dice: &mut Dice, q: &str) -> String {
        let at = self.any_column(dice);
        let number = dice.between(-1, 4);
        match (self.columns[at].is_number(), dice.below(4)) {
            (_, 0) => format!("{q}.c{at} is not null"),
            (true, 1) => format!("{q}.c{at} > {number}"),
            (true, 2) => format!("({q}.c{at} <> {number} or {q}.c{at} is null)"),
            (true, _) => format!("{q}.c{at} between {number} and 5"),
            (false, 1) => format!("{q}.c{at} in ('a', 'b', 'north')"),
            (false, 2) => format!("{q}.c{at} like 'a%'"),
            (false, _) => format!("{q}.c{at} is distinct from 'a'"),
        }
    }

    fn expression(&self, dice: &mut Dice) -> (String, Type) {
        let at = self.any_column(dice);
        let ty = self.columns[at];
        let sql = match (ty, dice.below(4)) {
            (Type::Int | Type::Big, 0) => format!("q.c{at} % 3"),
            (Type::Text, 0) => format!("upper(q.c{at})"),
            (Type::Text, 1) => format!("q.c{at} || '!'"),
            (Type::Text, _) => format!("coalesce(q.c{at}, 'none')"),
            (_, 1) => format!("coalesce(q.c{at}, 0)"),
            (_, 2) => format!("case when q.c{at} > 2 then q.c{at} end"),
            _ => format!("q.c{at}"),
        };
        (sql, ty)
    }

    fn filter(self, dice: &mut Dice) -> Piece {
        let condition = self.condition(dice, "q");
        Piece { sql: format!("select * from ({}) q where {condition}", self.sql), columns: self.columns }
    }

    fn project(self, dice: &mut Dice) -> Piece {
        let items: Vec<(String, Type)> = (0..1 + dice.below(4)).map(|_| self.expression(dice)).collect();
        let texts: Vec<String> = items.iter().map(|(sql, _)| sql.clone()).collect();
        Piece {
            sql: format!("select {} from ({}) q", select(&texts), self.sql),
            columns: items.into_iter().map(|(_, ty)| ty).collect(),
        }
    }

    fn distinct(self, dice: &mut Dice) -> Piece {
        let kept: Vec<usize> = (0..1 + dice.below(2)).map(|_| self.any_column(dice)).collect();
        let items: Vec<String> = kept.iter().map(|at| format!("q.c{at}")).collect();
        Piece {
            sql: format!("select distinct {} from ({}) q", select(&items), self.sql),
            columns: kept.iter().map(|at| self.columns[*at]).collect(),
        }
    }

    fn aggregate(self, dice: &mut Dice) -> Piece {
        let keys: Vec<usize> = (0..dice.below(3)).map(|_| self.any_column(dice)).collect();
        let mut items: Vec<String> = keys.iter().map(|at| format!("q.c{at}")).collect();
        let group = items.join(", ");
        let mut columns: Vec<Type> = keys.iter().map(|at| self.columns[*at]).collect();
        for _ in 0..1 + dice.below(3) {
            let (sql, ty) = self.call(dice);
            items.push(sql);
            columns.push(ty);
        }
        let mut sql = format!("select {} from ({}) q", select(&items), self.sql);
        if !keys.is_empty() {
            sql += &format!(" group by {group}");
        }
        if dice.percent(25) {
            sql += &format!(" having count(*) > {}", dice.between(0, 3));
        }
        Piece { sql, columns }
    }

    fn call(&self, dice: &mut Dice) -> (String, Type) {
        let filter = match dice.percent(25) {
            true => format!(" filter (where {})", self.condition(dice, "q")),
            false => String::new(),
        };
        let any = self.any_column(dice);
        let number = self.column(dice, Type::is_number);
        let whole = self.column(dice, |ty| matches!(ty, Type::Int | Type::Big));
        if let Some(at) = whole.filter(|_| dice.percent(15)) {
            let ty = if self.columns[at] == Type::Int { Type::Big } else { Type::Numeric };
            return (format!("sum(100 / q.c{at}) filter (where q.c{at} <> 0)"), ty);
        }
        let (call, ty) = match (dice.below(6), number) {
            (0, _) | (1, None) => ("count(*)".to_owned(), Type::Big),
            (1, Some(at)) | (2, Some(at)) => {
                let ty = if self.columns[at] == Type::Int { Type::Big } else { Type::Numeric };
                (format!("sum(q.c{at})"), ty)
            }
            (3, Some(at)) => (format!("avg(q.c{at})"), Type::Numeric),
            (4, _) => (format!("max(q.c{any})"), self.columns[any]),
            (5, _) => (format!("min(q.c{any})"), self.columns[any]),
            _ => (format!("count(q.c{any})"), Type::Big),
        };
        (call + &filter, ty)
    }

    fn join(self, other: Piece, dice: &mut Dice) -> Piece {
        let text = dice.percent(25);
        let fits = |ty: Type| ty.is_number() != text && ty != Type::Numeric;
        let on = match (self.column(dice, fits), other.column(dice, fits)) {
            (Some(left), Some(right)) => format!("l.c{left} = r.c{right}"),
            _ => format!("{} and {}", self.condition(dice, "l"), other.condition(dice, "r")),
        };
        let kind = *dice.pick(&["join", "join", "left join", "right join", "full join"]);
        // A full join must have equalities to begin with.
        let kind = if kind == "full join" && !on.contains(" = r.c") { "left join" } else { kind };
        let extra = if dice.percent(25) { format!(" and {}", other.condition(dice, "r")) } else { String::new() };
        let mut items = vec![];
        let mut columns = vec![];
        for (alias, piece) in [("l", &self), ("r", &other)] {
            for _ in 0..1 + dice.below(2) {
                let at = piece.any_column(dice);
                items.push(format!("{alias}.c{at}"));
                columns.push(piece.columns[at]);
            }
        }
        let from = format!("({}) l {kind} ({}) r on {on}{extra}", self.sql, other.sql);
        Piece { sql: format!("select {} from {from}", select(&items)), columns }
    }

    /// The rows that have, or have not, a match in another piece; or a value found there.
    fn subquery(self, other: Piece, dice: &mut Dice) -> Piece {
        let text = dice.percent(25);
        let fits = |ty: Type| ty.is_number() != text && ty != Type::Numeric;
        let (Some(left), Some(right)) = (self.column(dice, fits), other.column(dice, fits)) else { return self };
        let sign = if dice.percent(30) { *dice.pick(&["<", ">", "<>"]) } else { "=" };
        let across = |ty: Type| ty.is_number() != text;
        let (any_left, any_right) =
            (self.column(dice, across).unwrap_or(left), other.column(dice, across).unwrap_or(right));
        let matching = format!("select 1 from ({}) r where r.c{right} {sign} l.c{left}", other.sql);
        let condition = match dice.below(8) {
            0 => format!("exists ({matching} and {})", other.condition(dice, "r")),
            1 => format!("not exists ({matching})"),
            2 => format!("l.c{any_left} in (select r.c{any_right} from ({}) r)", other.sql),
            3 => format!("l.c{any_left} not in (select r.c{any_right} from ({}) r)", other.sql),
            4 => {
                let or = self.condition(dice, "l");
                format!("({or} or l.c{any_left} in (select r.c{any_right} from ({}) r))", other.sql)
            }
            5 => {
                let aggregate = if text { "max" } else { "min" };
                format!("l.c{left} >= (select {aggregate}(r.c{right}) from ({}) r)", other.sql)
            }
            6 => {
                let (or, op) = (self.condition(dice, "l"), dice.pick(&["> all", "<= any", "<> all", "= all"]));
                format!(
                    "({or} or l.c{any_left} {op} (select r.c{any_right} from ({}) r where r.c{right} {sign} l.c{left}))",
                    other.sql
                )
            }
            _ => {
                let counted = other.any_column(dice);
                let count =
                    format!("select count(r.c{counted}) from ({}) r where r.c{right} {sign} l.c{left}", other.sql);
                format!("({count}) > {}", dice.below(3))
            }
        };
        Piece { sql: format!("select * from ({}) l where {condition}", self.sql), columns: self.columns }
    }

    /// Each row with those of another piece that have its value, which pass on some of its own columns.
    fn lateral(self, other: Piece, dice: &mut Dice) -> Piece {
        let text = dice.percent(25);
        let fits = |ty: Type| ty.is_number() != text && ty != Type::Numeric;
        let (Some(left), Some(right)) = (self.column(dice, fits), other.column(dice, fits)) else { return self };
        let (own, passed, found) = (self.any_column(dice), self.any_column(dice), other.any_column(dice));
        let kind = *dice.pick(&["left join", "left join", "join"]);
        let sign = if dice.percent(30) { *dice.pick(&["<", ">=", "<>"]) } else { "=" };
        let matching = format!("from ({}) r where r.c{right} {sign} l.c{left}", other.sql);
        let (query, columns) = match dice.below(4) {
            0 => (format!("select l.c{passed} as p, count(r.c{found}) as n {matching}"), Type::Big),
            1 => {
                let first = format!(
                    "from ({}) r where r.c{right} = l.c{left} order by r.c{right}, r.c{found} limit {}",
                    other.sql,
                    1 + dice.below(2)
                );
                (format!("select l.c{passed} as p, r.c{found} as n {first}"), other.columns[found])
            }
            _ => (format!("select l.c{passed} as p, r.c{found} as n {matching}"), other.columns[found]),
        };
        let items = select(&[format!("l.c{own}"), format!("l.c{passed}"), "v.p".to_owned(), "v.n".to_owned()]);
        let sql = format!("select {items} from ({}) l {kind} lateral ({query}) v on true", self.sql);
        Piece { sql, columns: vec![self.columns[own], self.columns[passed], self.columns[passed], columns] }
    }

    /// What relies on the order of a subquery.
    fn ordered(self, dice: &mut Dice) -> Piece {
        let first = self.any_column(dice);
        let fits = |ty: Type| ty != Type::Numeric;
        match self.column(dice, fits).filter(|_| dice.percent(60)) {
            Some(at) => {
                let rest: Vec<String> = (0..self.columns.len()).map(|at| format!("q.c{at}")).collect();
                let sorted = format!("select * from ({}) q order by q.c{first}, {}", self.sql, rest.join(", "));
                let items = select(&[format!("q.c{first}"), format!("string_agg(q.c{at}::text, ',')")]);
                let sql = format!("select {items} from ({sorted}) q group by q.c{first}");
                Piece { sql, columns: vec![self.columns[first], Type::Text] }
            }
            None => {
                let sorted = format!("select * from ({}) q order by {}", self.sql, self.order(first, dice));
                let sql = format!("select * from ({sorted}) q limit {}", 1 + dice.below(12));
                Piece { sql: format!("select * from ({sql}) q"), columns: self.columns }
            }
        }
    }

    fn union(self, other: Piece, dice: &mut Dice) -> Piece {
        let columns: Vec<Type> =
            (0..1 + dice.below(3)).map(|_| *dice.pick(&[Type::Big, Type::Text, Type::Numeric])).collect();
        let arm = |piece: &Piece, dice: &mut Dice| {
            let fit = |wanted: Type| move |ty: Type| wanted == ty || (wanted == Type::Big && ty == Type::Int);
            let items: Vec<String> = columns
                .iter()
                .map(|ty| match piece.column(dice, fit(*ty)) {
                    Some(at) => format!("q.c{at}::{}", ty.name()),
                    None => format!("null::{}", ty.name()),
                })
                .collect();
            format!("select {} from ({}) q", select(&items), piece.sql)
        };
        let operators = ["union all", "union all", "union", "intersect", "except", "intersect all", "except all"];
        let sql = format!("{} {} {}", arm(&self, dice), dice.pick(&operators), arm(&other, dice));
        Piece { sql, columns }
    }

    /// An order in which only rows of equal values are equal, so that it leaves nothing open that is compared.
    fn order(&self, first: usize, dice: &mut Dice) -> String {
        let rest = (0..self.columns.len()).filter(|at| *at != first);
        let key = |at: usize| format!("q.c{at}{}", dice.pick(&["", " desc", " nulls first", " desc nulls last"]));
        std::iter::once(first).chain(rest).map(key).collect::<Vec<_>>().join(", ")
    }

    /// One call may tell equal rows apart by their places; a second one could do so in another order.
    fn window(self, dice: &mut Dice) -> Piece {
        let mut columns = self.columns.clone();
        let mut items: Vec<String> = (0..columns.len()).map(|at| format!("q.c{at}")).collect();
        let calls = [self.placed(dice), self.unplaced(dice)];
        for (call, ty) in calls.into_iter().take(1 + dice.below(2)) {
            items.push(call);
            columns.push(ty);
        }
        Piece { sql: format!("select {} from ({}) q", select(&items), self.sql), columns }
    }

    /// The rows with the first numbers of each partition.
    fn first_of_each(self, dice: &mut Dice) -> Piece {
        let (first, any) = (self.any_column(dice), self.any_column(dice));
        let number = match dice.below(3) {
            0 => format!("row_number() over ({} order by {})", self.partition(dice), self.order(first, dice)),
            1 => format!("rank() over ({} order by q.c{first} desc, q.c{any})", self.partition(dice)),
            _ => format!("dense_rank() over ({} order by q.c{first})", self.partition(dice)),
        };
        let sql = format!("select q.*, {number} as number from ({}) q", self.sql);
        let items: Vec<String> = (0..self.columns.len()).map(|at| format!("q.c{at}")).collect();
        let sql = format!("select {} from ({sql}) q where q.number <= {}", select(&items), 1 + dice.below(3));
        Piece { sql, columns: self.columns }
    }

    fn partition(&self, dice: &mut Dice) -> String {
        let at = self.any_column(dice);
        if dice.percent(20) { String::new() } else { format!("partition by q.c{at}") }
    }

    fn placed(&self, dice: &mut Dice) -> (String, Type) {
        let any = self.any_column(dice);
        let over = format!("{} order by {}", self.partition(dice), self.order(any, dice));
        match (dice.below(3), self.column(dice, |ty| matches!(ty, Type::Big | Type::Numeric))) {
            (0, Some(at)) => (format!("sum(q.c{at}) over ({over} rows 2 preceding)"), Type::Numeric),
            (1, _) => (format!("lag(q.c{any}) over ({over})"), self.columns[any]),
            _ => (format!("row_number() over ({over})"), Type::Big),
        }
    }

    fn unplaced(&self, dice: &mut Dice) -> (String, Type) {
        let (any, partition) = (self.any_column(dice), self.partition(dice));
        let number = self.column(dice, Type::is_number);
        match (dice.below(4), number) {
            (0, _) => (format!("rank() over ({partition} order by q.c{any})"), Type::Big),
            (1, Some(at)) => (format!("sum(q.c{at}::numeric) over ({partition} order by q.c{any})"), Type::Numeric),
            (2, _) => (format!("max(q.c{any}) over ({partition} order by q.c{any})"), self.columns[any]),
            _ => (format!("count(q.c{any}) over ({partition})"), Type::Big),
        }
    }

    fn limit(self, dice: &mut Dice) -> Piece {
        let first = self.any_column(dice);
        let order = self.order(first, dice);
        let (rows, skipped) = (1 + dice.below(12), dice.below(4));
        let (distinct, bounds) = match dice.below(4) {
            0 => ("", format!("limit {rows}")),
            1 => ("", format!("limit {rows} offset {skipped}")),
            2 => ("", format!("fetch first {rows} rows with ties")),
            _ => (&*format!("distinct on (q.c{first}) "), String::new()),
        };
        let sql = format!("select {distinct}* from ({}) q order by {order} {bounds}", self.sql);
        Piece { sql: format!("select * from ({sql}) q"), columns: self.columns }
    }
}

/// Puts operators upon each other.
struct Composer<'a> {
    relations: &'a [Relation],
    /// How many more pieces may be multiplied with each other.
    joins: usize,
}

impl Composer<'_> {
    fn piece(&mut self, dice: &mut Dice, depth: usize) -> Piece {
        if depth == 0 {
            return Piece::base(self.relation(dice));
        }
        let input = self.piece(dice, depth - 1);
        match dice.weighted(&[2, 2, 2, 4, 4, 3, 3, 2, 2, 2, 1]) {
            0 => input.filter(dice),
            1 => input.project(dice),
            2 => input.distinct(dice),
            3 => input.aggregate(dice),
            4 if self.may_join() => input.join(self.other(dice, depth), dice),
            5 => input.union(self.other(dice, depth), dice),
            6 if self.may_join() => input.subquery(self.other(dice, depth), dice),
            7 => input.window(dice),
            8 if dice.percent(50) => input.first_of_each(dice),
            8 => input.limit(dice),
            9 if self.may_join() => input.lateral(self.other(dice, depth), dice),
            10 => input.ordered(dice),
            _ => input.aggregate(dice),
        }
    }

    fn least_factors(&self) -> usize {
        self.relations.iter().map(|relation| relation.factors).min().unwrap_or(1)
    }

    /// Takes one join off the budget, if that leaves enough to read something.
    fn may_join(&mut self) -> bool {
        let may = self.joins >= self.least_factors();
        self.joins -= usize::from(may);
        may
    }

    /// Something to read within the budget, or of the least factors.
    fn relation(&mut self, dice: &mut Dice) -> &Relation {
        let most = self.least_factors().max(self.joins + 1);
        let fitting: Vec<&Relation> = self.relations.iter().filter(|relation| relation.factors <= most).collect();
        let picked = *dice.pick(&fitting);
        self.joins = self.joins.saturating_sub(picked.factors - 1);
        picked
    }

    fn other(&mut self, dice: &mut Dice, depth: usize) -> Piece {
        let below = dice.below(depth);
        self.piece(dice, below)
    }
}

/// A random query of up to `depth` operators upon each other.
pub fn query(dice: &mut Dice, depth: usize) -> String {
    query_over(&tables(), 4, dice, depth).0
}

/// The same over other relations, whose rows multiply to no more than so many factors; and how many it has.
pub fn query_over(relations: &[Relation], factors: usize, dice: &mut Dice, depth: usize) -> (String, usize) {
    let mut composer = Composer { relations, joins: factors - 1 };
    let sql = composer.piece(dice, depth).sql;
    let sql = if dice.percent(50) { renamed(&sql, dice) } else { sql };
    (sql, factors - composer.joins)
}

/// The same with other names for c0, c1, ….
fn renamed(sql: &str, dice: &mut Dice) -> String {
    const ENDS: [char; 6] = [' ', '.', ',', '(', ')', ':'];
    let from = dice.below(TAKEN.len());
    let name = |part: &str| {
        let word = part.trim_end_matches(ENDS);
        let at: usize = word.strip_prefix('c')?.parse().ok().filter(|at| *at < TAKEN.len())?;
        Some(TAKEN[(from + at) % TAKEN.len()].to_owned() + &part[word.len()..])
    };
    sql.split_inclusive(ENDS).map(|part| name(part).unwrap_or_else(|| part.to_owned())).collect()
}
