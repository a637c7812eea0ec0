//! Changes that shared memory marks, as events for the step function.
//!
//! **Invariant:** a mark that has been read stays set until the tick that reads the source clears it, right before its
//! snapshot. Until then every table that reads the source is dirty, so writers need not wake the scheduler for it again.

use std::collections::{BTreeMap, BTreeSet};

use ivm::schedule::{Event, Micros};

use crate::pg::shmem::{MARKS, Marks, Slot, mark};

pub struct Changes {
    slot: &'static Slot,
    /// Marks that the step function knows.
    read: Marks,
    /// Sources by their mark.
    sources: BTreeMap<i32, Vec<i32>>,
    /// The generation of the catalog that was loaded last.
    generation: Option<u64>,
}

impl Changes {
    pub fn new(slot: &'static Slot) -> Changes {
        Changes { slot, read: Marks::default(), sources: BTreeMap::new(), generation: None }
    }

    /// The generation of the catalog, if it has not been loaded.
    pub fn stale(&self) -> Option<u64> {
        Some(self.slot.generation()).filter(|generation| self.generation != Some(*generation))
    }

    /// The generation that was loaded last.
    pub fn generation(&self) -> u64 {
        self.generation.unwrap_or_else(|| self.slot.generation())
    }

    /// Has the catalog loaded again.
    pub fn invalidate(&mut self) {
        self.generation = None;
    }

    /// Takes over the sources of the catalog's `generation`.
    pub fn load(&mut self, generation: u64, sources: BTreeSet<i32>) {
        self.generation = Some(generation);
        self.sources.clear();
        for source in sources {
            self.sources.entry(source.rem_euclid(MARKS)).or_default().push(source);
        }
    }

    /// Sources that were marked since the last call.
    pub fn poll(&mut self, now: Micros) -> Vec<Event> {
        self.events(&self.slot.marks(), now)
    }

    /// Whether there are marks that were not polled.
    pub fn has_unread(&self) -> bool {
        self.slot.marks().iter().zip(&self.read).any(|(marks, read)| marks & !read != 0)
    }

    /// Clears the marks of these sources; to be called before a tick that reads them takes its snapshot. Marks that were not
    /// polled are an event for other tables.
    pub fn clear(&mut self, sources: &BTreeSet<i32>, now: Micros) -> Vec<Event> {
        let mut which = Marks::default();
        for source in sources {
            let (word, bit) = mark(*source);
            which[word] |= bit;
        }
        let cleared = self.slot.clear_marks(&which);
        let events = self.events(&cleared, now);
        self.read.iter_mut().zip(which).for_each(|(read, cleared)| *read &= !cleared);
        events
    }

    /// The sources of marks that were not read, each with the time of its first change; not in the future, where the clock
    /// was set back.
    fn events(&mut self, marks: &Marks, now: Micros) -> Vec<Event> {
        let is_new = |number: &i32| {
            let (word, bit) = mark(*number);
            marks[word] & !self.read[word] & bit != 0
        };
        let new = self.sources.iter().filter(|(number, _)| is_new(number));
        let event = |(number, sources): (&i32, &Vec<i32>)| Event::Changed {
            since: self.slot.marked_at(*number).min(now),
            sources: sources.clone(),
        };
        let events = new.map(event).collect();
        self.read.iter_mut().zip(marks).for_each(|(read, mark)| *read |= mark);
        events
    }
}
