//! Walking expressions: `map_with` rewrites, `children` and `visit` read.
//!
//! Both are exhaustive over every variant, so that a rewrite of columns can forget none: not those in
//! a call's FILTER, a window's frame or an ORDER BY key. Neither looks inside a subquery; a subquery
//! is handed to the mapper whole.

use std::ops::ControlFlow;

use super::{Argument, Bound, Call, Case, Direction, Expr, Frame, Index, Order, Over, Quantified, Window};
use crate::error::Result;
use crate::sql::ident::Ident;

/// What a mapper makes of a node: `Break` replaces the node, `Continue` maps its children.
pub type Step<C, Q, C2, Q2> = ControlFlow<Expr<C2, Q2>, Expr<C, Q>>;

/// A rewrite of an expression over `C` and `Q` to one over `C2` and `Q2`.
pub trait Mapper<C, Q> {
    type C2;
    type Q2;

    fn column(&mut self, column: C) -> Result<Expr<Self::C2, Self::Q2>>;

    fn query(&mut self, query: Q) -> Result<Self::Q2>;

    fn whole_row(&mut self, relation: Ident) -> Result<Expr<Self::C2, Self::Q2>> {
        Ok(Expr::WholeRow(relation))
    }

    /// Called for every node before its children: the place to replace whole subexpressions.
    fn node(&mut self, expr: Expr<C, Q>) -> Result<Step<C, Q, Self::C2, Self::Q2>> {
        Ok(ControlFlow::Continue(expr))
    }
}

/// The mapper made of one function for columns and one for subqueries.
struct Functions<F, G>(F, G);

impl<C, Q, C2, Q2, F, G> Mapper<C, Q> for Functions<F, G>
where
    F: FnMut(C) -> Result<Expr<C2, Q2>>,
    G: FnMut(Q) -> Result<Q2>,
{
    type C2 = C2;
    type Q2 = Q2;

    fn column(&mut self, column: C) -> Result<Expr<C2, Q2>> {
        (self.0)(column)
    }

    fn query(&mut self, query: Q) -> Result<Q2> {
        (self.1)(query)
    }
}

/// The mapper made of one function for nodes, under which columns and subqueries stay.
struct Nodes<F>(F);

impl<C, Q, F> Mapper<C, Q> for Nodes<F>
where
    F: FnMut(Expr<C, Q>) -> Result<Step<C, Q, C, Q>>,
{
    type C2 = C;
    type Q2 = Q;

    fn column(&mut self, column: C) -> Result<Expr<C, Q>> {
        Ok(Expr::Column(column))
    }

    fn query(&mut self, query: Q) -> Result<Q> {
        Ok(query)
    }

    fn node(&mut self, expr: Expr<C, Q>) -> Result<Step<C, Q, C, Q>> {
        (self.0)(expr)
    }
}

impl<C, Q> Expr<C, Q> {
    /// Offers every node to `node`, before its children, and replaces those that it breaks on.
    pub fn try_replace(self, node: &mut impl FnMut(Self) -> Result<Step<C, Q, C, Q>>) -> Result<Self> {
        self.map_with(&mut Nodes(node))
    }

    /// Maps every column and subquery; whole rows stay as they are.
    pub fn try_map<C2, Q2>(
        self,
        column: &mut impl FnMut(C) -> Result<Expr<C2, Q2>>,
        query: &mut impl FnMut(Q) -> Result<Q2>,
    ) -> Result<Expr<C2, Q2>> {
        self.map_with(&mut Functions(column, query))
    }

