//! Attacks: who lies in a run, and how; and the cluster that has such members.

use super::inspect::Inspect;
use super::system::{Honest, Simulated, System};
use super::{Caught, Chance, Protocol, Scenario, mock};
use crate::adversary::{self, Adversary, Disguised, Equivocate, Fate, Fluent, Ring, Tongue, Way};
use crate::check::Checks;
use consensus::LeaderSchedule;
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use crypto::{NodeId, Time};
use engine::{Effect, Ingress, Machine};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{Applied, Limits, Log, PayloadOf, Safety, SafetyPolicy};

/// Comes back from a disk of the past, and is honest but for that.
pub const AMNESIA: &str = "amnesia";
/// How it lies.
pub(super) const LAPSE: Way = Way {
    name: "an older disk",
    fate: Fate::Silent,
};
/// Whose accomplices direct the network.
const COLLUDE: &str = "collude";
/// Whose leaders leave one node's clients out.
const CENSOR: &str = "censor";
/// Whose lie takes a view that another gives up to a liar.
const BAD_NEW_VIEW: &str = "bad-new-view";

/// An attack on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// Its name in the catalogue, or [`AMNESIA`].
    pub name: String,
    /// The liars.
    pub liars: Vec<NodeId>,
    /// Whether they direct the network while the faults last: two camps of honest members hear
    /// little of each other.
    pub camps: bool,
}

impl Attack {
    /// Whether what one says to the other has to get past whoever directs the network.
    #[must_use]
    pub fn parts(&self, from: NodeId, to: NodeId, n: usize) -> bool {
        let liar = |node| self.liars.contains(&node);
        let camp = |node| adversary::camp(node, n);
        self.camps && !liar(from) && !liar(to) && camp(from) != camp(to)
    }
}

/// Runs under an attack after which each of its ways has to have been told, and to have had its fate. Fewer
/// need not show what is rare.
pub const ENOUGH: u64 = 150;

/// Runs of each attack that a soak is to come to.
pub const MANY: u64 = 1_000;

/// What is not as it has to be after runs under an attack, in words: a way that was never told, never got
/// as far as a rule though it should, or got past checks that have to refuse it. `whole`: there were enough
/// runs for all that is to be seen.
#[must_use]
pub fn unmet(protocol: Protocol, name: &str, caught: &Caught, whole: bool) -> Vec<String> {
    let ways = ways(protocol, name);
    let listed = |told: &str| ways.iter().any(|way| way.name == told);
    let unlisted = caught.ways.keys().filter(|told| !listed(told));
    let unlisted = unlisted.map(|told| format!("{told}: is in no list"));
    let tally = |way: &Way| caught.ways.get(way.name).copied().unwrap_or_default();
    let unmet = ways.iter().filter_map(|way| way.unmet(tally(way), whole));
    unmet.chain(unlisted).collect()
}

/// The ways of an attack.
fn ways(protocol: Protocol, name: &str) -> Vec<Way> {
    fn of<P: Fluent>(name: &str) -> Vec<Way> {
        let all = adversary::catalogue::<P>().into_iter();
        all.filter(|it| it.name == name)
            .flat_map(|it| it.ways)
            .collect()
    }
    match (name, protocol) {
        (AMNESIA, _) => vec![LAPSE],
        (_, Protocol::HotStuff) => of::<HotStuff>(name),
        (_, Protocol::Pbft) => of::<Pbft>(name),
        // It has no votes for proposals, and need not withstand this.
        (_, Protocol::Raft) => vec![adversary::RIVAL],
    }
}

/// A third of the nodes, less one at most: from `first` on, so many steps apart.
fn liars(nodes: usize, first: usize, step: usize) -> Vec<NodeId> {
    let liar = |i: usize| NodeId(((first + i * step) % nodes) as u16);
    (0..(nodes - 1) / 3).map(liar).collect()
}

