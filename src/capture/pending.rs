//! The changes that this backend has captured and not yet written, in one set of chunks per subtransaction level.
//!
//! **Law:** a row captured at level L reaches the change buffer if and only if L and every level around it commit, and then
//! once. Four cases:
//! - L aborts: its chunks are dropped.
//! - L commits: its chunks become its parent's, in memory. A loop of small subtransactions fills one chunk.
//! - The top transaction commits or prepares: the remaining chunks are written.
//! - A deeper level K has to write a chunk of L (a refresh inside K, or K fills it up): the chunk stays, marked as written by
//!   K. If K aborts, the written copy aborts with it and the mark is removed; if K commits, the mark moves to K's parent; a
//!   chunk of L that L itself has written is dropped.

use chunk::{OVERSIZE, Oversize, SENTINEL, Stamp, UNRECORDED, long_header, pad};
use monitor::sources::Size;

use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::{dml, memory, wake, xact};

/// A chunk starts with room for the length word of a `bytea`, placed so that entries are aligned.
const PREFIX: usize = 8;
/// A chunk this long, with its tuple header, its length word and its stamp, just fits on a page of 8 kB.
const CAPACITY: usize = PREFIX + 8132 - Stamp::LONGEST;
/// Where entries start that were packed at the end of a chunk; those that are too large are not.
pub type Packed = std::result::Result<usize, Oversize>;

/// Chunks kept for reuse.
const SPARE: usize = 16;

/// Where an entry is written: entries of one destination share chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub source: i32,
    pub layout: i32,
    pub buffer: pgrx::pg_sys::Oid,
    /// Entries may be moved by multiples of this.
    pub align: usize,
    /// Stream tables over the source are maintained before the transaction ends.
    pub immediate: bool,
}

/// Entries of one destination, packed one behind the other.
pub struct Chunk {
    to: Destination,
    entries: i32,
    bytes: Vec<u8>,
    /// The deeper level that has written it.
    written_by: Option<i32>,
}

struct Level {
    nest: i32,
    chunks: Vec<Chunk>,
}

/// What a subtransaction level has written of one source.
#[derive(Clone, Copy)]
pub struct Written {
    nest: i32,
    pub source: i32,
    pub size: Size,
}

/// The pending chunks of this backend, and what its transaction has written so far.
pub struct Pending {
    /// Ascending by `nest`; levels with nothing pending are left out.
    levels: Vec<Level>,
    /// Buffer rows written by this transaction, those of aborted subtransactions included.
    seq: i32,
    /// Sources written to, by aborted subtransactions too.
    touched: Vec<i32>,
    /// What was written, to be counted if the transaction commits.
    written: Vec<Written>,
    /// Changes of sources with stream tables that the transaction maintains: how many, and by source the number of the last one.
    changes: u64,
    immediate: Vec<(i32, u64)>,
    spare: Vec<Vec<u8>>,
}

impl Pending {
    pub const fn new() -> Pending {
        Pending {
            levels: vec![],
            seq: 0,
            touched: vec![],
            written: vec![],
            changes: 0,
            immediate: vec![],
            spare: vec![],
        }
    }

    /// Lets `pack` append this number of entries, which stay together, to the chunk for `to`, and writes the chunk when it is
    /// full. `pack` returns where the first of them starts. For entries that are too large, one is recorded with which
    /// consumers start over.
    #[inline]
    pub fn append(&mut self, to: &Destination, entries: i32, pack: impl FnOnce(&mut Vec<u8>) -> Packed) -> Result<()> {
        dml::note();
        if to.immediate {
            self.note_immediate(to.source);
        }
        let nest = xact::nest_level();
        if self.levels.last().is_none_or(|level| level.nest != nest) {
            self.levels.push(Level { nest, chunks: vec![] });
        }
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let is_same = |chunk: &Chunk| chunk.to.layout == to.layout && chunk.to.source == to.source;
        let index = level.chunks.iter().position(is_same).unwrap_or_else(|| {
            level.chunks.push(Chunk::reuse(*to, self.spare.pop()));
            level.chunks.len() - 1
        });
        match level.chunks[index].append(entries, pack) {
            Ok(full) => full.into_iter().try_for_each(|mut full| self.write(&mut full)),
            Err(Oversize) => self.append_oversize(to),
        }
    }

