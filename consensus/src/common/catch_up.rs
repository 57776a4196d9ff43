//! What protocols need to catch up: whom to ask for what is missing here, and the loads from the own
//! store on behalf of those who ask.

use crate::{Config, Token};
use crypto::{Height, NodeId, Size, Time};
use std::collections::BTreeMap;

/// Most encoded bytes of one answer; a frame holds as many, however small blocks are.
pub const ANSWER_BYTES: usize = 1 << 20;

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: NodeId,
    from: Height,
    target: Height,
    deadline: Time,
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Nothing new.
    Nothing,
    /// Something new, and less than it might have.
    Little,
    /// As much as can be expected: who answered is asked again.
    Enough,
}

/// One question at a time for what is missing, to the next peer when one does not answer or has
/// nothing. When all have nothing they are asked again after a while only: what is missing may not
/// have come about yet, and questions that answers raise at once would fill the network.
#[derive(Debug, Default)]
pub struct Fetching {
    asked: Option<Asked>,
    /// Who has it, as far as is known: asked first.
    hint: Option<NodeId>,
    /// Who has more of what he was asked for, and from where on: asked before anyone else.
    more: Option<(NodeId, Height)>,
    /// Who was asked last.
    last: Option<NodeId>,
    /// Questions without a useful answer in a row.
    failed: usize,
    /// Answers in a row that brought nothing.
    empty: usize,
    /// How many there are to ask.
    others: usize,
}

