//! What a liar can make of a message: its own claims changed, made to agree with one another again,
//! and signed with the keys that it has.

use super::Source;
use crate::sim::{Honest, MockScheme, Protocol, Simulated, System as _, mock};
use bytes::Bytes;
use consensus::replica::{StableCheckpoint, Wire};
use crypto::{
    Batch, Certificate, Context, Epoch, NodeId, NodeSet, Signature, Statement, Validator,
    ValidatorSet, Verifier, codec,
};
use engine::Frame;
use std::sync::Arc;

/// The only epoch so far.
pub const EPOCH: Epoch = Epoch(0);

/// The keys of those who lie, and for whom the messages are meant.
pub struct Hands {
    verifier: Verifier,
    me: NodeId,
    all: bool,
}

impl Hands {
    /// Those of one member of `nodes`; `all`: he has everybody's keys.
    #[must_use]
    pub fn new<P: Forge>(cluster: &Honest<P>, nodes: usize, me: NodeId, all: bool) -> Self {
        let key = |i| Validator {
            key: mock::key("validator", i).public(),
        };
        let members = (0..nodes as u64).map(key).collect();
        let validators = ValidatorSet::new(members, P::PROTOCOL.fault_model());
        let context = Context {
            chain: cluster.safety(NodeId(0)).chain,
            epoch: EPOCH,
        };
        Self {
            verifier: Verifier {
                context,
                validators: Arc::new(validators.expect("our keys are distinct and strong")),
                scheme: Arc::new(MockScheme),
            },
            me,
            all,
        }
    }
    /// Who lies.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }
    /// Whether everybody's keys are here.
    #[must_use]
    pub fn are_all(&self) -> bool {
        self.all
    }
    /// By whom it will be checked.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
    /// Signs in a member's place, if his key is here.
    pub fn sign(&self, node: NodeId, statement: &Statement, into: &mut Signature) {
        let member = self.verifier.validators.contains(node);
        if member && (self.all || node == self.me) {
            let key = mock::key("validator", node.0.into());
            let digest = statement.digest(&self.verifier.context);
            *into = self.verifier.scheme.sign(&key, &digest);
        }
    }
    /// Gives a certificate one signature for each signer, and signs for those whose keys are here.
    pub fn certificate(
        &self,
        it: &mut Certificate,
        mut statement: impl FnMut(usize, NodeId) -> Statement,
    ) {
        let member = |node: &NodeId| self.verifier.validators.contains(*node);
        it.signers = it.signers.iter().filter(member).collect::<NodeSet>();
        it.signatures.resize(it.signers.len(), Signature::NONE);
        for (i, node) in it.signers.iter().enumerate() {
            self.sign(node, &statement(i, node), &mut it.signatures[i]);
        }
    }
    /// A stable checkpoint's certificate.
    pub fn stable(&self, it: &mut StableCheckpoint) {
        let statement = it.statement(&self.verifier.context);
        self.certificate(&mut it.certificate, |_, _| statement);
    }
}

/// A protocol whose messages can be forged.
pub trait Forge: Simulated {
    /// Which it is.
    const PROTOCOL: Protocol;
    /// Changes what an edit of bytes seldom does and leaves decodable: lists and options, and parts
    /// taken from another message.
    fn vary(message: &mut Self::Message, other: Option<&Self::Message>, source: &mut Source<'_>);
    /// Makes its claims agree with one another and signs them, as far as the keys are here.
    fn mend(message: &mut Self::Message, hands: &Hands);
}

/// Leaves one out, doubles one, or swaps two.
pub fn shuffle<T: Clone>(list: &mut Vec<T>, source: &mut Source<'_>) {
    if list.is_empty() {
        return;
    }
    let (one, other) = (source.below(list.len()), source.below(list.len()));
    match source.below(4) {
        0 => drop(list.remove(one)),
        1 => list.insert(other, list[one].clone()),
        2 => list.swap(one, other),
        _ => list.truncate(one),
    }
}

/// The protocol's message in a frame.
pub fn message<M>(frame: &Frame<M>) -> Option<&M> {
    match frame {
        Frame::Replica(Wire::Protocol(message)) => Some(message),
        _ => None,
    }
}

/// Changes the content of a frame, other than by its bytes.
pub fn vary<P: Forge>(
    frame: &mut Frame<P::Message>,
    other: Option<&Frame<P::Message>>,
    source: &mut Source<'_>,
) {
    match frame {
        Frame::Replica(Wire::Protocol(it)) => P::vary(it, other.and_then(message), source),
        Frame::Replica(Wire::Checkpoint(_)) => {}
        Frame::Pool(it) => match it {
            mempool::Message::Batch(_) => {}
            mempool::Message::Batches(list) => shuffle(list, source),
            mempool::Message::Fetch(list) | mempool::Message::NotHeld(list) => {
                shuffle(list, source);
            }
            mempool::Message::Offer(list) => shuffle(list, source),
        },
    }
}

/// Makes a frame one that gets as far as it can.
pub fn mend<P: Forge>(frame: &mut Frame<P::Message>, hands: &Hands) {
    match frame {
        Frame::Replica(Wire::Protocol(it)) => P::mend(it, hands),
        Frame::Replica(Wire::Checkpoint(it)) => {
            it.node = hands.me;
            let statement = it.statement(&hands.verifier.context);
            hands.sign(hands.me, &statement, &mut it.signature);
        }
        Frame::Pool(mempool::Message::Batch(bytes)) => batch(bytes, Some(hands.me), hands),
        Frame::Pool(mempool::Message::Batches(list)) => {
            list.iter_mut().for_each(|it| batch(it, None, hands));
        }
        Frame::Pool(_) => {}
    }
}

/// Transactions of a batch are those of clients who lie as well.
pub fn batch(bytes: &mut Bytes, author: Option<NodeId>, hands: &Hands) {
    let Ok(mut batch) = codec::decode::<Batch>(bytes) else {
        return;
    };
    batch.author = author.unwrap_or(batch.author);
    for it in &mut batch.transactions {
        let key = mock::key("hostile client", u64::from(it.client.0[0] % 4));
        it.format = crypto::transaction::FORMAT;
        it.chain = hands.verifier.context.chain;
        it.client = key.public();
        it.signature = hands.verifier.scheme.sign(&key, &it.digest());
    }
    *bytes = codec::encode(&batch).into();
}
