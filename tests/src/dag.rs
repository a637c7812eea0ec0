//! Random DAGs of stream tables upon each other, over the tables of `world`: any query, schedule and mode.
//!
//! Two of the tables are *twins*, one query maintained in two ways, and their *witness* compares them. It is as fresh
//! as they are, so that a tick has all three or none, and no snapshot ever shows a difference.

use crate::compose::{self, Relation, Type};
use crate::exact::{self, Equality};
use crate::queries::{FULL, QUERIES, Query, SETS, WINDOWS};
use crate::{Dice, Session};

/// Queries with more rows at the start are skipped, and so are those with none.
const ROWS: i64 = 250;
/// Joins upon joins multiply: of no more tables than this.
const FACTORS: usize = 3;
/// A schedule under which only refreshes by hand, and of its consumers, refresh the table.
const BY_HAND: &str = "1h";
pub const SCHEDULES: [&str; 9] = ["0s", "0s", "0s", "100ms", "1s", "2s", "*/2 * * * * *", "calculated", BY_HAND];

/// One stream table.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub sql: String,
    pub schedule: &'static str,
    pub mode: &'static str,
    pub equality: Equality,
    /// Of how many tables its rows are multiplied.
    factors: usize,
}

/// Stream tables in the order of their creation: later ones may read earlier ones.
#[derive(Default)]
pub struct Dag {
    pub nodes: Vec<Node>,
    pub twins: [String; 2],
    pub witness: String,
}

/// Ways to refresh everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Refreshes by hand of the tables without consumers, and so of all that they read.
    Hand,
    /// By the workers, and by hand only the tables with a schedule of hours.
    Workers,
    /// The same, with `wait_for_stream_table` for each table.
    Waiting,
}

impl Node {
    fn creation(&self) -> String {
        let Node { name, sql, schedule, mode, .. } = self;
        format!("select pgtrickle.create_stream_table('{name}', $q${sql}$q$, '{schedule}', '{mode}')")
    }
}

/// A query of the collection that reads no stream table of it.
fn collected(dice: &mut Dice) -> &'static Query {
    let all = || QUERIES.iter().chain(SETS).chain(WINDOWS).chain(FULL);
    loop {
        let query = all().nth(dice.below(all().count())).expect("below their number");
        if !all().any(|other| query.sql.contains(other.name)) {
            return query;
        }
    }
}

/// A query over tables, over stream tables, or over both.
fn composed(dice: &mut Dice, streams: &[Relation]) -> (String, usize) {
    let mut relations = match dice.percent(40) && !streams.is_empty() {
        true => vec![],
        false => compose::tables(),
    };
    relations.extend_from_slice(streams);
    let depth = 1 + dice.below(3);
    compose::query_over(&relations, FACTORS, dice, depth)
}

/// A stream table as something to read: the columns that random queries can work with.
async fn relation(session: &Session, node: &Node) -> Option<Relation> {
    let Node { name, factors, .. } = node;
    let rows = session
        .rows(&format!(
            "select attname, format_type(atttypid, null) from pg_attribute
              where attrelid = '{name}'::regclass and attnum > 0 and not attisdropped
                and attcollation in (0, 'pg_catalog.\"default\"'::regcollation) order by attnum"
        ))
        .await;
    let column = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().flatten();
        Some((cells.next()?, Type::named(&cells.next()?)?))
    };
    let columns: Vec<_> = rows.into_iter().filter_map(column).collect();
    (!columns.is_empty() && *factors <= FACTORS).then(|| Relation { name: name.clone(), columns, factors: *factors })
}

async fn is_fit(session: &Session, sql: &str) -> bool {
    let rows = session.number(&format!("select count(*) from (select from ({sql}) q limit {}) q", ROWS + 1)).await;
    (1..=ROWS).contains(&rows)
}

impl Dag {
    /// Creates 5 to 12 stream tables in a world that is filled.
    pub async fn grow(session: &Session, dice: &mut Dice) -> Dag {
        let mut dag = Dag::default();
        let mut streams = vec![];
        for _ in 0..dice.between(2, 9) {
            let node = dag.draw(session, dice, &streams).await;
            session.run(&node.creation()).await;
            streams.extend(relation(session, &node).await);
            dag.nodes.push(node);
        }
        for node in dag.draw_twins(session, dice, &streams).await {
            session.run(&node.creation()).await;
            dag.nodes.push(node);
        }
        dag
    }

