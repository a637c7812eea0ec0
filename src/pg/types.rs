//! Facts about the columns of a row type, from the type cache. See `utils/cache/typcache.c`.

use ivm::catalog::{ColumnType, Equality};
use ivm::sql::ident::QName;
use pgrx::pg_sys;

use crate::pg::syscache;
use crate::pg::text::string;
use crate::pg::tuplestore::attributes;

/// A column of a result: its name and type.
pub struct ResultColumn {
    pub name: String,
    pub oid: pg_sys::Oid,
    pub ty: ColumnType,
}

/// The columns of a row type.
pub fn columns(desc: pg_sys::TupleDesc) -> Vec<ResultColumn> {
    // SAFETY: the descriptor is alive during the call and has `natts` attributes.
    let attributes = unsafe { attributes(desc) };
    let column = |it: &pg_sys::FormData_pg_attribute| ResultColumn {
        name: it.name().to_owned(),
        oid: it.atttypid,
        ty: column_type(it.atttypid, it.atttypmod, it.attcollation),
    };
    attributes.map(column).collect()
}

/// The facts of one type as used by one column.
pub fn column_type(oid: pg_sys::Oid, modifier: i32, collation: pg_sys::Oid) -> ColumnType {
    // SAFETY: catalog lookups by oid; the strings are copied.
    unsafe {
        let base = pg_sys::getBaseType(oid);
        let flags = (pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_HASH_EXTENDED_PROC) as i32;
        let entry = pg_sys::lookup_type_cache(base, flags);
        let own_collation = pg_sys::get_typcollation(oid);
        ColumnType {
            name: qualified(oid, modifier),
            base: string(pg_sys::format_type_be(base)),
            collation: (collation != own_collation && collation != pg_sys::InvalidOid)
                .then(|| collation_name(collation)),
            equality: match (*entry).eq_opr == pg_sys::InvalidOid {
                true => Equality::Missing,
                false if is_image(base, collation) => Equality::Image,
                false => Equality::Loose,
            },
            hashable: (*entry).hash_extended_proc != pg_sys::InvalidOid,
            sortable: (*entry).lt_opr != pg_sys::InvalidOid,
        }
    }
}

/// The schema of the type's `=`, where that is not `pg_catalog`.
pub fn equality_schema(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: catalog lookups by oid; the row type of that cache.
    unsafe {
        let operator = (*pg_sys::lookup_type_cache(pg_sys::getBaseType(oid), pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr;
        let schema = |form: &pg_sys::FormData_pg_operator| form.oprnamespace;
        let schema = syscache::read(pg_sys::SysCacheIdentifier::OPEROID, operator, schema)?;
        (operator.to_u32() >= pg_sys::FirstNormalObjectId).then(|| string(pg_sys::get_namespace_name(schema)))
    }
}

/// The type's name with its modifier, for any search path: with its schema unless that is `pg_catalog`.
unsafe fn qualified(oid: pg_sys::Oid, modifier: i32) -> String {
    let flags = pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY;
    // SAFETY: catalog lookup by oid; the string is copied.
    let name = string(unsafe { pg_sys::format_type_extended(oid, modifier, flags as pg_sys::bits16) });
    name.strip_prefix("pg_catalog.").map_or(name.clone(), str::to_owned)
}

/// Whether equal values of the type always have the same text.
unsafe fn is_image(base: pg_sys::Oid, collation: pg_sys::Oid) -> bool {
    const EXACT: [pg_sys::Oid; 16] = [
        pg_sys::BOOLOID,
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::OIDOID,
        pg_sys::CHAROID,
        pg_sys::NAMEOID,
        pg_sys::BYTEAOID,
        pg_sys::DATEOID,
        pg_sys::TIMEOID,
        pg_sys::TIMESTAMPOID,
        pg_sys::TIMESTAMPTZOID,
        pg_sys::UUIDOID,
        pg_sys::XID8OID,
        pg_sys::PG_LSNOID,
        pg_sys::MONEYOID,
    ];
    // SAFETY: catalog lookups by oid.
    unsafe {
        if base == pg_sys::TEXTOID || base == pg_sys::VARCHAROID {
            return collation == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(collation);
        }
        EXACT.contains(&base) || pg_sys::type_is_enum(base)
    }
}

/// The name of a collation; that of the default one if it was just dropped.
unsafe fn collation_name(oid: pg_sys::Oid) -> QName {
    let name = |form: &pg_sys::FormData_pg_collation| (string(form.collname.data.as_ptr()), form.collnamespace);
    // SAFETY: the row type of that cache; a catalog lookup by oid.
    unsafe {
        match syscache::read(pg_sys::SysCacheIdentifier::COLLOID, oid, name) {
            Some((name, schema)) => QName::qualified(string(pg_sys::get_namespace_name(schema)), name),
            None => QName::qualified("pg_catalog", "default"),
        }
    }
}