impl Fetching {
    /// Somebody has shown that he has it.
    pub fn hint(&mut self, peer: NodeId) {
        self.hint = Some(peer);
    }
    /// Nothing is missing.
    pub fn stop(&mut self) {
        (self.asked, self.more) = (None, None);
        (self.failed, self.empty) = (0, 0);
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
    /// The heights asked for: from which one, and up to which.
    #[must_use]
    pub fn heights(&self) -> Option<(Height, Height)> {
        self.asked.map(|asked| (asked.from, asked.target))
    }
    /// Whether the question under way was not answered in time, which counts as a failure.
    pub fn ran_out(&mut self, now: Time) -> bool {
        let late = self.asked.is_some_and(|asked| asked.deadline <= now);
        self.failed += usize::from(late);
        if late && self.empty >= self.others {
            // All are asked once more.
            self.empty = 0;
        }
        late
    }
    /// Asks the next peer for `from` up to `target`: whom, and from where on; `None` if there is no
    /// other member. Whoever has it comes first, and after a failure the others in turn.
    pub fn ask(
        &mut self,
        now: Time,
        from: Height,
        target: Height,
        config: &Config,
    ) -> Option<(NodeId, Height)> {
        self.others = config.peers().count();
        let more = self.more.take();
        let hint = self.hint.filter(|it| *it != config.me && self.failed == 0);
        let peer = more.map(|(peer, _)| peer).or(hint).or_else(|| {
            let others: Vec<NodeId> = config.peers().collect();
            let after = |last: NodeId| others.iter().position(|peer| *peer == last).map(|i| i + 1);
            let turn = self.last.and_then(after).unwrap_or(0);
            others.get(turn % others.len().max(1)).copied()
        });
        self.last = peer;
        let peer = peer?;
        let from = more.map_or(from, |(_, next)| next.max(from));
        self.asked = Some(Asked {
            peer,
            from,
            target,
            deadline: now.plus(config.timing.resend),
        });
        Some((peer, from))
    }
    /// Who was asked is asked on, from `next` up: what lies below is held. What he said moves nobody
    /// else's question, or one who lies could send all others back to the beginning.
    pub fn go_on(&mut self, from: NodeId, next: Height) {
        if self.asked.take_if(|asked| asked.peer == from).is_some() {
            self.more = Some((from, next));
        }
    }
    /// A peer has answered.
    pub fn answered(&mut self, from: NodeId, brought: Brought) {
        if brought != Brought::Nothing {
            self.empty = 0;
        }
        if brought == Brought::Enough {
            self.asked.take_if(|asked| asked.peer == from);
            self.failed = 0;
            self.hint = Some(from);
        } else if self.asked.is_some_and(|asked| asked.peer == from) {
            self.failed += 1;
            self.empty += usize::from(brought == Brought::Nothing);
            // The next peer, now or when the time for this one is up.
            self.asked.take_if(|_| self.empty < self.others);
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
    serving: BTreeMap<Token, Serving>,
}

/// What is loaded for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// For whom.
    pub peer: NodeId,
    /// From which height up.
    pub from: Height,
    /// How many times exactly that was asked for which is committed there, since all that lies at
    /// these heights, proposals of liars among it, is more than one answer holds.
    looks: u8,
}

impl Loads {
    /// How many are under way: one for each peer.
    pub fn sizes(&self, peers: usize, into: &mut Vec<Size>) {
        into.push(Size::new("loads for peers", self.serving.len(), peers));
    }
    /// Names a load for this replica itself.
    pub fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }
    /// Names a load for a peer, from this height up; `None` if one is under way for him.
    pub fn serve(&mut self, peer: NodeId, from: Height) -> Option<Token> {
        if self.serving.values().any(|other| other.peer == peer) {
            return None;
        }
        let token = self.token();
        let looks = 0;
        self.serving.insert(token, Serving { peer, from, looks });
        Some(token)
    }
    /// Names one more load for the same peer; `None` if there were so many.
    pub fn look_closer(&mut self, serving: Serving, most: u8) -> Option<Token> {
        if serving.looks >= most {
            return None;
        }
        let token = self.token();
        let looks = serving.looks + 1;
        self.serving.insert(token, Serving { looks, ..serving });
        Some(token)
    }
    /// For whom this was loaded.
    pub fn served(&mut self, token: Token) -> Option<Serving> {
        self.serving.remove(&token)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::LeaderSchedule;
    use crate::hotstuff::HotStuff;
    use crate::testing::Members;

    fn config() -> Config {
        let leaders = LeaderSchedule::RoundRobin { tenure: 4 };
        Members::<HotStuff>::led(4, leaders).config(0)
    }
    /// Asks whoever is next.
    fn ask(fetching: &mut Fetching, now: Time) -> NodeId {
        let asked = fetching.ask(now, Height(5), Height(6), &config());
        asked.unwrap().0
    }

    /// Found by twins: a slot that no one had committed was asked for, and not had, for ever.
    #[test]
    fn when_all_have_nothing_they_are_asked_again_after_a_while() {
        let (mut fetching, mut now) = (Fetching::default(), Time(0));
        for _ in 0..3 {
            let mut asked = Vec::new();
            while !fetching.is_asked() || fetching.ran_out(now) {
                let peer = ask(&mut fetching, now);
                fetching.answered(peer, Brought::Nothing);
                asked.push(peer);
                assert!(asked.len() <= 3, "asked at once: {asked:?}");
            }
            asked.sort_unstable();
            assert_eq!(asked, [NodeId(1), NodeId(2), NodeId(3)]);
            now = fetching.deadline().unwrap();
        }
    }
    #[test]
    fn who_answers_after_all_is_asked_again_at_once() {
        let mut fetching = Fetching::default();
        for peer in [1, 2, 3] {
            assert_eq!(ask(&mut fetching, Time(0)), NodeId(peer));
            fetching.answered(NodeId(peer), Brought::Nothing);
        }
        assert!(fetching.is_asked());
        fetching.answered(NodeId(3), Brought::Enough);
        assert!(!fetching.is_asked());
        assert_eq!(ask(&mut fetching, Time(0)), NodeId(3));
    }
    #[test]
    fn where_one_goes_on_is_nobody_elses_affair() {
        let mut fetching = Fetching::default();
        let on = |fetching: &mut Fetching, from| {
            let peer = ask(fetching, Time(0));
            fetching.go_on(NodeId(from), Height(9));
            let asked = fetching.is_asked();
            (peer, asked)
        };
        assert_eq!(on(&mut fetching, 1), (NodeId(1), false));
        assert_eq!(on(&mut fetching, 2), (NodeId(1), true), "2 was not asked");
        assert_eq!(fetching.heights(), Some((Height(9), Height(6))));
        fetching.answered(NodeId(1), Brought::Nothing);
        assert_eq!(ask(&mut fetching, Time(0)), NodeId(2));
        assert_eq!(fetching.heights(), Some((Height(5), Height(6))));
    }
    #[test]
    fn little_by_little_goes_on_without_a_pause() {
        let mut fetching = Fetching::default();
        for _ in 0..10 {
            let peer = ask(&mut fetching, Time(0));
            fetching.answered(peer, Brought::Little);
            assert!(!fetching.is_asked());
        }
    }
    #[test]
    fn who_was_not_asked_changes_nothing_by_having_nothing() {
        let mut fetching = Fetching::default();
        let peer = ask(&mut fetching, Time(0));
        for _ in 0..10 {
            fetching.answered(NodeId(peer.0 % 3 + 1), Brought::Nothing);
        }
        assert!(fetching.is_asked() && !fetching.ran_out(Time(0)));
        fetching.answered(peer, Brought::Nothing);
        assert!(!fetching.is_asked());
    }
}
