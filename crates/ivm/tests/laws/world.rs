//! The sources, the tables of a view, and rounds of changes that the view's programs apply.

use std::collections::BTreeMap;

use ivm::clock::{self, BEFORE, NOW};
use ivm::delta::{self, PlanStep};
use ivm::plan::{Expr, Ids, Plan, Relation, UnionAll, Values};
use ivm::sql::ident::{Ident, QName};
use ivm::testing::eval::{Table, Tables, eval};
use ivm::testing::number::Numeric;
use ivm::testing::value::{NULL, Row, Value};
use ivm::testing::zset::Zset;
use ivm::view::{DELTA, Identity, Mask, Node, View};
use ivm::{Error, compile, rewrite};

use crate::plans::{TABLES, Ty};
use crate::tape::Tape;

pub struct World {
    /// The query before the cut, which the last node must equal.
    plan: Plan,
    pub view: View,
    pub sources: BTreeMap<&'static str, Vec<Row>>,
    /// The rows of each node.
    pub nodes: Vec<Zset>,
    tables: Tables,
    /// The rows of the clock.
    now: i64,
    /// Injects a fault into the programs.
    pub fault: Option<fn(&mut PlanStep)>,
}

impl World {
    /// `None` when the query is a recursion that does not end.
    pub fn new((plan, ids): (Plan, Ids), tape: &mut Tape) -> Result<Option<World>, String> {
        let catalog = crate::catalog::catalog();
        let state = |k: usize| QName::qualified("pgtrickle_state", format!("n_1_{k}"));
        let tables = (&QName::qualified("public", "view"), &state as &dyn Fn(usize) -> QName);
        let simplified = if tape.flip() { rewrite::simplify(plan.clone()) } else { plan.clone() };
        let view = compile::of_plan(simplified, &catalog, tables, ids).map_err(|e| format!("{e} in {plan:?}"))?;
        let mut world =
            World { plan, view, sources: BTreeMap::new(), nodes: vec![], tables: Tables::new(), now: 0, fault: None };
        world.set_clock(0);
        for (name, _) in TABLES {
            let rows = (0..tape.pick(6)).map(|_| fresh(name, tape)).collect();
            world.set_source(name, rows);
        }
        if !world.ends()? {
            return Ok(None);
        }
        for k in 0..world.view.nodes.len() {
            let rows = world.eval(&world.view.nodes[k].plan)?;
            world.set_node(k, rows)?;
        }
        world.check()?;
        Ok(Some(world))
    }

    /// Changes some sources and maintains every node; `false` when the query has become a recursion that does not end.
    pub fn round(&mut self, tape: &mut Tape) -> Result<bool, String> {
        let mut changed = Mask::new();
        for (name, _) in TABLES {
            if tape.pick(3) == 0 {
                continue;
            }
            let delta = self.change(name, tape);
            let source = QName::qualified("public", name);
            let weight = self.view.weight(&Relation::Source(source.clone()));
            self.tables.insert(Relation::SourceDelta(source.clone()), weighted(columns(name), weight, delta));
            changed.insert(Relation::Source(source));
        }
        // Time passes, stands still, or is set back.
        let now = self.now + [0, 1, -1, 2, 3, -2][tape.pick(6)];
        if now != self.now {
            changed.insert(Relation::Clock);
        }
        self.set_clock(now);
        if !self.ends()? {
            return Ok(false);
        }
        for k in 0..self.view.nodes.len() {
            let node = &self.view.nodes[k];
            let mask: Mask = node.inputs.intersection(&changed).cloned().collect();
            let Some(steps) = delta::steps(&self.view, k, &mask).map_err(|e| e.to_string())? else { continue };
            let delta = self.run(steps)?;
            let node = &self.view.nodes[k];
            let rows = delta.iter().map(|(row, w)| (row.clone(), w)).collect();
            let columns = node.columns.iter().map(|column| column.name.clone()).collect();
            self.tables.insert(Relation::NodeDelta(k), weighted(columns, node.weight(), rows));
            let expected = self.eval(&node.plan)?;
            let followed = self.nodes[k].clone().plus(delta);
            if followed != expected {
                return Err(format!(
                    "node {k} is {followed:?}, not {expected:?}, under {mask:?} of {:?}",
                    self.view.nodes
                ));
            }
            self.set_node(k, followed)?;
            changed.insert(Relation::Node(k));
        }
        self.check()?;
        Ok(true)
    }

