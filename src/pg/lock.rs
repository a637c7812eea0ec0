//! Advisory locks on our own objects, held until the end of the transaction, or of the session. See `storage/lmgr/README`.

use pgrx::pg_sys;

use crate::pg::shmem::my_database;

/// The fourth field of our lock tags: users' own advisory locks have 1 or 2 there.
const LOCK_CLASS: u16 = 7;
/// The same of keys.
const KEY_CLASS: u16 = 8;

/// What is locked, by an id of our own.
#[derive(Clone, Copy, Debug)]
pub enum Lock {
    /// Refreshing, altering and dropping a stream table.
    StreamTable(i32),
    /// The change rows of a source: shared to retain them, exclusive to prune them.
    Changes(i32),
    /// The members of a source: shared by transactions that attach or detach tables.
    Members(i32),
    /// The catalog of this database: shared by sessions that restore it, exclusive to attach what they have restored.
    Restore,
    /// The refresh groups of this database.
    Groups,
    /// Two sources of a stream table, by its id and a number of the pair: writers of one exclude those of the other.
    Sides(i32, u16),
    /// Rows of a stream table, by its id and the hash of their key.
    Key(i32, u32),
}

/// The sources of a pair that a transaction has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
    Both,
}

impl Lock {
    fn tag(self) -> pg_sys::LOCKTAG {
        let (class, kind, id) = match self {
            Lock::StreamTable(id) => (LOCK_CLASS, 0, id),
            Lock::Changes(id) => (LOCK_CLASS, 1, id),
            Lock::Restore => (LOCK_CLASS, 2, 0),
            Lock::Members(id) => (LOCK_CLASS, 3, id),
            Lock::Groups => (LOCK_CLASS, 4, 0),
            Lock::Sides(id, pair) => (LOCK_CLASS, u32::from(pair) + 16, id),
            Lock::Key(id, hash) => (KEY_CLASS, hash, id),
        };
        pg_sys::LOCKTAG {
            locktag_field1: my_database().to_u32(),
            locktag_field2: kind,
            locktag_field3: id as u32,
            locktag_field4: class,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        }
    }

    fn take(self, mode: u32, wait: bool) -> bool {
        // SAFETY: the tag outlives the call.
        let taken = unsafe { pg_sys::LockAcquire(&self.tag(), mode as i32, false, !wait) };
        taken != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }

    /// Waits for the lock.
    pub fn acquire(self) {
        self.take(pg_sys::ExclusiveLock, true);
    }

    /// Takes the lock if no other transaction holds it.
    pub fn try_acquire(self) -> bool {
        self.take(pg_sys::ExclusiveLock, false)
    }

    /// Waits for the lock in shared mode.
    pub fn acquire_shared(self) {
        self.take(pg_sys::ShareLock, true);
    }

    /// Waits for the lock of a pair: one side is in a mode that conflicts with that of the other and not with itself.
    pub fn acquire_side(self, side: Side) {
        let mode = match side {
            Side::First => pg_sys::RowExclusiveLock,
            Side::Second => pg_sys::ShareLock,
            Side::Both => pg_sys::ExclusiveLock,
        };
        self.take(mode, true);
    }

    /// Releases what [`Self::acquire_shared`] took last.
    pub fn release_shared(self) {
        // SAFETY: the tag outlives the call.
        unsafe { pg_sys::LockRelease(&self.tag(), pg_sys::ShareLock as i32, false) };
    }

    /// Takes the lock in shared mode until the session ends, also if the transaction fails.
    pub fn hold_for_session(self) {
        // SAFETY: the tag outlives the call.
        unsafe { pg_sys::LockAcquire(&self.tag(), pg_sys::ShareLock as i32, true, false) };
    }

    /// Whether another transaction, a prepared one included, holds it now.
    pub fn is_held_elsewhere(self) -> bool {
        let taken = self.try_acquire();
        if taken {
            // SAFETY: just taken, in this mode.
            unsafe { pg_sys::LockRelease(&self.tag(), pg_sys::ExclusiveLock as i32, false) };
        }
        !taken
    }
}
