//! Liars without a plan: anything, in any order.

use super::super::stage::members;
use super::{Play, craft};
use consensus::pbft::Message;
use std::sync::Arc;

/// Acts of a play.
const ACTS: usize = 200;
/// Messages that pass in one act.
const PASSED: usize = 8;

impl Play<'_> {
    /// The whole attack.
    pub fn chaos(&mut self) {
        for _ in 0..ACTS {
            if self.stage.judge.is_over() || self.stage.view() >= self.views {
                return;
            }
            match self.stage.draw(40) {
                0..=17 => self.pass_mail(),
                18..=21 => self.assign_any(),
                22..=24 => self.vouch_any(),
                25..=26 => self.vex_some(),
                27..=28 => self.ask_for_views(),
                29..=32 => self.open_any(),
                33 => self.show_a_view(),
                34..=35 => self.work(),
                36 => self.start_again(),
                37..=38 => self.draw_camps(),
                39 => self.stabilise(),
                _ => {}
            }
        }
    }
    fn pass_mail(&mut self) {
        for _ in 0..PASSED {
            if self.known.mail.is_empty() {
                return;
            }
            let at = self.stage.draw(self.known.mail.len());
            let mail = self.known.mail.swap_remove(at);
            let apart = members(self.camps[0]).any(|i| i == usize::from(mail.from));
            let near = if apart { self.camps[0] } else { self.camps[1] };
            let camp = if self.stage.one_in(4) {
                mail.left
            } else {
                mail.left & near
            };
            self.tell(mail.from, camp, &mail.message);
        }
    }
    fn some_view(&mut self) -> u64 {
        let i = self.stage.draw(self.stage.puppets.len());
        self.stage.puppets[i].view()
    }
    fn assign_any(&mut self) {
        let view = self.some_view();
        if !self.stage.troupe.lies(self.primary(view)) {
            return;
        }
        let height = 1 + self.stage.chance.below(self.heights);
        let (number, camp) = (self.stage.draw(3) as u64, self.audience());
        self.assign(view, height, number, camp);
    }
    fn vouch_any(&mut self) {
        if self.known.slots.is_empty() {
            return;
        }
        let at = self.stage.draw(self.known.slots.len());
        let (assigned, camp) = (self.known.slots[at].assigned, self.audience());
        self.vouch(assigned, camp);
    }
    fn vex_some(&mut self) {
        let camp = self.audience();
        members(camp).for_each(|i| self.stage.vex(i));
        self.listen();
    }
    fn ask_for_views(&mut self) {
        let view = self.some_view().max(2);
        for liar in self.stage.troupe.liars() {
            let shown = self.pretend(view);
            let change = craft::change(self.stage.troupe, liar, view, shown);
            let camp = self.audience();
            self.tell(liar, camp, &Message::ViewChange(Box::new(change)));
        }
    }
    fn open_any(&mut self) {
        let view = self.some_view().max(2);
        let primary = self.primary(view);
        if self.stage.troupe.lies(primary) {
            let camp = self.audience();
            self.lie_open(view, primary, camp);
        }
    }
    fn show_a_view(&mut self) {
        if self.known.opened.is_empty() {
            return;
        }
        let at = self.stage.draw(self.known.opened.len());
        let message = Message::Opened(Arc::clone(&self.known.opened[at]));
        let camp = self.audience();
        self.tell(self.stage.troupe.n - 1, camp, &message);
    }
    fn work(&mut self) {
        let i = self.stage.draw(self.stage.puppets.len());
        if self.stage.puppets[i].height() >= self.heights {
            return;
        }
        let number = 1 + self.stage.chance.below(2) + 10 * (self.stage.puppets[i].height() + 1);
        self.stage.pass(crypto::Time::millis(2));
        self.stage.employ(i, number);
        self.listen();
    }
}