    fn note_immediate(&mut self, source: i32) {
        self.changes += 1;
        match self.immediate.iter_mut().find(|(known, _)| *known == source) {
            Some((_, last)) => *last = self.changes,
            None => self.immediate.push((source, self.changes)),
        }
    }

    /// The number of the last change for which the transaction maintains stream tables, of aborted subtransactions included.
    pub fn last_change(&self) -> u64 {
        self.changes
    }

    /// The sources of those after this one.
    pub fn changed_after(&self, number: u64) -> Vec<i32> {
        self.immediate.iter().filter(|(_, last)| *last > number).map(|(source, _)| *source).collect()
    }

    /// Appends an entry for a change that is not recorded.
    pub fn append_unrecorded(&mut self, to: &Destination) -> Result<()> {
        self.append(&to.unrecorded(), 1, |bytes| Ok(bytes.len()))
    }

    #[cold]
    fn append_oversize(&mut self, to: &Destination) -> Result<()> {
        self.append(&to.unrecorded(), 1, |bytes| {
            bytes.push(OVERSIZE);
            Ok(bytes.len() - 1)
        })
    }

    /// Writes everything pending, at all levels; whether there was anything.
    pub fn flush(&mut self) -> Result<bool> {
        let nest = xact::nest_level();
        let mut wrote = false;
        for level in &mut self.levels {
            for chunk in level.chunks.iter_mut().filter(|chunk| chunk.written_by.is_none()) {
                let written = write(&mut self.seq, &mut self.touched, chunk)?;
                chunk.written_by = Some(nest);
                add(&mut self.written, written);
                wrote = true;
            }
        }
        self.drop_written(nest);
        Ok(wrote)
    }

    /// Writes a chunk at once, unless it is empty.
    pub fn write(&mut self, chunk: &mut Chunk) -> Result<()> {
        let written = write(&mut self.seq, &mut self.touched, chunk)?;
        add(&mut self.written, written);
        Ok(())
    }

    /// Writes a row that stands for lost changes. Its number is behind all others, so that no frontier of this transaction
    /// covers it.
    pub fn write_loss(&mut self, to: Destination) -> Result<()> {
        let mut chunk = Chunk { entries: 1, ..Chunk::new(to) };
        let written = write(&mut (i32::MAX - 1), &mut self.touched, &mut chunk)?;
        add(&mut self.written, written);
        Ok(())
    }

    /// Before a subtransaction commits: a chunk of its parent that the subtransaction's chunk does not fit into is written
    /// now, while writing is possible.
    pub fn before_sub_commit(&mut self, nest: i32) -> Result<()> {
        let [.., parent, child] = &mut self.levels[..] else { return Ok(()) };
        if child.nest != nest || parent.nest != nest - 1 {
            return Ok(());
        }
        for chunk in parent.chunks.iter_mut().filter(|chunk| chunk.written_by.is_none()) {
            let joins = |other: &&Chunk| other.to == chunk.to;
            if child.chunks.iter().find(joins).is_some_and(|other| !chunk.has_room_for(other)) {
                let written = write(&mut self.seq, &mut self.touched, chunk)?;
                chunk.written_by = Some(nest);
                add(&mut self.written, written);
            }
        }
        Ok(())
    }

    /// A subtransaction has committed: its chunks and marks become its parent's.
    pub fn after_sub_commit(&mut self, nest: i32) {
        self.written.iter_mut().filter(|written| written.nest == nest).for_each(|written| written.nest = nest - 1);
        for chunk in self.levels.iter_mut().flat_map(|level| &mut level.chunks) {
            if chunk.written_by == Some(nest) {
                chunk.written_by = Some(nest - 1);
            }
        }
        self.drop_written(nest - 1);
        let Some(mut child) = self.levels.pop_if(|level| level.nest == nest) else { return };
        match self.levels.last_mut() {
            Some(parent) if parent.nest == nest - 1 => {
                for chunk in child.chunks {
                    match parent.chunks.iter_mut().find(|other| other.to == chunk.to && other.has_room_for(&chunk)) {
                        Some(other) => {
                            other.join(&chunk);
                            recycle(&mut self.spare, chunk);
                        }
                        None => parent.chunks.push(chunk),
                    }
                }
            }
            _ => {
                child.nest = nest - 1;
                self.levels.push(child);
            }
        }
    }