/// The names of all attacks on a protocol.
#[must_use]
pub fn names(protocol: Protocol) -> Vec<&'static str> {
    fn of<P: Fluent>() -> Vec<&'static str> {
        let own = adversary::names::<P>().into_iter();
        own.chain([AMNESIA]).collect()
    }
    match protocol {
        Protocol::HotStuff => of::<HotStuff>(),
        Protocol::Pbft => of::<Pbft>(),
        // What it does not withstand.
        Protocol::Raft => vec!["equivocate"],
    }
}

impl Scenario {
    /// The run of a seed in which f of so many nodes attack by this name.
    #[must_use]
    pub fn attacked(protocol: Protocol, seed: u64, nodes: usize, name: &str) -> Self {
        let mut c = Chance::of(seed, "attack");
        let mut later = Chance::of(seed, "attack, later");
        let mut plan = Self::healthy(protocol, seed, (nodes, 0, true), &mut c, &mut later);
        let faults = match name {
            // Whom faults have given up already, nobody has to give up since he censors.
            CENSOR => 0,
            // Where nothing fails, nobody opens a view.
            BAD_NEW_VIEW => c.between(1, 2),
            _ => c.below(3),
        };
        if faults == 2 {
            plan = plan.with_any_faults(&mut c, &mut later);
            plan.stay_down = 0;
            plan.net.hoards = false;
            plan.disk.rots = false;
        }
        // Everybody leads within a run, the liars several times.
        plan.tenure = c.pick(&[2, 4, 4, 8]);
        plan.safety = Time(plan.timing.timeout.0 * c.between(20, 60));
        plan.think = Time(plan.safety.0 / (plan.transactions + 1));
        let first = match name {
            // The first who may open one: node 1 has the first view without that.
            BAD_NEW_VIEW => 2,
            _ => c.index(nodes),
        };
        let step = c.pick(&[1, 2]);
        plan.attack = Some(Attack {
            name: name.to_owned(),
            liars: liars(nodes, first, step),
            camps: name == COLLUDE || faults == 1,
        });
        if name == CENSOR {
            plan.censored();
        }
        plan
    }
    /// A censor leads from the beginning, and for as long as he is let. Little is allowed to be ordered
    /// before what he leaves out, and there is enough of it, all the time; nor does anybody take it
    /// elsewhere.
    fn censored(&mut self) {
        self.tight = true;
        self.loyal = true;
        self.hasty = false;
        self.lifetime = 1_000;
        self.clients = self.nodes;
        self.transactions = 240 / self.nodes as u64;
        self.tenure = match self.protocol {
            Protocol::HotStuff => 1_000,
            _ => self.tenure,
        };
        self.think = Time(self.timing.timeout.0 / 4);
        self.safety = Time(self.timing.timeout.0 * 4);
        let leader = match self.protocol {
            Protocol::HotStuff => 0,
            _ => 1,
        };
        if let Some(attack) = &mut self.attack {
            attack.liars = liars(self.nodes, leader, 1);
        }
    }
    /// The first node of a client.
    pub(super) fn home(&self, client: u64, chance: &mut Chance) -> NodeId {
        let drawn = NodeId(chance.below(self.nodes as u64) as u16);
        if !self.loyal {
            return drawn;
        }
        let liars = self.attack.iter().flat_map(|it| &it.liars);
        let mut honest: Vec<u16> = (0..self.nodes as u16).collect();
        liars.for_each(|liar| honest.retain(|it| *it != liar.0));
        NodeId(honest[client as usize % honest.len()])
    }
    /// A run without faults but for these liars.
    #[must_use]
    pub fn with_liars(mut self, name: &str, liars: &[NodeId]) -> Self {
        self.attack = Some(Attack {
            name: name.to_owned(),
            liars: liars.to_vec(),
            camps: false,
        });
        self
    }
}

/// How the liars of a protocol are made.
pub trait Attackable: Simulated + Tongue {
    /// The adversary of a name.
    ///
    /// # Errors
    /// In words, if there is none.
    fn adversary(name: &str) -> Result<Box<dyn Adversary<Self>>, String>;
}

impl Attackable for HotStuff {
    fn adversary(name: &str) -> Result<Box<dyn Adversary<Self>>, String> {
        adversary::named(name)
    }
}

