//! Cache invalidation: the server tells each cache of this extension what changed in its catalogs. See
//! `utils/cache/inval.c` and `utils/cache/syscache.c`.
//!
//! The server has few slots for callbacks, so it calls one function, which calls every cache in the list that [`init`]
//! gets. An invalidation may arrive inside any call of the server: a cache only takes note, it cannot read catalogs then.

use std::cell::Cell;

use pgrx::pg_sys::SysCacheIdentifier::*;
use pgrx::{pg_guard, pg_sys};

/// What changed.
#[derive(Clone, Copy, Debug)]
pub enum Invalidation {
    /// A relation: its columns, triggers, inheritance. `None` stands for any relation.
    Relation(Option<pg_sys::Oid>),
    /// A row of another catalog.
    Row(RowKey),
}

/// What a cache does about an invalidation.
pub type Callback = fn(Invalidation);

/// A row of a catalog as the server names it in an invalidation: its system cache and the hash of its key. Hash 0 stands
/// for any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    cache: i32,
    hash: u32,
}

impl RowKey {
    const fn any(cache: pg_sys::SysCacheIdentifier::Type) -> RowKey {
        RowKey { cache: cache as i32, hash: 0 }
    }

    /// Whether both may name the same row.
    pub fn matches(self, other: RowKey) -> bool {
        self.cache == other.cache && (self.hash == 0 || other.hash == 0 || self.hash == other.hash)
    }
}

/// `pg_constraint`, `pg_ts_config` and `pg_ts_dict`, by the oids that they have in every database.
const CONSTRAINTS: pg_sys::Oid = pg_sys::Oid::from_u32(2606);
const TS_CONFIGS: pg_sys::Oid = pg_sys::Oid::from_u32(3602);
const TS_DICTIONARIES: pg_sys::Oid = pg_sys::Oid::from_u32(3600);

/// The system cache of each catalog whose rows a definition can depend on, by the oid of the catalog.
const BY_OID: [(pg_sys::Oid, i32); 7] = [
    (pg_sys::ProcedureRelationId, PROCOID as i32),
    (pg_sys::TypeRelationId, TYPEOID as i32),
    (pg_sys::OperatorRelationId, OPEROID as i32),
    (pg_sys::CollationRelationId, COLLOID as i32),
    (CONSTRAINTS, CONSTROID as i32),
    (TS_CONFIGS, TSCONFIGOID as i32),
    (TS_DICTIONARIES, TSDICTOID as i32),
];

/// Labels of enums and maps of text search configurations: rows that no dependency names.
const ENUM_LABELS: RowKey = RowKey::any(ENUMOID);
const TS_MAPS: RowKey = RowKey::any(TSCONFIGMAP);
/// Roles and memberships, any of which may affect the rights of an owner.
pub const ROLES: [RowKey; 2] = [RowKey::any(AUTHOID), RowKey::any(AUTHMEMROLEMEM)];

/// The keys that name an object of this catalog: its row, and for a type or a text search configuration any row of its
/// parts.
pub fn row_keys(catalog: pg_sys::Oid, object: pg_sys::Oid) -> Vec<RowKey> {
    let Some((_, cache)) = BY_OID.iter().find(|(oid, _)| *oid == catalog) else { return vec![] };
    // SAFETY: the key of all these caches is one oid.
    let hash = unsafe {
        let none = pg_sys::Datum::from(0);
        pg_sys::GetSysCacheHashValue(*cache, object.into(), none, none, none)
    };
    let parts = match catalog {
        pg_sys::TypeRelationId => Some(ENUM_LABELS),
        TS_CONFIGS => Some(TS_MAPS),
        _ => None,
    };
    [RowKey { cache: *cache, hash }].into_iter().chain(parts).collect()
}

thread_local! {
    static CACHES: Cell<&'static [Callback]> = const { Cell::new(&[]) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Registers the caches of this extension, once, before any of them has an entry.
pub fn init(caches: &'static [Callback]) {
    CACHES.set(caches);
    let none = pg_sys::Datum::from(0);
    let rows = BY_OID.iter().map(|(_, cache)| *cache);
    let parts = [ENUM_LABELS, TS_MAPS].into_iter().chain(ROLES).map(|key| key.cache);
    // SAFETY: the callbacks are functions of this library, which is never unloaded.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), none);
        rows.chain(parts).for_each(|cache| pg_sys::CacheRegisterSyscacheCallback(cache, Some(on_row), none));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    invalidate(Invalidation::Relation((relation != pg_sys::InvalidOid).then_some(relation)));
}

#[pg_guard]
unsafe extern "C-unwind" fn on_row(_argument: pg_sys::Datum, cache: i32, hash: u32) {
    invalidate(Invalidation::Row(RowKey { cache, hash }));
}

fn invalidate(what: Invalidation) {
    COUNT.set(COUNT.get() + 1);
    CACHES.get().iter().for_each(|cache| cache(what));
}

/// How many invalidations this backend has processed: with the same number before and after a read, what was read is
/// current.
pub fn count() -> u64 {
    COUNT.get()
}

/// Processes what other backends have sent by now.
pub fn accept() {
    // SAFETY: inside a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
}

/// Reads what a cache is going to keep; reads it again when an invalidation arrives meanwhile.
pub fn read_consistently<R, E>(mut read: impl FnMut() -> Result<R, E>) -> Result<R, E> {
    loop {
        let before = count();
        let found = read()?;
        if count() == before {
            return Ok(found);
        }
    }
}
