//! Prepared and commit certificates, what proves that a view was opened, and the proof of a commit.

use super::message::{Change, Low, ViewChange};
use super::rules;
use super::slot::{self, Assigned};
use crate::Committed;
use crate::common::Claims;
use crate::replica::StableCheckpoint;
use crypto::{
    Certificate, Digest, Epoch, Hasher, Height, Kind, NodeId, Reject, Signature, Slot, Statement,
    Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a pre-prepare, prepare or commit signs. `history` is no part of it: it follows from the
/// contents of all heights.
#[must_use]
pub fn phase_statement(kind: Kind, epoch: Epoch, it: &Assigned) -> Statement {
    Statement {
        slot: Slot {
            kind,
            epoch,
            view: it.view,
            height: it.height,
        },
        content: it.digest,
    }
}

/// Of a view, whatever the height: a key says one thing of each kind.
pub(super) fn view_slot(kind: Kind, epoch: Epoch, view: View) -> Slot {
    Slot {
        kind,
        epoch,
        view,
        height: Height(0),
    }
}

/// The pre-prepare of a slot and prepares for it, of a quorum of distinct members in all (\[CL\]
/// section 4.2, "prepared").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What was prepared.
    pub assigned: Assigned,
    /// Whose signature is of a pre-prepare: the primary of the view.
    pub primary: NodeId,
    /// The primary's signature and those of the others' prepares.
    pub certificate: Certificate,
}

impl Prepared {
    /// Checks its form and adds its signatures to `claims`. That `primary` led the view, the
    /// replica checks, which knows who leads.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.assigned.view == View(0) || !self.certificate.signers.contains(self.primary) {
            return Err(Reject::BadCertificate);
        }
        let epoch = claims.verifier().context.epoch;
        let pre_prepare = phase_statement(Kind::PrePrepare, epoch, &self.assigned);
        let prepare = phase_statement(Kind::Prepare, epoch, &self.assigned);
        claims.quorum(&self.certificate, |_, node| {
            if node == self.primary {
                pre_prepare
            } else {
                prepare
            }
        })
    }
    /// The primary's own signature.
    #[must_use]
    pub fn primary_signature(&self) -> Option<Signature> {
        let signers = self.certificate.signers.iter();
        let mut signed = signers.zip(&self.certificate.signatures);
        signed
            .find(|(node, _)| *node == self.primary)
            .map(|(_, signature)| *signature)
    }
}

/// A quorum's commits for one slot in one view (\[CL\] section 4.2, "committed").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitCertificate {
    /// What was committed.
    pub assigned: Assigned,
    /// Who said so.
    pub certificate: Certificate,
}

impl CommitCertificate {
    /// Checks its form and adds its signatures to `claims`.
    ///
    /// # Errors
    /// [`Reject::BadCertificate`].
    pub fn claim(&self, claims: &mut Claims<'_>) -> Result<(), Reject> {
        if self.assigned.view == View(0) {
            return Err(Reject::BadCertificate);
        }
        let epoch = claims.verifier().context.epoch;
        let statement = phase_statement(Kind::Commit, epoch, &self.assigned);
        claims.quorum(&self.certificate, |_, _| statement)
    }
}

/// Checks the form of a stable checkpoint and adds its signatures to `claims`.
///
/// # Errors
/// [`Reject::BadCertificate`].
pub fn claim_checkpoint(stable: &StableCheckpoint, claims: &mut Claims<'_>) -> Result<(), Reject> {
    let statement = stable.statement(&claims.verifier().context);
    claims.quorum(&stable.certificate, |_, _| statement)
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
    /// Bytes of the longest one, and of the longest message about a change of views: of a full window of
    /// slots, each of which all have signed. `interval`: heights between checkpoints. A channel that does not take it would
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

/// Convinces a third party that a height is committed: q commits. Two replicas may have different
/// ones for the same height, so it is never hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(pub CommitCertificate);

impl Proof {
    /// Checks that it proves the commit of `committed.payload` at `committed.height`. `history`
    /// is not signed: it follows from the payloads of all heights.
    ///
    /// # Errors
    /// [`Reject::Malformed`] if it proves something else, or what is wrong with the certificate.
    pub fn check(committed: &Committed<Self>, by: &Verifier) -> Result<(), Reject> {
        let Self(certificate) = &committed.proof;
        committed.payload.check_refs()?;
        let assigned = &certificate.assigned;
        let claimed = assigned.height == committed.height
            && assigned.digest == slot::content(&committed.payload);
        if !claimed {
            return Err(Reject::Malformed);
        }
        let mut claims = Claims::new(by);
        certificate.claim(&mut claims)?;
        claims.check()
    }
}
