//! What a liar remembers of all that it heard and said.

use crate::sim::Chance;
use std::collections::VecDeque;

/// Messages remembered.
const REMEMBERED: usize = 64;

/// Some messages of the past; thinned out, so that they reach far back.
pub struct Memory<M>(Vec<M>);

impl<M> Default for Memory<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M: Clone> Memory<M> {
    /// Remembers a message, perhaps, in place of another.
    pub fn keep(&mut self, message: &M, chance: &mut Chance) {
        if self.0.len() < REMEMBERED {
            self.0.push(message.clone());
        } else if chance.one_in(8) {
            self.0[chance.index(REMEMBERED)] = message.clone();
        }
    }
    /// One of them. There has to be one.
    pub fn any(&self, chance: &mut Chance) -> &M {
        &self.0[chance.index(self.0.len())]
    }
}

/// The latest of something, at most so many.
pub struct Latest<T, const MOST: usize>(VecDeque<T>);

impl<T, const MOST: usize> Default for Latest<T, MOST> {
    fn default() -> Self {
        Self(VecDeque::with_capacity(MOST))
    }
}

impl<T, const MOST: usize> Latest<T, MOST> {
    /// Remembers one more; the oldest makes room.
    pub fn push(&mut self, it: T) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(it);
    }
    /// All of them, the oldest first.
    pub const fn all(&self) -> &VecDeque<T> {
        &self.0
    }
}
