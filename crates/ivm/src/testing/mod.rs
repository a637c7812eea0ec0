//! What only tests need: a reference evaluator of plans, a catalog in memory, random plans and databases. It is compiled
//! with the feature `testing` alone, so that no product carries it.

pub mod eval;
pub mod explain;
pub mod memory;
pub mod number;
pub mod value;
pub mod zset;

#[cfg(test)]
pub mod random;
