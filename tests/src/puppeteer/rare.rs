//! What a campaign has to reach now and then, lest it prove nothing.

use super::Protocol;
use std::fmt::Write as _;

/// HotStuff only.
const HOTSTUFF: &[Protocol] = &[Protocol::HotStuff];
/// PBFT only.
const PBFT: &[Protocol] = &[Protocol::Pbft];
/// Both.
const BOTH: &[Protocol] = &[Protocol::HotStuff, Protocol::Pbft];

macro_rules! rares {
    ($($(#[$doc:meta])* $name:ident $of:ident => $text:literal,)*) => {
        /// A state that a campaign has to reach.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rare { $($(#[$doc])* $name,)* }

        impl Rare {
            /// All of them.
            pub const ALL: &[Rare] = &[$(Rare::$name,)*];
            /// In words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Rare::$name => $text,)* }
            }
            /// The protocols in which it can be reached.
            #[must_use]
            pub fn protocols(self) -> &'static [Protocol] {
                match self { $(Rare::$name => $of,)* }
            }
        }
    };
}

rares! {
    /// Commits under attack.
    Committed BOTH => "runs that commit before the liars fall silent",
    /// Commits of some only.
    CommittedApart BOTH => "runs where some have committed then what others have not",
    /// Long histories.
    CommittedOften BOTH => "runs that commit 3 heights and more before",
    /// A leader who lies.
    Equivocated BOTH => "runs where two proposals for one place found voters each",
    /// Restarts.
    Restarted BOTH => "runs with a restart",
    /// Certified blocks on two branches.
    Forked HOTSTUFF => "runs with certificates on two branches",
    /// Certified blocks on two branches, in turn.
    ForkedTwice HOTSTUFF => "runs where the branches are certified in turn three times",
    /// A vote on the other branch.
    Turned HOTSTUFF => "runs where somebody votes for the one branch and then for the other",
    /// A view entered with a timeout certificate and voted in.
    Excused HOTSTUFF => "runs with votes for a block that carries a timeout certificate",
    /// Two timeout certificates of one tenure.
    TwoEnds HOTSTUFF => "runs with two timeout certificates of one tenure",
    /// A tenure that ends with a certificate.
    Direct HOTSTUFF => "runs where a tenure ends with a certificate",
    /// A block hidden.
    Fetched HOTSTUFF => "runs where blocks are fetched from liars",
    /// A commit over gaps in the views that the rule refuses.
    Gapped HOTSTUFF => "runs with three certified blocks in a row, not in consecutive views",
    /// A prepared slot that is not committed anywhere.
    Prepared PBFT => "runs where a slot is prepared and its view given up",
    /// Views opened.
    OpenedByLiar PBFT => "runs where a liar opens a view",
    /// Views opened.
    OpenedByHonest PBFT => "runs where an honest member opens a view",
    /// Two new views.
    OpenedTwice PBFT => "runs where two camps enter one view by unlike new views",
    /// The set O.
    Carried PBFT => "runs where a view carries over what was prepared",
    /// The set O.
    CarriedHighest PBFT => "runs where a view has to choose between two prepared contents",
    /// The set O.
    CarriedGap PBFT => "runs where a view fills a gap with nothing",
    /// Watermarks.
    OpenedAcross PBFT => "runs where a view is opened by members with unlike stable checkpoints",
    /// Watermarks.
    RestartedAbove PBFT => "runs with a restart above a stable checkpoint",
    /// A slot committed in a later view than the first.
    CommittedLate PBFT => "runs where a slot is committed that was assigned in several views",
}

/// Which states a run has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rares(u32);

impl Rares {
    /// Reached.
    pub fn hit(&mut self, rare: Rare) {
        self.0 |= 1 << rare as u32;
    }
    /// What another has reached.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Whether it was reached.
    #[must_use]
    pub fn has(self, rare: Rare) -> bool {
        self.0 >> rare as u32 & 1 == 1
    }
}

/// In how many runs each state was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Rare::ALL.len()]);

impl Counts {
    /// One more run.
    pub fn add(&mut self, rares: Rares) {
        for (rare, count) in Rare::ALL.iter().zip(&mut self.0) {
            *count += u64::from(rares.has(*rare));
        }
    }
    /// What others have counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
    /// Runs that have reached it.
    #[must_use]
    pub fn of(&self, rare: Rare) -> u64 {
        self.0[rare as usize]
    }
    /// What was never reached.
    #[must_use]
    pub fn never(&self, protocol: Protocol) -> Vec<Rare> {
        let all = Rare::ALL.iter().copied();
        all.filter(|rare| rare.protocols().contains(&protocol) && self.of(*rare) == 0)
            .collect()
    }
    /// Each with its count.
    #[must_use]
    pub fn list(&self, protocol: Protocol) -> Vec<(String, u64)> {
        let all = Rare::ALL.iter();
        all.filter(|rare| rare.protocols().contains(&protocol))
            .map(|rare| (rare.text().to_owned(), self.of(*rare)))
            .collect()
    }
    /// One line each.
    #[must_use]
    pub fn table(&self, protocol: Protocol) -> String {
        let mut text = String::new();
        for (what, count) in self.list(protocol) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{count:>12}  {what}");
        }
        text
    }
}
