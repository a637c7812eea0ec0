//! The extremum of a group by an index on its keys and then the value. The server reads one entry of such an index for the
//! minimum or maximum of one relation, see `optimizer/plan/planagg.c`; not where a key is compared with NULL.

use crate::error::Result;
use crate::expr::Expr as E;
use crate::plan::{Aggregate, AggregateCall, ColId, Column, Expr};

use super::super::Cx;
use super::super::restrict::{self, Key};

/// The call over the rows of the group that has these keys, columns of the query around it.
pub fn looked_up(aggregate: &Aggregate, call: &AggregateCall, cx: &mut Cx) -> Result<Expr> {
    let (input, copies) = aggregate.input.copied(&mut cx.ids);
    let copy = |id: &ColId| copies.get(id).copied().unwrap_or(*id);
    let key = |touched: &Column| {
        let input = Column { id: copy(&touched.id), name: touched.name.clone() };
        Ok(Key { input, touched: touched.clone(), known: cx.known(touched.id)?.clone() })
    };
    let keys = aggregate.keys.iter().map(key).collect::<Result<Vec<_>>>()?;
    let filter = call.filter.as_ref().map(|id| E::Column(copy(id)));
    let rows = input.filter_all(filter.into_iter().chain(restrict::equal(&keys)).collect());
    let call = AggregateCall { args: call.args.iter().map(copy).collect(), filter: None, ..call.clone() };
    Ok(E::Scalar(Box::new(rows.aggregate(vec![], vec![call]))))
}
