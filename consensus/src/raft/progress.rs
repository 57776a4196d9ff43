//! What a leader knows of each follower.

use super::entry::Entry;
use crate::Token;
use crypto::{Height, Time};
use std::sync::Arc;

/// Most messages with entries under way to one follower.
pub const MOST_UNDER_WAY: usize = 64;

/// One follower, as its leader sees it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The first height to send.
    pub next: Height,
    /// Up to here its log is on its disk and matches the leader's.
    pub matched: Height,
    /// Where the last probe began.
    probed: Height,
    /// Whether `next` is known to fit, so that several messages may be under way. Else one is, to
    /// find out.
    pub streaming: bool,
    /// The last heights of the messages under way.
    under_way: Vec<Height>,
    /// When what is under way is sent again.
    pub resend_at: Option<Time>,
    /// When it was last heard of in this term.
    pub heard: Time,
    /// The highest of the leader's rounds that it has answered, and when that round began.
    pub round: (u64, Time),
    /// The committed height that it was told last.
    pub told: Height,
    /// The load from the own store that its next entries wait for.
    pub loading: Option<Token>,
}

impl Progress {
    /// Of a leader that begins its term at `now` with a log up to `last`.
    pub fn new(last: Height, now: Time) -> Self {
        Self {
            next: last.next(),
            probed: last.next(),
            matched: Height(0),
            streaming: false,
            under_way: Vec::new(),
            resend_at: None,
            heard: now,
            round: (0, Time(0)),
            told: Height(0),
            loading: None,
        }
    }
    /// How many messages with entries are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
    /// Whether another message with entries may be sent.
    pub fn may_send(&self) -> bool {
        let most = if self.streaming { MOST_UNDER_WAY } else { 1 };
        self.under_way.len() < most && self.loading.is_none()
    }
    /// Entries, or none, were sent.
    pub fn sent(&mut self, entries: &[Arc<Entry>], committed: Height, again_at: Time) {
        self.told = committed.min(self.next.previous());
        if let Some(last) = entries.last() {
            self.next = last.at.height.next();
            self.told = committed.min(last.at.height);
            self.under_way.push(last.at.height);
            if crypto::planted!(CountSent) {
                self.matched = self.matched.max(last.at.height);
            }
            self.resend_at.get_or_insert(again_at);
        }
    }
    /// Its log matches up to `height`. True: that is news. An old answer never moves it back.
    pub fn matches(&mut self, height: Height, again_at: Time) -> bool {
        if height <= self.matched && !crypto::planted!(MatchMovesBack) {
            return false;
        }
        self.matched = height;
        self.next = self.next.max(height.next());
        self.streaming = true;
        self.under_way.retain(|last| *last > height);
        self.resend_at = (!self.under_way.is_empty()).then_some(again_at);
        true
    }
    /// What is under way is taken for lost: it is sent again, to find out by one message whether it
    /// fits. Whoever has not answered in this term yet is asked the same again, and not sent the
    /// whole log because nothing is known to match.
    pub fn again(&mut self) {
        let from = if self.streaming {
            self.matched.next()
        } else {
            self.probed
        };
        self.probe(from);
    }
    /// Goes back to `next`, to find out by one message whether that fits. A load that is under way is
    /// waited for: a store that is slow is not asked for more each time.
    pub fn probe(&mut self, next: Height) {
        self.next = next.max(self.matched.next());
        self.probed = self.next;
        self.streaming = false;
        self.under_way.clear();
        self.resend_at = None;
    }
}
