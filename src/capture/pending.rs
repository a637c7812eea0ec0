//! What this backend has captured and not yet written, one set of chunks per subtransaction level.
//!
//! **Law:** a row captured at level L reaches the change buffer with exactly the fate of L: it is written
//! once if L and everything around it commit, and never otherwise. Four cases:
//! - L aborts: its chunks are dropped.
//! - L commits: its chunks become its parent's, in memory. A loop of small subtransactions fills one chunk.
//! - The top transaction commits or prepares: what is left is written.
//! - A deeper level K has to write a chunk of L (a refresh inside K, or K fills it up): the chunk is kept
//!   with the note that K wrote it. If K aborts the note is taken off, for the written copy is gone with
//!   K; if K commits the note moves up, and at L the chunk is done.

use crate::capture::format::pad;
use crate::capture::stamp::Stamp;
use crate::error::Result;
use crate::pg::heap::Table;
use crate::pg::row::long_header;
use crate::pg::xact;

/// What a chunk starts with: room for the length word of a `bytea`, placed so that entries are aligned.
const PREFIX: usize = 8;
/// A chunk this long, with its tuple header, its length word and its stamp, just fits on a page of 8 kB.
const CAPACITY: usize = PREFIX + 8132 - Stamp::LONGEST;
/// Chunks kept for reuse.
const SPARE: usize = 16;

/// Where a chunk belongs: entries of one destination share chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub source: i32,
    /// 0: a mark that the table was truncated.
    pub layout: i32,
    pub buffer: pgrx::pg_sys::Oid,
    /// Entries may be moved by multiples of this.
    pub align: usize,
}

struct Chunk {
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

/// All that is pending in this backend, and what its transaction has written so far.
#[derive(Default)]
pub struct Pending {
    /// Ascending by `nest`; levels with nothing pending are left out.
    levels: Vec<Level>,
    /// Buffer rows written by this transaction, those of aborted subtransactions included.
    seq: i32,
    /// Sources written to.
    touched: Vec<i32>,
    spare: Vec<Vec<u8>>,
}

impl Pending {
    pub const fn new() -> Pending {
        Pending { levels: vec![], seq: 0, touched: vec![], spare: vec![] }
    }

    /// Lets `pack` append so many entries, which stay together, at the end of the chunk for `to`, and writes
    /// the chunk out when it is full. `pack` returns where the first of them starts.
    #[inline]
    pub fn append(&mut self, to: &Destination, entries: i32, pack: impl FnOnce(&mut Vec<u8>) -> usize) -> Result<()> {
        let nest = xact::nest_level();
        if self.levels.last().is_none_or(|level| level.nest != nest) {
            self.levels.push(Level { nest, chunks: vec![] });
        }
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let index =
            match level.chunks.iter().position(|chunk| chunk.to.layout == to.layout && chunk.to.source == to.source) {
                Some(index) => index,
                None => {
                    let bytes = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(2 * CAPACITY));
                    level.chunks.push(Chunk::new(*to, bytes));
                    level.chunks.len() - 1
                }
            };
        let chunk = &mut level.chunks[index];
        let start = pack(&mut chunk.bytes);
        chunk.entries += entries;
        if chunk.bytes.len() > CAPACITY { self.overflow(index, entries, start) } else { Ok(()) }
    }

    /// The last entries of a chunk did not fit: writes those before, and these too if they are too long for any.
    #[cold]
    fn overflow(&mut self, index: usize, entries: i32, start: usize) -> Result<()> {
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let chunk = &mut level.chunks[index];
        let next = split(&mut chunk.bytes, start);
        chunk.entries -= entries;
        if chunk.entries > 0 {
            write(&mut self.seq, &mut self.touched, chunk)?;
        }
        chunk.bytes = next;
        chunk.entries = entries;
        if chunk.bytes.len() > CAPACITY {
            write(&mut self.seq, &mut self.touched, chunk)?;
            level.chunks.swap_remove(index);
        }
        Ok(())
    }

    /// Writes everything pending, at all levels.
    pub fn flush(&mut self) -> Result<bool> {
        let nest = xact::nest_level();
        let mut wrote = false;
        for level in &mut self.levels {
            for chunk in level.chunks.iter_mut().filter(|chunk| chunk.written_by.is_none()) {
                write(&mut self.seq, &mut self.touched, chunk)?;
                chunk.written_by = Some(nest);
                wrote = true;
            }
        }
        self.settle(nest);
        Ok(wrote)
    }

    /// Writes one chunk of a source at once.
    pub fn write_now(&mut self, to: Destination, entries: i32, bytes: Vec<u8>) -> Result<()> {
        let mut chunk = Chunk { to, entries, bytes, written_by: None };
        write(&mut self.seq, &mut self.touched, &mut chunk)
    }

    /// Writes a row that no prefix of this transaction's rows covers: only a later snapshot has seen it.
    pub fn mark(&mut self, to: Destination) -> Result<()> {
        let mut chunk = Chunk { to, entries: 1, bytes: start_chunk(), written_by: None };
        write(&mut (i32::MAX - 1), &mut self.touched, &mut chunk)
    }

