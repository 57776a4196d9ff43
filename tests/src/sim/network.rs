//! The network between the nodes: when a frame arrives, how often, and whether at all.

use super::attack::Attack;
use super::counters::{Counters, Sometimes};
use super::{Chance, Scenario, puppeteer};
use bytes::Bytes;
use crypto::{NodeId, Time};
use engine::Class;
use std::collections::VecDeque;

/// Frames a link remembers for replay.
const REMEMBERED: usize = 32;

/// A frame on its way out.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// On which stream.
    pub class: Class,
    /// What it is.
    pub name: &'static str,
    /// The view it is about.
    pub view: u64,
    /// The slot it is about, if it is about one of several in a view.
    pub height: u64,
    /// Its bytes.
    pub bytes: &'a Bytes,
}

/// One directed link.
#[derive(Default)]
struct Link {
    /// Nothing passes.
    cut: bool,
    /// Half of the kinds of messages do not pass: which ones, this number decides.
    mute: Option<u64>,
    /// Added to each frame's delay.
    clog: Time,
    /// Arrival of the last frame of each class: frames keep their order unless drawn to lose it.
    last: [Time; 2],
    old: VecDeque<(Class, &'static str, Bytes)>,
}

/// All links.
pub struct Network {
    nodes: usize,
    links: Vec<Link>,
    chance: Chance,
    /// Chances of who is hard of hearing.
    hearing: Chance,
    healed: bool,
}

/// What a change of phase did to connections.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Pairs whose connection broke or came back; both ends are told.
    pub connections: Vec<(NodeId, NodeId, bool)>,
    /// In words.
    pub text: String,
}

impl Network {
    /// A network without faults until the first phase.
    #[must_use]
    pub fn new(plan: &Scenario) -> Self {
        Self {
            nodes: plan.nodes,
            links: (0..plan.nodes * plan.nodes)
                .map(|_| Link::default())
                .collect(),
            chance: Chance::of(plan.seed, "network"),
            hearing: Chance::of(plan.seed, "hearing"),
            healed: false,
        }
    }

    fn at(&self, from: NodeId, to: NodeId) -> usize {
        from.index() * self.nodes + to.index()
    }

    /// Whether nothing passes between two nodes in at least one direction.
    #[must_use]
    pub fn is_cut(&self, one: NodeId, other: NodeId) -> bool {
        self.links[self.at(one, other)].cut || self.links[self.at(other, one)].cut
    }

    /// A frame is sent: its arrivals.
    pub fn send(
        &mut self,
        now: Time,
        (from, to): (NodeId, NodeId),
        it: Frame<'_>,
        plan: &Scenario,
        counters: &mut Counters,
    ) -> Vec<(Time, Class, &'static str, Bytes)> {
        let mut arrivals = Vec::with_capacity(1);
        let (class, name, frame) = (it.class, it.name, it.bytes);
        let index = self.at(from, to);
        let Self {
            links,
            chance,
            hearing,
            healed,
            ..
        } = self;
        let link = &mut links[index];
        let faults = &plan.net;
        let active = !*healed;
        if link.cut || (active && chance.per_million(faults.loss)) {
            counters.hit(Sometimes::Lost);
            return arrivals;
        }
        let puppets =
            active && faults.puppets && puppeteer::is_withheld(hearing, (from, to), it, plan);
        let parted = |attack: &Attack| attack.parts(from, to, plan.nodes);
        let apart = active && plan.attack.as_ref().is_some_and(parted) && !hearing.one_in(8);
        let odd = plan.odd_one();
        let hoarded = faults.hoards && from == odd && matches!(it.name, "batch" | "batches");
        let secret = faults.secret_checkpoints && to != odd && it.name == "checkpoint";
        let deaf = to == odd && hearing.per_million(faults.deaf);
        let unheard = active && (hoarded || secret || deaf);
        if puppets || apart || unheard || link.mute.is_some_and(|mute| is_muted(mute, it.name)) {
            counters.hit(Sometimes::Muted);
            return arrivals;
        }
        let usual =
            |chance: &mut Chance| Time(plan.delay.0 / 2 + chance.exponential(plan.delay.0 / 2));
        let lane = usize::from(class == Class::Bulk);
        let mut at = now.plus(usual(chance)).plus(link.clog);
        if active && chance.per_million(faults.reorder) {
            at = at.plus(Time(chance.below(plan.delay.0 * 10)));
            counters.hit(Sometimes::Reordered);
        } else {
            at = at.max(link.last[lane]);
            link.last[lane] = at;
        }
        arrivals.push((at, class, name, frame.clone()));
        if active && chance.per_million(faults.duplicate) {
            let again = at.plus(Time(chance.below(plan.timing.timeout.0)));
            arrivals.push((again, class, name, frame.clone()));
            counters.hit(Sometimes::Duplicated);
        }
        if active && faults.replay > 0 {
            if chance.per_million(faults.replay) && !link.old.is_empty() {
                let (class, name, old) = link.old[chance.index(link.old.len())].clone();
                arrivals.push((now.plus(usual(chance)), class, name, old));
                counters.hit(Sometimes::Replayed);
            }
            if link.old.len() == REMEMBERED {
                link.old.pop_front();
            }
            // Thinned out, so that what is remembered reaches far back.
            if chance.one_in(4) {
                link.old.push_back((class, name, frame.clone()));
            }
        }
        arrivals
    }