    fn name(&self, offset: usize) -> String {
        format!("st_{:02}", self.nodes.len() + offset)
    }

    async fn draw(&self, session: &Session, dice: &mut Dice, streams: &[Relation]) -> Node {
        loop {
            let (sql, factors, query) = match dice.percent(25) {
                true => {
                    let query = collected(dice);
                    (query.sql.to_owned(), 1 + query.sql.matches(" join ").count(), Some(query))
                }
                false => {
                    let (sql, factors) = composed(dice, streams);
                    (sql, factors, None)
                }
            };
            let equality = query.map_or(Equality::Values, |query| query.equality);
            let modes = if query.is_none_or(|query| query.incremental) {
                ["AUTO", "DIFFERENTIAL", "FULL"]
            } else {
                ["AUTO", "AUTO", "FULL"]
            };
            let (schedule, mode) = (*dice.pick(&SCHEDULES), modes[dice.weighted(&[4, 4, 2])]);
            if is_fit(session, &sql).await {
                return Node { name: self.name(0), sql, schedule, mode, equality, factors };
            }
        }
    }

    /// One query twice, maintained and recomputed, and their difference.
    async fn draw_twins(&mut self, session: &Session, dice: &mut Dice, streams: &[Relation]) -> [Node; 3] {
        let sql = loop {
            let (sql, _) = composed(dice, streams);
            if is_fit(session, &sql).await {
                break sql;
            }
        };
        let [one, other] = [self.name(0), self.name(1)];
        let without = |left: &str, right: &str| format!("(select * from {left} except all select * from {right})");
        let difference = format!("{} union all {}", without(&one, &other), without(&other, &one));
        self.twins = [one.clone(), other.clone()];
        self.witness = self.name(2);
        let node =
            |name, sql, mode| Node { name, sql, schedule: "0s", mode, equality: Equality::Values, factors: FACTORS };
        [
            node(one, sql.clone(), "DIFFERENTIAL"),
            node(other, sql, "FULL"),
            node(self.witness.clone(), difference, "AUTO"),
        ]
    }

    /// All of it, to be read or run again.
    pub fn script(&self) -> String {
        self.nodes.iter().map(|node| node.creation() + ";").collect::<Vec<_>>().join("\n")
    }

    fn is_read(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.sql.contains(name))
    }

    /// Those that may be refreshed by hand at any time: twins only together, with the witness.
    pub fn refreshable(&self) -> Vec<&Node> {
        self.nodes.iter().filter(|node| !self.twins.contains(&node.name)).collect()
    }

    /// Those that need not stay as they are: without the witness twins would go ways of their own.
    pub fn changeable(&self) -> Vec<&Node> {
        self.refreshable().into_iter().filter(|node| node.name != self.witness).collect()
    }

    /// Refreshes everything while commits are blocked. A crash may have left a table paused.
    pub async fn bring_up_to_date(&self, session: &Session, way: Way) {
        session.run("select pgtrickle.resume_stream_table(pgt_relid::text) from pgtrickle.pgt_stream_tables where status = 'PAUSED'").await;
        for name in self.refreshed_by_hand(session, way).await {
            exact::refresh(session, &name).await;
        }
        match way {
            Way::Hand => {}
            Way::Workers => exact::wait_fresh(session).await,
            Way::Waiting => {
                for node in &self.nodes {
                    let wait = format!("select pgtrickle.wait_for_stream_table('{}', '1 hour')", node.name);
                    if !session.holds(&wait).await {
                        let state = session.column("select s::text from pgtrickle.pgt_status() s").await;
                        panic!("{} is not brought up to date:\n{}", node.name, state.join("\n"));
                    }
                }
            }
        }
    }

    async fn refreshed_by_hand(&self, session: &Session, way: Way) -> Vec<String> {
        if way == Way::Hand {
            let unread = self.nodes.iter().filter(|node| !self.is_read(&node.name));
            return unread.map(|node| node.name.clone()).collect();
        }
        let slow = format!(
            "select pgt_relid::text from pgtrickle.pgt_stream_tables where schedule in ('{BY_HAND}', 'calculated') order by pgt_id"
        );
        session.column(&slow).await
    }

    /// What differs from its query.
    pub async fn differences(&self, session: &Session) -> Vec<String> {
        let mut found = vec![];
        for node in &self.nodes {
            let lines = exact::differences(session, &node.name, node.equality).await;
            found.extend(lines.into_iter().map(|line| format!("{}: {line}", node.name)));
        }
        found
    }
}
