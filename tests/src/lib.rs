//! What the tests on a live server share.
//!
//! Law: a stream table equals its query, as a multiset, on one committed snapshot. `exact` compares the two,
//! the other modules make situations in which they could differ.

pub mod bank;
pub mod browser;
pub mod compose;
pub mod dag;
pub mod database;
pub mod dice;
pub mod exact;
pub mod home;
pub mod http;
pub mod live;
pub mod operator;
pub mod oracle;
pub mod private;
pub mod programs;
pub mod queries;
pub mod replication;
pub mod session;
pub mod settled;
pub mod shop;
pub mod shrink;
pub mod traffic;
pub mod world;

pub use database::{Database, Server};
pub use dice::Dice;
pub use session::{Failure, Session};
