//! Pending changes as rows that people can read: a set-returning function, and a view per source.

use ivm::catalog::ColumnType;
use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;

use crate::capture::cache::{self, Known};
use crate::capture::format::Entry;
use crate::capture::stamp;
use crate::catalog::source::Source;
use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::row::{Aligned, Values};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::srf::{Request, text};
use crate::pg::template::Hole;
use crate::pg::trigger::Call;
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{guard, object, relation, types};

/// Columns before those of the source.
const LEADING_COLUMNS: [(&str, pg_sys::Oid); LEADING] =
    [("action", pg_sys::TEXTOID), ("copies", pg_sys::INT8OID), ("xid", pg_sys::XID8OID)];
const LEADING: usize = 3;

fn name(source: i32) -> QName {
    QName::qualified("pgtrickle_changes", format!("pending_{source}"))
}

/// Makes `pgtrickle_changes.pending_<id>` anew, with the columns that are captured now.
pub fn create_view(source: &Source) -> Result<()> {
    let id = source.id;
    let known = cache::known(id)?.ok_or(Error::Bug("the source was just created"))?;
    let (layout, _) = known.current().ok_or(Error::Bug("the source was just given a layout"))?;
    let captured = layout.attnums.iter().zip(&layout.types).filter_map(|(number, ty)| {
        let attribute = known.attributes.iter().find(|attribute| attribute.number == *number)?;
        Some((Ident::new(&attribute.name), types::column_type(*ty, -1, pg_sys::InvalidOid)))
    });
    let captured: Vec<(Ident, ColumnType)> = captured.collect();
    let unique = |wanted: &str| {
        let mut name = Ident::new(wanted);
        while captured.iter().any(|(taken, _)| *taken == name) {
            name.0.push('_');
        }
        name
    };
    let leading = LEADING_COLUMNS.map(|(name, ty)| (unique(name), types::column_type(ty, -1, pg_sys::InvalidOid)));
    let columns: Vec<(&Ident, &ColumnType)> = leading.iter().chain(&captured).map(|(name, ty)| (name, ty)).collect();
    let view = name(id);
    spi::connect(None, |session| {
        drop_view(session, id)?;
        session.define(
            "create view {} as select * from pgtrickle.pending_changes({}) as c({})",
            &[Hole::Name(&view), Hole::Number(id.into()), Hole::Columns(&columns)],
        )?;
        // The function behind it asks for the privilege on the source.
        session.define("grant select on {} to public", &[Hole::Name(&view)])
    })?;
    match relation::find("pgtrickle_changes", &format!("pending_{id}"))? {
        Some(view) => relation::depend_on_extension(view),
        None => Ok(()),
    }
}

pub fn drop_view(session: &Session, id: i32) -> Result<()> {
    if relation::find("pgtrickle_changes", &format!("pending_{id}"))?.is_some() {
        session.define("drop view {}", &[Hole::Name(&name(id))])?;
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_pending_changes() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_pending_changes(call: Call) -> pg_sys::Datum {
    crate::pg::srf::answer(call, pending_changes)
}

/// Every change row of a source that is not yet pruned, in the order and types that the caller lists.
fn pending_changes(request: &Request, store: &Tuplestore) -> Result<()> {
    let id = request.integer(0).unwrap_or(0);
    let Some(known) = cache::known(id)? else {
        return Err(Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("there is no source with id {id}")));
    };
    let (asker, relid) = (guard::current_role(), known.source.relid);
    if !relation::may(asker, relid, pg_sys::ACL_SELECT) || object::is_row_secured(relid, asker) {
        let name = relation::display(known.source.relid);
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for table {name}"),
        ));
    }
    crate::capture::flush()?;
    let Some(buffer) = Table::open(known.buffer, pg_sys::AccessShareLock) else { return Ok(()) };
    let Some((current, _)) = known.current() else { return Ok(()) };
    let types = store.row_type().types();
    let leading = LEADING_COLUMNS.iter().map(|(_, ty)| ty);
    let columns: Vec<pg_sys::Oid> = leading.chain(&current.types).copied().collect();
    if types.len() < LEADING || !columns.starts_with(&types) {
        return Err(Error::new(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "the columns asked for are not those that are captured",
        )
        .detail(
            "They are the action, the number of copies, the transaction, and the captured columns with their types.",
        )
        .hint(format!("Read the view {}.", name(id))));
    }
    let (mut values, mut bytes) = (Values::new(types.len()), Aligned::default());
    stamp::for_each(&buffer, &Snapshot::latest(), |chunk| {
        let Some((targets, format)) = targets(&known, chunk.stamp.layout, &types) else { return Ok(()) };
        let mut reader = format.read(chunk.entries(&mut bytes));
        (LEADING..types.len()).for_each(|i| values.set_null(i));
        while let Some(entry) = reader.next(&mut values, &targets)? {
            let Entry::Weight(weight) = entry else { continue };
            let action = text(if weight > 0 { "I" } else { "D" });
            values.set_bytes(0, &action);
            values.set_word(1, weight.unsigned_abs() as usize);
            values.set_word(2, chunk.stamp.xid as usize);
            store.append(&mut values)?;
        }
        Ok(())
    })
}

/// Where the columns of a chunk go in the row type asked for: the columns captured now, in their order.
fn targets<'a>(
    known: &'a Known,
    layout: i32,
    types: &[pg_sys::Oid],
) -> Option<(Vec<Option<usize>>, &'a crate::capture::format::Format)> {
    let (current, _) = known.current()?;
    let (stored, format) = known.layout(layout)?;
    let place = |number: &i16| {
        let place = current.attnums.iter().position(|other| other == number)?;
        Some(place + LEADING).filter(|i| types.get(*i) == Some(&current.types[place]))
    };
    let typed = stored.attnums.iter().zip(&stored.types);
    let targets = typed.map(|(number, ty)| place(number).filter(|i| types[*i] == *ty));
    Some((targets.collect(), format))
}
