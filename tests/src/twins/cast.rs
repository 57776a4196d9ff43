//! Who takes part.

use crypto::NodeId;

/// The letters that members are called by.
const LETTERS: &[u8] = b"ABCDEFGHIJ";

/// So many members, of whom the first few run twice under one key: instance `nodes + i` is the twin of
/// member `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    nodes: u8,
    twins: u8,
}

impl Cast {
    /// Four members, one of them twins.
    pub const FOUR: Self = Self { nodes: 4, twins: 1 };

    /// So many members, and so many of them twins.
    ///
    /// # Errors
    /// In words, if there are none of them, too many, or more twins than members.
    pub fn new(nodes: u8, twins: u8) -> Result<Self, String> {
        if nodes < 4 || usize::from(nodes) > LETTERS.len() {
            return Err(format!("{nodes} members; 4 to {}", LETTERS.len()));
        }
        if twins > nodes / 2 {
            return Err(format!("{twins} twins are too many for {nodes} members"));
        }
        Ok(Self { nodes, twins })
    }
    /// How many members.
    #[must_use]
    pub const fn nodes(self) -> usize {
        self.nodes as usize
    }
    /// How many of them are twins.
    #[must_use]
    pub const fn twins(self) -> usize {
        self.twins as usize
    }
    /// How many replicas run.
    #[must_use]
    pub const fn instances(self) -> usize {
        self.nodes() + self.twins()
    }
    /// Which member an instance is.
    #[must_use]
    pub fn member(self, instance: usize) -> NodeId {
        let member = instance.checked_sub(self.nodes()).unwrap_or(instance);
        NodeId(member as u16)
    }
    /// Whether a member is not twins.
    #[must_use]
    pub fn is_honest(self, member: NodeId) -> bool {
        (self.twins()..self.nodes()).contains(&member.index())
    }
    /// The members that are not twins.
    pub fn honest(self) -> impl Iterator<Item = NodeId> + Clone {
        (self.twins()..self.nodes()).map(|i| NodeId(i as u16))
    }
    /// The instances of a member.
    pub fn instances_of(self, member: NodeId) -> impl Iterator<Item = usize> {
        let first = member.index();
        let twin = (first < self.twins()).then_some(first + self.nodes());
        std::iter::once(first).chain(twin)
    }
    /// A member's letter.
    #[must_use]
    pub fn letter(self, member: NodeId) -> char {
        LETTERS
            .get(member.index())
            .map_or('?', |it| char::from(*it))
    }
    /// What an instance is called: `A`, `B`, ... and `A'` for the twin of `A`.
    #[must_use]
    pub fn name(self, instance: usize) -> String {
        let letter = self.letter(self.member(instance));
        let prime = if instance < self.nodes() { "" } else { "'" };
        format!("{letter}{prime}")
    }
    /// The member of a letter, in either case.
    #[must_use]
    pub fn called(self, letter: char) -> Option<NodeId> {
        let upper = letter.to_ascii_uppercase();
        let mut members = (0..u16::from(self.nodes)).map(NodeId);
        members.find(|it| self.letter(*it) == upper)
    }
}
