//! An honest node with another mouth.

use super::{Adversary, Mouth, Ring, Said, Tongue};
use crate::sim::Chance;
use bytes::Bytes;
use consensus::Window;
use consensus::replica::ReplicaInput;
use crypto::{NodeId, Size, Time};
use engine::{Checked, Class, Effect, Engine, Input, Machine, Status};
use std::sync::Arc;

/// Longest frame of the own that is read.
const LIMIT: usize = 64 << 20;

/// A node that may lie.
pub struct Disguised<P: Tongue> {
    node: Engine<P>,
    me: NodeId,
    /// `None`: it is honest.
    liar: Option<Liar<P>>,
}

struct Liar<P: Tongue> {
    adversary: Box<dyn Adversary<P>>,
    ring: Arc<Ring>,
    chance: Chance,
}

impl<P: Tongue> Disguised<P> {
    /// Honest, as it is.
    #[must_use]
    pub fn honest(node: Engine<P>, me: NodeId) -> Self {
        Self {
            node,
            me,
            liar: None,
        }
    }
    /// A liar of this ring. Its draws come from `seed`.
    #[must_use]
    pub fn liar(
        node: Engine<P>,
        me: NodeId,
        adversary: Box<dyn Adversary<P>>,
        ring: Arc<Ring>,
        seed: u64,
    ) -> Self {
        let chance = Chance::of(seed ^ u64::from(me.0) << 48, "liar");
        let liar = Liar {
            adversary,
            ring,
            chance,
        };
        Self {
            node,
            me,
            liar: Some(liar),
        }
    }
    /// What becomes of the effects of its honest half.
    pub fn disguise(&mut self, now: Time, effects: Vec<Effect>, out: &mut Vec<Effect>) {
        let me = self.me;
        match &mut self.liar {
            None => out.extend(effects),
            Some(liar) => {
                for effect in effects {
                    liar.effect(me, now, effect, out);
                }
            }
        }
    }
}

impl<P: Tongue> Liar<P> {
    fn with_mouth(
        &mut self,
        (me, now): (NodeId, Time),
        out: &mut Vec<Effect>,
        act: impl FnOnce(&mut dyn Adversary<P>, &mut Mouth<'_>),
    ) {
        let mut mouth = Mouth {
            me,
            now,
            ring: &self.ring,
            chance: &mut self.chance,
            out,
        };
        act(&mut *self.adversary, &mut mouth);
    }
    fn effect(&mut self, me: NodeId, now: Time, effect: Effect, out: &mut Vec<Effect>) {
        let (to, class, bytes) = match effect {
            Effect::Broadcast { class, frame } => {
                let others = self.ring.all().filter(|to| *to != me).collect();
                (others, class, frame)
            }
            Effect::Send { to, class, frame } => (vec![to], class, frame),
            other => return out.push(other),
        };
        let said = said::<P>(to, class, bytes);
        self.with_mouth((me, now), out, |adversary, mouth| {
            adversary.say(said, mouth)
        });
    }
}

fn said<P: Tongue>(to: Vec<NodeId>, class: Class, bytes: Bytes) -> Said<P::Message> {
    Said {
        to,
        class,
        frame: engine::decode(&bytes, LIMIT).expect("an honest node says what can be read"),
        bytes,
    }
}

impl<P: Tongue> Machine for Disguised<P> {
    type Checked = Checked<P>;

    fn step(&mut self, now: Time, input: Input<Checked<P>>, out: &mut Vec<Effect>) {
        let at = (self.me, now);
        if let Some(liar) = &mut self.liar {
            if let Input::Message {
                from,
                message:
                    Checked::Replica(ReplicaInput::Protocol(consensus::Input::Message {
                        message, ..
                    })),
            } = &input
            {
                liar.with_mouth(at, out, |adversary, mouth| {
                    adversary.hear(*from, message, mouth);
                });
            }
            if liar.adversary.deadline().is_some_and(|it| it <= now) {
                liar.with_mouth(at, out, |adversary, mouth| adversary.wake(mouth));
            }
        }
        let mut effects = Vec::new();
        self.node.step(now, input, &mut effects);
        self.disguise(now, effects, out);
    }
    fn deadline(&self) -> Option<Time> {
        let liar = self.liar.as_ref();
        let own = liar.and_then(|liar| liar.adversary.deadline());
        own.into_iter().chain(self.node.deadline()).min()
    }
    fn window(&self) -> Window {
        self.node.window()
    }
    fn status(&self) -> Status {
        self.node.status()
    }
    fn sizes(&self) -> Vec<Size> {
        self.node.sizes()
    }
}
