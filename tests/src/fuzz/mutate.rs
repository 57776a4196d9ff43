//! A fuzzer without eyes, for tests that have no instrumentation: changes of what is in a corpus,
//! drawn from a seed.

use super::{Source, twist::twist};
use crate::sim::Chance;

/// Most bytes that it makes up.
const MOST: usize = 512;

/// Something made of one or two members of a corpus, or of nothing.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let pick = |chance: &mut Chance| match corpus.len() {
        0 => Vec::new(),
        n => corpus[chance.index(n)].clone(),
    };
    let mut bytes = pick(chance);
    let other = pick(chance);
    if chance.one_in(4) {
        let (cut, from) = (chance.index(bytes.len() + 1), chance.index(other.len() + 1));
        bytes.truncate(cut);
        bytes.extend_from_slice(&other[from..]);
    }
    if bytes.is_empty() || chance.one_in(8) {
        let added = chance.index(MOST);
        bytes.extend((0..added).map(|_| chance.below(256) as u8));
    }
    let script: Vec<u8> = (0..64).map(|_| chance.below(256) as u8).collect();
    twist(&mut bytes, &other, &mut Source::new(&script, MOST));
    bytes
}
