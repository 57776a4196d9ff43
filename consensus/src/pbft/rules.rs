//! The rules, as predicates without state. Assumed throughout: at most f of n members are faulty,
//! every certificate passed here was checked, and two quorums share an honest member.
//!
//! Sources: \[CL\] Castro and Liskov: Practical Byzantine fault tolerance, OSDI 1999 (with
//! signatures: section 4). \[T\] the same: Practical Byzantine fault tolerance and proactive recovery,
//! ACM TOCS 20(4), 2002. \[C\] Castro: Practical Byzantine fault tolerance, thesis, MIT 2001.

use super::certificate::{NewView, Prepared};
use super::message::{Change, ViewChange};
use super::slot::{self, Assigned};
use crate::LeaderSchedule;
use crypto::{Digest, Height, NodeId, Quorums, View};
use std::collections::BTreeMap;

/// The primary of a view: members take turns (\[CL\] section 4, `p = v mod |R|`). A view lasts for
/// as long as nobody gives it up, and so is what a schedule calls a tenure.
#[must_use]
pub fn primary(leaders: &LeaderSchedule, view: View, n: usize) -> NodeId {
    leaders.leader(leaders.first(view.0), n)
}

/// The high watermark: two intervals of checkpoints above the low one, so that a slot need not wait
/// while the checkpoint below it becomes stable (\[CL\] section 4.3).
#[must_use]
pub fn high_watermark(low: Height, interval: u64) -> Height {
    Height(low.0.saturating_add(interval.saturating_mul(2)))
}

/// Whether a slot is between the watermarks (\[CL\] section 4.2: else a faulty primary could exhaust
/// the space of sequence numbers by a very large one).
#[must_use]
pub fn in_window(low: Height, interval: u64, height: Height) -> bool {
    height > low && height <= high_watermark(low, interval)
}

/// What accepting a pre-prepare depends on.
#[derive(Clone, Copy, Debug)]
pub struct Backup {
    /// The view that it takes part in.
    pub view: View,
    /// The highest view that it has asked for: after its view change it has no part in older ones.
    pub wanted: View,
    /// What it has accepted for the slot in this view.
    pub accepted: Option<Digest>,
    /// What the slot has to hold: what the new view carries over, or what is committed there.
    pub bound: Option<Digest>,
}

/// Whether a pre-prepare, signed by the primary of its view and within the watermarks, may be
/// accepted: in the current view, unless that was given up, one digest a slot, and what the new view
/// carries over or was committed (\[CL\] sections 4.2 and 4.4).
#[must_use]
pub fn may_accept(backup: &Backup, assigned: &Assigned) -> bool {
    let given_up = backup.wanted > backup.view && !crypto::planted!(GoOnAfterChange);
    assigned.view == backup.view
        && !given_up
        && backup.accepted.is_none_or(|it| it == assigned.digest)
        && backup.bound.is_none_or(|it| it == assigned.digest)
}

/// Whether a slot is prepared: its pre-prepare and prepares of q - 1 others (\[CL\] section 4.2 has
/// 2f of n = 3f + 1, which is q - 1; f + 1 would be the same at n = 4, and fork at n = 7).
#[must_use]
pub fn is_prepared(quorums: &Quorums, prepares: usize) -> bool {
    prepares + 1 >= quorums.commit || crypto::planted!(CommitUnprepared)
}

/// Whether a slot is committed: commits of q for one digest in one view (\[CL\] section 4.2,
/// "committed-local"). They show that q have prepared it, so whoever has not may rely on them, too.
#[must_use]
pub fn is_committed(quorums: &Quorums, commits: usize) -> bool {
    commits >= quorums.commit
}

/// Whether a certificate counts as prepared: its pre-prepare is the primary's.
#[must_use]
pub fn is_by_primary(leaders: &LeaderSchedule, n: usize, it: &Prepared) -> bool {
    it.primary == primary(leaders, it.assigned.view, n)
}

