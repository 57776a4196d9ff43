//! The properties that a run must have (ARCHITECTURE.md, section 7): one file each. They
//! watch what the nodes show to the outside, and share no predicate with what they judge.

mod agreed;
mod bounded;
mod candid;
mod carried_over;
mod descent;
mod exactly_once;
mod fresh;
mod genuine;
mod history;
mod honesty;
mod linearizable;
mod liveness;
mod monotone;
mod one_certificate;
mod one_leader;
mod places;
mod promises;
mod proof;
mod register;
mod retention;
mod signers;
mod state;
mod uncensored;

pub use agreed::{Agreed, Agreement};
pub use bounded::{Bounded, Caps};
pub use candid::{Candid, Mood, Sample};
pub use carried_over::CarriedOver;
pub use descent::Descent;
pub use exactly_once::ExactlyOnce;
pub use fresh::Fresh;
pub use genuine::{Genuine, kind};
pub use history::History;
pub use honesty::Honesty;
pub use linearizable::Linearizable;
pub use liveness::{Liveness, Standing};
pub use monotone::Monotone;
pub use one_certificate::OneCertificate;
pub use one_leader::{Led, OneLeader};
pub use places::Places;
pub use promises::Promises;
pub use proof::{Link, Proof, Proven};
pub use register::{Cell, Step, Test, Way};
pub use retention::Retention;
pub use state::State;
pub use uncensored::Uncensored;

use crypto::{Digest, Hasher, Height, NodeId, PublicKey, Reject, Size, Time};

/// A signed statement as it stands in a frame: at most one content for each (signer, slot), ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Promise {
    /// Whose key signed it.
    pub signer: NodeId,
    /// What it is about.
    pub slot: Slot,
    /// What it promises.
    pub content: Digest,
}

/// Where a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// `vote`, `proposal`, `timeout`, ...
    pub kind: &'static str,
    /// The epoch.
    pub epoch: u64,
    /// View, tenure or term.
    pub view: u64,
    /// Height, where the kind has one.
    pub height: u64,
}

/// A certificate as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Certified {
    /// The epoch.
    pub epoch: u64,
    /// The view.
    pub view: u64,
    /// The slot, where a view has several.
    pub height: u64,
    /// What is certified.
    pub block: Digest,
}

/// On what a vote rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footing {
    /// The view of the voter's lock.
    pub lock: u64,
    /// The view of the certificate on which the block is built.
    pub parent: u64,
    /// The view of the highest certificate shown by those who gave the tenure before up, where the
    /// block was admitted by them.
    pub shown: Option<u64>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Current view.
    pub view: u64,
    /// Highest committed height.
    pub height: Height,
    /// `history` there.
    pub history: Digest,
    /// Highest executed height.
    pub state_height: Height,
    /// State digest there.
    pub state: Digest,
}

/// A height as a node executed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedHeight {
    /// Which.
    pub height: Height,
    /// State digest behind it.
    pub state: Digest,
    /// What took place, in order.
    pub receipts: Vec<Receipt>,
}

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its client.
    pub client: PublicKey,
    /// The client's number for it.
    pub sequence: u64,
    /// The digest that its client signed.
    pub id: Digest,
    /// Where it took effect, or was found to be void.
    pub height: Height,
    /// What its execution says that it did.
    pub did: Did,
    /// The store's revision after it; of a repeat, after the first time.
    pub revision: u64,
    /// All that the client is told, in words, but for the results: equal for equal answers.
    pub answer: String,
    /// What its operations returned, if he is told.
    pub results: Option<Results>,
}

/// What an execution did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// It used up the client's number.
    Effect,
    /// It told again what the first one had done.
    Repeat,
    /// It was found to be void: expired, or refused.
    Nothing,
}

impl Receipt {
    /// Whether it took effect at this height.
    #[must_use]
    pub fn effective(&self) -> bool {
        self.did == Did::Effect
    }
}

/// What the operations of a transaction returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// Equal for equal ones: the words, or their digest, if they are long.
    pub words: String,
    /// Whether they may be too long to be kept for whoever asks again.
    pub long: bool,
}

impl Results {
    /// No session keeps more bytes of one result, which are at least as long in words.
    const LONG: usize = 1_000;

    /// Of these words.
    #[must_use]
    pub fn new(words: String) -> Self {
        let long = words.len() > Self::LONG;
        let words = match long {
            true => Hasher::new("check/results")
                .bytes(words.as_bytes())
                .finish()
                .to_string(),
            false => words,
        };
        Self { words, long }
    }
}

/// What an operation did to which key, or saw of it.
pub type Told = Vec<(Vec<u8>, Way)>;

