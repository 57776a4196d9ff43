//! Whole nodes fed hostile messages: what one member of four sends is the fuzzer's, as is when
//! nodes stall, die and lose touch. Peers are never blocked here: whatever a liar sends arrives.
//!
//! Nothing panics, honest nodes agree, nobody honest is accused, nothing grows beyond its cap; and
//! once the liar is silent again the rest gets work done.

use super::cluster::{Cluster, LIAR, NODES, ids};
use super::forge::{self, Forge, Hands};
use super::plan::plan;
use super::wire::kind;
use super::{Found, Source, twist::twist};
use crate::check::{Bounded, Caps, Check as _, Seen};
use crate::sim::{Protocol, mock};
use bytes::Bytes;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::{FaultModel, Height, NodeId, Time, codec};
use engine::{Frame, Input, Machine as _, Reply, Wait};
use std::collections::BTreeSet;

/// Longest frame that is read.
const LIMIT: usize = 1 << 20;
/// Bytes of a game: what comes behind is not played.
const MOST: usize = 768;
/// How long a transaction may take once all is well, in time-outs at their longest.
const PATIENCE: u64 = 60;

/// What the nodes of a cluster may keep.
fn caps<P: Forge>() -> Caps {
    let (plan, nodes) = (plan::<P>(), usize::from(NODES));
    match P::PROTOCOL {
        Protocol::HotStuff => Caps::hotstuff(nodes, plan.tight),
        Protocol::Pbft => Caps::pbft(nodes, plan.tight, plan.checkpoints.get()),
        Protocol::Raft => Caps::raft(nodes, plan.tight),
    }
}

/// Plays with HotStuff.
#[must_use]
pub fn hotstuff(data: &[u8]) -> Found {
    Game::<HotStuff>::play(data)
}

/// Plays with PBFT.
#[must_use]
pub fn pbft(data: &[u8]) -> Found {
    Game::<Pbft>::play(data)
}

/// Plays with Raft, where no member may lie: nothing panics, and that is all.
#[must_use]
pub fn raft(data: &[u8]) -> Found {
    Game::<Raft>::play(data)
}

struct Game<P: Forge> {
    cluster: Cluster<P>,
    hands: Hands,
    /// Numbers of the clients' transactions.
    sequences: [u64; 4],
    /// What kinds of frame of the liar's were admitted.
    heard: BTreeSet<&'static str>,
    /// S11, as far as a node tells.
    caps: Bounded,
}

impl<P: Forge> Game<P> {
    fn new() -> Self {
        let cluster = Cluster::<P>::new();
        let hands = Hands::new(&cluster.system, usize::from(NODES), LIAR, false);
        Self {
            cluster,
            hands,
            sequences: [0; 4],
            heard: BTreeSet::new(),
            caps: Bounded::new(caps::<P>()),
        }
    }
    fn play(data: &[u8]) -> Found {
        let mut game = Self::new();
        let mut source = Source::new(data, MOST);
        while !source.is_empty() {
            game.turn(&mut source);
            game.within_caps();
        }
        if P::PROTOCOL.fault_model() == FaultModel::Byzantine {
            game.goes_on();
        }
        game.within_caps();
        game.heard.into_iter().collect()
    }

    fn turn(&mut self, source: &mut Source<'_>) {
        let choice = source.byte();
        let node = NodeId(u16::from(choice >> 6));
        match choice % 32 {
            0..=5 => {
                let unit = [200_000, 1_000_000, 5_000_000, 40_000_000][source.below(4)];
                self.cluster.run(Time(unit * (1 + u64::from(choice % 32))));
            }
            6..=8 => self.submit(node, source),
            9 => {
                let request = self.cluster.request();
                self.cluster.input(node, Input::Read { request });
            }
            10 => {
                let length = source.below(MOST);
                let frame = Bytes::copy_from_slice(source.take(length));
                self.deliver(node, &frame);
            }
            11..=18 => self.tell(node, source),
            19 => self.cluster.liar_speaks = source.flag(),
            20..=22 => self.pass_on(source),
            23 => {
                let other = NodeId(source.below(usize::from(NODES)) as u16);
                self.cluster.cut(node, other, source.flag());
            }
            24 => self.cluster.stall(node, source.flag()),
            25 => self.cluster.kill(node, source.flag()),
            26 => self.cluster.start(node),
            27 => self.claim(node, source),
            28 => self.other_requests(node, source),
            29 => self.cluster.mend(),
            _ => self.cluster.run(Time(1_000_000)),
        }
    }

