//! ω, window.   Key-local:  Δω(R) = ω(R↾K) − old ω↾K,  with K the partitions that ΔR touches
//!
//! One row can change the values of every other row of its partition, so that a partition is computed anew;
//! rows whose values stay are not written. Calls over different partitions are windows of windows, each a
//! node: the second one follows what really changed of the first.

use crate::error::Result;

use super::partition::{self, Partitioned};
use super::{Cx, Delta};

pub fn delta(window: &Partitioned, cx: &mut Cx) -> Result<Option<Delta>> {
    partition::delta(window, cx)
}
