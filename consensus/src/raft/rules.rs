//! The rules, as predicates without state. Assumed throughout: members stop and restart, but do not
//! lie, and what they call durable survives a restart.
//!
//! Sources: \[R\] Ongaro and Ousterhout: In search of an understandable consensus algorithm, ATC 2014.
//! \[D\] Ongaro: Consensus: bridging theory and practice, dissertation, 2014. \[F\] Howard, Malkhi,
//! Spiegelman: Flexible Paxos, OPODIS 2016.

use super::entry::Position;
use crypto::{Height, NodeId, Quorums, Time, View};

/// Whether quorums are safe: every commit quorum meets every election quorum, so that a new leader
/// has what was committed, and two election quorums meet, so that a term has one leader (\[F\]
/// section 4 asks for the first only, since its ballots belong to proposers).
#[must_use]
pub fn quorums_meet(q: &Quorums) -> bool {
    q.meet()
}

/// What a vote depends on.
#[derive(Clone, Copy, Debug)]
pub struct Voter {
    /// Its term.
    pub term: View,
    /// Whom it voted for in that term.
    pub voted: Option<NodeId>,
    /// The end of its log.
    pub last: Position,
}

/// Whether a candidate gets the vote: one a term, and only to a log that is at least as up to date
/// as the own (\[R\] sections 5.2 and 5.4.1).
#[must_use]
pub fn may_grant(voter: &Voter, candidate: NodeId, term: View, last: Position) -> bool {
    let first = voter.voted.is_none_or(|it| it == candidate) || crypto::planted!(VoteTwice);
    term == voter.term && first && up_to_date(voter.last, last)
}

/// Whether a log is at least as up to date as another: the later last term wins, then the longer log
/// (\[R\] section 5.4.1).
#[must_use]
pub fn up_to_date(own: Position, other: Position) -> bool {
    other >= own || crypto::planted!(AnyLog)
}

/// Whether somebody would vote for a candidate of `term`, were it to stand (\[D\] section 9.6,
/// PreVote): promises nothing, and so costs nobody a term.
#[must_use]
pub fn would_grant(voter: &Voter, term: View, last: Position) -> bool {
    term > voter.term && up_to_date(voter.last, last)
}

/// Whether there is no reason to elect anybody: a leader was heard of within the least time-out
/// (\[D\] section 4.2.3). It keeps a node that was cut off from deposing a leader that works, and
/// it is what a lease rests on.
#[must_use]
pub fn leader_is_heard(heard: Option<Time>, now: Time, timeout: Time) -> bool {
    heard.is_some_and(|at| now < at.plus(timeout))
}

/// The highest height that a quorum holds, of the heights that are known to match at each member
/// (\[R\] section 5.3). Sorted and picked, since counting up has once committed without a quorum.
#[must_use]
pub fn quorum_match(mut matched: Vec<Height>, quorum: usize) -> Height {
    matched.sort_unstable_by(|a, b| b.cmp(a));
    let at = quorum.checked_sub(1);
    at.and_then(|at| matched.get(at))
        .copied()
        .unwrap_or_default()
}

/// Whether what a quorum holds is committed: only if its entry is of the leader's own term, and then
/// with all before it (\[R\] section 5.4.2, figure 8).
#[must_use]
pub fn commits(entry: View, term: View) -> bool {
    entry == term || crypto::planted!(CommitOldTerm)
}

/// How far a follower may take its leader's word for what is committed: not beyond what is known to
/// match the leader's log (\[R\] figure 2, AppendEntries, step 5).
#[must_use]
pub fn commit_reaches(leader: Height, matched: Height) -> Height {
    if crypto::planted!(CommitBlind) {
        return leader;
    }
    leader.min(matched)
}