    fn deliver(&mut self, node: NodeId, frame: &Bytes) {
        if self.cluster.deliver(node, LIAR, frame)
            && let Ok(it) = engine::decode::<P::Message>(frame, LIMIT)
        {
            self.heard.insert(kind(&it));
        }
    }
    /// A client's transaction; now and then one that nobody should take.
    fn submit(&mut self, node: NodeId, source: &mut Source<'_>) {
        let client = source.below(4);
        let sequence = match source.below(8) {
            0 => source.number(),
            1 => self.sequences[client],
            _ => {
                self.sequences[client] += 1;
                self.sequences[client]
            }
        };
        let wait = [Wait::Committed, Wait::Accepted][source.below(2)];
        let height = self.height(node);
        let expires = match source.below(4) {
            0 => Height(source.number()),
            _ => Height(height.0.saturating_add(500)),
        };
        let value = Bytes::copy_from_slice(source.take(4));
        let it = self.cluster.put(client as u64, sequence, expires, value);
        self.cluster.submit(node, it, wait);
    }
    /// A client asks what no other turn asks.
    fn other_requests(&mut self, node: NodeId, source: &mut Source<'_>) {
        let request = self.cluster.request();
        let input = match source.below(4) {
            0 => Input::Cancel {
                request: engine::RequestId(source.number()),
            },
            1 => Input::Tick,
            _ => Input::Await {
                request,
                client: mock::key("hostile client", source.below(4) as u64).public(),
                sequence: source.number(),
            },
        };
        self.cluster.input(node, input);
    }
    /// The liar tells one node something made of what it has seen.
    fn tell(&mut self, node: NodeId, source: &mut Source<'_>) {
        let back = source.byte();
        let seen = &self.cluster.seen;
        let Some(frame) = seen.iter().rev().nth(usize::from(back)).cloned() else {
            return;
        };
        let frame = self.made_of(&frame, source);
        self.deliver(node, &frame);
    }
    /// What the liar's node would have said goes out changed, to some.
    fn pass_on(&mut self, source: &mut Source<'_>) {
        let whom = source.byte();
        let Some((_, frame)) = self.cluster.caught.pop_back() else {
            return;
        };
        for id in ids().filter(|id| *id != LIAR && whom >> id.0 & 1 == 1) {
            let frame = self.made_of(&frame, source);
            self.deliver(id, &frame);
        }
    }
    /// Another message for a bare claim of the liar's: where its node stands is told by nobody.
    fn claim(&mut self, node: NodeId, source: &mut Source<'_>) {
        let checkpoint = consensus::replica::Checkpoint {
            node: LIAR,
            height: Height(source.number()),
            history: crypto::Digest([source.byte(); 32]),
            state: crypto::Digest([source.byte(); 32]),
            signature: crypto::Signature::NONE,
        };
        let mut frame = Frame::Replica(consensus::replica::Wire::Checkpoint(checkpoint));
        forge::mend::<P>(&mut frame, &self.hands);
        let frame = Bytes::from(codec::encode(&frame));
        self.deliver(node, &frame);
    }
    /// A frame with edits, of its bytes and its content, signed by the liar.
    fn made_of(&self, frame: &Bytes, source: &mut Source<'_>) -> Bytes {
        let how = source.byte();
        let donor = self.cluster.seen.iter().rev().nth(usize::from(how >> 2));
        let donor = donor.cloned().unwrap_or_default();
        let mut bytes = frame.to_vec();
        if how & 1 == 1 {
            twist(&mut bytes, &donor, source);
        }
        let bytes = Bytes::from(bytes);
        let Ok(mut it) = engine::decode::<P::Message>(&bytes, LIMIT) else {
            return bytes;
        };
        if how & 2 == 2 {
            let donor = engine::decode::<P::Message>(&donor, LIMIT).ok();
            forge::vary::<P>(&mut it, donor.as_ref(), source);
        }
        forge::mend::<P>(&mut it, &self.hands);
        codec::encode(&it).into()
    }

    fn height(&self, node: NodeId) -> Height {
        let engine = self.cluster.engine(node);
        engine.map_or(Height(0), |it| it.status().consensus.height)
    }

    /// All that honest nodes keep has room for what is in it.
    fn within_caps(&mut self) {
        for node in ids().filter(|id| *id != LIAR) {
            let Some(engine) = self.cluster.engine(node) else {
                continue;
            };
            let sizes = engine.sizes();
            if let Err(why) = self.caps.see(&Seen::Measured { node, sizes }) {
                panic!("S11: {why}");
            }
        }
    }
    /// With all mended and the liar silent, or honest again, the others order something new.
    fn goes_on(&mut self) {
        self.cluster.caught.clear();
        self.cluster.mend();
        let longest = self.cluster.plan().timing.timeout_cap;
        self.cluster.run(longest);
        let expires = Height(self.height(NodeId(0)).0 + 500);
        let it = self.cluster.put(9, 1, expires, Bytes::from_static(b"on"));
        let request = self.cluster.submit(NodeId(1), it, Wait::Committed);
        for _ in 0..PATIENCE {
            self.cluster.run(longest);
            match self.cluster.answer(request) {
                Some(Reply::Executed(_)) => return,
                Some(other) => panic!("L1: answered {other:?}"),
                None => {}
            }
        }
        let waits = ids().map(|id| self.cluster.engine(id).map(engine::Machine::status));
        let waits: Vec<_> = waits.collect();
        panic!("L1: nothing is committed any more: {waits:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five figures of the pool were looked at, and nothing of what consensus keeps.
    #[test]
    #[should_panic(expected = "S11: node 0: `slots` is capped at 48 only, where 42 is meant")]
    fn what_may_grow_beyond_what_is_meant_is_found() {
        let mut game = Game::<Pbft>::new();
        game.within_caps();
        game.caps = Bounded::new(Caps::pbft(usize::from(NODES), false, 7));
        game.within_caps();
    }
}
