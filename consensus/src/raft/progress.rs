//! What a leader knows of each follower.

use super::entry::Entry;
use super::log::Room;
use crate::{Timing, Token};
use crypto::{Height, Time};
use std::sync::Arc;

/// Most messages with entries under way to one follower.
pub const MOST_UNDER_WAY: usize = 64;
/// Most bytes in them, unless it is one message. What waits for a peer is kept in a queue of a few
/// times that, which drops the oldest when it is full: what the follower needs next.
const BYTES_UNDER_WAY: usize = 8 << 20;

/// A message with entries that is under way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The height of its last entry.
    last: Height,
    /// Bytes of its entries.
    bytes: usize,
    at: Time,
}

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
    /// The messages under way.
    under_way: Vec<Sent>,
    /// When what is under way is sent again.
    pub resend_at: Option<Time>,
    /// How long it is waited for an answer: longer where answers take longer, since what waits in a
    /// queue is not lost, and copies only make that queue longer.
    patience: Time,
    timing: Timing,
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
    pub fn new(last: Height, now: Time, timing: &Timing) -> Self {
        Self {
            next: last.next(),
            probed: last.next(),
            matched: Height(0),
            streaming: false,
            under_way: Vec::new(),
            resend_at: None,
            patience: timing.resend,
            timing: timing.clone(),
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
    /// How much the next message may hold, if no message holds more than `most` bytes.
    pub fn room(&self, most: usize) -> Room {
        if !self.may_send() {
            Room { first: 0, all: 0 }
        } else if self.under_way.is_empty() {
            Room::of(most)
        } else {
            let left = BYTES_UNDER_WAY.saturating_sub(self.bytes());
            Room {
                first: left,
                all: left.min(most),
            }
        }
    }
    /// Whether to look in the own store for what comes next: not for each message that is answered,
    /// since a load brings many.
    pub fn may_load(&self) -> bool {
        let few = self.under_way.len() <= MOST_UNDER_WAY / 2;
        self.may_send() && few && self.bytes() <= BYTES_UNDER_WAY / 2
    }
    /// Bytes under way.
    fn bytes(&self) -> usize {
        self.under_way.iter().map(|it| it.bytes).sum()
    }
    /// Something that it lacks is on its way to it, from here or from the own store.
    pub fn wait(&mut self, now: Time) {
        self.resend_at = Some(now.plus(self.patience));
    }
    /// Entries, or none, were sent.
    pub fn sent(&mut self, entries: &[Arc<Entry>], committed: Height, now: Time) {
        self.told = committed.min(self.next.previous());
        if let Some(last) = entries.last() {
            self.next = last.at.height.next();
            self.told = committed.min(last.at.height);
            self.under_way.push(Sent {
                last: last.at.height,
                bytes: entries.iter().map(|it| it.encoded_bytes()).sum(),
                at: now,
            });
            if crypto::planted!(CountSent) {
                self.matched = self.matched.max(last.at.height);
            }
            self.resend_at.get_or_insert(now.plus(self.patience));
        }
    }
    /// Its log matches up to `height`. True: that is news. An old answer never moves it back.
    pub fn matches(&mut self, height: Height, now: Time) -> bool {
        if height <= self.matched && !crypto::planted!(MatchMovesBack) {
            return false;
        }
        let answered = self.under_way.iter().rev().find(|it| it.last <= height);
        if let Some(sent) = answered {
            let twice = Time(now.since(sent.at).0.saturating_mul(2));
            self.patience = twice.min(self.timing.timeout_cap).max(self.timing.resend);
        }
        self.matched = height;
        self.next = self.next.max(height.next());
        self.streaming = true;
        self.under_way.retain(|it| it.last > height);
        self.resend_at = None;
        if !self.under_way.is_empty() {
            self.wait(now);
        }
        true
    }
    /// There was no answer in time. Whether that is because the way is long, only answers tell.
    pub fn late(&mut self) {
        let twice = Time(self.patience.0.saturating_mul(2));
        self.patience = twice.min(self.timing.timeout).max(self.patience);
        self.again();
    }
    /// Its connection is another one.
    pub fn connected(&mut self) {
        self.patience = self.timing.resend;
        self.again();
    }
    /// What is under way is taken for lost: it is sent again, to find out by one message whether it
    /// fits. Whoever has not answered in this term yet is asked the same again, and not sent the
    /// whole log because nothing is known to match.
    fn again(&mut self) {
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