    /// Whether the query and every recursion in it end. The programs must end then, too.
    fn ends(&self) -> Result<bool, String> {
        let mut asked = vec![&self.plan];
        while let Some(plan) = asked.pop() {
            asked.extend(plan.inputs());
            if !std::ptr::eq(plan, &self.plan) && !matches!(plan, Plan::Fixpoint(_)) {
                continue;
            }
            match eval(plan, &self.tables) {
                Err(Error::Evaluation(why)) if why.contains("does not end") => return Ok(false),
                Err(other) => return Err(other.to_string()),
                Ok(_) => {}
            }
        }
        Ok(true)
    }

    /// The consolidated delta of a program.
    fn run(&mut self, steps: Vec<PlanStep>) -> Result<Zset, String> {
        let mut delta = Zset::default();
        for mut step in steps {
            if let Some(fault) = self.fault {
                fault(&mut step);
            }
            let skipped =
                step.needs.as_ref().is_some_and(|needs| self.tables[&Relation::Step(needs.clone())].rows.is_empty());
            let result = if skipped { Zset::default() } else { self.eval(&step.query)? };
            let columns: Vec<Ident> = step.query.columns().into_iter().map(|column| column.name).collect();
            if step.name.as_str() == DELTA {
                let alone = |(row, copies): (&Row, i64)| copies == 1 && row.last() != Some(&Value::Int(0));
                if !step.repeats && !result.iter().all(alone) {
                    return Err(format!("not consolidated: {result:?}"));
                }
                delta = result.weighted(columns.len() - 1).map_err(|e| e.to_string())?;
                if !step.repeats && delta.iter().count() != result.iter().count() {
                    return Err(format!("not consolidated: {result:?}"));
                }
            }
            let mut rows = result.rows().map_err(|e| e.to_string())?;
            if step.cancels {
                let sum = result.weighted(columns.len() - 1).map_err(|e| e.to_string())?;
                rows = sum.iter().map(|(row, w)| row.iter().cloned().chain([Value::Int(w.into())]).collect()).collect();
            }
            self.tables.insert(Relation::Step(step.name), Table { columns, rows });
        }
        Ok(delta)
    }

    /// Checks that the last node equals the query, and that the delta of a FULL program is empty.
    fn check(&mut self) -> Result<(), String> {
        let (last, expected) = (self.nodes.last().cloned().unwrap_or_default(), self.eval(&self.plan)?);
        if last != expected {
            return Err(format!("the view is {last:?}, not {expected:?}"));
        }
        for k in 0..self.nodes.len() {
            let difference = self.run(vec![compile::full_step(&self.view, k)])?;
            if !difference.is_empty() {
                return Err(format!("FULL would change node {k} by {difference:?}"));
            }
        }
        Ok(())
    }

    pub fn eval(&self, plan: &Plan) -> Result<Zset, String> {
        eval(plan, &self.tables).map_err(|e| format!("{e} in {plan:?}"))
    }

    /// Random changes of a source: some rows are deleted, some inserted, some both.
    fn change(&mut self, name: &'static str, tape: &mut Tape) -> Vec<(Row, i64)> {
        let mut rows = self.sources[name].clone();
        let mut delta = vec![];
        for _ in 0..tape.pick(4) {
            match tape.pick(3) {
                0 if !rows.is_empty() => delta.push((rows.remove(tape.pick(rows.len())), -1)),
                1 => {
                    let row = fresh(name, tape);
                    delta.extend([(row.clone(), 1), (row, -1)]);
                }
                _ => {
                    let row = fresh(name, tape);
                    let taken = name == "t" && rows.iter().any(|other| other[0] == row[0]);
                    if !taken {
                        rows.push(row.clone());
                        delta.push((row, 1));
                    }
                }
            }
        }
        self.set_source(name, rows);
        delta
    }

    /// Moves the clock.
    fn set_clock(&mut self, now: i64) {
        let before = std::mem::replace(&mut self.now, now);
        let rows = vec![vec![now.into(), before.into()]];
        self.tables.insert(Relation::Clock, Table { columns: [NOW, BEFORE].map(Ident::new).into(), rows });
    }

    pub fn set_source(&mut self, name: &'static str, mut rows: Vec<Row>) {
        if name == "t" {
            rows.sort();
            rows.dedup_by(|l, r| l[0] == r[0]);
        }
        let table = Table { columns: columns(name), rows: rows.clone() };
        self.tables.insert(Relation::Source(QName::qualified("public", name)), table);
        self.sources.insert(name, rows);
    }

