//! Checkpoints: what a quorum says about history and state at a height (Castro and Liskov, OSDI
//! 1999, section 4.3; here without the log positions, which are the protocols' own affair).

use super::guard;
use super::input::ShellConfig;
use crate::Config;
use crypto::{
    Authenticate, Certificate, Digest, Epoch, Hasher, Height, Kind, NodeId, Reject, Signature,
    Size, Slot, Statement, Verifier, View,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// How many heights are remembered of each member, of the own ones, and of the stable ones.
const MOST_HEIGHTS: usize = 4;
/// How many committed checkpoint heights may wait for their execution. Ordering stops long before.
const MOST_WAITING: usize = 64;

/// History and state at a height, as one member signs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Who signed.
    pub node: NodeId,
    /// The height.
    pub height: Height,
    /// The history there.
    pub history: Digest,
    /// The state digest there.
    pub state: Digest,
    /// Over [`Checkpoint::statement`].
    pub signature: Signature,
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn statement(&self, context: &crypto::Context) -> Statement {
        statement(context.epoch, self.height, &self.history, &self.state)
    }
}

impl Authenticate for Checkpoint {
    fn check(&self, from: NodeId, by: &Verifier) -> Result<(), Reject> {
        if self.node != from {
            return Err(Reject::WrongSender);
        }
        by.one(self.node, self.statement(&by.context), self.signature)
    }
}

/// A checkpoint which a quorum has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StableCheckpoint {
    /// The height.
    pub height: Height,
    /// The history there.
    pub history: Digest,
    /// The state digest there.
    pub state: Digest,
    /// A quorum's signatures over [`StableCheckpoint::statement`].
    pub certificate: Certificate,
}

impl StableCheckpoint {
    /// What was signed.
    #[must_use]
    pub fn statement(&self, context: &crypto::Context) -> Statement {
        statement(context.epoch, self.height, &self.history, &self.state)
    }
    /// Checks the certificate.
    ///
    /// # Errors
    /// See [`Certificate::check`].
    pub fn check(&self, by: &Verifier) -> Result<(), Reject> {
        let quorum = by.validators.quorums().commit;
        self.certificate
            .check(&self.statement(&by.context), quorum, by)
    }
}

/// A checkpoint of the own, not yet signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckpointDraft {
    pub(super) node: NodeId,
    pub(super) epoch: Epoch,
    pub(super) height: Height,
    pub(super) history: Digest,
    pub(super) state: Digest,
}

impl CheckpointDraft {
    pub(super) fn statement(&self) -> Statement {
        statement(self.epoch, self.height, &self.history, &self.state)
    }
    pub(super) fn seal(self, signature: Signature) -> Checkpoint {
        let Self {
            node,
            height,
            history,
            state,
            ..
        } = self;
        Checkpoint {
            node,
            height,
            history,
            state,
            signature,
        }
    }
}

fn statement(epoch: Epoch, height: Height, history: &Digest, state: &Digest) -> Statement {
    let content = Hasher::new("quorate/v1/checkpoint")
        .number(height.0)
        .digest(history)
        .digest(state)
        .finish();
    Statement {
        slot: Slot {
            kind: Kind::Checkpoint,
            epoch,
            view: View(0),
            height,
        },
        content,
    }
}

/// Makes the own checkpoints, collects the others', and compares.
pub(super) struct Checkpoints {
    me: NodeId,
    epoch: Epoch,
    quorum: usize,
    every: NonZeroU64,
    /// Of committed checkpoint heights that are not executed yet.
    histories: BTreeMap<Height, Digest>,
    /// What was executed here.
    own: BTreeMap<Height, CheckpointDraft>,
    /// The first checkpoint of each member for each height.
    claims: BTreeMap<NodeId, BTreeMap<Height, Checkpoint>>,
    /// What a quorum signed.
    stable: BTreeMap<Height, StableCheckpoint>,
}

