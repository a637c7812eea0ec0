//! A SELECT under construction.
//!
//! **Invariant:** a grouped block takes no more joins and no more grouping; its filters are HAVING.

use super::expr::Columns;
use super::{Renderer, item};
use crate::error::{Error, Result};
use crate::expr::{Argument, MOST_NODES};
use crate::plan::{
    self, Aggregate, AggregateCall, ColId, Column, Join, Lateral, Outer, Plan, Project, Relation, Scan, Values, Window,
};
use crate::sql::ast::{Call, Distinct, Expr, From, Group, JoinKind, JoinOn, Order, Query, Select, col};
use crate::sql::ident::Ident;

/// A SELECT without its select list.
#[derive(Default)]
pub struct Block {
    pub from: Vec<From>,
    filter: Vec<Expr>,
    pub columns: Columns,
    grouping: Option<Grouping>,
}

struct Grouping {
    keys: Vec<Expr>,
    calls: Vec<Expr>,
    having: Vec<Expr>,
}

impl Block {
    /// The SELECT of the columns with these ids under these names.
    pub fn select(self, ids: &[ColId], names: &[Ident], distinct: Distinct) -> Result<Query> {
        let mut items = vec![];
        for (id, name) in ids.iter().zip(names) {
            let expr = self.columns.get(id).cloned().ok_or(Error::Bug("a query lacks one of its output columns"))?;
            items.push(item(expr, name));
        }
        let Block { from, filter, grouping, .. } = self;
        let mut select = Select { distinct, items, from, filter: condition(filter), ..Select::default() };
        if let Some(Grouping { keys, calls, having }) = grouping {
            let shown = |e: &Expr| calls.contains(e);
            let aggregates = select.items.iter().any(|item| item.expr.any(&mut { shown }));
            select.having = condition(having);
            // Without a visible aggregate the SELECT would show a row per input row.
            if keys.is_empty() && select.having.is_none() && !aggregates {
                select.having = Some(Expr::bool(true));
            }
            select.group_by = keys.into_iter().map(Group::Expr).collect();
        }
        Ok(Query::select(select))
    }

    fn add_conditions(&mut self, conditions: Vec<Expr>) {
        match &mut self.grouping {
            Some(grouping) => grouping.having.extend(conditions),
            None => self.filter.extend(conditions),
        }
    }
}

fn condition(parts: Vec<Expr>) -> Option<Expr> {
    (!parts.is_empty()).then(|| Expr::all(parts))
}

