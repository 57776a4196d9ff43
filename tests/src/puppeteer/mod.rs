//! The puppeteer: f colluding liars who hold their keys and know everything, that is all messages seen
//! by anybody and all certificates that can be made of signatures they saw, choose per view which
//! honest member sees which proposal, which certificate and which proof of a view; in two camps, which
//! persist over views. It is the main hunter of bugs in the protocols' rules.
//!
//! A play runs the protocols' cores alone ([`puppet`]), without shell, engine, store and clock: so a
//! core is judged ([`judge`]) by what it does without the guard's help, and many thousand plays a second
//! are possible. It ends in a healthy stretch, in which the liars are silent ([`stage`]).
//!
//! [`hotstuff`] and [`pbft`] are what liars do there; [`campaign`] plays many seeds.

pub mod campaign;
pub mod checkpoints;
#[cfg(planted)]
pub mod hunt;
pub mod judge;
pub mod puppet;
pub mod rare;
pub mod stage;
pub mod troupe;

mod hotstuff;
mod pbft;
#[cfg(test)]
mod tests;

pub use crate::sim::Protocol;
pub use rare::{Counts, Rare, Rares};
pub use troupe::Troupe;

use crate::check::{Seen, Violation};
use crate::sim::Chance;
use consensus::Committed;
use crypto::{Digest, NodeId};
use judge::Judge;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A production assertion that failed.
pub const ASSERTION: &str = "panic";

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// HotStuff or PBFT: under Raft nobody is expected to withstand liars.
    pub protocol: Protocol,
    /// Members; f of them lie.
    pub nodes: u16,
    /// Views of a tenure. A view of PBFT lasts until it is given up: it has none, and this is 1.
    pub tenure: u64,
    /// Where all chance comes from.
    pub seed: u64,
}

impl Plan {
    /// All that is played, but for the seed.
    #[must_use]
    pub fn all() -> Vec<Plan> {
        let of = |protocol, tenure| {
            [4, 7].map(|nodes| Plan {
                protocol,
                nodes,
                tenure,
                seed: 0,
            })
        };
        let all = [
            of(Protocol::HotStuff, 1),
            of(Protocol::HotStuff, 4),
            of(Protocol::Pbft, 1),
        ];
        all.concat()
    }
    /// With another seed.
    #[must_use]
    pub const fn with(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
    /// In words, without the seed.
    #[must_use]
    pub fn name(&self) -> String {
        let (protocol, nodes) = (self.protocol.name(), self.nodes);
        match self.protocol {
            Protocol::HotStuff => format!("{protocol}, {nodes} nodes, tenure {}", self.tenure),
            _ => format!("{protocol}, {nodes} nodes"),
        }
    }
    /// The command that plays it.
    #[must_use]
    pub fn command(&self) -> String {
        let (protocol, nodes) = (self.protocol.name(), self.nodes);
        let tenure = match self.protocol {
            Protocol::HotStuff => format!(" --tenure {}", self.tenure),
            _ => String::new(),
        };
        format!(
            "cargo run --release -p quorate-tests --bin puppeteer -- --protocol {protocol} --nodes {nodes}{tenure} --seed {}",
            self.seed
        )
    }
}

/// How it is played. The course is the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Every message is checked as ingress does it. Else what the puppeteer says is passed on as it
    /// is, which costs a third: what liars could forge is judged elsewhere.
    pub checked: bool,
    /// The course is told in words.
    pub in_words: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first broken property.
    pub violation: Option<Violation>,
    /// What was reached.
    pub rares: Rares,
    /// Heights committed while the liars were at work.
    pub heights: u64,
    /// Views then.
    pub views: u64,
    /// Views until all had committed something new, once all was well.
    pub healing: u64,
    /// Steps of all cores, and of these under attack.
    pub steps: (u64, u64),
    /// Equal for equal courses.
    pub trace: u64,
    /// The course, if it was to be told.
    pub story: Vec<String>,
}

/// A protocol that can be played.
pub trait Played: consensus::Protocol {
    /// What the judge remembers, so as not to compute it again.
    type Memory: Default;
    /// Views of a tenure, if there are such.
    fn tenure(plan: &Plan) -> Option<u64>;
    /// Something is stored.
    fn recorded(node: NodeId, record: &Self::Record, judge: &mut Judge<Self>);
    /// What a height holds, beside its payload.
    fn ordered(it: &Committed<Self::Proof>, memory: &mut Self::Memory) -> Digest;
    /// What the independent verifier is to see of a commit.
    ///
    /// # Errors
    /// In words, if a signature is not genuine.
    fn proven(
        node: NodeId,
        it: &Committed<Self::Proof>,
        memory: &mut Self::Memory,
    ) -> Result<Seen, String>;
    /// A message in words.
    fn words(message: &Self::Message) -> String;
}

/// Plays.
#[must_use]
pub fn play(plan: Plan, troupe: &Troupe, manner: Manner) -> Outcome {
    let run = || match plan.protocol {
        Protocol::HotStuff => hotstuff::play(plan, troupe, manner),
        _ => pbft::play(plan, troupe, manner),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Outcome {
            violation: Some(Violation {
                property: ASSERTION,
                at: crypto::Time(0),
                what: text.unwrap_or_default(),
            }),
            rares: Rares::default(),
            heights: 0,
            views: 0,
            healing: 0,
            steps: (0, 0),
            trace: 0,
            story: Vec::new(),
        }
    })
}

/// The stream of chance of a play.
fn chance(plan: &Plan) -> Chance {
    let purpose = match (plan.protocol, plan.tenure) {
        (Protocol::HotStuff, 1) => "puppeteer of hotstuff, tenure 1",
        (Protocol::HotStuff, _) => "puppeteer of hotstuff",
        _ => "puppeteer of pbft",
    };
    Chance::of(plan.seed ^ u64::from(plan.nodes) << 56, purpose)
}