/// Whether a member may ask for a view in these words: its slots are between its own watermarks, its
/// certificates are by the primaries of their views (\[CL\] section 4.4). Form and signatures were
/// checked before; one bad part makes the whole invalid, so that none masks a good one.
#[must_use]
pub fn view_change_is_valid(
    leaders: &LeaderSchedule,
    n: usize,
    interval: u64,
    it: &ViewChange,
) -> bool {
    it.change.view > View(1)
        && is_within_window(&it.change, interval)
        && it.prepared.iter().all(|it| is_by_primary(leaders, n, it))
}

fn is_within_window(change: &Change, interval: u64) -> bool {
    let highest = change.prepared.last();
    highest.is_none_or(|it| it.height <= high_watermark(change.low.height, interval))
}

/// What view changes leave for the slots above the highest checkpoint that they prove, up to the
/// highest one prepared: **the digest of the highest view**, and nothing in the gaps (\[CL\] section
/// 4.4, the set O).
#[must_use]
pub fn carried_over(changes: &[&Change]) -> Vec<Digest> {
    let (low, highest) = highest_prepared(changes);
    let reach = highest.keys().next_back().map_or(low.0, |it| it.0);
    (low.0..reach)
        .map(|below| highest.get(&Height(below).next()))
        .map(|it| it.map_or_else(slot::null, |it| it.digest))
        .collect()
}

/// The highest checkpoint that view changes prove, and above it what they name of the highest view for
/// each slot.
#[must_use]
pub fn highest_prepared(changes: &[&Change]) -> (Height, BTreeMap<Height, Assigned>) {
    let low = changes.iter().map(|it| it.low.height).max();
    let low = low.unwrap_or_default();
    let mut highest: BTreeMap<Height, Assigned> = BTreeMap::new();
    let prepared = changes.iter().flat_map(|it| &it.prepared);
    for it in prepared.filter(|it| it.height > low) {
        let known = highest.entry(it.height).or_insert(*it);
        let newer = (it.view, it.digest) > (known.view, known.digest);
        let wanted = if crypto::planted!(CarryLowest) {
            !newer
        } else {
            newer
        };
        if wanted {
            *known = *it;
        }
    }
    (low, highest)
}

/// Whether a view was opened rightly: by its primary, with view changes that are valid, and with
/// what follows from them (\[CL\] section 4.4: "does a computation similar to the primary's"). Form and
/// signatures were checked before.
#[must_use]
pub fn new_view_is_valid(leaders: &LeaderSchedule, n: usize, interval: u64, it: &NewView) -> bool {
    let changes: Vec<&Change> = it.changes.iter().collect();
    it.view > View(1)
        && it.author == primary(leaders, it.view, n)
        && changes.iter().all(|it| is_within_window(it, interval))
        && it.prepared.iter().all(|it| is_by_primary(leaders, n, it))
        && (it.slots == carried_over(&changes) || crypto::planted!(TrustNewView))
}

/// Which view to join, if f + 1 other members want higher ones: the smallest of them, which at least
/// one honest member is beyond (\[CL\] section 4.5.2). `wanted` has the highest view of each other member
/// only, so that f liars with huge numbers move nobody.
#[must_use]
pub fn view_to_join(quorums: &Quorums, own: View, wanted: &[View]) -> Option<View> {
    let higher: Vec<View> = wanted.iter().copied().filter(|it| *it > own).collect();
    let enough = quorums.one_honest();
    let enough = if crypto::planted!(JoinAnyone) {
        1
    } else {
        enough
    };
    (higher.len() >= enough).then(|| higher.into_iter().min())?
}

/// Whether a certificate says nothing any more about its slot: a newer view was opened, which
/// carries no slot so high over. Had it been committed, one of the quorum that opened the view would
/// have named it.
#[must_use]
pub fn is_orphaned(prepared: &Assigned, opened: Option<&NewView>) -> bool {
    opened.is_some_and(|it| prepared.view < it.view && prepared.height > it.reach())
}
