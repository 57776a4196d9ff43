//! Liars without a plan: anything, in any order.

use super::super::stage::members;
use super::{Play, craft};
use std::sync::Arc;

/// Acts of a play.
const ACTS: usize = 160;

impl Play<'_> {
    /// The whole attack.
    pub fn chaos(&mut self) {
        for _ in 0..ACTS {
            if self.stage.judge.is_over() || self.is_late() {
                return;
            }
            match self.stage.draw(20) {
                0..=7 => self.lie_anywhere(),
                8..=9 => self.pass_one_on(),
                10..=11 => self.show_some(),
                12..=14 => self.vex_some(),
                15..=16 => self.end_some_tenure(),
                17 => {
                    let all = self.stage.all();
                    self.serve(all);
                }
                18 => self.draw_camps(),
                _ if self.stage.one_in(12) => {
                    let who = self.stage.draw(self.stage.puppets.len());
                    self.stage.restart(who);
                    self.listen();
                }
                _ => {}
            }
        }
    }
    /// A liar proposes in a view in which an honest member is.
    fn lie_anywhere(&mut self) {
        let at = self.stage.draw(self.stage.puppets.len());
        let view = self.stage.puppets[at].view();
        let leader = self.leader(view);
        if !self.stage.troupe.lies(leader) {
            return;
        }
        let recent = self.known.certificates.len().min(4);
        let back = self.stage.draw(recent) + 1;
        let at = self.known.certificates.len() - back;
        let justify = Arc::clone(&self.known.certificates[at]);
        let number = 2 * view + self.stage.draw(2) as u64;
        let camp = self.audience();
        self.propose(view, &justify, number, camp);
    }
    /// An honest leader's proposal reaches whom the liars choose.
    fn pass_one_on(&mut self) {
        let leader = self.stage.draw(self.stage.puppets.len());
        let view = self.stage.puppets[leader].view();
        if usize::from(self.leader(view)) != leader {
            return;
        }
        self.stage.pass(crypto::Time::millis(2));
        let number = 1 << 32 | view << 8 | self.stage.draw(16) as u64;
        self.stage.employ(leader, number);
        self.listen();
        let Some(known) = self.known.last_of(view) else {
            return;
        };
        let message = craft::proposal(self.stage.troupe, leader as u16, &known.block);
        let camp = self.audience() & !(1 << leader);
        self.stage.spread(leader as u16, camp, &message);
        self.listen();
    }
    fn vex_some(&mut self) {
        let camp = self.audience();
        members(camp).for_each(|i| self.stage.vex(i));
        self.listen();
    }
    /// A tenure that some have given up ends for those whom the liars choose.
    fn end_some_tenure(&mut self) {
        let Some(tenure) = self.known.given.last().map(|it| it.tenure) else {
            return;
        };
        if self.stage.one_in(4) {
            return self.tell_timeouts(tenure);
        }
        let lowest = self.stage.one_in(2);
        let Some(end) = self.make_end(tenure, u64::MAX, lowest) else {
            return;
        };
        let camp = self.audience();
        self.show_end(&end, camp);
    }
}
