//! L4: a node that cannot make progress says so, and one that can does not: it says that it waits
//! within a stated time since nothing moves though work waits; nothing at all once the cluster is at
//! rest and it has no work left; and in a run without any fault, where timers may still run out, not
//! for as long as that while it moves, and the others do: votes may be split again and again.

use super::{Check, Expected, Seen};
use crypto::{Height, NodeId, Time};
use std::collections::BTreeMap;

/// What is to be said of the cluster at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Anything may go wrong.
    Any,
    /// Nothing ever goes wrong in this run.
    Calm,
    /// All is done, and everybody stands alike.
    AtRest,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Time,
    /// How the cluster is.
    pub mood: Mood,
    /// Highest committed height.
    pub ordered: Height,
    /// Highest executed height.
    pub executed: Height,
    /// Whether transactions or batches wait there, or heights to be executed.
    pub work: bool,
    /// What it says that it waits for.
    pub waiting: Option<String>,
}

/// A node's standstill.
#[derive(Clone, Copy, Debug)]
struct Still {
    /// Since when.
    since: Time,
    /// At which heights.
    at: (Height, Height),
    /// When it was asked last.
    asked: Time,
    /// Since when it says that it waits.
    words: Option<Time>,
    /// Whether it has work.
    work: bool,
}

/// See the module.
pub struct Candid {
    silence: Time,
    still: BTreeMap<NodeId, Still>,
    /// The highest height that anybody has committed, and since when.
    front: (Height, Time),
}

impl Candid {
    /// Of nodes that are silent about a standstill for no longer than this.
    #[must_use]
    pub fn new(expected: &Expected) -> Self {
        Self {
            silence: expected.silence,
            still: BTreeMap::new(),
            front: (Height(0), Time(0)),
        }
    }
    fn sampled(&mut self, node: NodeId, it: &Sample) -> Result<(), String> {
        if it.ordered > self.front.0 {
            self.front = (it.ordered, it.at);
        }
        let at = (it.ordered, it.executed);
        let fresh = Still {
            since: it.at,
            at,
            asked: it.at,
            words: None,
            work: it.work,
        };
        let still = self.still.entry(node).or_insert(fresh);
        // Whoever was down, or stopped for a while, may have had no chance to notice.
        let heard = it.at.since(still.asked) < Time(self.silence.0 / 4);
        if !it.work || still.at != at || !heard {
            let words = still.words.filter(|_| heard);
            *still = Still { words, ..fresh };
        }
        (still.asked, still.work) = (it.at, it.work);
        let Some(what) = &it.waiting else {
            still.words = None;
            let lasted = it.at.since(still.since);
            return if lasted < self.silence {
                Ok(())
            } else {
                Err(format!(
                    "node {node} has work, does not move at height {}, executed {}, for {} ms, and \
                     says nothing",
                    it.ordered,
                    it.executed,
                    lasted.0 / 1_000_000
                ))
            };
        };
        let since = *still.words.get_or_insert(it.at);
        let moves = !it.work || it.at.since(still.since) < self.silence;
        let well = match it.mood {
            Mood::Any => false,
            Mood::Calm => moves && it.at.since(since) >= self.silence && self.moved(since),
            Mood::AtRest => !it.work,
        };
        if well {
            return Err(format!("node {node} says while all goes well: {what}"));
        }
        Ok(())
    }
    /// Whether something was committed since then, or nobody has work.
    fn moved(&self, since: Time) -> bool {
        self.front.1 > since || self.still.values().all(|it| !it.work)
    }
}

impl Check for Candid {
    fn property(&self) -> &'static str {
        "L4"
    }
    fn see(&mut self, seen: &Seen) -> Result<(), String> {
        match seen {
            Seen::Sampled { node, sample } => self.sampled(*node, sample),
            Seen::Started(node, _) | Seen::Stopped(node) => {
                self.still.remove(node);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
