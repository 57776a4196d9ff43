//! Giving a view up, joining others who do, opening and entering views, and helping who lags.

use super::certificate::NewView;
use super::message::{AskProgress, Change, Draft, Low, Message, Reached, ViewChange};
use super::record::Record;
use super::slot::Assigned;
use super::{Out, Pbft, rules, slot};
use crate::{Evidence, To};
use crypto::{NodeId, Reject, Signature, Time, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of views above the current one.
#[derive(Debug)]
pub struct Changes {
    /// The highest view asked for; the current one if none higher was.
    wanted: View,
    /// The own view change of that view, unsigned.
    own: Option<Box<ViewChange>>,
    /// The first view change of each member for the highest view that it wants; the own one once it
    /// came back through the fence.
    heard: BTreeMap<NodeId, ViewChange>,
    /// A view that is to be asked for as soon as the own slots are read.
    due: Option<View>,
    /// The last view that this replica has opened as its primary.
    pub opened: View,
    /// What the view carries over and its primary, this replica, has not assigned yet.
    pub to_carry: Vec<Assigned>,
    signed: u64,
}

impl Changes {
    /// In a view; `own` is the highest view change ever signed.
    pub fn new(view: View, own: Option<Box<ViewChange>>) -> Self {
        let wanted = own.as_ref().map_or(view, |own| own.change.view.max(view));
        Self {
            wanted,
            own,
            heard: BTreeMap::new(),
            due: None,
            opened: View(0),
            to_carry: Vec::new(),
            signed: 0,
        }
    }
    /// The highest view asked for, or the current one.
    pub fn wanted(&self) -> View {
        self.wanted
    }
    /// View changes signed since the start.
    pub fn signed(&self) -> u64 {
        self.signed
    }
    /// How many members want the wanted view or a higher one.
    pub fn wanted_by(&self) -> usize {
        let wants = |it: &&ViewChange| it.change.view >= self.wanted;
        self.heard.values().filter(wants).count()
    }
    /// Of how many members a view change is kept.
    pub fn heard(&self) -> usize {
        self.heard.len()
    }
    /// How many others want a view above this one.
    pub fn others_who_want_more_than(&self, view: View, me: NodeId) -> usize {
        let wants = |it: &&ViewChange| it.change.view > view && it.change.author != me;
        self.heard.values().filter(wants).count()
    }
    /// View changes for exactly the wanted view.
    pub fn for_wanted(&self) -> impl Iterator<Item = &ViewChange> {
        self.heard
            .values()
            .filter(|it| it.change.view == self.wanted)
    }
    /// A view was entered.
    pub fn enter(&mut self, view: View) {
        self.wanted = self.wanted.max(view);
        self.heard.retain(|_, it| it.change.view > view);
        self.to_carry.clear();
    }
    /// Why it waits, having given a view up.
    pub fn waiting(&self, view: View, primary: NodeId, quorum: usize) -> String {
        let (wanted, so_far) = (self.wanted, self.for_wanted().count());
        if so_far < quorum {
            format!("gave up view {view}: {so_far} of {quorum} view changes for view {wanted}")
        } else {
            format!("gave up view {view}: waits for node {primary} to open view {wanted}")
        }
    }
}

impl Pbft {
    // ---- giving up ----

    /// A batch was left out for too long: the primary goes, however well it serves the others.
    pub(super) fn on_overdue(&mut self, out: &mut Out) {
        if self.takes_part() {
            self.give_up(self.view.next(), out);
        }
    }

    /// Asks for a higher view: from now on it has no part in those below. What it has prepared
    /// since the stable checkpoint has to be known first.
    pub(super) fn give_up(&mut self, view: View, out: &mut Out) {
        if view <= self.changes.wanted {
            return;
        }
        if !self.recovery.is_complete() {
            self.changes.due = self.changes.due.max(Some(view));
            return;
        }
        self.drop_checks(out);
        let own = Box::new(self.make_view_change(view));
        out.persist(Record::ViewChange(own.clone()));
        self.changes.own = Some(own);
        self.changes.wanted = view;
        self.changes.signed += 1;
        self.timers.on_given_up();
        self.send_view_change(To::All, out);
    }

    fn make_view_change(&self, view: View) -> ViewChange {
        let (low, high) = (self.log.low(), self.log.high());
        let shown = |height| height > low && height <= high && !crypto::planted!(DropPrepared);
        let prepared = self.log.slots().filter(|(height, _)| shown(*height));
        let prepared: Vec<_> = prepared.filter_map(|(_, it)| it.prepared.clone()).collect();
        let stable = self.log.stable();
        ViewChange {
            change: Change {
                epoch: self.config.context.epoch,
                view,
                low: Low::of(stable.map(|it| &**it), &self.config.context),
                prepared: prepared.iter().map(|it| it.assigned).collect(),
                author: self.me(),
                signature: Signature::NONE,
            },
            checkpoint: stable.cloned(),
            prepared,
        }
    }

    /// Sends the own view change, if the view that it asks for is not open yet.
    pub(super) fn send_view_change(&self, to: To, out: &mut Out) {
        let own = self.changes.own.as_ref();
        if let Some(own) = own.filter(|own| own.change.view > self.view) {
            out.send(to, Draft(Message::ViewChange(own.clone())));
        }
    }

    // ---- hearing others ----

    pub(super) fn on_view_change(
        &mut self,
        now: Time,
        from: NodeId,
        it: ViewChange,
        out: &mut Out,
    ) {
        let (leaders, interval) = (&self.config.leaders, self.log.interval());
        if !rules::view_change_is_valid(leaders, self.n(), interval, &it) {
            return out.reject(from, Reject::Malformed);
        }
        if let Some(stable) = &it.checkpoint {
            self.stabilise(stable, out);
        }
        if it.change.view <= self.view {
            return self.answer_stale(now, from, out);
        }
        match self.changes.heard.get(&from) {
            Some(known) if known.change.view > it.change.view => return,
            Some(known) if known.change.view == it.change.view => {
                let first = (known.change.statement(), known.change.signature);
                let second = (it.change.statement(), it.change.signature);
                if first.0 != second.0 {
                    out.evidence(Evidence {
                        node: from,
                        first,
                        second,
                    });
                    out.reject(from, Reject::Conflict);
                }
                return;
            }
            _ => {}
        }
        self.changes.heard.insert(from, it);
    }

    /// Joins f + 1 others, as often as there are such, and opens the wanted view if that is this
    /// replica's to do.
    pub(super) fn change_view(&mut self, out: &mut Out) {
        if !self.recovery.is_complete() {
            return;
        }
        if let Some(due) = self.changes.due.take() {
            self.give_up(due, out);
        }
        let me = self.me();
        let others = self.changes.heard.iter().filter(|(node, _)| **node != me);
        let views: Vec<View> = others.map(|(_, it)| it.change.view).collect();
        while let Some(view) =
            rules::view_to_join(&self.config.quorums, self.changes.wanted, &views)
        {
            self.give_up(view, out);
        }
        self.try_open(out);
    }

    // ---- opening a view ----

    /// The primary of the wanted view opens it with the view changes of exactly a quorum. Asked
    /// again, or after a restart, the guard sends what was made first.
    fn try_open(&mut self, out: &mut Out) {
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
        let mut slots = rules::carried_over(&said);
        if crypto::planted!(TrustNewView) {
            slots.fill(slot::null());
        }
        let epoch = self.config.context.epoch;
        let opened = NewView::collect(epoch, wanted, self.me(), &changes, slots);
        self.changes.opened = wanted;
        out.send(To::All, Draft(Message::NewView(Arc::new(opened))));
    }

    // ---- entering views ----

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
        self.timers.on_enter();
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

    // ---- helping those who lag ----

    /// Answers a message of an older view with the proof of the newer one, now and then.
    pub(super) fn answer_stale(&mut self, now: Time, to: NodeId, out: &mut Out) {
        let Some(opened) = &self.opened else { return };
        if to != self.me() && self.timers.help.is_due(now, to) && !crypto::planted!(NoHelp) {
            let opened = Arc::clone(opened);
            out.send(To::One(to), Draft(Message::Opened(opened)));
        }
    }

    /// The highest view that it need not hear of any more: it takes part in it, or has asked for
    /// the next one.
    pub(super) fn closed(&self) -> View {
        self.view.max(self.changes.wanted().previous())
    }

    pub(super) fn ask_progress(&self) -> Draft<Message> {
        Draft(Message::AskProgress(AskProgress {
            epoch: self.config.context.epoch,
            view: self.closed(),
            height: self.log.committed(),
            stalled: self.timers.stalled(),
        }))
    }

    /// Asks one who seems to be far ahead, now and then.
    pub(super) fn ask_one(&mut self, now: Time, peer: NodeId, out: &mut Out) {
        if peer != self.me() && self.timers.help.is_due(now, peer) {
            out.send(To::One(peer), self.ask_progress());
        }
    }

    /// Answers one who asks because nothing moves, or because it is at rest and may have missed
    /// something: with what it lacks, and, if it waits for that, with the promises made here.
    pub(super) fn on_ask_progress(
        &mut self,
        now: Time,
        from: NodeId,
        ask: AskProgress,
        out: &mut Out,
    ) {
        let silent = from == self.me() || crypto::planted!(NoHelp);
        if silent || !self.timers.answers.is_due(now, from) {
            return;
        }
        if ask.view < self.view {
            self.answer_stale(now, from, out);
        }
        if ask.height < self.log.committed() {
            self.serve_slots(now, from, ask.height.next(), out);
        }
        if ask.view > self.closed() || ask.height > self.log.committed() {
            self.ask_one(now, from, out);
        }
        if ask.stalled {
            self.send_view_change(To::One(from), out);
            // Its watermarks may wait for a checkpoint that it has missed.
            if ask.height >= self.log.committed() {
                self.show_stable(from, out);
            }
            if ask.view == self.view {
                let above = ask.height.max(self.log.committed());
                self.say_again(above, To::One(from), out);
            }
        }
    }

    /// Shows the stable checkpoint, without which nobody keeps slots so far above his own.
    pub(super) fn show_stable(&self, to: NodeId, out: &mut Out) {
        if let Some(stable) = self.log.stable() {
            let proof = Message::Certificate(Reached::Stable(Arc::clone(stable)));
            out.send(To::One(to), Draft(proof));
        }
    }

    pub(super) fn on_connected(&mut self, peer: NodeId, out: &mut Out) {
        if peer == self.me() {
            return;
        }
        out.send(To::One(peer), self.ask_progress());
        self.say_again(self.log.committed(), To::One(peer), out);
        self.send_view_change(To::One(peer), out);
    }

    /// Takes note of what others show to be ordered.
    pub(super) fn on_certificate(&mut self, now: Time, from: NodeId, it: &Reached, out: &mut Out) {
        match it {
            Reached::Nothing => {}
            Reached::Stable(it) => self.stabilise(it, out),
            Reached::Prepared(it) => self.adopt_prepared(now, from, it, out),
            Reached::Committed(it) => self.adopt_committed(it),
        }
    }
}
