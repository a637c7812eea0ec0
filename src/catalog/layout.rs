//! `pgt_layouts`: how the chunks of a change buffer were written.

use pgrx::pg_sys::Oid;

use crate::error::{Error, Result};
use crate::pg::spi::Session;

/// The captured columns of a source. Never changed once a chunk may have been written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub id: i32,
    /// Ascending.
    pub attnums: Vec<i16>,
    /// Of the same length.
    pub types: Vec<Oid>,
    /// Some consumer needs to know of every change, whatever the column.
    pub touch: bool,
}

impl Layout {
    /// For each column its position in `wanted`, which lists columns with their types.
    pub fn positions_in(&self, wanted: &[(i16, Oid)]) -> Vec<Option<usize>> {
        let columns = self.attnums.iter().copied().zip(self.types.iter().copied());
        columns.map(|column| wanted.iter().position(|other| *other == column)).collect()
    }
}

/// All layouts of a source, oldest first.
pub fn of(session: &Session, source: i32) -> Result<Vec<Layout>> {
    session.query(
        "select layout, attnums, types::oid[], touch from pgtrickle.pgt_layouts where source_id = $1 order by layout",
        &[source.into()],
        |row| {
            let layout = Layout {
                id: row.require(1)?,
                attnums: row.require(2)?,
                types: row.require(3)?,
                touch: row.require(4)?,
            };
            match layout.attnums.len() == layout.types.len() {
                true => Ok(layout),
                false => Err(Error::Bug("a layout has a type for each column")),
            }
        },
    )
}

/// Adds a layout; its id is given by the catalog.
pub fn insert(session: &Session, source: i32, layout: &Layout) -> Result<i32> {
    session.one(
        "insert into pgtrickle.pgt_layouts (source_id, attnums, types, touch)
         values ($1, $2, $3::regtype[], $4) returning layout",
        &[source.into(), layout.attnums.clone().into(), layout.types.clone().into(), layout.touch.into()],
        |row| row.require(1),
    )
}
