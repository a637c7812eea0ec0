//! What the scheduler is told through shared memory, as events for its step function.
//!
//! **Invariant:** a mark that has been seen stays set until the tick that reads the source clears it, right
//! before its snapshot. Meanwhile every table that reads the source is dirty, so writers need not wake
//! anybody for it again.

use std::collections::{BTreeMap, BTreeSet};

use ivm::schedule::{Event, Micros};

use crate::pg::shmem::{BITS, Bits, Slot, place};

pub struct Feed {
    slot: &'static Slot,
    /// Marks that the step function has been told of.
    seen: Bits,
    /// Known sources by their mark.
    sources: BTreeMap<i32, Vec<i32>>,
    /// The generation of the catalog that was read last.
    generation: Option<u64>,
    /// Marks may have been set since then: the last look, where something was done after it.
    busy_since: Option<Micros>,
}

impl Feed {
    pub fn new(slot: &'static Slot) -> Feed {
        Feed { slot, seen: Bits::default(), sources: BTreeMap::new(), generation: None, busy_since: None }
    }

    /// The generation to read, unless that has been done.
    pub fn stale(&self) -> Option<u64> {
        Some(self.slot.generation()).filter(|generation| self.generation != Some(*generation))
    }

    /// The generation that was read last.
    pub fn generation(&self) -> u64 {
        self.generation.unwrap_or_else(|| self.slot.generation())
    }

    /// Has the catalog read again.
    pub fn forget(&mut self) {
        self.generation = None;
    }

    /// Takes note of the sources of the catalog's `generation`.
    pub fn learn(&mut self, generation: u64, sources: impl Iterator<Item = i32>) {
        self.generation = Some(generation);
        self.sources.clear();
        for source in sources.collect::<BTreeSet<_>>() {
            self.sources.entry(source.rem_euclid(BITS)).or_default().push(source);
        }
    }

    /// Marks that are new since the last look.
    pub fn look(&mut self, now: Micros) -> Option<Event> {
        let changed = self.slot.changed();
        let since = self.busy_since.take().unwrap_or(now);
        self.news(changed, since)
    }

    /// Whether there are marks that nobody has looked at.
    pub fn has_news(&self) -> bool {
        self.slot.changed().iter().zip(&self.seen).any(|(marks, seen)| marks & !seen != 0)
    }

    /// To be called before a tick that reads these sources takes its snapshot: clears their marks. What is
    /// new among them is news to other tables.
    pub fn clear(&mut self, sources: &BTreeSet<i32>, now: Micros) -> Option<Event> {
        self.busy_since = Some(now);
        let mut which = Bits::default();
        for source in sources {
            let (word, bit) = place(*source);
            which[word] |= bit;
        }
        let taken = self.slot.take_changed(&which);
        let news = self.news(taken, now);
        self.seen.iter_mut().zip(which).for_each(|(seen, cleared)| *seen &= !cleared);
        news
    }

    fn news(&mut self, marks: Bits, since: Micros) -> Option<Event> {
        let is_new = |bit: &i32| {
            let (word, mask) = place(*bit);
            marks[word] & !self.seen[word] & mask != 0
        };
        let new = self.sources.iter().filter(|(bit, _)| is_new(bit));
        let sources: Vec<i32> = new.flat_map(|(_, sources)| sources).copied().collect();
        self.seen.iter_mut().zip(marks).for_each(|(seen, mark)| *seen |= mark);
        (!sources.is_empty()).then_some(Event::Changed { since, sources })
    }
}
