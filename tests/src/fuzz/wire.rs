//! What comes from a peer, byte by byte: decoding, and all checks before a machine sees it.

use super::Found;
use super::cluster::NODES;
use super::forge::{self, Forge, Hands};
use super::plan::plan;
use super::{Source, twist::twist};
use crate::sim::{Honest, Scenario, System as _};
use bytes::Bytes;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use consensus::{Message as _, Window};
use crypto::{Batch, Epoch, Height, NodeId, Payload, SealedBatch, Transaction, View, codec};
use engine::{Frame, Ingress};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::OnceCell;

/// Longest frame that is read.
const LIMIT: usize = 64 << 20;

/// All views and heights are of interest.
const OPEN: Window = Window {
    epoch: Epoch(0),
    views: (View(0), View(u64::MAX)),
    heights: (Height(0), Height(u64::MAX)),
};

/// Frames of HotStuff.
#[must_use]
pub fn hotstuff(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Gates<HotStuff>> = const { OnceCell::new() });
    KEPT.with(|kept| kept.get_or_init(Gates::new).frame(data))
}

/// Frames of PBFT.
#[must_use]
pub fn pbft(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Gates<Pbft>> = const { OnceCell::new() });
    KEPT.with(|kept| kept.get_or_init(Gates::new).frame(data))
}

/// Frames of Raft.
#[must_use]
pub fn raft(data: &[u8]) -> Found {
    thread_local!(static KEPT: OnceCell<Gates<Raft>> = const { OnceCell::new() });
    KEPT.with(|kept| kept.get_or_init(Gates::new).frame(data))
}

/// What stands for itself: batches, transactions, payloads.
#[must_use]
pub fn batches(data: &[u8]) -> Found {
    let mut found = Vec::new();
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(sealed) = SealedBatch::open(bytes.clone()) {
        let again = Batch::clone(sealed.batch()).seal();
        assert!(again == sealed && again.bytes() == &bytes, "one encoding");
        let transactions = sealed.batch().transactions.iter();
        let length: usize = transactions.map(Transaction::encoded_len).sum();
        assert_eq!(length + Batch::OVERHEAD, bytes.len(), "lengths are told");
        found.push("batch");
    }
    if let Some(it) = one_encoding::<Transaction>(data) {
        assert_eq!(it.encoded_len(), data.len(), "lengths are told");
        found.push("transaction");
    }
    if let Some(it) = one_encoding::<Payload>(data) {
        let named = Payload::Refs(it.references().into_owned());
        assert_eq!(named.digest(), it.digest(), "a name for both forms");
        found.push("payload");
    }
    found.extend(one_encoding::<mempool::Message>(data).map(|it| it.name()));
    found.extend(one_encoding::<crypto::Certificate>(data).map(|_| "certificate"));
    found.extend(one_encoding::<crypto::Statement>(data).map(|_| "statement"));
    found
}

/// What decodes encodes to the same bytes.
pub fn one_encoding<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value = codec::decode(bytes).ok()?;
    assert!(codec::encode(&value) == bytes, "one encoding of a value");
    Some(value)
}

/// The ingress of a node, with cheap signatures and with real ones.
struct Gates<P: Forge> {
    cheap: Honest<P>,
    real: Honest<P>,
    liar: Hands,
    all: Hands,
}

impl<P: Forge> Gates<P> {
    fn new() -> Self {
        let of = |real_signatures| {
            Honest::of(&Scenario {
                real_signatures,
                ..plan::<P>()
            })
        };
        let cheap = of(false);
        let hands = |all| Hands::new(&cheap, usize::from(NODES), NodeId(1), all);
        Self {
            liar: hands(false),
            all: hands(true),
            real: of(true),
            cheap,
        }
    }
    /// The first byte says who sends and what is done with the rest: an edit of a frame, if it is
    /// one; the frame itself is checked in any case. Tells what kinds of frame were admitted.
    fn frame(&self, data: &[u8]) -> Found {
        let mut source = Source::new(data, LIMIT);
        let how = source.byte();
        let edits = source.below(64);
        let edits = source.take(edits);
        let mut bytes = source.rest().to_vec();
        let mut found = self.check(how, &Bytes::copy_from_slice(&bytes));
        let mut edits = Source::new(edits, LIMIT);
        let donor = bytes.clone();
        twist(&mut bytes, &donor, &mut edits);
        let Ok(mut frame) = engine::decode::<P::Message>(&bytes.into(), LIMIT) else {
            return found;
        };
        if how & 4 == 4 {
            let other = frame.clone();
            forge::vary::<P>(&mut frame, Some(&other), &mut edits);
        }
        let hands = if how & 8 == 8 { &self.all } else { &self.liar };
        forge::mend::<P>(&mut frame, hands);
        found.extend(self.check(how, &codec::encode(&frame).into()));
        found
    }
    fn check(&self, how: u8, bytes: &Bytes) -> Found {
        let mut found = Vec::new();
        let from = NodeId(u16::from(how & 3));
        if let Ok(frame) = engine::decode::<P::Message>(bytes, LIMIT) {
            let again = Bytes::from(codec::encode(&frame));
            assert!(again == *bytes, "one encoding of a frame");
            let decoded = engine::decode::<P::Message>(&again, LIMIT);
            assert!(decoded == Ok(frame.clone()), "what is encoded decodes");
            if admitted(self.cheap.ingress(), from, bytes, &OPEN) {
                found.push(kind(&frame));
            }
            if let Some(message) = forge::message(&frame) {
                // What ingress and gate ask of every message.
                let _ = (message.position(), message.statement(), message.name());
            }
        }
        let narrow = Window {
            views: (View(2), View(4)),
            heights: (Height(1), Height(3)),
            ..OPEN
        };
        for window in [OPEN, narrow] {
            let cheap = admitted(self.cheap.ingress(), from, bytes, &window);
            let real = admitted(self.real.ingress(), from, bytes, &window);
            // What claims no signature passes both, and nothing passes the real one alone.
            assert!(cheap || !real, "a real signature is no cheap one");
        }
        // Nobody who is no member is heard.
        assert!(!admitted(self.cheap.ingress(), NodeId(NODES), bytes, &OPEN));
        found
    }
}

/// Its name in metrics and logs.
pub fn kind<M: consensus::Message>(frame: &Frame<M>) -> &'static str {
    match frame {
        Frame::Replica(it) => it.name(),
        Frame::Pool(it) => it.name(),
    }
}

/// Whether a frame is let in whose sender has it from anywhere in the protocol.
pub fn admits<C: Send + 'static>(
    gate: &dyn Ingress<Checked = C>,
    from: NodeId,
    bytes: &Bytes,
) -> bool {
    admitted(gate, from, bytes, &OPEN)
}

fn admitted<C: Send + 'static>(
    gate: &dyn Ingress<Checked = C>,
    from: NodeId,
    bytes: &Bytes,
    window: &Window,
) -> bool {
    gate.admit(from, bytes, window).is_ok()
}
