//! One whose log is not the leader's, or no longer in the leader's memory.

use super::entry::{Entry, Position};
use super::message::{Conflict, MAX_ENTRIES};
use super::record::Record;
use super::{Out, Raft};
use crate::{Loaded, To};
use crypto::{Height, NodeId, Time, View};
use std::sync::Arc;

impl Raft {
    /// A follower lacks the entry before those that were sent (section 5.3, "the protocol can be
    /// optimized"): goes back by a whole term at a time. An old answer changes nothing.
    pub(super) fn on_conflict(&mut self, now: Time, from: NodeId, it: Conflict) {
        let same_term = self.log.last_of_term(it.hint.term, it.previous);
        let Some(progress) = self.progress(from) else {
            return;
        };
        progress.heard = now;
        let stale = it.previous <= progress.matched || it.previous >= progress.next;
        // What it lacks is under way to it, and was overtaken. If it is lost, it is sent again.
        let short = it.hint.term == View(0);
        let overtaken = progress.streaming && short && progress.resend_at.is_some();
        if stale || overtaken {
            return;
        }
        let next = match same_term {
            Some(height) if !short => height.next(),
            _ => it.hint.height,
        };
        progress.probe(next.min(it.previous));
    }

    /// A connection is back: what was under way on the old one may be lost.
    pub(super) fn on_connected(&mut self, peer: NodeId) {
        if let Some(progress) = self.progress(peer) {
            progress.connected();
        }
    }

    /// Looks in the own store for what a follower lacks.
    pub(super) fn load_for(&mut self, peer: NodeId, next: Height, out: &mut Out) {
        let token = self.loads.token();
        let to = Height(next.0.saturating_add(MAX_ENTRIES as u64));
        if !crypto::planted!(NoCatchUp) {
            out.load(token, crate::Selection::Heights(next.previous()..to));
        }
        if let Some(progress) = self.progress(peer) {
            progress.loading = Some(token);
        }
    }

    pub(super) fn on_loaded(&mut self, now: Time, loaded: Loaded<Self>, out: &mut Out) {
        let waits = |it: &super::progress::Progress| it.loading == Some(loaded.token);
        let peer = self.config.validators.ids().find(|id| {
            let progress = self.progress_of(*id);
            progress.is_some_and(waits)
        });
        let Some(peer) = peer else { return };
        let Some(progress) = self.progress(peer) else {
            return;
        };
        progress.loading = None;
        progress.wait(now);
        let next = progress.next;
        let entries = loaded
            .records
            .into_iter()
            .filter_map(|record| match record {
                Record::Entry(entry) => Some(entry),
                Record::Term { .. } => None,
            });
        let (previous, entries) = run(next, entries);
        self.send_run(now, peer, previous, &entries, out);
    }

    /// Sends entries that follow a place, as far as there is room on the way.
    fn send_run(
        &mut self,
        now: Time,
        peer: NodeId,
        mut previous: Position,
        mut entries: &[Arc<Entry>],
        out: &mut Out,
    ) {
        while let Some(progress) = self.progress_of(peer) {
            let room = progress.room(self.message_bytes());
            let part = room.fill(entries.iter().cloned());
            let Some(last) = part.last() else {
                return;
            };
            self.send_append(To::One(peer), previous, &part, out);
            self.sent(now, peer, &part);
            (previous, entries) = (last.at, &entries[part.len()..]);
        }
    }
}

/// Consecutive entries from `next` up, and the position before them.
fn run(next: Height, stored: impl Iterator<Item = Arc<Entry>>) -> (Position, Vec<Arc<Entry>>) {
    let mut previous = Position::START;
    let mut entries: Vec<Arc<Entry>> = Vec::new();
    for entry in stored {
        if entry.at.height < next {
            previous = entry.at;
        } else if entry.at.height == Height(next.0 + entries.len() as u64) {
            entries.push(entry);
        }
    }
    if previous.height != next.previous() {
        entries.clear();
    }
    (previous, entries)
}
