//! The trait itself.

use super::{Config, Draft, Input, Outputs, Record};
use crypto::{Authenticate, Digest, Epoch, Height, NodeId, Signature, Size, Statement, Time, View};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// A replication protocol. It runs unchanged in the node and in the simulator.
pub trait Protocol: Sized + Send + 'static {
    /// What replicas send each other: one enum of plain structs.
    type Message: Message;
    /// What must be durable before it is relied on.
    type Record: Record;
    /// What convinces a third party that a height is committed (Raft: term and index).
    type Proof: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + 'static;
    /// A message not yet signed.
    type Draft: Draft<Message = Self::Message>;

    /// Genesis, restart, state sync and a new epoch all enter here. `records` are all that are
    /// stored: the latest of each kind, and those at heights from the anchor's up (the anchor's own
    /// block included, if it is not genesis). May send again what was promised.
    fn recover(
        config: Config,
        now: Time,
        anchor: Anchor<Self::Proof>,
        records: Vec<Self::Record>,
        out: &mut Outputs<Self>,
    ) -> Self;
    /// Whether these records can be what an instance with this anchor has stored: asked before
    /// [`Protocol::recover`], which takes that for granted.
    ///
    /// # Errors
    /// In words, what is wrong with them.
    fn check_stored(
        _anchor: &Anchor<Self::Proof>,
        _records: &[Self::Record],
    ) -> Result<(), String> {
        Ok(())
    }
    /// One deterministic step. Infallible: a peer's fault is a counted [`crypto::Reject`], ours is
    /// an assertion.
    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Outputs<Self>);
    /// When to wake next: a function of the state. A spurious wake is harmless.
    fn deadline(&self) -> Option<Time>;
    /// What ingress drops before it spends a signature check.
    fn window(&self) -> Window;
    /// The current view or term: what [`Protocol::status`] says, without its words.
    fn view(&self) -> View;
    /// Why it waits, in the words an operator needs.
    fn status(&self) -> Status;
    /// How full everything is that grows with what peers send, each with its cap. What is certified
    /// costs a quorum of votes, and is left out.
    fn sizes(&self, into: &mut Vec<Size>);
    /// After [`Input::Transfer`]: whether the process may end, since somebody else leads, or
    /// nobody can be handed the lead. Protocols whose leaders follow from the view hand nothing
    /// over.
    fn departed(&self) -> bool {
        true
    }
    /// Checks a proof of commitment from its bytes and the validator set alone.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check_proof(
        committed: &super::Committed<Self::Proof>,
        by: &crypto::Verifier,
    ) -> Result<(), crypto::Reject>;
}

/// A protocol's message.
pub trait Message:
    Authenticate + Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// View and height it is about, for [`Window`]; `None` passes every window.
    fn position(&self) -> Option<(View, Height)>;
    /// Whether it promises nothing and may leave before what was persisted ahead of it is durable:
    /// an explicit allow-list (fetches and their answers, certificates, Raft's AppendEntries).
    fn may_overtake(&self) -> bool;
    /// Whether it must reach a peer ahead of what is sent there after it, however large it is. All
    /// others leave the stream of small messages when they are large.
    fn keeps_order(&self) -> bool {
        false
    }
    /// What it signs, if it is signed by its sender: the evidence pool and the guard compare these.
    fn statement(&self) -> Option<(NodeId, Statement, Signature)>;
    /// Its name in metrics and logs.
    fn name(&self) -> &'static str;
}

/// Where an instance begins: genesis, or the last height committed here.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor<Proof> {
    /// The epoch.
    pub epoch: Epoch,
    /// The last committed height; 0 at genesis.
    pub height: Height,
    /// Up to where the state machine has executed.
    pub executed: Height,
    /// `history` at that height.
    pub history: Digest,
    /// The state digest at the height at which the epoch began (genesis: of the empty state).
    pub state: Digest,
    /// Why it is committed; `None` at genesis or the start of an epoch.
    pub proof: Option<Proof>,
}

/// What is of interest now. Whatever is outside is dropped before its signature is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The epoch.
    pub epoch: Epoch,
    /// Lowest and highest view of interest. Whoever sends what is below because it lags is answered
    /// when it asks or times out: such messages have no position.
    pub views: (View, View),
    /// Lowest and highest height of interest.
    pub heights: (Height, Height),
}

/// A protocol's state for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Current view or term.
    pub view: View,
    /// Its leader, if known.
    pub leader: Option<NodeId>,
    /// Highest committed height.
    pub height: Height,
    /// `history` there.
    pub history: Digest,
    /// Timeouts (view changes, elections) since the start.
    pub timeouts: u64,
    /// A sentence on what it waits for; `None` while all goes well.
    pub waiting: Option<String>,
}
