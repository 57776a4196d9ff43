//! Starting: from genesis, or from what was stored.
//!
//! A start is given the records from the last commit up. Slots that are committed but not stable may
//! have to be shown in a view change all the same: were they left out by all, as after a loss of
//! power everywhere, a new view could give their heights to something else. So they are read before
//! this replica asks for another view.

use super::certificate::{NewView, Proof};
use super::log::{Accepted, Log};
use super::message::ViewChange;
use super::record::Record;
use super::{Out, Pbft, catch_up::CatchUp, read::Reads, replication::Replication};
use super::{timers::Timers, view_change::Changes};
use crate::common::Held;
use crate::{Anchor, Config, Loaded, To, Token};
use crypto::{Height, Time, View};
use std::sync::Arc;

/// What is still to be read.
#[derive(Debug)]
pub struct Recovery {
    /// From here up to `end`; `None` once all is read.
    next: Option<Height>,
    /// What lies here and above was given at the start.
    end: Height,
    token: Option<Token>,
}

impl Recovery {
    fn new(end: Height) -> Self {
        let some = end > Height(0) && !crypto::planted!(ForgetPrepared);
        Self {
            next: some.then_some(Height(1)),
            end,
            token: None,
        }
    }
    /// Whether all that was prepared since the stable checkpoint is known.
    pub fn is_complete(&self) -> bool {
        self.next.is_none()
    }
    pub fn waiting(&self) -> Option<String> {
        let next = self.next?;
        Some(format!("reads its own slots {next} to {}", self.end))
    }
}

/// The stored records, by kind.
struct Stored {
    view_change: Option<Box<ViewChange>>,
    new_view: Option<Arc<NewView>>,
    slots: Vec<Record>,
}

impl Stored {
    fn sort(records: Vec<Record>) -> Self {
        let mut stored = Self {
            view_change: None,
            new_view: None,
            slots: Vec::new(),
        };
        for record in records {
            match record {
                Record::ViewChange(it) => stored.view_change = Some(it),
                Record::NewView(it) if !crypto::planted!(ForgetView) => stored.new_view = Some(it),
                Record::NewView(_) => {}
                of_slot => stored.slots.push(of_slot),
            }
        }
        stored
    }
}

/// The last commit proves itself, and what may be signed again is of the epoch that goes on.
///
/// # Errors
/// See [`crate::Protocol::check_stored`].
pub fn check(anchor: &Anchor<Proof>, records: &[Record]) -> Result<(), String> {
    if let Some(Proof(certificate)) = &anchor.proof
        && certificate.assigned.height != anchor.height
    {
        return Err(format!("commit {} is not what it proves", anchor.height));
    }
    for record in records {
        let epoch = match record {
            Record::ViewChange(it) => it.change.epoch,
            Record::NewView(it) => it.epoch,
            Record::Accepted(_) | Record::Prepared(_) | Record::Committed(_) => continue,
        };
        if epoch != anchor.epoch {
            let now = anchor.epoch;
            return Err(format!("a record is of epoch {epoch}, the epoch is {now}"));
        }
    }
    Ok(())
}

/// See [`crate::Protocol::recover`].
///
/// The view is the last one entered; whoever had asked for a higher one before still has no part in
/// it, and asks again with the same words.
pub fn recover(
    config: Config,
    now: Time,
    anchor: Anchor<Proof>,
    records: Vec<Record>,
    out: &mut Out,
) -> Pbft {
    let stored = Stored::sort(records);
    let last = anchor.proof.map(|Proof(certificate)| Arc::new(certificate));
    let opened = stored.new_view;
    let view = opened.as_ref().map_or(View(1), |it| it.view);
    let mut replica = Pbft {
        view,
        opened,
        log: Log::new(anchor.height, anchor.history, last),
        replication: Replication::new(anchor.executed, &config),
        changes: Changes::new(view, stored.view_change),
        timers: Timers::new(config.timing.clone()),
        catch_up: CatchUp::default(),
        recovery: Recovery::new(anchor.height),
        reads: Reads::new(config.timing.clone(), config.seed, now),
        config,
    };
    let (primary, me) = (replica.primary(view), replica.me());
    for record in stored.slots {
        restore(&mut replica.log, record, view, primary == me);
    }
    let opened = replica.opened.clone();
    let checkpoints = opened.iter().flat_map(|it| &it.checkpoints);
    if let Some(stable) = checkpoints.last() {
        replica.log.stabilise(stable);
    }
    out.leader(primary);
    replica.promise_again(opened.as_deref(), out);
    replica.commit_next(now, out);
    replica.arm(now);
    replica
}

