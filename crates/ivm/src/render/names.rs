//! Names that do not collide: aliases within a query, columns within a select list.

use std::collections::BTreeSet;

use crate::plan::Column;
use crate::sql::ident::Ident;

/// PostgreSQL cuts longer identifiers.
const LENGTH: usize = 63;

/// The aliases that a query uses, or the names of its columns.
#[derive(Clone, Default)]
pub struct Aliases(BTreeSet<Ident>);

impl Aliases {
    pub fn of(names: &[Ident]) -> Aliases {
        Aliases(names.iter().cloned().collect())
    }

    /// `name`, or `name_2`, `name_3`, … when it is taken.
    pub fn take(&mut self, name: &Ident) -> Ident {
        let name = free(name, &self.0);
        self.0.insert(name.clone());
        name
    }

    /// `t1`, `t2`, …: the alias of a subquery.
    pub fn subquery(&mut self) -> Ident {
        let mut candidates = (1..).map(|nth| Ident::new(format!("t{nth}")));
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or_else(|| Ident::new("t"));
        self.take(&name)
    }
}

/// The names of columns, repeated ones numbered: `a`, `a_2`, `a_3`.
pub fn unique(columns: &[Column]) -> Vec<Ident> {
    let mut names = Aliases::default();
    columns.iter().map(|column| names.take(&column.name)).collect()
}

fn free(name: &Ident, taken: &BTreeSet<Ident>) -> Ident {
    let mut candidate = name.clone();
    let mut nth = 2;
    while taken.contains(&candidate) {
        let suffix = format!("_{nth}");
        let mut end = name.as_str().len().min(LENGTH - suffix.len());
        while !name.as_str().is_char_boundary(end) {
            end -= 1;
        }
        candidate = Ident::new(format!("{}{suffix}", &name.as_str()[..end]));
        nth += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Ids;

    #[test]
    fn repeated_names_are_numbered() {
        let mut ids = Ids::default();
        let columns = ["a", "b", "a", "a_2", "a"].map(|name| ids.column(name));
        let names = unique(&columns);
        assert_eq!(names.iter().map(Ident::as_str).collect::<Vec<_>>(), ["a", "b", "a_2", "a_2_2", "a_3"]);
    }

    #[test]
    fn a_numbered_name_still_fits() {
        let mut ids = Ids::default();
        let long = "é".repeat(31);
        let names = unique(&[ids.column(long.clone()), ids.column(long)]);
        assert!(names[1].as_str().len() <= LENGTH);
        assert_ne!(names[0], names[1]);
    }
}
