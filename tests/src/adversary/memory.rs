//! What a liar remembers of all that it heard and said.

use crate::sim::Chance;

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