impl Renderer<'_> {
    /// The plan as a SELECT to which more can be added.
    pub fn block(&mut self, plan: &Plan) -> Result<Block> {
        match plan {
            Plan::Scan(scan) => Ok(self.scan(scan)),
            Plan::Values(values) if values.rows.len() == 1 => self.one_row(values),
            Plan::Values(_)
            | Plan::UnionAll(_)
            | Plan::Distinct(_)
            | Plan::TopK(_)
            | Plan::Expand(_)
            | Plan::Fixpoint(_) => self.subquery(plan),
            Plan::Semi(semi) => {
                let mut block = self.flat(&semi.left)?;
                let condition = self.expr(&semi.condition(), &block.columns)?;
                block.add_conditions(vec![condition]);
                Ok(block)
            }
            Plan::Unnest(unnest) => self.unnest(unnest),
            Plan::Lateral(lateral) => self.lateral(lateral),
            Plan::Window(window) => self.window(window),
            Plan::Filter(filter) => {
                let mut block = match is_windowed(&filter.input) {
                    true => self.subquery(&filter.input)?,
                    false => self.below_expressions(&filter.input, &[&filter.predicate])?,
                };
                let conditions = self.conjuncts(std::slice::from_ref(&filter.predicate), &block.columns)?;
                block.add_conditions(conditions);
                Ok(block)
            }
            Plan::Project(project) => self.project(project),
            Plan::Join(join) => self.join(join),
            Plan::Outer(outer) => self.left_join(outer),
            Plan::Aggregate(aggregate) => self.aggregate(aggregate),
        }
    }

    /// The plan as a subquery in FROM.
    pub fn subquery(&mut self, plan: &Plan) -> Result<Block> {
        self.derived(plan, false)
    }

    fn derived(&mut self, plan: &Plan, lateral: bool) -> Result<Block> {
        let columns = plan.columns();
        let names = super::names::unique(&columns);
        let (query, listed) = match plan {
            Plan::Values(values) if values.rows.len() > 1 => {
                (self.values(values)?, names.iter().map(|name| (name.clone(), None)).collect())
            }
            _ => (self.query(plan)?, vec![]),
        };
        let name = self.aliases.subquery();
        let alias = crate::sql::ast::Alias { name: name.clone(), columns: listed };
        let from = From::Derived { query: Box::new(query), alias, lateral };
        let column = |(column, own): (Column, Ident)| (column.id, col(name.as_str(), own.as_str()));
        Ok(Block {
            from: vec![from],
            columns: columns.into_iter().zip(names).map(column).collect(),
            ..Block::default()
        })
    }

    /// `…, LATERAL (SELECT …) AS t`.
    fn lateral(&mut self, lateral: &Lateral) -> Result<Block> {
        let mut block = self.flat(&lateral.left)?;
        self.outer.push(block.columns.clone());
        let right = self.derived(&lateral.right, true);
        self.outer.pop();
        let Block { from, columns, .. } = right?;
        block.from.extend(from);
        block.columns.extend(columns);
        Ok(block)
    }

    /// The plan as a SELECT for these expressions: an aggregate that one of their subqueries refers to would be
    /// taken for an aggregate of the subquery, so that it has to be a column.
    fn below_expressions(&mut self, plan: &Plan, expressions: &[&plan::Expr]) -> Result<Block> {
        match expressions.iter().any(|e| !e.subqueries().is_empty()) {
            true => self.flat(plan),
            false => self.block(plan),
        }
    }

    /// The plan as a SELECT that can be joined or grouped.
    pub fn flat(&mut self, plan: &Plan) -> Result<Block> {
        match is_grouped(plan) || is_windowed(plan) {
            true => self.subquery(plan),
            false => self.block(plan),
        }
    }

    /// The plan as a flat SELECT when that `fits`, else as a subquery in FROM.
    pub fn flat_if(&mut self, plan: &Plan, fits: impl Fn(&Block) -> bool) -> Result<Block> {
        let aliases = self.aliases.clone();
        let block = self.flat(plan)?;
        if fits(&block) {
            return Ok(block);
        }
        self.aliases = aliases;
        self.subquery(plan)
    }

    fn scan(&mut self, scan: &Scan) -> Block {
        let name = self.relation(&scan.relation);
        let alias = self.aliases.take(&name.name);
        let column = |(column, own): &(Column, Ident)| (column.id, col(alias.as_str(), own.as_str()));
        let columns = scan.columns.iter().map(column).collect();
        Block { from: vec![From::table(name, alias.as_str())], columns, ..Block::default() }
    }

    fn one_row(&mut self, values: &Values) -> Result<Block> {
        let mut block = Block::default();
        for (column, e) in values.columns.iter().zip(values.rows.iter().flatten()) {
            block.columns.insert(column.id, self.expr(e, &Columns::new())?);
        }
        Ok(block)
    }

    fn project(&mut self, project: &Project) -> Result<Block> {
        let aliases = self.aliases.clone();
        let asking: Vec<&plan::Expr> = project.columns.iter().map(|(_, e)| e).collect();
        let mut block = self.below_expressions(&project.input, &asking)?;
        let mut columns = self.computed(&project.columns, &block.columns)?;
        // Each projection may repeat what the one below computes: without a stop, text doubles each time.
        if matches!(project.input, Plan::Project(_)) && columns.values().any(|e| e.size() > MOST_NODES) {
            self.aliases = aliases;
            block = self.subquery(&project.input)?;
            columns = self.computed(&project.columns, &block.columns)?;
        }
        block.columns = columns;
        Ok(block)
    }

    pub fn computed(&mut self, computed: &[(Column, plan::Expr)], columns: &Columns) -> Result<Columns> {
        computed.iter().map(|(column, e)| Ok((column.id, self.expr(e, columns)?))).collect()
    }

    fn conjuncts(&mut self, predicates: &[plan::Expr], columns: &Columns) -> Result<Vec<Expr>> {
        let parts = predicates.iter().cloned().flat_map(plan::Expr::conjuncts);
        parts.map(|part| self.expr(&part, columns)).collect()
    }

    fn join(&mut self, join: &Join) -> Result<Block> {
        let mut block = Block::default();
        for input in &join.inputs {
            let Block { from, filter, columns, .. } = self.flat(input)?;
            block.from.extend(from);
            block.filter.extend(filter);
            block.columns.extend(columns);
        }
        let conditions = self.conjuncts(&join.predicates, &block.columns)?;
        block.filter.extend(conditions);
        let ordered = join.predicates.is_empty() || join.inputs.first().is_some_and(is_delta);
        if ordered && block.from.len() > WIDE {
            block.from = crossed(block.from).into_iter().collect();
        }
        Ok(block)
    }

    /// Window calls are expressions of the select list, computed after WHERE and grouping: what reads their values, or
    /// fewer rows than they do, stands around a subquery.
    fn window(&mut self, window: &Window) -> Result<Block> {
        let mut block = self.flat(&window.input)?;
        for (column, call) in &window.calls {
            let call = self.expr(call, &block.columns)?;
            block.columns.insert(column.id, call);
        }
        Ok(block)
    }

    /// Conditions on the left commute with the join; those on the right decide what matches.
    fn left_join(&mut self, outer: &Outer) -> Result<Block> {
        let mut left = self.flat_if(&outer.left, |block| !block.from.is_empty())?;
        // An unmatched row must show NULL, also for a column that is computed.
        let plain = |e: &Expr| matches!(e, Expr::Column(_));
        let right = self.flat_if(&outer.right, |block| block.from.len() == 1 && block.columns.values().all(plain))?;
        let Block { from, mut filter, columns, .. } = right;
        left.columns.extend(columns);
        filter.extend(self.conjuncts(std::slice::from_ref(&outer.on), &left.columns)?);
        let tree = crossed(std::mem::take(&mut left.from));
        let tree = from.into_iter().fold(tree, |tree, right| {
            tree.map(|tree| joined(JoinKind::Left, tree, right, JoinOn::On(Expr::all(filter.clone()))))
        });
        left.from = tree.into_iter().collect();
        Ok(left)
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Block> {
        // GROUP BY does not take constants: a bare one is a position in the select list.
        let mut block = self.flat_if(&aggregate.input, |block| {
            let mut keys = aggregate.keys.iter().filter_map(|key| block.columns.get(&key.id));
            keys.all(|key| !key.columns().is_empty() && key.subqueries().is_empty())
        })?;
        let mut columns = Columns::new();
        let mut keys = vec![];
        for key in &aggregate.keys {
            let e = block.columns.get(&key.id).cloned().ok_or(Error::Bug("the input has no such group key"))?;
            if !keys.contains(&e) {
                keys.push(e.clone());
            }
            columns.insert(key.id, e);
        }
        let mut calls = vec![];
        for call in &aggregate.calls {
            let e = self.call(call, &block.columns, &aggregate.input)?;
            columns.insert(call.column.id, e.clone());
            calls.push(e);
        }
        block.columns = columns;
        block.grouping = Some(Grouping { keys, calls, having: vec![] });
        Ok(block)
    }

    fn call(&mut self, call: &AggregateCall, columns: &Columns, input: &Plan) -> Result<Expr> {
        let known = |id: &ColId| columns.get(id).cloned().ok_or(Error::Bug("the input has no such argument"));
        let mut args = vec![];
        for id in &call.args {
            // A direct argument of an ordered-set aggregate must not be a column of the input.
            let constant = if call.within_group.is_empty() { None } else { constant(input, *id) };
            args.push(match constant {
                Some(e) => self.expr(&e, &Columns::new())?,
                None => known(id)?,
            });
        }
        let last = args.len().saturating_sub(1);
        let argument = |(at, value)| Argument { name: None, variadic: call.variadic && at == last, value };
        Ok(Expr::Call(Box::new(Call {
            name: call.function.clone(),
            star: args.is_empty() && call.within_group.is_empty(),
            args: args.into_iter().enumerate().map(argument).collect(),
            distinct: call.distinct,
            order_by: self.orders(&call.order_by, columns)?,
            within_group: self.orders(&call.within_group, columns)?,
            filter: call.filter.as_ref().map(known).transpose()?,
            over: None,
        })))
    }

    pub fn orders(&mut self, keys: &[plan::Order], columns: &Columns) -> Result<Vec<Order>> {
        let order = |key: &plan::Order| {
            let expr = self.expr(&key.expr, columns)?;
            Ok(Order { expr, direction: key.direction.clone(), nulls_first: key.nulls_first })
        };
        keys.iter().map(order).collect()
    }
}