impl Checkpoints {
    /// `own`: what was signed in earlier runs, as far as the guard still has it.
    pub(super) fn new(
        config: &Config,
        shell: &ShellConfig,
        stable: Option<StableCheckpoint>,
        histories: Vec<(Height, Digest)>,
        own: impl Iterator<Item = CheckpointDraft>,
    ) -> Self {
        let mut checkpoints = Self {
            me: config.me,
            epoch: config.context.epoch,
            quorum: config.quorums.commit,
            every: shell.checkpoint_every,
            histories: BTreeMap::new(),
            own: own.map(|draft| (draft.height, draft)).collect(),
            claims: BTreeMap::new(),
            stable: stable.into_iter().map(|it| (it.height, it)).collect(),
        };
        for (height, history) in histories {
            checkpoints.committed(height, history);
        }
        checkpoints
    }
    /// How many heights are remembered.
    pub(super) fn sizes(&self, into: &mut Vec<Size>) {
        let claims = self.claims.values().map(BTreeMap::len).max().unwrap_or(0);
        into.extend([
            Size::new("checkpoints to execute", self.histories.len(), MOST_WAITING),
            Size::new(
                "own checkpoints",
                self.own.len(),
                guard::most(Kind::Checkpoint),
            ),
            Size::new("checkpoints of one", claims, MOST_HEIGHTS),
            Size::new("stable checkpoints", self.stable.len(), MOST_HEIGHTS),
        ]);
    }
    /// At which heights checkpoints are made.
    pub(super) fn every(&self) -> NonZeroU64 {
        self.every
    }
    /// The newest stable checkpoint.
    pub(super) fn stable(&self) -> Option<&StableCheckpoint> {
        self.stable.last_key_value().map(|(_, stable)| stable)
    }
    /// A height is committed.
    pub(super) fn committed(&mut self, height: Height, history: Digest) {
        if self.due(height) {
            self.histories.insert(height, history);
            trim(&mut self.histories, MOST_WAITING);
        }
    }
    /// A height is executed: the checkpoint to sign, if one is due there.
    ///
    /// # Errors
    /// In words, if the state is not the one that a quorum, or this node itself, has signed.
    pub(super) fn executed(
        &mut self,
        height: Height,
        state: Digest,
    ) -> Result<Option<CheckpointDraft>, String> {
        if !self.due(height) {
            return Ok(None);
        }
        let Some(history) = self.histories.remove(&height) else {
            return Ok(None);
        };
        let draft = CheckpointDraft {
            node: self.me,
            epoch: self.epoch,
            height,
            history,
            state,
        };
        if let Some(signed) = self.own.get(&height)
            && *signed != draft
        {
            return Err(diverged(
                &draft,
                &signed.history,
                &signed.state,
                "it signed before",
            ));
        }
        self.own.insert(height, draft);
        trim(&mut self.own, MOST_HEIGHTS);
        self.compare(height)?;
        Ok(Some(draft))
    }
    /// What [`Self::executed`] says of the height at which the node starts, unless it was signed there
    /// or is stable. The state may have come there, and to disk, after the last that was signed in the
    /// former run; nothing is executed there again.
    ///
    /// # Errors
    /// See [`Self::executed`].
    pub(super) fn found(
        &mut self,
        height: Height,
        state: Digest,
    ) -> Result<Option<CheckpointDraft>, String> {
        let settled = self.own.contains_key(&height) || self.stable.contains_key(&height);
        let draft = self.executed(height, state)?;
        Ok(draft.filter(|_| !settled))
    }
    /// The own checkpoints that peers may have missed. Not the newest only: whoever crashed may never
    /// sign that, and then an older one is what all have in common.
    pub(super) fn unstable(&self) -> Vec<CheckpointDraft> {
        let stable = self.stable().map(|it| it.height);
        let later = |it: &&CheckpointDraft| stable < Some(it.height);
        self.own.values().filter(later).copied().collect()
    }
    /// A member's checkpoint, its signature checked. Returns the new stable one, for
    /// [`Checkpoints::adopt`], if this makes it.
    ///
    /// # Errors
    /// [`Reject::Malformed`] at a height without checkpoints, [`Reject::Conflict`] if it
    /// contradicts the first one of its signer.
    pub(super) fn add(&mut self, it: Checkpoint) -> Result<Option<StableCheckpoint>, Reject> {
        if !self.due(it.height) {
            return Err(Reject::Malformed);
        }
        if self
            .stable()
            .is_some_and(|stable| it.height <= stable.height)
        {
            return Ok(None);
        }
        let claims = self.claims.entry(it.node).or_default();
        if let Some(first) = claims.get(&it.height) {
            let same = (first.history, first.state) == (it.history, it.state);
            return if same {
                Ok(None)
            } else {
                Err(Reject::Conflict)
            };
        }
        claims.insert(it.height, it);
        trim(claims, MOST_HEIGHTS);
        Ok(self.certify(&it))
    }
    /// Keeps a stable checkpoint, if it is the newest.
    pub(super) fn adopt(&mut self, stable: &StableCheckpoint) -> bool {
        let newest = self.stable().map(|it| it.height) < Some(stable.height);
        if newest {
            self.stable.insert(stable.height, stable.clone());
            trim(&mut self.stable, MOST_HEIGHTS);
            for claims in self.claims.values_mut() {
                claims.retain(|at, _| *at > stable.height);
            }
        }
        newest
    }
    /// What is wrong with the own state at a height that has just become stable.
    ///
    /// # Errors
    /// In words.
    pub(super) fn compare(&self, height: Height) -> Result<(), String> {
        match (self.own.get(&height), self.stable.get(&height)) {
            (Some(own), Some(stable)) if own.statement().content != self.content(stable) => Err(
                diverged(own, &stable.history, &stable.state, "a quorum signed"),
            ),
            _ => Ok(()),
        }
    }

    fn content(&self, it: &StableCheckpoint) -> Digest {
        statement(self.epoch, it.height, &it.history, &it.state).content
    }
    fn due(&self, height: Height) -> bool {
        height.0 > 0 && height.0.is_multiple_of(self.every.get())
    }
    /// Makes the certificate if enough members agree with this one.
    fn certify(&self, it: &Checkpoint) -> Option<StableCheckpoint> {
        let Checkpoint {
            height,
            history,
            state,
            ..
        } = *it;
        let agree: Vec<_> = self
            .claims
            .values()
            .filter_map(|claims| claims.get(&height))
            .filter(|claim| (claim.history, claim.state) == (history, state))
            .map(|claim| (claim.node, claim.signature))
            .collect();
        if agree.len() < self.quorum {
            return None;
        }
        let certificate = Certificate::collect(agree);
        Some(StableCheckpoint {
            height,
            history,
            state,
            certificate,
        })
    }
}

fn trim<T>(map: &mut BTreeMap<Height, T>, most: usize) {
    while map.len() > most {
        map.pop_first();
    }
}

fn diverged(own: &CheckpointDraft, history: &Digest, state: &Digest, who: &str) -> String {
    let what = if own.history == *history {
        "state"
    } else {
        "history"
    };
    format!(
        "{what} diverged at height {}: this node has history {} and state {}, but {who} history \
         {history} and state {state}",
        own.height, own.history, own.state
    )
}