/// Something to be judged.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A node came up with this.
    Started(NodeId, Report),
    /// A node went down.
    Stopped(NodeId),
    /// A node that passed a point where it may have changed.
    Reported(NodeId, Report),
    /// A node let out a frame with these in it.
    Sent {
        /// Who.
        node: NodeId,
        /// All signed statements, nested ones of others included.
        promises: Vec<Promise>,
        /// All certificates.
        certified: Vec<Certified>,
        /// What it says as the leader of a term.
        led: Option<Led>,
    },
    /// A promise of a node is durable, and may leave it from now on: a row of its log, of which no other is
    /// ever stored in its place.
    Promised {
        /// Who.
        node: NodeId,
        /// The row's key.
        row: Vec<u8>,
        /// What it says.
        content: Digest,
    },
    /// A node stored a new vote.
    Voted {
        /// Who.
        node: NodeId,
        /// The block's view.
        view: u64,
        /// On what it rests, where a protocol has locks.
        footing: Option<Footing>,
    },
    /// A node stored a block.
    Stored {
        /// Who.
        node: NodeId,
        /// The block.
        block: Digest,
        /// Its parent.
        parent: Digest,
        /// Its view and height.
        place: (u64, u64),
    },
    /// A node stored a commit.
    Committed(NodeId, Proven),
    /// A node stored a certificate of its own making, or that it was shown.
    Certified(NodeId, Certified),
    /// A node stored a commit with the signatures of those who agree.
    Agreed(NodeId, Agreed),
    /// A node stored a commit that tells its term and height.
    Placed {
        /// Who.
        node: NodeId,
        /// The committed height.
        height: Height,
        /// Term and height of the entry.
        place: (u64, u64),
    },
    /// A node executed a height.
    Executed(NodeId, ExecutedHeight),
    /// A client signed a transaction.
    Signed {
        /// Who.
        client: PublicKey,
        /// His number for it.
        sequence: u64,
        /// What he signed.
        id: Digest,
    },
    /// A height was committed at a node, with so many batches.
    Ordered {
        /// Where.
        node: NodeId,
        /// Which.
        height: Height,
        /// How many.
        batches: usize,
    },
    /// A client brought a transaction to a node, after the faults had ended.
    Submitted {
        /// To which.
        node: NodeId,
        /// Who.
        client: PublicKey,
        /// His number for it.
        sequence: u64,
    },
    /// The node refused it, or could not see it ordered before it expired, and said so.
    Refused {
        /// Which.
        node: NodeId,
        /// Whose.
        client: PublicKey,
        /// His number for it.
        sequence: u64,
    },
    /// What a node says of itself, asked now and then.
    Sampled {
        /// Who.
        node: NodeId,
        /// What.
        sample: Sample,
    },
    /// How full a node's queues, maps and caches are.
    Measured {
        /// Whose.
        node: NodeId,
        /// All of them.
        sizes: Vec<Size>,
    },
    /// A node told a client that his transaction took effect.
    Acknowledged(NodeId, Receipt),
    /// A client begins a linearizable read.
    ReadBegun {
        /// Its name.
        request: u64,
    },
    /// A node serves it from the state of this height or a later one.
    ReadServed {
        /// Who.
        node: NodeId,
        /// Its name.
        request: u64,
        /// The height.
        height: Height,
    },
    /// A client asks for something.
    Called {
        /// Its name.
        operation: u64,
        /// The keys that it is about, and what it may do to each.
        on: Vec<(Vec<u8>, Vec<Way>)>,
    },
    /// He is told what became of it.
    Returned {
        /// Its name.
        operation: u64,
        /// What it did to which key, or saw of it.
        told: Told,
    },
    /// A node accuses another of lying.
    Accused {
        /// Who.
        by: NodeId,
        /// Whom.
        node: NodeId,
        /// Of what.
        what: String,
    },
    /// A node refused another's message.
    Rejected {
        /// Who.
        by: NodeId,
        /// Whose.
        from: NodeId,
        /// Why.
        reject: Reject,
    },
}

impl Seen {
    /// Whose doing it is.
    #[must_use]
    pub fn about(&self) -> Option<NodeId> {
        match self {
            Seen::Started(node, _)
            | Seen::Stopped(node)
            | Seen::Reported(node, _)
            | Seen::Sent { node, .. }
            | Seen::Promised { node, .. }
            | Seen::Voted { node, .. }
            | Seen::Stored { node, .. }
            | Seen::Committed(node, _)
            | Seen::Certified(node, _)
            | Seen::Agreed(node, _)
            | Seen::Placed { node, .. }
            | Seen::Executed(node, _)
            | Seen::Acknowledged(node, _)
            | Seen::Ordered { node, .. }
            | Seen::Submitted { node, .. }
            | Seen::Refused { node, .. }
            | Seen::Sampled { node, .. }
            | Seen::Measured { node, .. }
            | Seen::ReadServed { node, .. }
            | Seen::Accused { node, .. }
            | Seen::Rejected { from: node, .. } => Some(*node),
            Seen::Signed { .. }
            | Seen::ReadBegun { .. }
            | Seen::Called { .. }
            | Seen::Returned { .. } => None,
        }
    }
}

