//! TPC-H and Nexmark: the data, the queries, and the changes that happen to the data.
//!
//! Law: everything here is a function of a scale and a seed. It knows no stream tables: its user
//! decides how to maintain a query, this crate defines its right answer.

pub mod copy;
pub mod dice;
pub mod nexmark;
pub mod query;
pub mod tpch;

pub use dice::Dice;
pub use query::Query;
