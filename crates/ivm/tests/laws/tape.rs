//! Choices read off a tape of random numbers. An exhausted tape chooses zero: shorter tapes mean simpler cases.

pub struct Tape<'a> {
    choices: std::slice::Iter<'a, u32>,
}

impl<'a> Tape<'a> {
    pub fn new(choices: &'a [u32]) -> Self {
        Tape { choices: choices.iter() }
    }

    /// A number below `n`.
    pub fn pick(&mut self, n: usize) -> usize {
        self.choices.next().map_or(0, |choice| *choice as usize % n.max(1))
    }

    pub fn flip(&mut self) -> bool {
        self.pick(2) == 1
    }

    pub fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.pick(items.len())].clone()
    }
}
