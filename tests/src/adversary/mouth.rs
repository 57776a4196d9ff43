//! What a liar speaks with.

use super::{Ring, Way};
use crate::sim::Chance;
use bytes::Bytes;
use consensus::replica::Wire;
use crypto::{NodeId, Time, codec};
use engine::{Class, Effect, Frame};
use serde::Serialize;

/// What the honest half says.
#[derive(Clone, Debug)]
pub struct Said<M> {
    /// To whom; never to itself.
    pub to: Vec<NodeId>,
    /// On which stream.
    pub class: Class,
    /// What.
    pub frame: Frame<M>,
    /// The same as bytes.
    pub bytes: Bytes,
}

impl<M> Said<M> {
    /// The protocol's message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&M> {
        match &self.frame {
            Frame::Replica(Wire::Protocol(message)) => Some(message),
            _ => None,
        }
    }
}

/// A message of the protocol as a frame.
pub fn protocol<M>(message: M) -> Frame<M> {
    Frame::Replica(Wire::Protocol(message))
}

/// See the module.
pub struct Mouth<'a> {
    /// Whose it is.
    pub me: NodeId,
    /// When it speaks.
    pub now: Time,
    /// What the liars share.
    pub ring: &'a Ring,
    /// What its draws come from.
    pub chance: &'a mut Chance,
    pub(super) out: &'a mut Vec<Effect>,
}

impl Mouth<'_> {
    /// All members but itself.
    #[must_use]
    pub fn others(&self) -> Vec<NodeId> {
        self.ring.all().filter(|it| *it != self.me).collect()
    }
    /// All members who are not liars.
    #[must_use]
    pub fn honest(&self) -> Vec<NodeId> {
        self.ring.all().filter(|it| !self.ring.holds(*it)).collect()
    }
    /// Says what the honest half says, to all it is for.
    pub fn pass<M>(&mut self, said: &Said<M>) {
        self.pass_to(&said.to, said);
    }
    /// Says what the honest half says, to these only.
    pub fn pass_to<M>(&mut self, to: &[NodeId], said: &Said<M>) {
        for to in to.iter().filter(|to| said.to.contains(to)) {
            self.bytes(*to, said.class, said.bytes.clone());
        }
    }
    /// Keeps something to itself.
    pub fn withhold(&mut self, way: Way) {
        self.ring.tell(way);
    }
    /// Says something else.
    pub fn lie<M: Serialize>(&mut self, way: Way, to: &[NodeId], class: Class, frame: &Frame<M>) {
        let bytes = Bytes::from(codec::encode(frame));
        self.babble(way, to, class, &bytes);
    }
    /// Says bytes of any kind.
    pub fn babble(&mut self, way: Way, to: &[NodeId], class: Class, bytes: &Bytes) {
        self.ring.note(way, bytes);
        for &to in to {
            if to != self.me {
                self.ring.tell(way);
                self.bytes(to, class, bytes.clone());
            }
        }
    }
    fn bytes(&mut self, to: NodeId, class: Class, frame: Bytes) {
        self.out.push(Effect::Send { to, class, frame });
    }
}