    /// A new phase: draws partitions and clogged links anew.
    pub fn phase(&mut self, plan: &Scenario, counters: &mut Counters) -> Change {
        let n = self.nodes;
        let before: Vec<bool> = self.links.iter().map(|l| l.cut).collect();
        for link in &mut self.links {
            link.cut = false;
            link.clog = Time(0);
            link.mute = None;
        }
        if plan.net.mutes {
            self.mute();
        }
        if plan.net.partitions && self.chance.one_in(2) {
            counters.hit(Sometimes::Partitioned);
            let groups = self.chance.between(2, 3);
            let side: Vec<u64> = (0..n).map(|_| self.chance.below(groups)).collect();
            for (i, link) in self.links.iter_mut().enumerate() {
                link.cut |= side[i / n] != side[i % n];
            }
        }
        if plan.net.one_way && self.chance.one_in(2) {
            counters.hit(Sometimes::OneWay);
            for link in &mut self.links {
                link.cut |= self.chance.one_in(6);
            }
        }
        if plan.net.clogs && self.chance.one_in(2) {
            counters.hit(Sometimes::Clogged);
            for link in &mut self.links {
                if self.chance.one_in(5) {
                    link.clog = Time(self.chance.below(2 * plan.timing.timeout.0));
                }
            }
        }
        let connections = if plan.net.reconnects {
            self.reconnect(&before)
        } else {
            vec![]
        };
        Change {
            connections,
            text: self.describe(),
        }
    }

    /// Nothing passes between these nodes and the others until the next phase.
    pub fn cut_off(&mut self, group: &[NodeId]) {
        let inside = |i: usize| group.iter().any(|node| node.index() == i);
        let n = self.nodes;
        for (i, link) in self.links.iter_mut().enumerate() {
            link.cut |= inside(i / n) != inside(i % n);
        }
    }

    /// Makes some nodes hard of hearing: one kind of message reaches them, another does not. That
    /// is how a leader comes into its tenure without knowing what was certified before.
    fn mute(&mut self) {
        let n = self.nodes;
        for to in 0..n {
            if self.hearing.one_in(2) {
                let mute = self.hearing.number();
                for from in (0..n).filter(|from| *from != to) {
                    self.links[from * n + to].mute = Some(mute);
                }
            }
        }
    }

    /// Cut connections break, and so do some others, for a moment.
    fn reconnect(&mut self, before: &[bool]) -> Vec<(NodeId, NodeId, bool)> {
        let mut list = Vec::new();
        for (one, other) in pairs(self.nodes) {
            let was = before[self.at(one, other)] || before[self.at(other, one)];
            let is = self.is_cut(one, other);
            if was != is {
                list.push((one, other, !is));
            } else if !is && self.chance.one_in(8) {
                list.push((one, other, false));
                list.push((one, other, true));
            }
        }
        list
    }

    fn describe(&self) -> String {
        let name = |i: usize| format!("{}>{}", i / self.nodes, i % self.nodes);
        let list = |test: fn(&Link) -> bool| {
            let some = self
                .links
                .iter()
                .enumerate()
                .filter(|(i, l)| i / self.nodes != i % self.nodes && test(l));
            some.map(|(i, _)| name(i)).collect::<Vec<_>>().join(" ")
        };
        format!(
            "cut {} clogged {} mute {}",
            list(|l| l.cut),
            list(|l| l.clog.0 > 0),
            list(|l| l.mute.is_some())
        )
    }

    /// The end of all faults.
    pub fn heal(&mut self) -> Change {
        self.healed = true;
        let mut change = Change::default();
        for (one, other) in pairs(self.nodes) {
            if self.is_cut(one, other) {
                change.connections.push((one, other, true));
            }
        }
        for link in &mut self.links {
            link.cut = false;
            link.clog = Time(0);
            link.mute = None;
            link.old.clear();
        }
        change
    }
}

/// All unordered pairs of nodes.
pub fn pairs(n: usize) -> impl Iterator<Item = (NodeId, NodeId)> {
    let id = |i: usize| NodeId(i as u16);
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (id(i), id(j))))
}

/// Whether a kind of message is among those that a number mutes: one half of all.
fn is_muted(mute: u64, name: &str) -> bool {
    // FNV-1a; its low bits are not mixed enough to be drawn from.
    let hash = name
        .bytes()
        .fold(mute ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash.count_ones().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_muted_by_half_of_the_numbers_and_none_with_another_only() {
        let mut chance = Chance::of(1, "mutes");
        let mutes: Vec<u64> = (0..2_000).map(|_| chance.number()).collect();
        let names = [
            "proposal",
            "vote",
            "timeout",
            "certificate",
            "batch",
            "blocks",
        ];
        for name in names {
            let muted = mutes.iter().filter(|mute| is_muted(**mute, name)).count();
            assert!((800..1_200).contains(&muted), "{name}: {muted}");
            for other in names.iter().filter(|other| **other != name) {
                let differ = |mute: &&u64| is_muted(**mute, name) != is_muted(**mute, other);
                let count = mutes.iter().filter(differ).count();
                assert!((700..1_300).contains(&count), "{name}, {other}: {count}");
            }
        }
    }
}
