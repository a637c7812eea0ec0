//! Invalidations of catalog rows other than those of relations. See `utils/cache/inval.c` and `utils/cache/syscache.c`.

use pgrx::pg_sys::SysCacheIdentifier::*;
use pgrx::{pg_guard, pg_sys};

/// A kind of catalog row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cache(i32);

/// `pg_constraint`, `pg_ts_config` and `pg_ts_dict`, by the oids that they have in every database.
const CONSTRAINTS: pg_sys::Oid = pg_sys::Oid::from_u32(2606);
const TS_CONFIGS: pg_sys::Oid = pg_sys::Oid::from_u32(3602);
const TS_DICTIONARIES: pg_sys::Oid = pg_sys::Oid::from_u32(3600);

/// The rows of one catalog that a list of watched objects can name, by the oid of the catalog.
const BY_OID: [(pg_sys::Oid, i32); 7] = [
    (pg_sys::ProcedureRelationId, PROCOID as i32),
    (pg_sys::TypeRelationId, TYPEOID as i32),
    (pg_sys::OperatorRelationId, OPEROID as i32),
    (pg_sys::CollationRelationId, COLLOID as i32),
    (CONSTRAINTS, CONSTROID as i32),
    (TS_CONFIGS, TSCONFIGOID as i32),
    (TS_DICTIONARIES, TSDICTOID as i32),
];

/// Labels of enums and maps of text search configurations have rows of their own, which no list of objects names; so have
/// roles and their memberships, any of which may bear on the rights of an owner.
const PARTS: [i32; 4] = [ENUMOID as i32, TSCONFIGMAP as i32, AUTHOID as i32, AUTHMEMROLEMEM as i32];

/// Where the invalidation of any role, and of any membership, comes in.
pub fn roles() -> [(Cache, u32); 2] {
    [(Cache(AUTHOID as i32), 0), (Cache(AUTHMEMROLEMEM as i32), 0)]
}

/// Where the invalidation of an object of this catalog comes in: the cache, and the hash by which it names the row. For
/// a type and a text search configuration also the cache of their parts, whose rows cannot be told apart (hash 0).
pub fn places(catalog: pg_sys::Oid, object: pg_sys::Oid) -> Vec<(Cache, u32)> {
    let Some((_, cache)) = BY_OID.iter().find(|(oid, _)| *oid == catalog) else { return vec![] };
    // SAFETY: the key of all these caches is one oid.
    let hash = unsafe {
        let none = pg_sys::Datum::from(0);
        pg_sys::GetSysCacheHashValue(*cache, object.into(), none, none, none)
    };
    let parts = match catalog {
        pg_sys::TypeRelationId => Some((Cache(ENUMOID as i32), 0)),
        TS_CONFIGS => Some((Cache(TSCONFIGMAP as i32), 0)),
        _ => None,
    };
    [(Cache(*cache), hash)].into_iter().chain(parts).collect()
}

/// Calls `observer` whenever a row of these caches may have changed, with its hash; 0 stands for any row.
pub fn observe(observer: fn(Cache, u32)) {
    let caches = BY_OID.iter().map(|(_, cache)| *cache).chain(PARTS);
    // SAFETY: function pointers live forever; the trampoline gets back what was put in.
    caches.for_each(|cache| unsafe {
        pg_sys::CacheRegisterSyscacheCallback(cache, Some(on_invalidation), (observer as usize).into());
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn on_invalidation(argument: pg_sys::Datum, cache: i32, hash: u32) {
    // SAFETY: `observe` registered a `fn(Cache, u32)` with this trampoline.
    let observer = unsafe { std::mem::transmute::<usize, fn(Cache, u32)>(argument.value()) };
    observer(Cache(cache), hash);
}