    /// Before a subtransaction commits: where its chunk and its parent's do not fit into one, the parent's
    /// is written now, while writing is possible.
    pub fn before_sub_commit(&mut self, nest: i32) -> Result<()> {
        let [.., parent, child] = &mut self.levels[..] else { return Ok(()) };
        if child.nest != nest || parent.nest != nest - 1 {
            return Ok(());
        }
        for chunk in parent.chunks.iter_mut().filter(|chunk| chunk.written_by.is_none()) {
            let joins = |other: &&Chunk| other.to == chunk.to;
            if child.chunks.iter().find(joins).is_some_and(|other| !chunk.has_room_for(other)) {
                write(&mut self.seq, &mut self.touched, chunk)?;
                chunk.written_by = Some(nest);
            }
        }
        Ok(())
    }

    /// A subtransaction has committed: what was its own is its parent's.
    pub fn after_sub_commit(&mut self, nest: i32) {
        for chunk in self.levels.iter_mut().flat_map(|level| &mut level.chunks) {
            if chunk.written_by == Some(nest) {
                chunk.written_by = Some(nest - 1);
            }
        }
        self.settle(nest - 1);
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

    /// A subtransaction has aborted: what it captured is void, and so is what it wrote for others.
    pub fn after_sub_abort(&mut self, nest: i32) {
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

    /// Drops the chunks of `level` that it has itself written.
    fn settle(&mut self, nest: i32) {
        let Some(level) = self.levels.iter_mut().find(|level| level.nest == nest) else { return };
        for chunk in level.chunks.extract_if(.., |chunk| chunk.written_by == Some(nest)) {
            recycle(&mut self.spare, chunk);
        }
        self.levels.retain(|level| !level.chunks.is_empty());
    }

    /// The transaction is over. Returns the sources it wrote to.
    pub fn end(&mut self) -> Vec<i32> {
        self.after_sub_abort(0);
        self.seq = 0;
        std::mem::take(&mut self.touched)
    }

    /// Whether there is nothing to write and nothing to forget.
    pub fn is_idle(&self) -> bool {
        self.levels.is_empty() && self.seq == 0 && self.touched.is_empty()
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

impl Chunk {
    fn new(to: Destination, bytes: Vec<u8>) -> Chunk {
        let mut chunk = Chunk { to, entries: 0, bytes, written_by: None };
        chunk.restart();
        chunk
    }

    fn restart(&mut self) {
        self.entries = 0;
        self.bytes.clear();
        self.bytes.resize(PREFIX, 0);
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

/// An empty chunk to pack entries into, for [`Pending::write_now`].
pub fn start_chunk() -> Vec<u8> {
    vec![0; PREFIX]
}

/// Takes what starts at `start` out of a chunk into one of its own, where it is aligned as it was.
pub fn split(bytes: &mut Vec<u8>, start: usize) -> Vec<u8> {
    let mut next = Vec::with_capacity(2 * CAPACITY);
    next.resize(PREFIX + start % PREFIX, 0);
    next.extend_from_slice(&bytes[start..]);
    bytes.truncate(start);
    next
}

/// Whether a chunk is full.
pub fn is_full(bytes: &[u8]) -> bool {
    bytes.len() > CAPACITY
}

fn recycle(spare: &mut Vec<Vec<u8>>, chunk: Chunk) {
    if spare.len() < SPARE && chunk.bytes.capacity() <= 4 * CAPACITY {
        spare.push(chunk.bytes);
    }
}

/// Appends a chunk to its buffer. A buffer that is gone had no readers left.
fn write(seq: &mut i32, touched: &mut Vec<i32>, chunk: &mut Chunk) -> Result<()> {
    let Some(buffer) = Table::open(chunk.to.buffer, pgrx::pg_sys::RowExclusiveLock) else { return Ok(()) };
    *seq += 1;
    let stamp = Stamp { xid: xact::top_xid(), seq: *seq, layout: chunk.to.layout, entries: chunk.entries };
    append(&buffer, &stamp, &mut chunk.bytes);
    if !touched.contains(&chunk.to.source) {
        touched.push(chunk.to.source);
    }
    Ok(())
}

/// Appends the entries of a chunk with their stamp to a buffer.
pub fn append(buffer: &Table, stamp: &Stamp, bytes: &mut Vec<u8>) {
    let sealed = Sealed { end: bytes.len(), bytes };
    stamp.append(sealed.bytes);
    let header = long_header(sealed.bytes.len() - PREFIX + 4);
    sealed.bytes[PREFIX - 4..PREFIX].copy_from_slice(&header);
    buffer.append(&sealed.bytes[PREFIX - 4..]);
}

/// A chunk with its stamp. The stamp is taken off again, also where the chunk could not be written: it may belong to a
/// level that goes on.
struct Sealed<'a> {
    end: usize,
    bytes: &'a mut Vec<u8>,
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.end);
    }
}
