//! What an adversary has to know of a protocol's messages.

mod hotstuff;
mod pbft;
mod raft;

pub use hotstuff::build_on;

use super::{Entry, Poison, Proof, Ring};
use consensus::{Protocol, Signed};
use crypto::{Certificate, Digest, NodeId, Payload};

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A leader's proposal.
    Propose,
    /// A vote for one.
    Vote,
    /// A view given up.
    GiveUp,
    /// A view opened by its leader.
    Open,
    /// A proof on its own.
    Certify,
    /// A question.
    Ask,
    /// An answer to one.
    Answer,
}

/// A vote and whom it is for; `None`: all.
pub type Ballot<M> = (Option<NodeId>, M);

/// A protocol in which it is known how to lie.
pub trait Tongue: Protocol {
    /// What a message is for.
    fn role(message: &Self::Message) -> Role;
    /// The view, tenure or term that it is about; 0: of none.
    fn about(message: &Self::Message) -> u64;
    /// Signs it anew, if it is signed and its author is of the ring.
    fn sign(message: &mut Self::Message, ring: &Ring);
    /// Another content for the same place, unsigned. `None`: it has none, or no other.
    fn rival(message: &Self::Message) -> Option<Self::Message>;
    /// The votes that `me` has for a proposal, unsigned, whatever the rules say.
    fn votes(proposal: &Self::Message, me: NodeId, ring: &Ring) -> Vec<Ballot<Self::Message>>;
}

/// A protocol that is to withstand liars, and all that they may say in it.
pub trait Fluent: Tongue<Message: Signed> {
    /// What a proposal orders.
    fn payload(message: &Self::Message) -> Option<&Payload>;
    /// The same proposal of something else, unsigned.
    fn ordering(message: &Self::Message, payload: Payload) -> Option<Self::Message>;
    /// The same about another view, unsigned. False: it is about none.
    fn set_view(message: &mut Self::Message, view: u64) -> bool;
    /// The same about another height, unsigned. False: it is about none.
    fn set_height(message: &mut Self::Message, height: u64) -> bool;
    /// All certificates in it.
    fn certificates(message: &mut Self::Message) -> Vec<&mut Certificate>;
    /// Replaces a proof in it by one of an older message. False: there is nothing to replace.
    fn age(message: &mut Self::Message, older: &Self::Message) -> bool;
    /// The same signature under another kind, where that makes sense.
    fn transposed(message: &Self::Message) -> Option<Self::Message>;
    /// One of its fields left out, emptied or swapped for another; `draw` says which. False: there
    /// is none.
    fn omit(message: &mut Self::Message, draw: u64) -> bool;
    /// Where a proposal may stand wrongly, in words.
    const PLACES: [&'static str; 4];
    /// A proposal that breaks a rule about where it stands: one of [`Fluent::PLACES`]. False: it is none.
    fn misplace(message: &mut Self::Message, place: usize) -> bool;
    /// Another view in the certificates of a message, which was signed for none of it. False: it has none
    /// that is signed.
    fn misdate(message: &mut Self::Message) -> bool;
    /// A proposal on a parent that all hold, and that its certificate does not certify. False: it has
    /// no parent.
    fn graft(_message: &mut Self::Message, _older: &Self::Message) -> bool {
        false
    }
    /// What gives up the view of a proposal, of `me`, with proof and unsigned. `None`: it is none.
    fn give_up(message: &Self::Message, me: NodeId, ring: &Ring) -> Option<Self::Message>;
    /// An answer that is not what was asked for; something of another message may stand in it.
    /// Returns what vouches for the list in it. `None`: it has nothing to change.
    fn poison(message: &mut Self::Message, how: Poison, other: &Self::Message) -> Option<Proof>;
    /// What common adversaries cannot do here, by their names and those of their ways.
    const LACKS: &'static [(&'static str, &'static str)];
    /// What vouches for the lists in answers to who lags.
    const ANSWERS: &'static [Proof];
    /// Adversaries of this protocol only.
    fn own() -> Vec<Entry<Self>>;
}

/// Another digest.
fn flipped(digest: &Digest) -> Digest {
    let mut other = *digest;
    other.0[0] ^= 1;
    other
}
