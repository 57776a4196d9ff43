//! What is played: the protocols whose members may lie.

use crate::check::{Agreement, CarriedOver, Check, Descent, Proof};
use crate::scenario::Spoken;
use crate::sim::Legible;
use consensus::Committed;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use crypto::View;
use std::num::NonZeroU64;

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
    /// Heights between checkpoints: as few as can be, where they matter; else more than a schedule has.
    const CHECKPOINTS: NonZeroU64;
    /// The view of the certificate by which something was committed.
    fn proven_in(committed: &Committed<Self::Proof>) -> View;
    /// What only this protocol promises, to so many nodes.
    fn checks(nodes: usize) -> [Box<dyn Check>; 2];
}

impl Twinned for HotStuff {
    const NAME: &'static str = "hotstuff";
    const SEVERAL: bool = false;
    const CHECKPOINTS: NonZeroU64 = NonZeroU64::new(128).unwrap();

    fn proven_in(committed: &Committed<Self::Proof>) -> View {
        committed.proof.certificate.view
    }
    fn checks(nodes: usize) -> [Box<dyn Check>; 2] {
        [Box::new(Proof::new(nodes)), Box::<Descent>::default()]
    }
}

impl Twinned for Pbft {
    const NAME: &'static str = "pbft";
    const SEVERAL: bool = true;
    const CHECKPOINTS: NonZeroU64 = NonZeroU64::MIN;

    fn proven_in(committed: &Committed<Self::Proof>) -> View {
        committed.proof.0.assigned.view
    }
    fn checks(nodes: usize) -> [Box<dyn Check>; 2] {
        [
            Box::new(Agreement::new(nodes)),
            Box::<CarriedOver>::default(),
        ]
    }
}
