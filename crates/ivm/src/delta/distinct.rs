//! δ, distinct.   Key-local, as the aggregate without calls that the cut makes of it.
//!
//! A row is there while its count is positive: Δδ(R) = −row when the count falls to zero, +row when it
//! leaves zero. The count lives in the state table of the aggregate; no plan of a node holds a δ.

use crate::error::{Error, Result};
use crate::plan::Distinct;

use super::{Cx, Delta};

pub fn delta(_: &Distinct, _: &mut Cx) -> Result<Option<Delta>> {
    Err(Error::Bug("a distinct was not cut into a node"))
}
