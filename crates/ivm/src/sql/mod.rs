//! SQL text: names, syntax tree, printer. The only place that makes SQL.

pub mod ast;
pub mod ident;
pub mod index;
pub mod print;
