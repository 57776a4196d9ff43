//! A fuzzer's bytes, read as choices. Where they end, every choice is the first one.

/// What is left of the bytes.
#[derive(Clone, Debug)]
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// All of these, up to `most`: what comes behind would only cost time.
    #[must_use]
    pub fn new(bytes: &'a [u8], most: usize) -> Self {
        Self(&bytes[..bytes.len().min(most)])
    }
    /// Whether no choice is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }
    /// Whether the next byte is odd.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }
    /// Below `n`, which must not be 0: one byte where that is enough, else two.
    pub fn below(&mut self, n: usize) -> usize {
        let drawn = if n <= 256 {
            usize::from(self.byte())
        } else {
            usize::from(self.byte()) << 8 | usize::from(self.byte())
        };
        drawn % n.max(1)
    }
    /// A number: mostly small or near a limit, seldom any.
    pub fn number(&mut self) -> u64 {
        const NOTABLE: [u64; 16] = [
            0,
            1,
            2,
            3,
            0xFF,
            0x100,
            0xFFFF,
            1 << 16,
            1 << 20,
            u32::MAX as u64,
            1 << 32,
            (1 << 63) - 1,
            1 << 63,
            u64::MAX - 2,
            u64::MAX - 1,
            u64::MAX,
        ];
        match self.byte() {
            it @ 0..=127 => u64::from(it),
            it @ 128..=239 => NOTABLE[usize::from(it) % NOTABLE.len()],
            _ => {
                let mut bytes = [0; 8];
                let taken = self.take(8);
                bytes[..taken.len()].copy_from_slice(taken);
                u64::from_le_bytes(bytes)
            }
        }
    }
    /// One of a list; `None` if it is empty.
    pub fn pick<'t, T>(&mut self, list: &'t [T]) -> Option<&'t T> {
        (!list.is_empty()).then(|| &list[self.below(list.len())])
    }
    /// The next bytes: as many, or all that are left.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