/// A broken property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which, as ARCHITECTURE.md names it.
    pub property: &'static str,
    /// When.
    pub at: Time,
    /// How.
    pub what: String,
}

/// What a cluster without faults achieves, and in which time it says that it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Views that a leader keeps.
    pub tenure: u64,
    /// Leader changes within which a transaction is committed.
    pub changes: u64,
    /// Batches of others that are ordered before it at most.
    pub batches: u64,
    /// How long nothing may move before a node has to say so.
    pub silence: Time,
}

/// A property.
pub trait Check: Send {
    /// Its name in ARCHITECTURE.md.
    fn property(&self) -> &'static str;
    /// Judges one thing.
    ///
    /// # Errors
    /// How the property is broken.
    fn see(&mut self, seen: &Seen) -> Result<(), String>;
    /// Judges the whole, at the end of a run which was healed and came to rest.
    ///
    /// # Errors
    /// How the property is broken.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A node finds that its own storage lacks what it must have, and does not start or stops. That is no
/// judgement of a checker, and so bears no checker's name.
pub const DAMAGE: &str = "damage";
/// A node finds that a quorum contradicts its own state, and halts.
pub const HALT: &str = "halt";
/// See [`Fresh`].
pub const FRESHNESS: &str = "freshness";

/// All properties that are judged by what is seen.
pub struct Checks(Vec<Box<dyn Check>>);

impl Checks {
    /// Those of HotStuff, for `nodes` nodes, each of which leads for `tenure` views in turn.
    #[must_use]
    pub fn hotstuff(nodes: usize, tenure: u64) -> Self {
        Self::with(
            (nodes, tenure),
            vec![
                Box::new(OneCertificate::default()),
                Box::new(Proof::new(nodes)),
                Box::new(Descent::default()),
            ],
        )
    }
    /// Those of PBFT, for `nodes` nodes. A view is a tenure of its own.
    #[must_use]
    pub fn pbft(nodes: usize) -> Self {
        Self::with(
            (nodes, 1),
            vec![
                Box::new(OneCertificate::default()),
                Box::new(CarriedOver::default()),
                Box::new(Agreement::new(nodes)),
            ],
        )
    }
    /// Those of Raft, for `nodes` nodes. A term is a tenure of its own.
    #[must_use]
    pub fn raft(nodes: usize) -> Self {
        Self::with(
            (nodes, 1),
            vec![Box::new(OneLeader::default()), Box::new(Places::default())],
        )
    }
    /// What every protocol promises, and these.
    fn with((nodes, tenure): (usize, u64), own: Vec<Box<dyn Check>>) -> Self {
        let mut all: Vec<Box<dyn Check>> = vec![Box::new(History::default())];
        all.extend(own);
        all.extend([
            Box::new(Promises::new(tenure)) as Box<dyn Check>,
            Box::new(State::default()),
            Box::new(Monotone::new(nodes, tenure)),
            Box::new(ExactlyOnce::new(nodes)),
            Box::new(Retention::default()),
            Box::new(Fresh::default()),
            Box::new(Linearizable::default()),
            Box::new(Honesty),
        ]);
        Self(all)
    }
    /// And S11, by these caps.
    #[must_use]
    pub fn bounded(mut self, caps: Caps) -> Self {
        self.0.push(Box::new(Bounded::new(caps)));
        self
    }
    /// And L3 and L4.
    #[must_use]
    pub fn alive(mut self, expected: Expected) -> Self {
        self.0.push(Box::new(Uncensored::new(&expected)));
        self.0.push(Box::new(Candid::new(&expected)));
        self
    }
    /// Keeps only the one of this name, if it is here.
    pub fn only(&mut self, property: &str) {
        self.0.retain(|check| check.property() == property);
    }
    /// Judges one thing.
    ///
    /// # Errors
    /// The first broken property.
    pub fn see(&mut self, at: Time, seen: &Seen) -> Result<(), Violation> {
        self.each(at, |check| check.see(seen))
    }
    /// Judges the whole.
    ///
    /// # Errors
    /// The first broken property.
    pub fn finish(&mut self, at: Time) -> Result<(), Violation> {
        self.each(at, |check| check.finish())
    }
    fn each(
        &mut self,
        at: Time,
        mut judge: impl FnMut(&mut dyn Check) -> Result<(), String>,
    ) -> Result<(), Violation> {
        for check in &mut self.0 {
            judge(check.as_mut()).map_err(|what| Violation {
                property: check.property(),
                at,
                what,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_alive;
#[cfg(test)]
mod tests_pbft;
