//! Quorum arithmetic for both fault models.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a faulty node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultModel {
    /// Lie, equivocate, collude, forge, delay: n >= 3f + 1.
    Byzantine,
    /// Stop, restart, be slow: n >= 2f + 1.
    Crash,
}

impl fmt::Display for FaultModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultModel::Byzantine => "byzantine",
            FaultModel::Crash => "crash",
        })
    }
}

/// How many of `n` make a quorum, and how many may be faulty. A value of the configuration: Raft's
/// commit and election quorums may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorums {
    /// Members in all.
    pub n: usize,
    /// Faults survived.
    pub f: usize,
    /// Members that must agree to commit (Byzantine: to certify anything).
    pub commit: usize,
    /// Members that must agree to elect (Byzantine: the same).
    pub election: usize,
}

impl Quorums {
    /// The least quorums that are safe for `n` members.
    ///
    /// Byzantine: f = floor((n-1)/3), q = floor((n+f)/2) + 1. Crash: f = floor((n-1)/2), q = floor(n/2) + 1.
    #[must_use]
    pub fn of(model: FaultModel, n: usize) -> Self {
        let (f, q) = match model {
            FaultModel::Byzantine => {
                let f = n.saturating_sub(1) / 3;
                (f, (n + f) / 2 + 1)
            }
            FaultModel::Crash => (n.saturating_sub(1) / 2, n / 2 + 1),
        };
        let q = q - usize::from(crate::planted!(ShortQuorum));
        Self {
            n,
            f,
            commit: q,
            election: q,
        }
    }
    /// Quorums of these sizes, where members only crash (Raft). [`Quorums::meet`] tells whether they
    /// are safe.
    #[must_use]
    pub fn flexible(n: usize, commit: usize, election: usize) -> Self {
        let survives = n.saturating_sub(commit).min(n.saturating_sub(election));
        Self {
            n,
            f: survives,
            commit,
            election,
        }
    }
    /// Whether quorums of members that only crash are safe: every commit quorum meets every
    /// election quorum, so that whoever is elected has what was committed, and two election quorums
    /// meet, so that a term has one leader (Howard, Malkhi, Spiegelman: Flexible Paxos, OPODIS 2016,
    /// section 4, asks for the first only, since its ballots belong to proposers).
    #[must_use]
    pub fn meet(&self) -> bool {
        let within = |size: usize| (1..=self.n).contains(&size);
        within(self.commit)
            && within(self.election)
            && self.commit + self.election > self.n
            && 2 * self.election > self.n
    }
    /// The least number that must contain an honest member.
    #[must_use]
    pub fn one_honest(&self) -> usize {
        self.f + 1
    }
}

#[cfg(test)]
mod tests;