    /// A subtransaction has aborted: its chunks are dropped, and so are its marks on chunks of other levels.
    pub fn after_sub_abort(&mut self, nest: i32) {
        self.written.retain(|written| written.nest < nest);
        while let Some(level) = self.levels.pop_if(|level| level.nest >= nest) {
            for chunk in level.chunks {
                recycle(&mut self.spare, chunk);
            }
        }
        for chunk in self.levels.iter_mut().flat_map(|level| &mut level.chunks) {
            if chunk.written_by.is_some_and(|by| by >= nest) {
                chunk.written_by = None;
            }
        }
    }

    /// Drops the chunks of a level that it has itself written.
    fn drop_written(&mut self, nest: i32) {
        let Some(level) = self.levels.iter_mut().find(|level| level.nest == nest) else { return };
        for chunk in level.chunks.extract_if(.., |chunk| chunk.written_by == Some(nest)) {
            recycle(&mut self.spare, chunk);
        }
        self.levels.retain(|level| !level.chunks.is_empty());
    }

    /// The sources that this transaction wrote to.
    pub fn touched(&self) -> &[i32] {
        &self.touched
    }

    /// What it wrote, without aborted subtransactions; a source may be there more than once.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// The transaction is over.
    pub fn end(&mut self) {
        self.after_sub_abort(0);
        self.seq = 0;
        self.touched.clear();
        self.changes = 0;
        self.immediate.clear();
    }

    /// Whether the transaction has captured nothing.
    pub fn is_idle(&self) -> bool {
        self.levels.is_empty() && self.seq == 0 && self.touched.is_empty() && self.changes == 0
    }

    pub fn has_levels(&self) -> bool {
        !self.levels.is_empty()
    }

    /// Whether entries of a source are not yet written.
    pub fn is_waiting_for(&self, source: i32) -> bool {
        let mut chunks = self.levels.iter().flat_map(|level| &level.chunks);
        chunks.any(|chunk| chunk.to.source == source && chunk.written_by.is_none())
    }

    /// The number of the last buffer row written by this transaction.
    pub fn seq(&self) -> i32 {
        self.seq
    }
}

impl Destination {
    /// The same of changes that are not recorded.
    pub fn unrecorded(&self) -> Destination {
        Destination { layout: UNRECORDED, align: 1, ..*self }
    }
}

impl Chunk {
    pub fn new(to: Destination) -> Chunk {
        Chunk::reuse(to, None)
    }

    fn reuse(to: Destination, spare: Option<Vec<u8>>) -> Chunk {
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(2 * CAPACITY));
        bytes.clear();
        bytes.resize(PREFIX, 0);
        Chunk { to, entries: 0, bytes, written_by: None }
    }

    /// One entry for changes that are too large.
    pub fn oversize(to: &Destination) -> Chunk {
        let mut chunk = Chunk { entries: 1, ..Chunk::new(to.unrecorded()) };
        chunk.bytes.push(OVERSIZE);
        chunk
    }

    /// Lets `pack` append this number of entries, which stay together and start where it returns. Returns chunks to be written
    /// if they did not fit: of the entries before them, and of them alone if they fit into no chunk.
    #[inline]
    pub fn append(
        &mut self,
        entries: i32,
        pack: impl FnOnce(&mut Vec<u8>) -> Packed,
    ) -> std::result::Result<Vec<Chunk>, Oversize> {
        let start = pack(&mut self.bytes)?;
        self.entries += entries;
        Ok(if self.bytes.len() > CAPACITY { self.split(entries, start) } else { vec![] })
    }

    #[cold]
    fn split(&mut self, entries: i32, start: usize) -> Vec<Chunk> {
        let mut full = vec![];
        if self.entries > entries {
            let mut before = Chunk::new(self.to);
            before.bytes.extend_from_slice(&self.bytes[PREFIX..start]);
            before.entries = self.entries - entries;
            full.push(before);
            // Entries move by a multiple of the largest alignment; what is left of those before becomes padding.
            let rest = start % PREFIX;
            self.bytes.drain(PREFIX..start - rest);
            self.bytes[PREFIX..PREFIX + rest].fill(0);
            self.entries = entries;
        }
        if self.bytes.len() > CAPACITY {
            full.push(std::mem::replace(self, Chunk::new(self.to)));
        }
        full
    }

    fn has_room_for(&self, other: &Chunk) -> bool {
        self.bytes.len().next_multiple_of(self.to.align) + other.bytes.len() - PREFIX <= CAPACITY
    }

    fn join(&mut self, other: &Chunk) {
        pad(&mut self.bytes, self.to.align);
        self.bytes.extend_from_slice(&other.bytes[PREFIX..]);
        self.entries += other.entries;
    }
}

