//! Pending changes as rows: a set-returning function, and a view per source.

use chunk::{Entry, Target};
use ivm::catalog::ColumnType;
use ivm::sql::ident::{Ident, QName};
use pgrx::PgSqlErrorCode::{ERRCODE_DATATYPE_MISMATCH, ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_UNDEFINED_OBJECT};
use pgrx::pg_sys::{self, Oid};

use crate::capture::cache;
use crate::catalog::source::Source;
use crate::error::{Error, Result};
use crate::pg::call::{Call, V1, text};
use crate::pg::heap::Table;
use crate::pg::row::{Aligned, Values};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, Session};
use crate::pg::template::Hole;
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{guard, object, relation, types};

/// Columns before those of the source.
const LEADING: [(&str, Oid); 3] = [("action", pg_sys::TEXTOID), ("copies", pg_sys::INT8OID), ("xid", pg_sys::XID8OID)];

fn view_name(source: i32) -> QName {
    QName::qualified("pgtrickle_changes", format!("pending_{source}"))
}

/// Creates the view of a source anew, with the columns that are captured now.
pub fn create_view(source: &Source) -> Result<()> {
    let info = cache::require_source(source.id)?;
    let (layout, _) = info.current().ok_or(Error::Bug("the source was just given a layout"))?;
    let column = |name: &str, ty: Oid| (Ident::new(name), types::column_type(ty, -1, pg_sys::InvalidOid));
    let captured = layout.attnums.iter().zip(&layout.types);
    let captured: Vec<(Ident, ColumnType)> =
        captured.filter_map(|(number, ty)| Some(column(&info.attribute(*number)?.name, *ty))).collect();
    let leading = LEADING.map(|(name, ty)| {
        let (mut name, ty) = column(name, ty);
        while captured.iter().any(|(taken, _)| *taken == name) {
            name.0.push('_');
        }
        (name, ty)
    });
    let columns: Vec<(&Ident, &ColumnType)> = leading.iter().chain(&captured).map(|(name, ty)| (name, ty)).collect();
    let view = view_name(source.id);
    spi::connect(None, |session| {
        drop_view(session, source.id)?;
        session.define(
            "create view {} as select * from pgtrickle.pending_changes({}) as c({})",
            &[Hole::Name(&view), Hole::Number(source.id.into()), Hole::Columns(&columns)],
        )?;
        // The function behind it requires the privilege on the source.
        session.define("grant select on {} to public", &[Hole::Name(&view)])
    })?;
    object::follow_extension(object::oid(&view)?);
    Ok(())
}

pub fn drop_view(session: &Session, id: i32) -> Result<()> {
    let view = view_name(id);
    match object::find(&view)? {
        Some(_) => session.define("drop view {}", &[Hole::Name(&view)]),
        None => Ok(()),
    }
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_finfo_pg_trickle_pending_changes() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_pending_changes(call: Call) -> pg_sys::Datum {
    call.return_set(pending_changes)
}

/// Every change row of a source that is not yet pruned, in the order and types that the caller lists.
fn pending_changes(call: &Call, store: &Tuplestore) -> Result<()> {
    let id = call.integer(0).unwrap_or(0);
    let Some(info) = cache::source(id)? else {
        return Err(Error::new(ERRCODE_UNDEFINED_OBJECT, format!("source {id} does not exist"))
            .hint("pgtrickle.pgt_sources lists the sources."));
    };
    let (role, relid) = (guard::current_role(), info.source.relid);
    if !relation::may(role, relid, pg_sys::ACL_SELECT) || object::is_row_secured(relid, role) {
        let name = relation::display(relid);
        return Err(Error::new(ERRCODE_INSUFFICIENT_PRIVILEGE, format!("permission denied for table {name}")));
    }
    crate::capture::flush()?;
    let Some(buffer) = Table::open(info.buffer, pg_sys::AccessShareLock) else { return Ok(()) };
    let Some((current, _)) = info.current() else { return Ok(()) };
    let types = store.row_type().types();
    let columns: Vec<Oid> = LEADING.iter().map(|(_, ty)| ty).chain(&current.types).copied().collect();
    let first = LEADING.len();
    if types.len() < first || !columns.starts_with(&types) {
        return Err(Error::new(ERRCODE_DATATYPE_MISMATCH, "the column list does not match the captured columns")
            .detail(
                "The columns are: action, number of copies, transaction, and the captured columns with their types.",
            )
            .hint(format!("Read the view {}.", view_name(id))));
    }
    let listed = current.attnums.iter().copied().zip(current.types.iter().copied());
    let listed: Vec<_> = listed.take(types.len() - first).collect();
    let (mut values, mut bytes) = (Values::new(types.len()), Aligned::default());
    buffer.for_each(&Snapshot::latest(), |chunk| {
        let Some((layout, format)) = info.layout(chunk.stamp.layout) else { return Ok(()) };
        let targets: Vec<_> = layout.positions_in(&listed).into_iter().map(|it| it.map(|i| i + first)).collect();
        let mut reader = format.read(chunk.entries(&mut bytes)?);
        (first..types.len()).for_each(|i| values.set_null(i));
        while let Some(entry) = reader.next(&mut values, &targets)? {
            let Entry::Weight(weight) = entry else { continue };
            let action = text(if weight > 0 { "I" } else { "D" })?;
            values.set_bytes(0, &action);
            values.set_word(1, weight.unsigned_abs() as usize);
            values.set_word(2, chunk.stamp.xid as usize);
            store.append(&mut values)?;
        }
        Ok(())
    })
}
