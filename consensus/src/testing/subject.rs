//! What the shared tests have to be told of a protocol.

use super::Image;
use crate::{Committed, Protocol};
use crypto::{FaultModel, NodeId, Quorums, Reject, View};
use std::fmt::Debug;
use std::num::NonZeroU64;

/// A protocol under test.
pub trait Subject: Protocol {
    /// Which faults it is made for.
    const FAULTS: FaultModel;
    /// Whether a payload holds the batches; else references to them.
    const INLINE: bool;
    /// At which heights its clusters make checkpoints; most tests do not come so far.
    const CHECKPOINTS: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();
    /// What tests see of a message: all of it, or what is left without what is always the same.
    type Said: Clone + Debug + PartialEq;

    /// What tests see of it.
    fn said(message: Self::Message) -> Self::Said;
    /// The message of which tests see this.
    fn message(said: Self::Said) -> Self::Message;
    /// The term that it leads, if leaders are elected: two never lead the same.
    fn led(&self) -> Option<View> {
        None
    }
    /// Judges a message that leaves a replica by what is on its disk. That no key signs twice for a
    /// slot is judged for all.
    fn judge_sent(_from: u16, _message: &Self::Message, _disk: &Image<Self>) {}
    /// Judges a commit by what is on the disks of all. Its proof and its history are judged for all.
    fn judge_commit(
        _committed: &Committed<Self::Proof>,
        _disks: &[&Image<Self>],
        _quorums: &Quorums,
    ) {
    }
    /// Judges that an honest replica refused what another honest one sent.
    fn judge_reject(_by: u16, _from: NodeId, _reject: Reject) {}
}