    /// Maps the whole expression, children after their parent was offered to `Mapper::node`.
    pub fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Expr<M::C2, M::Q2>> {
        let expr = match m.node(self)? {
            ControlFlow::Break(done) => return Ok(done),
            ControlFlow::Continue(expr) => expr,
        };
        Ok(match expr {
            Expr::Column(c) => m.column(c)?,
            Expr::WholeRow(relation) => m.whole_row(relation)?,
            Expr::Literal(literal) => Expr::Literal(literal),
            Expr::Cast(e, ty) => Expr::Cast(boxed(e, m)?, ty),
            Expr::Unary(op, e) => Expr::Unary(op, boxed(e, m)?),
            Expr::Binary(op, l, r) => Expr::Binary(op, boxed(l, m)?, boxed(r, m)?),
            Expr::And(parts) => Expr::And(list(parts, m)?),
            Expr::Or(parts) => Expr::Or(list(parts, m)?),
            Expr::Not(e) => Expr::Not(boxed(e, m)?),
            Expr::Is(e, test) => Expr::Is(boxed(e, m)?, test),
            Expr::Distinct(l, r) => Expr::Distinct(boxed(l, m)?, boxed(r, m)?),
            Expr::Case(case) => Expr::Case(Box::new(case.map_with(m)?)),
            Expr::Call(call) => Expr::Call(Box::new(call.map_with(m)?)),
            Expr::Special(special, operands) => Expr::Special(special, list(operands, m)?),
            Expr::Keyword(keyword, precision) => Expr::Keyword(keyword, precision),
            Expr::Array(items) => Expr::Array(list(items, m)?),
            Expr::Row(items) => Expr::Row(list(items, m)?),
            Expr::Subscript(e, indexes) => {
                let e = boxed(e, m)?;
                Expr::Subscript(e, indexes.into_iter().map(|i| i.map_with(m)).collect::<Result<_>>()?)
            }
            Expr::Field(e, field) => Expr::Field(boxed(e, m)?, field),
            Expr::Collate(e, collation) => Expr::Collate(boxed(e, m)?, collation),
            Expr::Quantified(q) => {
                let Quantified { left, op, all, right } = *q;
                let (left, right) = (left.map_with(m)?, right.map_with(m)?);
                Expr::Quantified(Box::new(Quantified { left, op, all, right }))
            }
            Expr::QuantifiedQuery(q) => {
                let Quantified { left, op, all, right } = *q;
                let (left, right) = (left.map_with(m)?, m.query(right)?);
                Expr::QuantifiedQuery(Box::new(Quantified { left, op, all, right }))
            }
            Expr::InQuery(e, q) => Expr::InQuery(boxed(e, m)?, Box::new(m.query(*q)?)),
            Expr::Exists(q) => Expr::Exists(Box::new(m.query(*q)?)),
            Expr::Scalar(q) => Expr::Scalar(Box::new(m.query(*q)?)),
            Expr::ArrayOf(q) => Expr::ArrayOf(Box::new(m.query(*q)?)),
            Expr::Grouping(items) => Expr::Grouping(list(items, m)?),
        })
    }

    /// The direct subexpressions, in reading order.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Expr::Column(_) | Expr::WholeRow(_) | Expr::Literal(_) | Expr::Keyword(..) => vec![],
            Expr::Exists(_) | Expr::Scalar(_) | Expr::ArrayOf(_) => vec![],
            Expr::Cast(e, _)
            | Expr::Unary(_, e)
            | Expr::Not(e)
            | Expr::Is(e, _)
            | Expr::Field(e, _)
            | Expr::Collate(e, _)
            | Expr::InQuery(e, _) => vec![e],
            Expr::Binary(_, l, r) | Expr::Distinct(l, r) => vec![l, r],
            Expr::And(parts) | Expr::Or(parts) => parts.iter().collect(),
            Expr::Special(_, items) | Expr::Array(items) | Expr::Row(items) | Expr::Grouping(items) => {
                items.iter().collect()
            }
            Expr::Case(case) => case.children(),
            Expr::Call(call) => call.children(),
            Expr::Subscript(e, indexes) => {
                let parts = indexes.iter().flat_map(|i| match i {
                    Index::At(at) => vec![at],
                    Index::Slice(from, to) => from.iter().chain(to).collect(),
                });
                std::iter::once(&**e).chain(parts).collect()
            }
            Expr::Quantified(q) => vec![&q.left, &q.right],
            Expr::QuantifiedQuery(q) => vec![&q.left],
        }
    }

    /// The subquery that this node itself holds.
    pub fn subquery(&self) -> Option<&Q> {
        match self {
            Expr::QuantifiedQuery(q) => Some(&q.right),
            Expr::InQuery(_, q) | Expr::Exists(q) | Expr::Scalar(q) | Expr::ArrayOf(q) => Some(q),
            _ => None,
        }
    }

    /// Calls `f` for this node and all below it, parents first.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Self)) {
        f(self);
        for child in self.children() {
            child.visit(f);
        }
    }

    /// Whether `test` holds for this node or one below it.
    pub fn any(&self, test: &mut impl FnMut(&Self) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// The columns of the expression, in reading order, as often as they occur.
    pub fn columns(&self) -> Vec<&C> {
        let mut columns = vec![];
        self.visit(&mut |e| {
            if let Expr::Column(c) = e {
                columns.push(c);
            }
        });
        columns
    }

    /// Whether it reads neither columns nor subqueries: it has the same value in every row.
    pub fn is_constant(&self) -> bool {
        !self.any(&mut |e| matches!(e, Expr::Column(_)) || e.subquery().is_some())
    }

    /// The number of its nodes.
    pub fn size(&self) -> usize {
        let mut nodes = 0;
        self.visit(&mut |_| nodes += 1);
        nodes
    }

    /// The subqueries of the expression, in reading order.
    pub fn subqueries(&self) -> Vec<&Q> {
        let mut queries = vec![];
        self.visit(&mut |e| queries.extend(e.subquery()));
        queries
    }
}