impl Attackable for Pbft {
    fn adversary(name: &str) -> Result<Box<dyn Adversary<Self>>, String> {
        adversary::named(name)
    }
}

impl Attackable for Raft {
    fn adversary(name: &str) -> Result<Box<dyn Adversary<Self>>, String> {
        match name {
            "equivocate" => Ok(Box::new(Equivocate::default())),
            _ => Err(format!("no adversary of Raft is called {name}")),
        }
    }
}

/// A cluster some of whose members lie.
pub struct Attacked<P: Attackable> {
    cluster: Honest<P>,
    plan: Scenario,
    attack: Attack,
    ring: Arc<Ring>,
}

impl<P: Attackable> Attacked<P> {
    /// The cluster of a plan with this attack.
    #[must_use]
    pub fn of(plan: &Scenario, attack: &Attack) -> Self {
        let cluster = Honest::<P>::of(plan);
        let key = |liar: &NodeId| (*liar, mock::key("validator", u64::from(liar.0)));
        let keys: BTreeMap<_, _> = attack.liars.iter().map(key).collect();
        let leaders = LeaderSchedule::RoundRobin {
            tenure: plan.tenure,
        };
        let verifier = cluster.verifier().clone();
        let ring = Ring::new(keys, verifier, leaders, plan.timing.clone()).remembering();
        Self {
            cluster,
            plan: plan.clone(),
            attack: attack.clone(),
            ring: Arc::new(ring),
        }
    }
}

impl<P: Attackable> System for Attacked<P> {
    type Machine = Disguised<P>;

