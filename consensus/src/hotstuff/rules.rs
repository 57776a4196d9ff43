//! The rules, as predicates without state. Assumed throughout: at most f of n members are faulty,
//! every certificate passed here was checked, and two quorums share an honest member.
//!
//! Sources: \[HS\] Yin, Malkhi, Reiter, Gueta, Abraham: HotStuff, PODC 2019 (chained: section 5).
//! \[LB\] Baudet et al.: State machine replication in the Libra blockchain, 2019 (pacemaker: section
//! 7; consecutive rounds: section 5).

use super::block::Header;
use super::certificate::{QuorumCertificate, TimeoutCertificate};
use super::message::Timeout;
use crate::LeaderSchedule;
use crypto::View;

/// A block extends what its certificate certifies (\[HS\] algorithm 4, `createLeaf`).
#[must_use]
pub fn extends_certified(header: &Header) -> bool {
    let justify = &header.justify;
    header.parent == justify.block
        && header.height == justify.height.next()
        && header.height.0 > justify.height.0
        && header.view > justify.view
}

/// A timeout certificate's high certificate is of a view that its tenure or an earlier one holds:
/// honest signers give up a tenure in which they are (\[LB\] section 7.1).
#[must_use]
pub fn is_of_its_tenure(leaders: &LeaderSchedule, timeout: &TimeoutCertificate) -> bool {
    timeout.tenure < u64::MAX && timeout.high.view < leaders.first(timeout.tenure + 1)
}

/// A block's view was entered either by the certificate of the view before, or by a timeout
/// certificate of the tenure before, which it then carries, and then its parent is no older than
/// the highest certificate of those who gave up (\[LB\] section 5.3, "timeout certificates"). Exactly one
/// of both, so that leaving a field out changes the verdict and not the meaning.
#[must_use]
pub fn entered_rightly(leaders: &LeaderSchedule, header: &Header) -> bool {
    let direct = header.view == header.justify.view.next();
    match &header.timeout {
        None => direct,
        Some(timeout) => {
            !direct
                && is_of_its_tenure(leaders, timeout)
                && header.view == leaders.first(timeout.tenure + 1)
                && (header.justify.view >= timeout.high.view
                    || crypto::planted!(BuildBelow | VoteFreely))
        }
    }
}

/// A timeout proves that its signer had entered the tenure, and signs a certificate that existed
/// in it (\[LB\] section 7.1): without the proof a liar could open tenures at will.
#[must_use]
pub fn timeout_is_proven(leaders: &LeaderSchedule, timeout: &Timeout) -> bool {
    let tenure = timeout.tenure;
    if tenure == u64::MAX || timeout.high.view >= leaders.first(tenure + 1) {
        return false;
    }
    let direct = timeout.high.view.next() >= leaders.first(tenure);
    let entered = match &timeout.entry {
        None => direct,
        Some(entry) => {
            !direct
                && entry.tenure.checked_add(1) == Some(tenure)
                && is_of_its_tenure(leaders, entry)
                && timeout.high.view >= entry.high.view
        }
    };
    let vote_fits = timeout
        .vote
        .as_ref()
        .is_none_or(|v| leaders.tenure_of(v.view) == tenure && v.view.0 > 0);
    entered && vote_fits
}

/// What a vote depends on.
#[derive(Clone, Copy, Debug)]
pub struct Voter<'a> {
    /// The current view.
    pub view: View,
    /// The view of the last vote.
    pub voted: View,
    /// The highest tenure given up.
    pub given_up: Option<u64>,
    /// The lock.
    pub locked: &'a QuorumCertificate,
}

/// Whether a block may be voted for, its parent being held and the lock of its certificate taken:
/// once a view, in ascending views, in no tenure given up, and not against the lock (\[HS\] algorithm 4,
/// `safeNode`, whose "extends the locked block" is implied by a newer certificate under [`commits`];
/// \[LB\] section 5.3, "first and second voting rule").
#[must_use]
pub fn may_vote(leaders: &LeaderSchedule, voter: &Voter<'_>, header: &Header) -> bool {
    header.view == voter.view
        && header.view > voter.voted
        && voter.given_up.is_none_or(|tenure| {
            leaders.tenure_of(header.view) > tenure || crypto::planted!(VoteAfterTimeout)
        })
        && (header.justify.view >= voter.locked.view || crypto::planted!(ForgetLock | VoteFreely))
}

/// The lock to take on seeing a certificate of `header`'s block: its parent's certificate, if that
/// is higher (\[HS\] algorithm 5: lock on a two-chain).
#[must_use]
pub fn raises_lock(locked: &QuorumCertificate, header: &Header) -> bool {
    header.justify.view > locked.view || crypto::planted!(LowerLock)
}

/// Whether a certificate of `b0` commits `b2`: parent and child twice over, in consecutive views
/// (\[LB\] section 5.3, "commit rule"; \[HS\] commits a direct-parent three-chain, with dummy blocks
/// that fill skipped views, which amounts to the same). Without consecutive views a fork commits:
/// see the test of the six views.
#[must_use]
pub fn commits(b2: &Header, b1: &Header, b0: &Header) -> bool {
    b0.justify.view == b1.view
        && b1.justify.view == b2.view
        && (b0.view == b1.view.next() && b1.view == b2.view.next() || crypto::planted!(CommitGaps))
}