impl<C, Q> Case<C, Q> {
    fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Case<M::C2, M::Q2>> {
        let Case { operand, arms, otherwise } = self;
        let operand = option(operand, m)?;
        let arms = arms.into_iter().map(|(when, then)| Ok((when.map_with(m)?, then.map_with(m)?)));
        let arms = arms.collect::<Result<_>>()?;
        Ok(Case { operand, arms, otherwise: option(otherwise, m)? })
    }

    fn children(&self) -> Vec<&Expr<C, Q>> {
        let arms = self.arms.iter().flat_map(|(when, then)| [when, then]);
        self.operand.iter().chain(arms).chain(&self.otherwise).collect()
    }
}

impl<C, Q> Call<C, Q> {
    pub fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Call<M::C2, M::Q2>> {
        let Call { name, args, star, distinct, order_by, within_group, filter, over } = self;
        let args = args
            .into_iter()
            .map(|Argument { name, variadic, value }| Ok(Argument { name, variadic, value: value.map_with(m)? }));
        let args = args.collect::<Result<_>>()?;
        let (order_by, within_group) = (orders(order_by, m)?, orders(within_group, m)?);
        let filter = option(filter, m)?;
        let over = match over {
            None => None,
            Some(Over::Named(name)) => Some(Over::Named(name)),
            Some(Over::Window(window)) => Some(Over::Window(window.map_with(m)?)),
        };
        Ok(Call { name, args, star, distinct, order_by, within_group, filter, over })
    }

    pub fn children(&self) -> Vec<&Expr<C, Q>> {
        let keys = self.order_by.iter().chain(&self.within_group).map(|o| &o.expr);
        let own = self.args.iter().map(|a| &a.value).chain(keys).chain(&self.filter);
        match &self.over {
            None | Some(Over::Named(_)) => own.collect(),
            Some(Over::Window(window)) => own.chain(window.children()).collect(),
        }
    }
}

impl<C, Q> Order<C, Q> {
    pub fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Order<M::C2, M::Q2>> {
        let Order { expr, direction, nulls_first } = self;
        Ok(Order { expr: expr.map_with(m)?, direction, nulls_first })
    }

    /// An ascending key with PostgreSQL's default place for nulls.
    pub fn ascending(expr: Expr<C, Q>) -> Self {
        Order { expr, direction: Direction::Ascending, nulls_first: None }
    }
}

impl<C, Q> Window<C, Q> {
    pub fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Window<M::C2, M::Q2>> {
        let Window { base, partition_by, order_by, frame } = self;
        let (partition_by, order_by) = (list(partition_by, m)?, orders(order_by, m)?);
        let frame = match frame {
            None => None,
            Some(Frame { unit, start, end }) => {
                let start = start.map_with(m)?;
                let end = end.map(|bound| bound.map_with(m)).transpose()?;
                Some(Frame { unit, start, end })
            }
        };
        Ok(Window { base, partition_by, order_by, frame })
    }

    pub fn children(&self) -> Vec<&Expr<C, Q>> {
        let keys = self.partition_by.iter().chain(self.order_by.iter().map(|o| &o.expr));
        let bounds = self.frame.iter().flat_map(|f| std::iter::once(&f.start).chain(&f.end));
        keys.chain(bounds.filter_map(Bound::offset)).collect()
    }
}