    fn ingress(&self) -> &dyn Ingress<Checked = <Disguised<P> as Machine>::Checked> {
        self.cluster.ingress()
    }
    fn inspector(&self) -> Box<dyn Inspect> {
        self.cluster.inspector()
    }
    fn checks(&self) -> Checks {
        self.cluster.checks()
    }
    /// Liars need not rest, and what they say may be answered.
    fn frames_at_rest(&self, _: Time) -> Option<u64> {
        None
    }
    fn honest(&self, node: NodeId) -> bool {
        !self.attack.liars.contains(&node)
    }
    fn lies(&self) -> BTreeMap<&'static str, u64> {
        self.ring.told()
    }
    fn lie(&self, frame: &[u8]) -> Option<&'static str> {
        self.ring.lie(frame)
    }
    fn limits(&self) -> &Limits {
        self.cluster.limits()
    }
    fn safety(&self, node: NodeId) -> Safety {
        self.cluster.safety(node)
    }
    fn payload_of(&self) -> PayloadOf {
        self.cluster.payload_of()
    }
    fn safety_policy(&self) -> SafetyPolicy {
        self.cluster.safety_policy()
    }
    fn start(
        &self,
        node: NodeId,
        now: Time,
        log: &Log,
        applied: Applied,
        out: &mut Vec<Effect>,
    ) -> Result<Disguised<P>, String> {
        let mut effects = Vec::new();
        let engine = self.cluster.start(node, now, log, applied, &mut effects)?;
        let mut disguised = if self.honest(node) || self.attack.name == AMNESIA {
            Disguised::honest(engine, node)
        } else {
            let adversary = P::adversary(&self.attack.name)?;
            let ring = Arc::clone(&self.ring);
            Disguised::liar(engine, node, adversary, ring, self.plan.seed)
        };
        disguised.disguise(now, effects, out);
        Ok(disguised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Outcome, campaign};

    fn lied(it: &Outcome) -> u64 {
        it.caught.all().told
    }

    /// Four nodes, no fault but one liar.
    fn calm(protocol: Protocol, seed: u64, liar: u16) -> Outcome {
        let plan = Scenario::calm(protocol, seed, 4).with_liars("equivocate", &[NodeId(liar)]);
        campaign::run_plan(plan, false)
    }

    /// Every attack on both Byzantine protocols, by f of n: nothing breaks, and each of its ways is
    /// told: in so many runs, or in some more for what is rare. More seeds: `sim --attack all`.
    fn withstands(protocol: Protocol, nodes: usize, seeds: u64) {
        for name in names(protocol) {
            let mut caught = Caught::default();
            for seed in 0..ENOUGH {
                if seed >= seeds && unmet(protocol, name, &caught, true).is_empty() {
                    break;
                }
                let plan = Scenario::attacked(protocol, seed, nodes, name);
                let it = campaign::run_plan(plan, false);
                assert_eq!(it.violation, None, "{name}, seed {seed}");
                caught.add(&it.caught);
            }
            assert_eq!(unmet(protocol, name, &caught, true), [""; 0], "{name}");
        }
    }

    #[test]
    fn hotstuff_of_four_withstands_every_adversary() {
        withstands(Protocol::HotStuff, 4, 6);
    }

    #[test]
    fn hotstuff_of_seven_withstands_every_adversary() {
        withstands(Protocol::HotStuff, 7, 3);
    }

    #[test]
    fn pbft_of_four_withstands_every_adversary() {
        withstands(Protocol::Pbft, 4, 6);
    }

    #[test]
    fn pbft_of_seven_withstands_every_adversary() {
        withstands(Protocol::Pbft, 7, 3);
    }

    /// Not only does it do no harm: who signs twice is found out, by those that keep the proof.
    #[test]
    fn who_signs_two_things_for_one_place_is_proven_to_lie() {
        for (protocol, name) in [
            (Protocol::HotStuff, "double-vote"),
            (Protocol::Pbft, "double-vote"),
            (Protocol::HotStuff, "equivocate"),
            (Protocol::Pbft, "equivocate"),
        ] {
            let proven = |seed| {
                let plan = Scenario::attacked(protocol, seed, 4, name);
                campaign::run_plan(plan, false).caught.proven
            };
            let proven: u64 = (0..6).map(proven).sum();
            assert!(proven > 0, "{} {name}", protocol.name());
        }
    }

    /// Nothing fails, so that node 1 leads all the time under PBFT, and node 0 under HotStuff: its tenure is
    /// longer than the run.
    #[test]
    fn who_contradicts_himself_is_proven_to_lie_though_he_never_leads() {
        for protocol in [Protocol::HotStuff, Protocol::Pbft] {
            for seed in 0..3 {
                let mut plan = Scenario::calm(protocol, seed, 4);
                plan.tenure = 1_000_000;
                let plan = plan.with_liars("equivocate", &[NodeId(3)]);
                let caught = campaign::run_plan(plan, false).caught;
                let rivals = caught.ways.get(adversary::RIVAL.name);
                assert_eq!(
                    rivals.map_or(0, |it| it.told),
                    0,
                    "{} {seed}",
                    protocol.name()
                );
                assert!(caught.proven > 0, "{} {seed}", protocol.name());
            }
        }
    }

    /// What the choice of a fault model is about: the same lie, told by each node in turn.
    #[test]
    fn one_liar_splits_raft_and_does_not_split_hotstuff_or_pbft() {
        for seed in 0..4 {
            let mut split = 0;
            for liar in 0..4 {
                let it = calm(Protocol::HotStuff, seed, liar);
                assert_eq!(it.violation, None, "hotstuff, seed {seed}, liar {liar}");
                assert!(lied(&it) > 0, "hotstuff, seed {seed}, liar {liar}");
                let it = calm(Protocol::Pbft, seed, liar);
                assert_eq!(it.violation, None, "pbft, seed {seed}, liar {liar}");
                // Who is not primary has votes to lie with.
                assert!(lied(&it) > 0, "pbft, seed {seed}, liar {liar}");
                let it = calm(Protocol::Raft, seed, liar);
                // Only a leader orders, and so has something to lie about.
                let (lied, broken) = (lied(&it), it.violation);
                assert_eq!(broken.is_some(), lied > 0, "raft, seed {seed}: {broken:?}");
                if let Some(it) = &broken {
                    println!("raft, seed {seed}, liar {liar}: {} broken", it.property);
                }
                split += u64::from(broken.is_some_and(|it| it.property == "S1"));
            }
            assert!(split > 0, "raft, seed {seed}: no two logs differ");
        }
    }
}