/// Puts a record back into the log. What was said of a slot that is not committed is said again:
/// what comes back through the fence is counted again.
fn restore(log: &mut Log, record: Record, view: View, primary: bool) {
    let height = match &record {
        Record::Accepted(it) => it.height,
        Record::Prepared(it) => it.assigned.height,
        Record::Committed(it) => it.assigned.height,
        Record::ViewChange(_) | Record::NewView(_) => return,
    };
    let committed = height <= log.committed();
    let slot = log.slot(height);
    if committed {
        (slot.prepare_sent, slot.commit_sent) = (view, view);
    }
    match record {
        Record::Accepted(it) => {
            let digest = super::slot::content(&it.payload);
            slot.payloads.insert(digest, (it.payload, true));
            let known = slot.accepted_in(view).is_some();
            if it.view == view && !known && !crypto::planted!(ForgetPromises) {
                let held = if primary || committed {
                    Held::Yes
                } else {
                    Held::Unknown
                };
                slot.accepted = Some(Accepted {
                    view,
                    digest,
                    signature: it.signature,
                    held,
                });
            }
        }
        Record::Prepared(it) => {
            let known = slot.prepared.as_ref().map(|it| it.assigned.view);
            if known < Some(it.assigned.view) {
                slot.prepared = Some(it);
            }
        }
        Record::Committed(it) => {
            slot.committed.get_or_insert(it);
        }
        Record::ViewChange(_) | Record::NewView(_) => {}
    }
}

impl Pbft {
    /// What was promised may not have left: it is sent again.
    fn promise_again(&mut self, opened: Option<&NewView>, out: &mut Out) {
        self.send_view_change(To::All, out);
        if !self.takes_part() {
            return;
        }
        self.say_again(self.log.committed(), To::All, out);
        self.advance_all(out);
        if self.is_primary() {
            let view = self.view;
            let carried = opened.into_iter().flat_map(NewView::all_assigned);
            let open = carried.filter(|it| {
                let slot = self.log.get(it.height);
                it.height > self.log.committed()
                    && slot.is_none_or(|slot| slot.accepted_in(view).is_none())
            });
            self.changes.to_carry = open.collect();
        }
    }

    /// Reads the own slots from the low watermark to where the start was given them.
    pub(super) fn read_own_slots(&mut self, out: &mut Out) {
        let Some(next) = self.recovery.next.filter(|_| self.recovery.token.is_none()) else {
            return;
        };
        let from = next.max(self.log.low().next());
        let end = self.recovery.end;
        if from >= end {
            self.recovery.next = None;
            return;
        }
        let token = self.catch_up.loads.token();
        self.recovery.next = Some(from);
        self.recovery.token = Some(token);
        out.load(token, crate::Selection::Heights(from..end));
    }

    /// Some of the own slots. Less than asked for may come, and end within a height.
    pub(super) fn on_own_slots(&mut self, loaded: &Loaded<Self>) {
        if self.recovery.token != Some(loaded.token) {
            return;
        }
        self.recovery.token = None;
        let Some(from) = self.recovery.next else {
            return;
        };
        let primary = self.is_primary();
        let mut last: Option<Height> = None;
        for record in &loaded.records {
            if let crate::RecordKey::At(height, _) = crate::Record::key(record) {
                last = last.max(Some(height));
                if height > self.log.low() {
                    restore(&mut self.log, record.clone(), self.view, primary);
                }
            }
        }
        self.recovery.next = last.map(|last| last.max(from.next()));
    }
}
