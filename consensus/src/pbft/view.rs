//! How a view is given up and the next one opened: what members say of it, and its proof.
//!
//! A member signs what it has prepared, not the certificates of it, which travel beside. So a new
//! view needs one certificate for what several members have prepared, the one of the highest view, and
//! is as large as the window and not as the window times the members.

use super::certificate::{Prepared, claim_checkpoint};
use super::rules;
use super::slot::Assigned;
use crate::common::Claims;
use crate::replica::StableCheckpoint;
use crypto::{
    Context, Digest, Epoch, Hasher, Height, Kind, NodeId, Reject, Signature, Slot, Statement, View,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A stable checkpoint by name; height 0 and a zero digest for where the epoch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Low {
    /// Its height.
    pub height: Height,
    /// The content of its statement.
    pub checkpoint: Digest,
}

impl Low {
    /// Where the epoch begins, or a checkpoint.
    #[must_use]
    pub fn of(stable: Option<&StableCheckpoint>, context: &Context) -> Self {
        stable.map_or_else(Self::default, |stable| Self {
            height: stable.height,
            checkpoint: stable.statement(context).content,
        })
    }
}

/// What a member says when it gives a view up (\[CL\] section 4.4, the view-change message).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The epoch.
    pub epoch: Epoch,
    /// The view that it wants to be opened.
    pub view: View,
    /// Its stable checkpoint.
    pub low: Low,
    /// What it has prepared above, the highest view of each slot; ascending.
    pub prepared: Vec<Assigned>,
    /// Who says so.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl Change {
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let mut hasher = Hasher::new("quorate/v1/pbft/view-change");
        hasher
            .number(self.low.height.0)
            .digest(&self.low.checkpoint)
            .number(self.prepared.len() as u64);
        for it in &self.prepared {
            hasher
                .number(it.height.0)
                .number(it.view.0)
                .digest(&it.digest);
        }
        Statement {
            slot: view_slot(Kind::ViewChange, self.epoch, self.view),
            content: hasher.finish(),
        }
    }
    /// Whether its slots ascend, above its checkpoint and below its view. How far they may go is the
    /// replica's to judge.
    fn check_form(&self, claims: &Claims<'_>) -> Result<(), Reject> {
        claims.epoch(self.epoch)?;
        let mut before = self.low.height;
        for it in &self.prepared {
            if it.height <= before || it.view >= self.view {
                return Err(Reject::Malformed);
            }
            before = it.height;
        }
        Ok(())
    }
}

/// Bytes of the longest message about a change of views: a new view of a full window of slots, each of
/// which all have signed. `interval`: heights between checkpoints. A channel that does not take it would
/// keep a view from ever being opened.
#[must_use]
pub fn longest(members: usize, quorum: usize, interval: u64) -> usize {
    /// A slot, view and digest.
    const ASSIGNED: usize = 48;
    /// All else of a view change, of a checkpoint, and of a certificate, but for signatures.
    const REST: usize = 128;
    let window = usize::try_from(interval.saturating_mul(2)).unwrap_or(usize::MAX);
    let certificate = 64 * members + 26;
    let slot = ASSIGNED + certificate + size_of::<Digest>();
    let change = REST + size_of::<Signature>() + window.saturating_mul(ASSIGNED);
    let all = change.saturating_add(REST + certificate);
    let slots = window.saturating_mul(slot);
    let changes = quorum.saturating_mul(all);
    slots.saturating_add(changes).saturating_add(REST)
}

fn view_slot(kind: Kind, epoch: Epoch, view: View) -> Slot {
    Slot {
        kind,
        epoch,
        view,
        height: Height(0),
    }
}

/// A view given up, with proof of all that it says. One bad part makes the whole invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// What is signed.
    pub change: Change,
    /// The stable checkpoint that it names.
    pub checkpoint: Option<Arc<StableCheckpoint>>,
    /// A certificate for each slot that it names.
    pub prepared: Vec<Arc<Prepared>>,
}

impl ViewChange {
    /// Checks its form and adds all its signatures to `claims`.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if proofs and claims differ, or what is wrong with a proof.
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        let change = &self.change;
        change.check_form(claims)?;
        let named = Low::of(self.checkpoint.as_deref(), &claims.verifier().context) == change.low;
        let proven = self.prepared.iter().map(|it| it.assigned);
        if !named || !proven.eq(change.prepared.iter().copied()) {
            return Err(Reject::Malformed);
        }
        claims.signed(change.author, change.statement(), change.signature);
        if let Some(stable) = &self.checkpoint {
            claim_checkpoint(stable, claims)?;
        }
        self.prepared.iter().try_for_each(|it| it.claim(claims))
    }
}