impl<C, Q> Bound<C, Q> {
    fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Bound<M::C2, M::Q2>> {
        Ok(match self {
            Bound::UnboundedPreceding => Bound::UnboundedPreceding,
            Bound::Preceding(e) => Bound::Preceding(e.map_with(m)?),
            Bound::CurrentRow => Bound::CurrentRow,
            Bound::Following(e) => Bound::Following(e.map_with(m)?),
            Bound::UnboundedFollowing => Bound::UnboundedFollowing,
        })
    }

    fn offset(&self) -> Option<&Expr<C, Q>> {
        match self {
            Bound::Preceding(e) | Bound::Following(e) => Some(e),
            Bound::UnboundedPreceding | Bound::CurrentRow | Bound::UnboundedFollowing => None,
        }
    }
}

impl<C, Q> Index<C, Q> {
    fn map_with<M: Mapper<C, Q>>(self, m: &mut M) -> Result<Index<M::C2, M::Q2>> {
        Ok(match self {
            Index::At(e) => Index::At(e.map_with(m)?),
            Index::Slice(from, to) => Index::Slice(option(from, m)?, option(to, m)?),
        })
    }
}

/// Takes the box apart: its place is not reused, for the mapped type has another size.
#[expect(clippy::boxed_local)]
fn boxed<C, Q, M: Mapper<C, Q>>(e: Box<Expr<C, Q>>, m: &mut M) -> Result<Box<Expr<M::C2, M::Q2>>> {
    Ok(Box::new(e.map_with(m)?))
}

fn list<C, Q, M: Mapper<C, Q>>(items: Vec<Expr<C, Q>>, m: &mut M) -> Result<Vec<Expr<M::C2, M::Q2>>> {
    items.into_iter().map(|e| e.map_with(m)).collect()
}

fn option<C, Q, M: Mapper<C, Q>>(e: Option<Expr<C, Q>>, m: &mut M) -> Result<Option<Expr<M::C2, M::Q2>>> {
    e.map(|e| e.map_with(m)).transpose()
}

fn orders<C, Q, M: Mapper<C, Q>>(keys: Vec<Order<C, Q>>, m: &mut M) -> Result<Vec<Order<M::C2, M::Q2>>> {
    keys.into_iter().map(|key| key.map_with(m)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::FrameUnit;
    use super::*;
    use crate::sql::ident::QName;

    type E = Expr<u32, u32>;

    fn sample() -> E {
        let mut call: Call<u32, u32> = Call::new(QName::bare("sum"), vec![Expr::Column(1)]);
        call.filter = Some(Expr::InQuery(Box::new(Expr::Column(2)), Box::new(7)));
        call.order_by = vec![Order::ascending(Expr::Column(3))];
        call.over = Some(Over::Window(Window {
            base: None,
            partition_by: vec![Expr::Column(4)],
            order_by: vec![Order::ascending(Expr::Column(5))],
            frame: Some(Frame {
                unit: FrameUnit::Rows,
                start: Bound::Preceding(Expr::Column(6)),
                end: Some(Bound::CurrentRow),
            }),
        }));
        Expr::And(vec![Expr::Call(Box::new(call)), Expr::Exists(Box::new(8))])
    }

    #[test]
    fn map_reaches_everything_that_visit_sees() {
        let mapped = sample().try_map(&mut |c| Ok(Expr::Column(c + 10)), &mut |q| Ok(q + 10)).unwrap();
        let ids: Vec<u32> = mapped.columns().into_iter().copied().collect();
        assert_eq!(ids, [11, 13, 12, 14, 15, 16]);
        assert_eq!(mapped.subqueries(), [&17, &18]);
    }

    #[test]
    fn a_replaced_node_is_not_descended_into() {
        let mut no_calls = |e: E| {
            Ok(match e {
                Expr::Call(_) => ControlFlow::Break(Expr::bool(true)),
                other => ControlFlow::Continue(other),
            })
        };
        let expected = Expr::And(vec![Expr::bool(true), Expr::Exists(Box::new(8))]);
        assert_eq!(sample().try_replace(&mut no_calls).unwrap(), expected);
    }
}
