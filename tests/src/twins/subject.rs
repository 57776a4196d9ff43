//! What is played: the protocols whose members may lie.

use crate::scenario::Spoken;
use crate::sim::Legible;
use consensus::Committed;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::View;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Chained HotStuff, a view a tenure.
    HotStuff,
    /// Practical Byzantine fault tolerance.
    Pbft,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::HotStuff, Self::Pbft];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HotStuff => HotStuff::NAME,
            Self::Pbft => Pbft::NAME,
        }
    }
    /// The one of this name.
    ///
    /// # Errors
    /// In words, if there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.name() == name);
        found.ok_or_else(|| format!("no protocol with liars is called {name}"))
    }
}

/// What a world has to know of a protocol.
pub trait Twinned: Spoken + Legible {
    /// Its name on the command line.
    const NAME: &'static str;
    /// Whether a leader may order several payloads in one view. It is given one all the same: then it
    /// has to be told that no more is to come.
    const SEVERAL: bool;
    /// The view of the certificate by which something was committed.
    fn proven_in(committed: &Committed<Self::Proof>) -> View;
}

impl Twinned for HotStuff {
    const NAME: &'static str = "hotstuff";
    const SEVERAL: bool = false;

    fn proven_in(committed: &Committed<Self::Proof>) -> View {
        committed.proof.certificate.view
    }
}

impl Twinned for Pbft {
    const NAME: &'static str = "pbft";
    const SEVERAL: bool = true;

    fn proven_in(committed: &Committed<Self::Proof>) -> View {
        committed.proof.0.assigned.view
    }
}
