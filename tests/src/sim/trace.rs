//! What happened: a hash of everything, and the last lines in words when asked for.

use crypto::Time;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Lines kept, the newest.
const LINES: usize = 200_000;

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// An empty trace; `verbose`: with words.
    #[must_use]
    pub fn new(verbose: bool) -> Self {
        Self {
            hash: 0x9e37_79b9_7f4a_7c15,
            lines: verbose.then(VecDeque::new),
        }
    }
    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        // A multiply and a rotation: cheap, and enough to tell two runs apart.
        self.hash = (self.hash.rotate_left(23) ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }
    /// Whether words are wanted.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.lines.is_some()
    }
    /// Adds a line; it is made only if it is wanted.
    pub fn say(&mut self, now: Time, line: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == LINES {
            lines.pop_front();
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{:>12.6} ms  ", now.0 as f64 / 1e6);
        text.push_str(&line());
        lines.push_back(text);
    }
    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }
    /// The lines that are kept, oldest first.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default().into()
    }
}
