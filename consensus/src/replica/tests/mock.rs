//! A protocol that does as it is told: by a peer's message, or by a record when it recovers.

use crate::replica::StableCheckpoint;
use crate::{
    Anchor, Committed, Config, Draft, Evidence, Input, Message, Outputs, Protocol, Record,
    RecordKey, Status, To, Window,
};
use crypto::{
    Authenticate, BatchRef, Digest, Epoch, Hasher, Height, Kind, NodeId, Payload, Reject,
    Signature, Size, Slot, Statement, Time, Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the mock is told to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// Persist a number.
    Persist(u64),
    /// Send a statement: kind, view, height, content; to all, itself included.
    Say(Kind, u64, u64, u64),
    /// Send it to one only.
    Tell(u16, Kind, u64, u64, u64),
    /// Send an unsigned message that waits.
    Hint(u64),
    /// Send an unsigned message that may overtake, to all.
    Fetch(u64),
    /// Send an unsigned message to itself only.
    Note(u64),
    /// Commit the next height, with a payload made from this number.
    Commit(u64),
    /// Commit this height with this history, right or wrong.
    Claim(u64, u64),
    /// A stable checkpoint was shown.
    Stable(Box<StableCheckpoint>),
    /// Report a liar.
    Accuse(Box<Evidence>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MockMessage {
    /// An instruction.
    Do(Vec<Act>),
    /// A statement.
    Said(NodeId, Statement, Signature),
    Hint(u64),
    Fetch(u64),
    Note(u64),
}

impl Authenticate for MockMessage {
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        match self {
            Self::Said(node, ..) if *node != from => Err(Reject::WrongSender),
            Self::Said(node, statement, signature) => by.one(*node, *statement, *signature),
            _ => Ok(()),
        }
    }
}

impl Message for MockMessage {
    fn position(&self) -> Option<(View, Height)> {
        None
    }
    fn may_overtake(&self) -> bool {
        matches!(self, Self::Fetch(_))
    }
    fn statement(&self) -> Option<(NodeId, Statement, Signature)> {
        match self {
            Self::Said(node, statement, signature) => Some((*node, *statement, *signature)),
            _ => None,
        }
    }
    fn name(&self) -> &'static str {
        "mock"
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MockDraft {
    node: NodeId,
    statement: Option<Statement>,
    plain: Option<MockMessage>,
}

impl Draft for MockDraft {
    type Message = MockMessage;
    fn statement(&self) -> Option<Statement> {
        self.statement
    }
    fn seal(self, signature: Option<Signature>) -> MockMessage {
        match (self.plain, self.statement, signature) {
            (Some(message), None, None) => message,
            (None, Some(statement), Some(signature)) => {
                MockMessage::Said(self.node, statement, signature)
            }
            other => panic!("sealed wrongly: {other:?}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MockRecord {
    Number(u64),
    /// Done when recovering.
    Then(Vec<Act>),
}

impl Record for MockRecord {
    fn key(&self) -> RecordKey {
        match self {
            Self::Number(number) => RecordKey::At(Height(*number), Digest::ZERO),
            Self::Then(_) => RecordKey::Latest(0),
        }
    }
}

#[derive(Debug)]
pub struct Mock {
    config: Config,
    height: Height,
    history: Digest,
    /// Messages that came in from itself.
    pub own: Vec<MockMessage>,
    /// Messages that came in from others.
    pub heard: Vec<(NodeId, MockMessage)>,
}

pub fn statement(kind: Kind, view: u64, height: u64, content: u64) -> Statement {
    let slot = Slot {
        kind,
        epoch: Epoch(0),
        view: View(view),
        height: Height(height),
    };
    Statement {
        slot,
        content: Hasher::new("mock").number(content).finish(),
    }
}

pub fn payload(number: u64) -> Payload {
    Payload::Refs(vec![BatchRef {
        author: NodeId(0),
        number,
        digest: Digest::ZERO,
        bytes: 1,
        count: 1,
        expires: Height(number),
    }])
}

impl Mock {
    fn act(&mut self, act: Act, out: &mut Outputs<Self>) {
        let node = self.config.me;
        let said = |statement| MockDraft {
            node,
            statement: Some(statement),
            plain: None,
        };
        let plain = |message| MockDraft {
            node,
            statement: None,
            plain: Some(message),
        };
        match act {
            Act::Persist(number) => out.persist(MockRecord::Number(number)),
            Act::Say(kind, view, height, content) => {
                out.send(To::All, said(statement(kind, view, height, content)));
            }
            Act::Tell(to, kind, view, height, content) => {
                out.send(
                    To::One(NodeId(to)),
                    said(statement(kind, view, height, content)),
                );
            }
            Act::Hint(number) => out.send(To::Others, plain(MockMessage::Hint(number))),
            Act::Fetch(number) => out.send(To::All, plain(MockMessage::Fetch(number))),
            Act::Note(number) => out.send(To::Me, plain(MockMessage::Note(number))),
            Act::Commit(number) => {
                let (height, payload) = (self.height.next(), payload(number));
                let history = payload.extend_history(&self.history, height);
                (self.height, self.history) = (height, history);
                out.commit(
                    Committed {
                        height,
                        payload,
                        history,
                        proof: number,
                    },
                    true,
                );
            }
            Act::Stable(stable) => out.stable(&Arc::new(*stable)),
            Act::Accuse(evidence) => out.evidence(*evidence),
            Act::Claim(height, history) => out.commit(
                Committed {
                    height: Height(height),
                    payload: payload(height),
                    history: Hasher::new("mock").number(history).finish(),
                    proof: 0,
                },
                true,
            ),
        }
    }
}

impl Protocol for Mock {
    type Message = MockMessage;
    type Record = MockRecord;
    type Proof = u64;
    type Draft = MockDraft;

    fn recover(
        config: Config,
        _: Time,
        anchor: Anchor<u64>,
        records: Vec<MockRecord>,
        out: &mut Outputs<Self>,
    ) -> Self {
        let Anchor {
            height, history, ..
        } = anchor;
        let mut mock = Self {
            config,
            height,
            history,
            own: Vec::new(),
            heard: Vec::new(),
        };
        for record in records {
            if let MockRecord::Then(acts) = record {
                acts.into_iter().for_each(|act| mock.act(act, out));
            }
        }
        mock
    }
    fn step(&mut self, _: Time, input: Input<Self>, out: &mut Outputs<Self>) {
        let Input::Message { from, message } = input else {
            return;
        };
        let message = message.into_inner();
        if from == self.config.me {
            return self.own.push(message);
        }
        if let MockMessage::Do(acts) = &message {
            acts.iter().cloned().for_each(|act| self.act(act, out));
        }
        self.heard.push((from, message));
    }
    fn deadline(&self) -> Option<Time> {
        None
    }
    fn view(&self) -> View {
        View(1)
    }
    fn window(&self) -> Window {
        Window {
            epoch: Epoch(0),
            views: (View(0), View(u64::MAX)),
            heights: (Height(0), Height(u64::MAX)),
        }
    }
    fn status(&self) -> Status {
        Status {
            view: View(1),
            leader: None,
            height: self.height,
            history: self.history,
            timeouts: 0,
            waiting: None,
        }
    }
    fn sizes(&self, _: &mut Vec<Size>) {}
    fn check_proof(_: &Committed<u64>, _: &Verifier) -> Result<(), Reject> {
        Ok(())
    }
}