    pub fn set_node(&mut self, k: usize, state: Zset) -> Result<(), String> {
        let node = &self.view.nodes[k];
        let rows = state.rows().map_err(|e| e.to_string())?;
        identified(node, &rows)?;
        let columns = node.columns.iter().map(|column| column.name.clone()).collect();
        self.tables.insert(Relation::Node(k), Table { columns, rows });
        match self.nodes.get_mut(k) {
            Some(old) => *old = state,
            None => self.nodes.push(state),
        }
        Ok(())
    }
}

/// Checks that a keyed node has unique keys, without NULLs where it declares none.
fn identified(node: &Node, rows: &[Row]) -> Result<(), String> {
    let (Identity::Key(key) | Identity::HashedKey(key)) = &node.identity else { return Ok(()) };
    let places: Vec<usize> = (0..node.columns.len()).filter(|at| key.contains(&node.columns[*at].name)).collect();
    let mut keys: Vec<Row> = rows.iter().map(|row| places.iter().map(|at| row[*at].canonical()).collect()).collect();
    let null = matches!(node.identity, Identity::Key(_)) && keys.iter().flatten().any(Value::is_null);
    keys.sort();
    let unique = keys.windows(2).all(|pair| pair[0] != pair[1]);
    if null || !unique {
        return Err(format!("{:?} is no identity of {rows:?} in {:?}", node.identity, node.plan));
    }
    Ok(())
}

pub fn columns(table: &str) -> Vec<Ident> {
    let columns = TABLES.iter().find(|(name, _)| *name == table).map_or(&[] as &[_], |(_, columns)| columns);
    columns.iter().map(|(name, ..)| Ident::new(*name)).collect()
}

/// A random row of a table.
pub fn fresh(table: &str, tape: &mut Tape) -> Row {
    let number = |digits, scale| Value::Numeric(Numeric { digits, scale });
    let columns = TABLES.iter().find(|(name, _)| *name == table).map_or(&[] as &[_], |(_, columns)| columns);
    let value = |(name, ty, sql): &(&str, Ty, &str)| match (*name, ty) {
        ("id", _) => Value::Int(tape.pick(5) as i128),
        (_, Ty::Text) => tape.of(&[Value::from("a"), Value::from("b"), NULL]),
        (_, Ty::Numeric) if sql.contains('(') => tape.of(&[number(150, 2), number(-25, 2), NULL]),
        // Few decimals: the evaluator counts scales in 128 bits.
        (_, Ty::Numeric) => tape.of(&[number(1, 0), number(15, 1), number(-30, 1), NULL]),
        _ if table == "t" => Value::Int(tape.pick(3) as i128),
        _ => tape.of(&[0.into(), 1.into(), 2.into(), NULL]),
    };
    columns.iter().map(value).collect()
}

fn weighted(mut columns: Vec<Ident>, weight: Ident, rows: Vec<(Row, i64)>) -> Table {
    columns.push(weight);
    let with = |(mut row, w): (Row, i64)| {
        row.push(Value::from(w));
        row
    };
    Table { columns, rows: rows.into_iter().map(with).collect() }
}

/// Gives rows that are deleted because time has passed the weight of inserted ones.
pub fn forget_deletions(plan: &mut Plan) {
    if let Plan::Project(p) = plan
        && let Plan::Join(join) = &p.input
        && join.inputs.iter().any(clock::is_scan)
    {
        let weights =
            p.columns.iter_mut().filter(|(column, e)| column.name.as_str() == "w" && !matches!(e, Expr::Column(_)));
        weights.for_each(|(_, e)| *e = Expr::number(1).cast("bigint"));
    }
    *plan =
        std::mem::replace(plan, Plan::Values(Values { columns: vec![], rows: vec![] })).map_inputs(&mut |mut input| {
            forget_deletions(&mut input);
            input
        });
}

/// Finds no row for any of the rows that a subquery reads.
pub fn forget_found(plan: &mut Plan) {
    if let Plan::Lateral(lateral) = plan {
        lateral.right = lateral.right.take().filter(Expr::bool(false));
    }
    plan.inputs_mut().into_iter().for_each(forget_found);
}

/// Drops the last term of every union of three.
pub fn drop_last_term(plan: &mut Plan) {
    match plan {
        Plan::UnionAll(UnionAll { inputs, .. }) if inputs.len() == 3 => drop(inputs.pop()),
        Plan::Filter(f) => drop_last_term(&mut f.input),
        Plan::Project(p) => drop_last_term(&mut p.input),
        Plan::Aggregate(a) => drop_last_term(&mut a.input),
        _ => {}
    }
}
