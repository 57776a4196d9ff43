//! Amnesia: a member comes back with its disk of some time ago, safety file and all, and knows
//! nothing of what it promised since. One of the f that may do as they please.

use super::event::Event;
use super::host::Past;
use super::system::System;
use super::world::World;
use crypto::{NodeId, Time};

impl<S: System> World<S> {
    /// Copies the liars' disks; what is copied comes back some time-outs later, again and again.
    pub(super) fn remember(&mut self) {
        let Self { hosts, system, .. } = self;
        let liars = hosts.iter_mut().filter(|it| !system.honest(it.id));
        let pasts: Vec<_> = liars.map(|it| (it.id, it.disk.past())).collect();
        for (node, past) in pasts {
            let span = self.plan.timing.timeout.0 * self.fate.between(1, 12);
            let at = self.now.plus(Time(span));
            self.queue.push(at, Event::Forget(node, Box::new(past)));
        }
        self.later(Time(self.plan.timing.timeout.0 * 8), Event::Remember);
    }

    pub(super) fn forget(&mut self, node: NodeId, past: Past) {
        // A disk under somebody's hands is left alone.
        if self.healed.is_some() || self.hosts[node.index()].life.is_none() {
            return;
        }
        self.trace.say(self.now, || {
            format!("{node} forgets: its disk is an old one")
        });
        self.crash(node);
        let first = self.system.safety(node);
        self.hosts[node.index()].disk.restore(past, &first);
        self.lapses += 1;
    }
}