fn recycle(spare: &mut Vec<Vec<u8>>, chunk: Chunk) {
    if spare.len() < SPARE && chunk.bytes.capacity() <= 4 * CAPACITY {
        spare.push(chunk.bytes);
    }
}

/// Adds what was written to what the same level has written of the source.
fn add(all: &mut Vec<Written>, written: Option<Written>) {
    let Some(Written { nest, source, size }) = written else { return };
    match all.iter_mut().find(|known| (known.nest, known.source) == (nest, source)) {
        Some(known) => known.size += size,
        None => all.push(Written { nest, source, size }),
    }
}

/// Appends a chunk that is not empty to its buffer. A buffer that was dropped had no consumers left.
fn write(seq: &mut i32, touched: &mut Vec<i32>, chunk: &mut Chunk) -> Result<Option<Written>> {
    if chunk.entries == 0 {
        return Ok(None);
    }
    let Some(buffer) = Table::open(chunk.to.buffer, pgrx::pg_sys::RowExclusiveLock) else { return Ok(None) };
    // The server copies it as a whole.
    if !memory::is_available(chunk.bytes.len() + CAPACITY) {
        *chunk = Chunk { written_by: chunk.written_by, ..Chunk::oversize(&chunk.to) };
    }
    *seq += 1;
    wake::source_changes(chunk.to.source);
    let stamp = Stamp { xid: xact::top_xid(), seq: *seq, layout: chunk.to.layout, entries: chunk.entries };
    let bytes = append(&buffer, &stamp, &mut chunk.bytes)?;
    if !touched.contains(&chunk.to.source) {
        touched.push(chunk.to.source);
    }
    let size = Size { rows: chunk.entries.into(), bytes: bytes as i64 };
    Ok(Some(Written { nest: xact::nest_level(), source: chunk.to.source, size }))
}

/// Appends the sentinel to the buffer of an unlogged source.
pub fn write_sentinel(buffer: &Table) -> Result<()> {
    append(buffer, &Stamp { xid: 0, seq: 0, layout: SENTINEL, entries: 0 }, &mut vec![0; PREFIX]).map(|_| ())
}

/// Appends entries with their stamp to a buffer; returns the bytes of both.
fn append(buffer: &Table, stamp: &Stamp, bytes: &mut Vec<u8>) -> Result<usize> {
    let stamped = Stamped { end: bytes.len(), bytes };
    stamp.append(stamped.bytes);
    let header = long_header(stamped.bytes.len() - PREFIX + 4).ok_or(Error::Bug("a chunk is a varlena"))?;
    stamped.bytes[PREFIX - 4..PREFIX].copy_from_slice(&header);
    buffer.append(&stamped.bytes[PREFIX - 4..]);
    Ok(stamped.bytes.len() - PREFIX)
}

/// A chunk with its stamp. Drop removes the stamp, also after an error: the chunk may belong to a level that continues.
struct Stamped<'a> {
    end: usize,
    bytes: &'a mut Vec<u8>,
}

impl Drop for Stamped<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.end);
    }
}
