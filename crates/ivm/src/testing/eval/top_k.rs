//! The first rows of each partition. Rows that are equal in the order come in the order of their values.

use std::collections::BTreeMap;

use super::{Rows, Scope, aggregate, canonical, expr, rows};
use crate::error::{Error, Result};
use crate::plan::{Expr, Ties, TopK};
use crate::testing::value::{Row, Value};

pub fn eval(top: &TopK, scope: &Scope) -> Result<Vec<Row>> {
    let input = rows(&top.input, scope)?;
    let mut partitions: BTreeMap<Row, Vec<(Row, Row)>> = BTreeMap::new();
    let Rows { columns, rows } = input;
    for row in rows {
        let inner = scope.inner(&columns, &row);
        let partition = top.partition.iter().map(|id| inner.column(*id).cloned()).collect::<Result<Row>>()?;
        let keys = top.order.iter().map(|key| expr::eval(&key.expr, &inner)).collect::<Result<Row>>()?;
        partitions.entry(canonical(&partition)).or_default().push((keys, row));
    }
    let (skipped, kept) = (count(top.offset.as_ref(), scope)?.unwrap_or(0), count(top.limit.as_ref(), scope)?);
    let mut result = vec![];
    for mut members in partitions.into_values() {
        members.sort_by(|l, r| aggregate::compare(&top.order, &l.0, &r.0).then_with(|| l.1.cmp(&r.1)));
        let differs = |at: usize| aggregate::compare(&top.order, &members[at - 1].0, &members[at].0).is_ne();
        let values = (0..members.len()).filter(|at| *at == 0 || differs(*at));
        let ends = |end: usize| match top.ties {
            Ties::Split => end,
            Ties::Follow if end == skipped => end,
            Ties::Follow => (end..members.len()).find(|at| differs(*at)).unwrap_or(members.len()),
            Ties::Together => values.clone().nth(end).unwrap_or(members.len()),
        };
        let end = kept.map_or(members.len(), |kept| ends(members.len().min(skipped.saturating_add(kept))));
        result.extend(members.into_iter().take(end).skip(skipped).map(|(_, row)| row));
    }
    Ok(result)
}

/// The value of LIMIT or OFFSET; `None` for none.
fn count(e: Option<&Expr>, scope: &Scope) -> Result<Option<usize>> {
    match e.map(|e| expr::eval(e, scope)).transpose()? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(n)) if n >= 0 => Ok(Some(usize::try_from(n).unwrap_or(usize::MAX))),
        Some(other) => Err(Error::Evaluation(format!("{other} is no number of rows"))),
    }
}
