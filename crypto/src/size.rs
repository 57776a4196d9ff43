//! How full a queue, map or cache is: each has a cap, and says so (S11).

/// One queue, map or cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Which, and what is counted: entries, or bytes where it says so.
    pub name: &'static str,
    /// How many there are.
    pub len: usize,
    /// The most there may be between two steps.
    pub cap: usize,
}

impl Size {
    /// So many of at most so many.
    #[must_use]
    pub const fn new(name: &'static str, len: usize, cap: usize) -> Self {
        Self { name, len, cap }
    }
}
