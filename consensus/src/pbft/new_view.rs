//! Opening a view as its primary, and entering one.

use super::message::{Draft, Message};
use super::record::Record;
use super::view::{NewView, ViewChange};
use super::{Out, Pbft, rules};
use crate::To;
use crypto::{NodeId, Reject, Time};
use std::sync::Arc;

impl Pbft {
    /// The primary of the wanted view opens it with the view changes of exactly a quorum. Asked
    /// again, or after a restart, the guard sends what was made first.
    pub(super) fn try_open(&mut self, out: &mut Out) {
        let wanted = self.changes.wanted();
        let due =
            wanted > self.view && self.changes.opened < wanted && self.primary(wanted) == self.me();
        if !due {
            return;
        }
        let quorum = self.quorum();
        let changes: Vec<&ViewChange> = self.changes.for_wanted().take(quorum).collect();
        // The own one is durable: it came back through the fence.
        let own = self
            .changes
            .for_wanted()
            .any(|it| it.change.author == self.me());
        if changes.len() < quorum || !own {
            return;
        }
        let said: Vec<_> = changes.iter().map(|it| &it.change).collect();
        let slots = rules::carried_over(&said);
        let epoch = self.config.context.epoch;
        let opened = NewView::collect(epoch, wanted, self.me(), &changes, slots);
        self.changes.opened = wanted;
        out.send(To::All, Draft(Message::NewView(Arc::new(opened))));
    }

    pub(super) fn on_new_view(
        &mut self,
        now: Time,
        from: NodeId,
        it: &Arc<NewView>,
        out: &mut Out,
    ) {
        let (leaders, interval) = (&self.config.leaders, self.log.interval());
        if !rules::new_view_is_valid(leaders, self.n(), interval, it) {
            return out.reject(from, Reject::Malformed);
        }
        if it.view < self.view {
            return self.answer_stale(now, from, out);
        }
        // Whoever has asked for a higher view has no part in this one.
        if it.view == self.view || it.view < self.changes.wanted() {
            return;
        }
        if self.contradicts_commits(it) {
            return out.reject(from, Reject::Conflict); // more than f liars
        }
        self.enter(it, out);
    }

    /// Whether a view carries over something else than what is committed here.
    fn contradicts_commits(&self, it: &NewView) -> bool {
        let committed = self
            .log
            .slots()
            .filter_map(|(_, slot)| slot.committed.as_ref());
        committed.map(|it| it.assigned).any(|ours| {
            let theirs = it.assigned(ours.height);
            theirs.is_some_and(|theirs| theirs.digest != ours.digest)
        })
    }

    /// Takes part in a view that was opened.
    fn enter(&mut self, it: &Arc<NewView>, out: &mut Out) {
        self.drop_checks(out);
        out.persist(Record::NewView(Arc::clone(it)));
        self.view = it.view;
        self.opened = Some(Arc::clone(it));
        self.changes.enter(it.view);
        self.timers.on_new_view();
        self.reads.start_over();
        self.replication.supply.drop_request();
        self.replication.supply.set_dry(false);
        let mut lost = Vec::new();
        for (height, slot) in self.log.slots_mut() {
            let carried = it.assigned(height).map(|it| it.digest);
            lost.extend(slot.enter(it.view, carried));
        }
        for payload in lost {
            out.give_back((*payload).clone());
        }
        if let Some(stable) = it.checkpoints.last() {
            self.stabilise(stable, out);
        }
        out.leader(self.primary(self.view));
        if self.is_primary() {
            self.changes.to_carry = it.all_assigned().collect();
        }
    }
}