/// For more relations than these the server does not search for the best order of joins that are written as explicit joins
/// (`join_collapse_limit`). They are written in the order in which they are linked to the delta: good for a few rows, and
/// searching for a better order, among 50 relations, takes a thousand times as long as the join.
const WIDE: usize = 8;

/// Relations one after the other.
pub fn crossed(from: Vec<From>) -> Option<From> {
    from.into_iter().reduce(|l, r| joined(JoinKind::Cross, l, r, JoinOn::None))
}

/// Whether a plan reads deltas and steps alone.
fn is_delta(plan: &Plan) -> bool {
    match plan {
        Plan::Scan(scan) => {
            matches!(scan.relation, Relation::SourceDelta(_) | Relation::NodeDelta(_) | Relation::Step(_))
        }
        Plan::Project(project) => is_delta(&project.input),
        Plan::Filter(filter) => is_delta(&filter.input),
        _ => false,
    }
}

pub fn joined(kind: JoinKind, left: From, right: From, on: JoinOn) -> From {
    From::Join { kind, left: Box::new(left), right: Box::new(right), on, alias: None }
}

/// Whether the plan's block is grouped.
fn is_grouped(plan: &Plan) -> bool {
    match plan {
        Plan::Aggregate(_) => true,
        Plan::Filter(filter) => filter.predicate.subqueries().is_empty() && is_grouped(&filter.input),
        Plan::Project(project) => {
            project.columns.iter().all(|(_, e)| e.subqueries().is_empty()) && is_grouped(&project.input)
        }
        _ => false,
    }
}

/// Whether the plan's block shows window calls.
fn is_windowed(plan: &Plan) -> bool {
    match plan {
        Plan::Window(_) => true,
        Plan::Project(project) => {
            project.columns.iter().all(|(_, e)| e.subqueries().is_empty()) && is_windowed(&project.input)
        }
        _ => false,
    }
}

/// The constant that a column is in every row.
fn constant(plan: &Plan, id: ColId) -> Option<plan::Expr> {
    match plan {
        Plan::Project(project) => {
            let (_, e) = project.columns.iter().find(|(column, _)| column.id == id)?;
            match e {
                plan::Expr::Column(below) => constant(&project.input, *below),
                e => e.is_constant().then(|| e.clone()),
            }
        }
        Plan::UnionAll(union) => {
            let at = union.columns.iter().position(|column| column.id == id)?;
            let mut fed = union.inputs.iter().map(|(input, ids)| constant(input, ids[at]));
            let first = fed.next()??;
            fed.all(|other| other.as_ref() == Some(&first)).then_some(first)
        }
        Plan::Filter(_) | Plan::Join(_) => plan.inputs().into_iter().find_map(|input| constant(input, id)),
        _ => None,
    }
}
