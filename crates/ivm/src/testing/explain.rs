//! Programs and the statements that apply a delta, as the pages of operators show them.

use crate::sql::ident::Ident;
use crate::sql::index::Index;
use crate::sql::print;
use crate::view::{Apply, Program};

/// The steps of a program, each with its name and its law.
pub fn program(program: &Program) -> String {
    let steps = program.steps.iter().map(|step| {
        let needs = step.needs.as_ref().map(|needs| format!(", if {needs} has rows")).unwrap_or_default();
        let summed = if step.repeats { ", summed as it is read" } else { "" };
        let summed = if step.cancels { ", without rows that cancel" } else { summed };
        format!("-- {} ({}{needs}{summed})\n{};\n", step.name, step.law, print::query(&step.query))
    });
    steps.collect::<Vec<_>>().join("\n")
}

/// The statements that apply a delta to a node's table, and the index that they use.
pub fn apply(apply: &Apply) -> String {
    let index = apply.indexes.iter().map(|index| format!("-- index\n{};\n", index.create(&usual_name(index))));
    let update = apply.update.iter().map(|statement| ("update", statement));
    let statements = update.chain([("delete", &apply.delete), ("insert", &apply.insert)]);
    let statements = statements.map(|(what, statement)| format!("-- {what}\n{};\n", print::statement(statement)));
    index.chain(statements).collect::<Vec<_>>().join("\n")
}

/// The name of an index if no relation has that name.
fn usual_name(index: &Index) -> Ident {
    Ident::new(format!("{}_{}", index.table.name.as_str(), index.what))
}
