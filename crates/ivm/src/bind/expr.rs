//! Scalar expressions: names become ids. Aggregate calls stay calls, for `group` to lift.

use std::ops::ControlFlow;

use super::scope::{Context, Place};
use super::{Binder, offset};
use crate::catalog::FunctionKind;
use crate::error::Result;
use crate::expr::{Expr as Generic, Literal, Mapper, Step};
use crate::plan::{ColId, Expr, Plan};
use crate::refuse;
use crate::sql::ast::{self, Name, Query};
use crate::sql::ident::Ident;
use crate::words::Word;

impl Binder<'_> {
    pub fn expr(&mut self, e: &ast::Expr, place: &Place) -> Result<Expr> {
        e.clone().map_with(&mut Names { binder: self, place, on_clock: false })
    }

    /// A condition, which may compare columns with the clock, for `temporal::filter`.
    pub fn predicate(&mut self, e: &ast::Expr, place: &Place) -> Result<Expr> {
        e.clone().map_with(&mut Names { binder: self, place, on_clock: true })
    }
}

struct Names<'a, 'b> {
    binder: &'a mut Binder<'b>,
    place: &'a Place<'a>,
    /// Whether calls of clock functions are allowed; they stay as they are.
    on_clock: bool,
}

impl Mapper<Name, Query> for Names<'_, '_> {
    type C2 = ColId;
    type Q2 = Plan;

    fn column(&mut self, name: Name) -> Result<Expr> {
        self.place.column(&name).map(Expr::Column)
    }

    fn query(&mut self, query: Query) -> Result<Plan> {
        self.binder.query(&query, Context::at(self.place))
    }

    fn whole_row(&mut self, _: Ident) -> Result<Expr> {
        Err(refuse::whole_row())
    }

    fn node(&mut self, e: ast::Expr) -> Result<Step<Name, Query, ColId, Plan>> {
        if let Some(spelled) = offset::reading(&e) {
            return if self.on_clock { Ok(ControlFlow::Continue(e)) } else { Err(refuse::clock(&spelled)) };
        }
        let e = if let Generic::ArrayOf(query) = e { array_of(*query) } else { e };
        match &e {
            Generic::Keyword(keyword, _) => Err(refuse::session_value(keyword.text())),
            Generic::Call(call) if call.over.is_some() => Ok(ControlFlow::Continue(e)),
            Generic::Call(call) => match self.binder.function(&call.name)? {
                FunctionKind::Window => Err(refuse::hypothetical(&call.name)),
                FunctionKind::Scalar | FunctionKind::Set | FunctionKind::Aggregate => Ok(ControlFlow::Continue(e)),
            },
            _ => Ok(ControlFlow::Continue(e)),
        }
    }
}

/// `ARRAY(query)` is `array_agg` over its one column, in its order; without rows an empty array, where that is NULL.
fn array_of(query: Query) -> ast::Expr {
    let columns = vec![(Ident::new("v"), None)];
    let from = ast::From::Derived {
        query: Box::new(query),
        alias: ast::Alias { name: Ident::new("q"), columns },
        lateral: false,
    };
    let values = Generic::call("array_agg", vec![ast::col("q", "v")]);
    let all = ast::Select { items: vec![ast::Item::named(values, "v")], from: vec![from], ..ast::Select::default() };
    let empty = Generic::Literal(Literal::String("{}".to_owned()));
    Generic::call("array_cat", vec![Generic::Scalar(Box::new(Query::select(all))), empty])
}
