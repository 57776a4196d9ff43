//! The guard: this key never makes two statements for one slot, across crashes and restarts (S3).
//!
//! Every promise that is to be signed passes [`Guard::admit`] first. What it admits is stored, in
//! the same write as the records of that step, before it is signed; for an occupied slot the stored
//! promise is sent, whatever the protocol has made since. Slots older than what is kept are refused
//! by a floor, so that a bounded number has to be kept.

use super::{LogOp, wire::Promise};
use crate::{LeaderSchedule, Protocol};
use crypto::{Digest, Epoch, Height, Kind, Size, Slot, Statement, View, codec, planted};
use std::collections::BTreeMap;
use thiserror::Error;

/// An entry that is not what the guard once stored. The node must not sign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the safety record of {slot:?} is damaged: {why}")]
pub struct Damaged {
    /// Its key.
    pub slot: Slot,
    /// What is wrong with it.
    pub why: String,
}

/// Statements of these kinds are made in ascending order of slot: none below the highest is made
/// any more. PBFT's phases have many slots in flight instead.
const fn ascending(kind: Kind) -> bool {
    !matches!(kind, Kind::PrePrepare | Kind::Prepare | Kind::Commit)
}

/// How many slots of a kind are kept at least: what may still have to be sent again.
const fn kept(kind: Kind) -> usize {
    if ascending(kind) { 8 } else { 4096 }
}

/// How many are kept at most.
pub(super) const fn most(kind: Kind) -> usize {
    2 * kept(kind)
}

struct Entry<D> {
    content: Digest,
    promise: Promise<D>,
}

/// See the module.
pub(super) struct Guard<P: Protocol> {
    leaders: LeaderSchedule,
    entries: BTreeMap<Slot, Entry<P::Draft>>,
    /// How many entries of each kind.
    counts: BTreeMap<Kind, usize>,
    /// The highest slot of each kind that was dropped: it and what is below is refused.
    floors: BTreeMap<Kind, Slot>,
}

impl<P: Protocol> Guard<P> {
    /// What an earlier run has promised.
    ///
    /// # Errors
    /// [`Damaged`].
    pub(super) fn restore(
        leaders: LeaderSchedule,
        stored: Vec<(Slot, Vec<u8>)>,
        floors: Vec<(Kind, Slot)>,
    ) -> Result<Self, Damaged> {
        let floors = floors.into_iter().collect();
        let mut guard = Self {
            leaders,
            entries: BTreeMap::new(),
            counts: BTreeMap::new(),
            floors,
        };
        for (slot, bytes) in stored.into_iter().filter(|_| !planted!(ForgetPromises)) {
            let damaged = |why: String| Damaged { slot, why };
            let promise: Promise<P::Draft> =
                codec::decode(&bytes).map_err(|error| damaged(error.to_string()))?;
            let statement = promise
                .statement()
                .filter(|statement| statement.slot == slot);
            let statement = statement.ok_or_else(|| damaged("it belongs elsewhere".into()))?;
            guard.insert(statement, promise);
        }
        Ok(guard)
    }

    /// What to send for this promise: itself if its slot is free, the stored one if the slot is
    /// occupied, nothing if the slot is closed. `ops` makes what is new durable.
    pub(super) fn admit(
        &mut self,
        promise: Promise<P::Draft>,
        statement: Statement,
        ops: &mut Vec<LogOp<P>>,
    ) -> Option<Promise<P::Draft>> {
        let slot = statement.slot;
        let again = planted!(SignTwice | Equivocate | VoteTwice);
        if let Some(entry) = self.entries.get(&slot).filter(|_| !again) {
            return Some(entry.promise.clone());
        }
        if self.closed(slot) && !again {
            return None;
        }
        ops.push(LogOp::Guard(slot, codec::encode(&promise)));
        self.insert(statement, promise.clone());
        self.forget(slot.kind, ops);
        Some(promise)
    }

    /// Whether this statement, admitted earlier, may be signed now. Not if its slot was dropped
    /// meanwhile.
    ///
    /// # Panics
    /// If another statement holds the slot: signing this one would be a lie.
    pub(super) fn may_sign(&self, statement: &Statement) -> bool {
        self.entries.get(&statement.slot).is_some_and(|entry| {
            assert!(
                entry.content == statement.content || planted!(Equivocate | VoteTwice),
                "two statements for {:?}",
                statement.slot
            );
            true
        })
    }

