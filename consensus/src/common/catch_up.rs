//! What protocols need to catch up: whom to ask for what is missing here, and the loads from the own
//! store on behalf of those who ask.

use crate::{Config, Token};
use crypto::{Height, NodeId, Time};
use std::collections::BTreeMap;

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: NodeId,
    from: Height,
    target: Height,
    deadline: Time,
}

/// One question at a time for what is missing, to the next peer when one does not answer or has
/// nothing.
#[derive(Debug, Default)]
pub struct Fetching {
    asked: Option<Asked>,
    /// Who has it, as far as is known: asked first.
    hint: Option<NodeId>,
    /// Who was asked last.
    last: Option<NodeId>,
    /// Questions without a useful answer in a row.
    failed: usize,
}

impl Fetching {
    /// Somebody has shown that he has it.
    pub fn hint(&mut self, peer: NodeId) {
        self.hint = Some(peer);
    }
    /// Nothing is missing.
    pub fn stop(&mut self) {
        self.asked = None;
        self.failed = 0;
    }
    /// When to ask the next peer.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.asked.map(|asked| asked.deadline)
    }
    /// Whether a question is under way.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.asked.is_some()
    }
    /// Whether the question under way was not answered in time, which counts as a failure.
    pub fn ran_out(&mut self, now: Time) -> bool {
        let late = self.asked.is_some_and(|asked| asked.deadline <= now);
        self.failed += usize::from(late);
        late
    }
    /// Asks the next peer for `from` up to `target`; `None` if there is no other member. Whoever
    /// has it comes first, and after a failure the others in turn.
    pub fn ask(
        &mut self,
        now: Time,
        from: Height,
        target: Height,
        config: &Config,
    ) -> Option<NodeId> {
        let hint = self.hint.filter(|it| *it != config.me && self.failed == 0);
        let peer = hint.or_else(|| {
            let others: Vec<NodeId> = config.peers().collect();
            let after = |last: NodeId| others.iter().position(|peer| *peer == last).map(|i| i + 1);
            let turn = self.last.and_then(after).unwrap_or(0);
            others.get(turn % others.len().max(1)).copied()
        });
        self.last = peer;
        let peer = peer?;
        self.asked = Some(Asked {
            peer,
            from,
            target,
            deadline: now.plus(config.timing.resend),
        });
        Some(peer)
    }
    /// A peer has answered; whether that was of use.
    pub fn answered(&mut self, from: NodeId, useful: bool) {
        self.asked.take_if(|asked| asked.peer == from);
        if useful {
            self.failed = 0;
            self.hint = Some(from);
        } else {
            // Nothing new: the next peer.
            self.failed += 1;
        }
    }
    /// What is fetched, of all `what`.
    #[must_use]
    pub fn waiting(&self, what: &str) -> Option<String> {
        let Asked {
            peer, from, target, ..
        } = self.asked?;
        Some(format!(
            "behind: fetching {what} {from} to {target} from node {peer}"
        ))
    }
}

/// Loads from the own store that are under way.
#[derive(Debug, Default)]
pub struct Loads {
    tokens: u64,
    /// For whom, from which height.
    serving: BTreeMap<Token, (NodeId, Height)>,
}

impl Loads {
    /// Names a load for this replica itself.
    pub fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }
    /// Names a load for a peer, from this height up; `None` if one is under way for him.
    pub fn serve(&mut self, peer: NodeId, from: Height) -> Option<Token> {
        if self.serving.values().any(|(other, _)| *other == peer) {
            return None;
        }
        let token = self.token();
        self.serving.insert(token, (peer, from));
        Some(token)
    }
    /// For whom this was loaded, from which height up.
    pub fn served(&mut self, token: Token) -> Option<(NodeId, Height)> {
        self.serving.remove(&token)
    }
}