/// A view opened (\[CL\] section 4.4, the new-view message): the view changes of exactly a quorum, one
/// proof of each thing that they name, and what follows for the slots, which everybody computes
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewView {
    /// The epoch.
    pub epoch: Epoch,
    /// The view.
    pub view: View,
    /// In ascending order of author.
    pub changes: Vec<Change>,
    /// The stable checkpoints that they name, each once, ascending.
    pub checkpoints: Vec<Arc<StableCheckpoint>>,
    /// A certificate of the highest that they name of each slot above the highest checkpoint,
    /// ascending. What lies below changes nothing, so it needs no proof.
    pub prepared: Vec<Arc<Prepared>>,
    /// What every slot holds in the new view, from the one above the highest of the checkpoints up.
    pub slots: Vec<Digest>,
    /// The primary of the view.
    pub author: NodeId,
    /// The author's.
    pub signature: Signature,
}

impl NewView {
    /// Puts view changes together; what they leave for the slots is `slots`.
    #[must_use]
    pub fn collect(
        epoch: Epoch,
        view: View,
        author: NodeId,
        changes: &[&ViewChange],
        slots: Vec<Digest>,
    ) -> Self {
        let said: Vec<&Change> = changes.iter().map(|it| &it.change).collect();
        let (_, highest) = rules::highest_prepared(&said);
        let mut checkpoints = BTreeMap::new();
        let mut prepared = BTreeMap::new();
        for it in changes {
            if let Some(stable) = &it.checkpoint {
                checkpoints.insert(it.change.low, Arc::clone(stable));
            }
            for it in &it.prepared {
                let height = it.assigned.height;
                if highest.get(&height) == Some(&it.assigned) {
                    prepared.insert(height, Arc::clone(it));
                }
            }
        }
        let mut changes: Vec<Change> = changes.iter().map(|it| it.change.clone()).collect();
        changes.sort_by_key(|it| it.author);
        Self {
            epoch,
            view,
            changes,
            checkpoints: checkpoints.into_values().collect(),
            prepared: prepared.into_values().collect(),
            slots,
            author,
            signature: Signature::NONE,
        }
    }
    /// What its author signs.
    #[must_use]
    pub fn statement(&self) -> Statement {
        let mut hasher = Hasher::new("quorate/v1/pbft/new-view");
        hasher.number(self.changes.len() as u64);
        for change in &self.changes {
            hasher
                .number(u64::from(change.author.0))
                .digest(&change.statement().content);
        }
        hasher.number(self.slots.len() as u64);
        for digest in &self.slots {
            hasher.digest(digest);
        }
        Statement {
            slot: view_slot(Kind::NewView, self.epoch, self.view),
            content: hasher.finish(),
        }
    }
    /// The highest stable checkpoint that its members have proven.
    #[must_use]
    pub fn low(&self) -> Height {
        self.checkpoints.last().map_or(Height(0), |it| it.height)
    }
    /// The highest slot that it carries over.
    #[must_use]
    pub fn reach(&self) -> Height {
        Height(self.low().0.saturating_add(self.slots.len() as u64))
    }
    /// What a slot holds in this view, if it is carried over.
    #[must_use]
    pub fn assigned(&self, height: Height) -> Option<Assigned> {
        let index = height.0.checked_sub(self.low().0)?.checked_sub(1)?;
        let digest = *self.slots.get(usize::try_from(index).ok()?)?;
        Some(Assigned {
            height,
            view: self.view,
            digest,
        })
    }
    /// All that it carries over, ascending.
    pub fn all_assigned(&self) -> impl Iterator<Item = Assigned> {
        let (low, view) = (self.low(), self.view);
        (1u64..).zip(&self.slots).map(move |(i, digest)| Assigned {
            height: Height(low.0.saturating_add(i)),
            view,
            digest: *digest,
        })
    }
    /// Checks its form and adds all its signatures to `claims`. What its view changes leave for the
    /// slots, the replica computes (`rules.rs`).
    ///
    /// # Errors
    /// [`Reject::BadCertificate`] if it does not have a quorum of distinct members,
    /// [`Reject::Malformed`] if proofs and claims differ, or what is wrong with a proof.
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        claims.epoch(self.epoch)?;
        let ascending = self.changes.is_sorted_by(|a, b| a.author < b.author);
        if !ascending || self.changes.len() != claims.verifier().validators.quorums().commit {
            return Err(Reject::BadCertificate);
        }
        let mut lows = BTreeSet::new();
        for change in &self.changes {
            change.check_form(claims)?;
            if change.view != self.view {
                return Err(Reject::Malformed);
            }
            lows.insert(change.low);
            claims.signed(change.author, change.statement(), change.signature);
        }
        lows.remove(&Low::default());
        let stable = self.checkpoints.iter();
        let proven = stable.map(|it| Low::of(Some(it.as_ref()), &claims.verifier().context));
        let certified = self.prepared.iter().map(|it| it.assigned);
        let said: Vec<&Change> = self.changes.iter().collect();
        let (_, highest) = rules::highest_prepared(&said);
        if !proven.eq(lows) || !certified.eq(highest.into_values()) {
            return Err(Reject::Malformed);
        }
        claims.signed(self.author, self.statement(), self.signature);
        for stable in &self.checkpoints {
            claim_checkpoint(stable, claims)?;
        }
        self.prepared.iter().try_for_each(|it| it.claim(claims))
    }
}