    /// How many promises are kept, of all kinds.
    pub(super) fn sizes(&self, into: &mut Vec<Size>) {
        for (kinds, name) in [(true, "promises in order"), (false, "promises of slots")] {
            let counts = self
                .counts
                .iter()
                .filter(|(kind, _)| ascending(**kind) == kinds);
            let most = counts.map(|(kind, count)| (*count, most(*kind))).max();
            let (len, cap) = most.unwrap_or((0, 0));
            into.push(Size::new(name, len, cap));
        }
    }

    /// The promises of one kind, ascending.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Promise<P::Draft>> {
        self.entries
            .range(slots(kind))
            .map(|(_, entry)| &entry.promise)
    }

    fn insert(&mut self, statement: Statement, promise: Promise<P::Draft>) {
        let entry = Entry {
            content: statement.content,
            promise,
        };
        if self.entries.insert(statement.slot, entry).is_none() {
            *self.counts.entry(statement.slot.kind).or_default() += 1;
        }
    }

    /// Whether a free slot must stay free: everything below it may have been promised and forgotten,
    /// or cannot be wanted any more.
    fn closed(&self, slot: Slot) -> bool {
        let below_floor = self
            .floors
            .get(&slot.kind)
            .is_some_and(|floor| slot <= *floor);
        let out_of_order = ascending(slot.kind) && self.highest(slot.kind) > Some(slot);
        below_floor || out_of_order || self.given_up(slot)
    }

    /// The highest slot of a kind that was ever taken.
    fn highest(&self, kind: Kind) -> Option<Slot> {
        let held = self
            .entries
            .range(slots(kind))
            .next_back()
            .map(|(slot, _)| *slot);
        held.max(self.floors.get(&kind).copied())
    }

    /// Whether it lies in a tenure or view that was given up, or in one before: a timeout or a view
    /// change tells others that no new vote or proposal follows there. One that was stored before may
    /// be sent again: it is as if it had been delayed, and late votes still make certificates.
    fn given_up(&self, slot: Slot) -> bool {
        match slot.kind {
            Kind::Vote | Kind::Proposal if !planted!(VoteAfterTimeout) => {
                self.highest(Kind::Timeout).is_some_and(|timeout| {
                    let tenure = self.leaders.tenure_of(slot.view);
                    (slot.epoch, tenure) <= (timeout.epoch, timeout.view.0)
                })
            }
            Kind::PrePrepare | Kind::Prepare | Kind::Commit | Kind::NewView
                if !planted!(GoOnAfterChange) =>
            {
                self.highest(Kind::ViewChange)
                    .is_some_and(|wanted| (slot.epoch, slot.view) < (wanted.epoch, wanted.view))
            }
            _ => false,
        }
    }

    /// Drops the oldest entries of a kind once there are twice as many as are kept, and closes
    /// their slots.
    fn forget(&mut self, kind: Kind, ops: &mut Vec<LogOp<P>>) {
        let count = self.counts.get(&kind).copied().unwrap_or(0);
        if count <= most(kind) {
            return;
        }
        let surplus = count - kept(kind);
        let old: Vec<Slot> = self
            .entries
            .range(slots(kind))
            .take(surplus)
            .map(|(slot, _)| *slot)
            .collect();
        for slot in &old {
            self.entries.remove(slot);
            self.floors.insert(kind, *slot);
            ops.push(LogOp::DropGuard(*slot));
        }
        self.counts.insert(kind, count - old.len());
        if let Some(floor) = self.floors.get(&kind) {
            ops.push(LogOp::Floor(kind, *floor));
        }
    }
}

/// All slots of a kind.
fn slots(kind: Kind) -> std::ops::RangeInclusive<Slot> {
    let slot = |epoch, view, height| Slot {
        kind,
        epoch: Epoch(epoch),
        view: View(view),
        height: Height(height),
    };
    slot(0, 0, 0)..=slot(u64::MAX, u64::MAX, u64::MAX)
}
