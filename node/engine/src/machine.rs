//! What the runtime and the simulator drive: a machine, and the ingress that checks for it.

use crate::{Effect, Input};
use bytes::Bytes;
use crypto::{Digest, FaultModel, Height, NodeId, NodeSet, Reject, Size, Slot, Time, Transaction};

/// A node without I/O. An adversary in the tests is one that wraps another.
pub trait Machine: Send + 'static {
    /// A peer's message after its checks.
    type Checked: Send + 'static;

    /// One deterministic step: an input in, effects out, in the order in which they must be begun.
    fn step(&mut self, now: Time, input: Input<Self::Checked>, out: &mut Vec<Effect>);
    /// When it wants a tick. A spurious one is harmless.
    fn deadline(&self) -> Option<Time>;
    /// What ingress drops before it spends a signature check.
    fn window(&self) -> consensus::Window;
    /// For the operator.
    fn status(&self) -> Status;
    /// How full every queue, map and cache is that grows with what clients and peers send.
    fn sizes(&self) -> Vec<Size>;
}

/// The checks of what comes in, made outside the machine on as many threads as there are.
pub trait Ingress: Send + Sync + 'static {
    /// See [`Machine::Checked`].
    type Checked: Send + 'static;

    /// Decodes and checks a peer's frame: length, decoding, membership, window, signatures.
    ///
    /// # Errors
    /// The first thing found wrong.
    fn admit(
        &self,
        from: NodeId,
        frame: &Bytes,
        window: &consensus::Window,
    ) -> Result<Self::Checked, Reject>;
    /// Whether clients sign: else their transactions are checked in no time, one by one.
    fn checks_signatures(&self) -> bool;
    /// Checks clients' transactions, all signatures in one batch.
    fn admit_transactions(
        &self,
        list: Vec<Transaction>,
    ) -> Vec<Result<mempool::CheckedTransaction, Reject>>;
}

/// A node's state for the operator: `/status`, `Status` and the simulator's checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Who it is.
    pub node: NodeId,
    /// The fault model.
    pub fault_model: FaultModel,
    /// `hotstuff`, `pbft` or `raft`.
    pub protocol: &'static str,
    /// View, leader, height, history, and what it waits for.
    pub consensus: consensus::Status,
    /// Highest executed height.
    pub state_height: Height,
    /// State digest there.
    pub state_digest: Digest,
    /// Transactions and batches that wait to be ordered.
    pub pending: mempool::Stats,
    /// Peers in touch, itself included.
    pub connected: NodeSet,
    /// Requests of clients that wait.
    pub requests: usize,
    /// Who has signed two contradicting statements, and for which slot, as far as the proofs are
    /// durable here: the first few of each liar. Ascending.
    pub evidence: Vec<(NodeId, Slot)>,
    /// After [`crate::Input::Shutdown`]: nobody waits for this node any more.
    pub may_end: bool,
    /// What the whole node waits for, in a sentence; `None` while it makes progress or is idle in
    /// touch with a quorum. A node whose work stands still says so after four time-outs at the latest.
    pub waiting: Option<String>,
}
