//! Z-sets: rows with integer weights, a commutative group under addition.
//!
//! A bag is a Z-set without negative weights; a delta is any Z-set, and `state ⊎ delta` is addition.
//! Rows are identified by what they look like: `1.0` and `1.00` are two rows.

use std::collections::BTreeMap;

use super::value::{Row, Value};
use crate::error::{Error, Result};

/// Rows and their weights; no row has weight zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zset(BTreeMap<Row, i64>);

impl Zset {
    /// Adds `weight` copies of a row.
    pub fn add(&mut self, row: Row, weight: i64) {
        let total = self.0.remove(&row).unwrap_or(0) + weight;
        if total != 0 {
            self.0.insert(row, total);
        }
    }

    /// The sum of two Z-sets.
    pub fn plus(mut self, other: Zset) -> Zset {
        for (row, weight) in other.0 {
            self.add(row, weight);
        }
        self
    }

    /// Every weight with the other sign.
    pub fn negated(self) -> Zset {
        Zset(self.0.into_iter().map(|(row, weight)| (row, -weight)).collect())
    }

    /// The Z-set of rows that carry their weight in the column at `at`.
    pub fn from_weighted(rows: impl IntoIterator<Item = Row>, at: usize) -> Result<Zset> {
        let mut sum = Zset::default();
        for mut row in rows {
            let weight = match row.get(at) {
                Some(Value::Int(weight)) => i64::try_from(*weight).ok(),
                _ => None,
            };
            let weight = weight.ok_or_else(|| Error::Evaluation("a weight that is no integer".to_owned()))?;
            row.remove(at);
            sum.add(row, weight);
        }
        Ok(sum)
    }

    /// The Z-set that this bag means when its column at `at` is a weight.
    pub fn weighted(&self, at: usize) -> Result<Zset> {
        Zset::from_weighted(self.rows()?, at)
    }

    /// The rows of a bag, each as often as its weight says.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let mut rows = vec![];
        for (row, weight) in &self.0 {
            let copies =
                usize::try_from(*weight).map_err(|_| Error::Evaluation(format!("{row:?} has weight {weight}")))?;
            rows.extend(std::iter::repeat_n(row.clone(), copies));
        }
        Ok(rows)
    }

    /// Rows and weights, in order of rows.
    pub fn iter(&self) -> impl Iterator<Item = (&Row, i64)> {
        self.0.iter().map(|(row, weight)| (row, *weight))
    }

    pub fn weight(&self, row: &Row) -> i64 {
        self.0.get(row).copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no weight is negative.
    pub fn is_bag(&self) -> bool {
        self.0.values().all(|weight| *weight > 0)
    }
}

impl FromIterator<Row> for Zset {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Zset {
        rows.into_iter().map(|row| (row, 1)).collect()
    }
}

impl FromIterator<(Row, i64)> for Zset {
    fn from_iter<I: IntoIterator<Item = (Row, i64)>>(rows: I) -> Zset {
        let mut sum = Zset::default();
        rows.into_iter().for_each(|(row, weight)| sum.add(row, weight));
        sum
    }
}

/// A row literal: `row![1, "a", NULL]`.
#[macro_export]
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::testing::value::Value::from($value)),*] };
}

/// A Z-set literal: `zset! { (1, "a") => 2, (NULL, "b") => -1 }`.
#[macro_export]
macro_rules! zset {
    ($(($($value:expr),* $(,)?) => $weight:expr),* $(,)?) => {
        <$crate::testing::zset::Zset as ::std::iter::FromIterator<($crate::testing::value::Row, i64)>>::from_iter([
            $(($crate::row![$($value),*], $weight)),*
        ])
    };
}

#[cfg(test)]
mod tests {
    use super::super::value::NULL;
    use super::*;

    #[test]
    fn a_row_whose_weights_cancel_is_gone() {
        let delta = zset! { (1, "a") => 2, (NULL, "b") => -1 };
        assert_eq!(delta.clone().plus(zset! { (1, "a") => -2 }), zset! { (NULL, "b") => -1 });
        assert!(delta.clone().plus(delta.negated()).is_empty());
    }

    #[test]
    fn a_weight_column_is_integrated() {
        let rows = [row![7, 1], row![7, -2], row![8, 0]];
        assert_eq!(Zset::from_weighted(rows, 1).unwrap(), zset! { (7) => -1 });
    }

    #[test]
    fn a_delta_has_no_rows() {
        assert_eq!(zset! { (1) => 2 }.rows().unwrap(), [row![1], row![1]]);
        assert!(zset! { (1) => -1 }.rows().is_err());
    }
}
