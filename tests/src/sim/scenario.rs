//! A scenario: what one seed is about. Swarm testing: every seed draws its own set of faults and
//! its own rates, and some have none, so that no fault hides what another would show.

use super::attack::Attack;
use super::faults::{DiskFaults, DiskTimes, NetFaults, ProcessFaults};
use super::{Chance, CrashPoint, Protocol};
use consensus::Timing;
use crypto::{NodeId, Time};
use std::num::NonZeroU64;

/// Heights that are enough for a sound transaction to be ordered in.
const LONG_LIFE: u64 = 1_000;

/// A run's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Which seed.
    pub seed: u64,
    /// Which protocol.
    pub protocol: Protocol,
    /// How many nodes.
    pub nodes: usize,
    /// Commit and election quorum, if they are not the least that are safe.
    pub flexible: Option<(usize, usize)>,
    /// Heights that a transaction may lie ahead of its expiry.
    pub lifetime: u64,
    /// Sequences that one client may have on the way.
    pub window: u64,
    /// Heights between checkpoints.
    pub checkpoints: NonZeroU64,
    /// Whether the pool's caps are so small that they are reached.
    pub tight: bool,
    /// Whether some values are so large that a few fill what one answer, load or block may hold.
    pub large: bool,
    /// Whether batches, blocks and messages hold a few transactions only, so that it takes several to catch up.
    pub narrow: bool,
    /// Clients stay with their nodes, and those do not lie.
    pub loyal: bool,
    /// Views a leader keeps.
    pub tenure: u64,
    /// The protocol's time-outs.
    pub timing: Timing,
    /// Real Ed25519 in place of the mock scheme.
    pub real_signatures: bool,
    /// Mean one-way delay.
    pub delay: Time,
    /// How long storage takes.
    pub disk_times: DiskTimes,
    /// What the network does.
    pub net: NetFaults,
    /// What happens to processes.
    pub process: ProcessFaults,
    /// What disks do.
    pub disk: DiskFaults,
    /// How long the faults last.
    pub safety: Time,
    /// Mean length of a phase: each draws its own partitions and clogged links.
    pub phase: Time,
    /// Nodes that stay down when the rest is healed: at most f.
    pub stay_down: usize,
    /// Clients.
    pub clients: usize,
    /// Transactions of each.
    pub transactions: u64,
    /// Mean pause of a client between two transactions.
    pub think: Time,
    /// Whether clients read at another node as soon as a write is acknowledged.
    pub hasty: bool,
    /// Whether what clients ask for depends on the seed alone, and so is the same for every protocol.
    pub same_work: bool,
    /// Where nodes crash on purpose.
    pub crash_point: Option<CrashPoint>,
    /// Who lies, and how.
    pub attack: Option<Attack>,
}

const fn heights(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("not zero")
}

const fn micros(us: u64) -> Time {
    Time(us * 1_000)
}

/// A commit and an election quorum that meet, of `n`.
fn flexible(n: usize, c: &mut Chance) -> (usize, usize) {
    let all = (1..=n).flat_map(|commit| (1..=n).map(move |election| (commit, election)));
    let meet: Vec<_> = all
        .filter(|(commit, election)| commit + election > n && 2 * election > n)
        .collect();
    c.pick(&meet)
}

/// How many crashes of `n` nodes leave both quorums.
fn survives(n: usize, flexible: Option<(usize, usize)>) -> usize {
    let (commit, election) = flexible.unwrap_or((n / 2 + 1, n / 2 + 1));
    n - commit.max(election)
}

impl Scenario {
    /// Draws the scenario of a seed.
    #[must_use]
    pub fn draw(protocol: Protocol, seed: u64) -> Self {
        match protocol {
            Protocol::HotStuff => Self::hotstuff(seed),
            Protocol::Pbft => Self::pbft(seed),
            Protocol::Raft => Self::raft(seed),
        }
    }

    fn hotstuff(seed: u64) -> Self {
        let [mut chance, mut later] = Protocol::HotStuff.streams().map(|it| Chance::of(seed, it));
        let c = &mut chance;
        let nodes = c.pick(&[4, 4, 4, 4, 5, 7]);
        let f = (nodes - 1) / 3;
        let calm = c.one_in(12);
        let plan = Self::healthy(Protocol::HotStuff, seed, (nodes, f, calm), c, &mut later);
        if calm {
            return plan;
        }
        if later.one_in(4) {
            return plan.with_puppets(&mut later);
        }
        plan.with_any_faults(c, &mut later)
    }

    fn pbft(seed: u64) -> Self {
        let [mut chance, mut later] = Protocol::Pbft.streams().map(|it| Chance::of(seed, it));
        let c = &mut chance;
        let nodes = c.pick(&[4, 4, 4, 4, 5, 6, 7]);
        let f = (nodes - 1) / 3;
        let calm = c.one_in(12);
        let plan = Self::healthy(Protocol::Pbft, seed, (nodes, f, calm), c, &mut later);
        if calm {
            return plan;
        }
        let mut last = Chance::of(seed, "pbft scenario, last");
        if last.one_in(12) {
            return plan.with_secret_checkpoints(&mut last);
        }
        match c.below(4) {
            0 => plan.with_puppets(c),
            1 => plan.with_coups(c),
            _ => {
                let mut plan = plan.with_any_faults(c, &mut later);
                if c.one_in(4) {
                    plan.process.shutdown = Time(plan.timing.timeout.0 * c.between(2, 8));
                }
                plan
            }
        }
    }

    fn raft(seed: u64) -> Self {
        let [mut chance, mut later] = Protocol::Raft.streams().map(|it| Chance::of(seed, it));
        let c = &mut chance;
        let nodes = c.pick(&[3, 3, 3, 4, 5, 5, 7]);
        let flexible = c.one_in(4).then(|| flexible(nodes, c));
        let survives = survives(nodes, flexible);
        let calm = c.one_in(12);
        let mut plan = Self::healthy(Protocol::Raft, seed, (nodes, survives, calm), c, &mut later);
        plan.flexible = flexible;
        if c.one_in(3) {
            // All clocks run alike here, so that the bound on their drift may be as narrow as one likes.
            plan.timing.lease = Some(Time(plan.timing.timeout.0 * c.between(3, 9) / 10));
        }
        if calm {
            return plan;
        }
        if c.one_in(3) {
            let stay_down = plan.stay_down;
            return plan.with_coups(c).with_stay_down(stay_down.min(survives));
        }
        let mut plan = plan.with_any_faults(c, &mut later);
        if c.one_in(3) {
            plan.process.shutdown = Time(plan.timing.timeout.0 * c.between(2, 8));
        }
        if plan.timing.lease.is_some() {
            // A clock that jumps is one that drifts beyond any bound.
            plan.process.clock_jump = Time(0);
        }
        plan.stay_down = plan.stay_down.min(survives);
        plan.disk.rots &= survives > 0;
        plan
    }

    /// A run of so many nodes without any fault, the same for every protocol.
    #[must_use]
    pub fn calm(protocol: Protocol, seed: u64, nodes: usize) -> Self {
        let mut c = Chance::of(seed, "calm scenario");
        let mut later = Chance::of(seed, "calm scenario, later");
        let mut plan = Self::healthy(protocol, seed, (nodes, 0, true), &mut c, &mut later);
        // Everybody leads within a run.
        plan.tenure = 4;
        plan
    }

    /// A run in which machines and clients' work are the same for every protocol, and whatever is
    /// unsynced may be lost and torn. Four nodes or five: among four, quorums against liars share no
    /// more than they must; among five, those against crashes.
    #[must_use]
    pub fn alike(protocol: Protocol, seed: u64) -> Self {
        let mut plan = Self::calm(protocol, seed, 4 + (seed % 2) as usize);
        plan.same_work = true;
        plan.real_signatures = false;
        plan.disk.lose_unsynced = true;
        plan.disk.torn = true;
        plan.transactions = 48 / plan.clients as u64;
        plan.safety = Time(plan.timing.timeout.0 * 40);
        plan.think = Time(plan.safety.0 / (plan.transactions + 1));
        plan
    }

    /// And crashes at one place.
    #[must_use]
    pub fn with_crash_point(mut self, point: CrashPoint) -> Self {
        self.crash_point = Some(point);
        self
    }

    /// And faults of any kind, the same for every protocol; one node stays down.
    #[must_use]
    pub fn with_faults_alike(self) -> Self {
        let mut chance = Chance::of(self.seed, "faults alike");
        self.with_faults(&mut chance).with_stay_down(1)
    }

    /// And one leader after the other is overthrown, the same way under every protocol.
    #[must_use]
    pub fn with_coups_alike(self) -> Self {
        let mut chance = Chance::of(self.seed, "coups alike");
        self.with_coups(&mut chance)
    }

    /// A run without faults, but that some nodes may stay down.
    pub(super) fn healthy(
        protocol: Protocol,
        seed: u64,
        (nodes, f, calm): (usize, usize, bool),
        c: &mut Chance,
        later: &mut Chance,
    ) -> Self {
        let delay = micros(c.pick(&[100, 300, 1_000, 3_000]));
        let timeout = Time(delay.0 * c.between(12, 40)).max(Time::millis(c.between(8, 30)));
        let clients = c.between(2, 6) as usize;
        Self {
            seed,
            protocol,
            nodes,
            flexible: None,
            lifetime: c.pick(&[24, 100, 1_000, 10_000]),
            window: c.pick(&[4, 64, 1_024]),
            checkpoints: c.pick(&[4, 16, 1_024].map(heights)),
            tight: c.one_in(6),
            large: false,
            narrow: !calm && Chance::of(seed, "narrow").one_in(6),
            loyal: false,
            tenure: c.pick(&[2, 4, 4, 5, 6, 8, 8, 32, 1_000]),
            timing: Timing {
                timeout,
                timeout_cap: Time(timeout.0 * c.between(2, 8)),
                resend: Time(timeout.0 / c.between(2, 4)),
                linger: micros(c.pick(&[0, 100, 1_000])),
                lease: None,
            },
            real_signatures: c.one_in(100),
            delay,
            disk_times: DiskTimes {
                write: micros(c.pick(&[1, 5, 20])),
                sync: micros(c.pick(&[10, 70, 200, 1_000])),
                load: micros(c.pick(&[2, 20, 500])),
                execute: micros(c.pick(&[1, 20, 500])),
            },
            net: NetFaults::default(),
            process: ProcessFaults::default(),
            disk: DiskFaults::default(),
            safety: Time(timeout.0 * c.between(4, 24)),
            phase: Time(timeout.0 * c.between(1, 6)),
            stay_down: if calm || !c.one_in(3) {
                0
            } else {
                c.between(1, f as u64) as usize
            },
            clients,
            transactions: c.between(75, 100) / clients as u64,
            think: Time(timeout.0 * c.between(1, 8) * clients as u64 / 80),
            hasty: later.one_in(4),
            same_work: false,
            crash_point: None,
            attack: None,
        }
    }

    /// Whatever may happen to nodes that do not lie.
    pub(super) fn with_any_faults(self, c: &mut Chance, later: &mut Chance) -> Self {
        let healthy = self.clone();
        let mut plan = self.with_faults(c);
        plan.net.mutes = later.one_in(4);
        plan.large = later.one_in(24);
        plan.narrow &= !plan.large;
        if later.one_in(6) {
            return healthy.with_one_deaf(later);
        }
        if later.one_in(12) {
            plan.net.hoards = true;
            plan.stay_down = plan.stay_down.max(1);
        } else if later.one_in(12) {
            plan.disk.rots = true;
            plan.stay_down = plan.stay_down.max(1);
        }
        plan
    }

    /// One node hears little or nothing, for longer than the clients' work lasts: a cluster at rest
    /// is healed in which one is behind, and nobody has a reason of its own to speak.
    fn with_one_deaf(mut self, c: &mut Chance) -> Self {
        self.stay_down = 0;
        self.net.deaf = c.pick(&[500_000, 900_000, 1_000_000]);
        self.safety = Time(self.timing.timeout.0 * c.between(60, 120));
        self
    }

    /// One leader after the other is overthrown, and comes back.
    fn with_coups(mut self, c: &mut Chance) -> Self {
        self.net.coups = true;
        self.net.loss = c.pick(&[0, 0, 10_000, 50_000, 250_000]);
        self.net.reorder = c.pick(&[0, 0, 50_000]);
        self.net.duplicate = c.pick(&[0, 0, 100_000]);
        self.net.replay = c.pick(&[0, 0, 50_000]);
        self.disk.lose_unsynced = true;
        self.phase = Time(self.timing.timeout.0 * c.between(1, 4));
        // Slow work, too: leaders that come and go without an entry of their own.
        let pace = c.pick(&[1, 1, 1, 4]);
        self.safety = Time(self.timing.timeout.0 * c.between(30, 80) * pace);
        self.hasty = c.one_in(2);
        // Work for all that time.
        self.think = Time(self.safety.0 / (self.transactions + 1));
        // A disk that is slower than the others: what it lacks, they may have.
        self.disk.stalls = c.pick(&[0, 20_000, 200_000]);
        self
    }

    /// What is stable most know by one node's word, while leaders are overthrown and all restart: what
    /// is committed above it hangs on what they have stored of that word.
    fn with_secret_checkpoints(mut self, c: &mut Chance) -> Self {
        self.checkpoints = c.pick(&[2, 4, 4].map(heights));
        self = self.with_coups(c);
        self.net.secret_checkpoints = true;
        self.stay_down = 0;
        self.process.crash_all = Time(self.phase.0 * c.between(2, 8));
        self
    }

    fn with_stay_down(mut self, nodes: usize) -> Self {
        self.stay_down = nodes;
        self
    }

    /// A puppeteer, nothing else, and many changes of leader.
    fn with_puppets(mut self, c: &mut Chance) -> Self {
        self.nodes = 4;
        self.stay_down = c.below(2) as usize;
        self.net.puppets = true;
        self.tenure = c.pick(&[1, 4, 5, 6, 8]);
        self.timing.timeout_cap = Time(self.timing.timeout.0 * 2);
        self.safety = Time(self.timing.timeout.0 * c.between(80, 160));
        self
    }

    fn with_faults(mut self, c: &mut Chance) -> Self {
        let rate = |c: &mut Chance| {
            if c.one_in(2) {
                c.pick(&[1_000, 10_000, 50_000, 200_000])
            } else {
                0
            }
        };
        self.net = NetFaults {
            loss: rate(c),
            duplicate: rate(c),
            replay: rate(c),
            reorder: rate(c),
            partitions: c.one_in(2),
            one_way: c.one_in(3),
            clogs: c.one_in(3),
            reconnects: c.one_in(3),
            mutes: false,
            puppets: false,
            deaf: 0,
            hoards: false,
            coups: false,
            secret_checkpoints: false,
        };
        let span = |c: &mut Chance, odds, low, high| {
            if c.one_in(odds) {
                c.between(low, high)
            } else {
                0
            }
        };
        self.process = ProcessFaults {
            crash: span(c, 2, 20, 800),
            crash_in_recovery: span(c, 2, 1, 12),
            crash_all: Time(span(c, 3, 3, 20) * self.timing.timeout.0),
            pause: Time(span(c, 4, 2, 10) * self.timing.timeout.0),
            clock_jump: Time(span(c, 4, 2, 10) * self.timing.timeout.0),
            slow: Time(span(c, 5, 1, 3) * self.delay.0),
            shutdown: Time(0),
        };
        self.disk = DiskFaults {
            lose_unsynced: !c.one_in(4),
            torn: c.one_in(2),
            failed: span(c, 4, 200, 3_000) as u32,
            rots: false,
            stalls: span(c, 4, 1_000, 50_000) as u32,
        };
        self
    }

    /// Whether nothing is to go wrong in it.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.crash_point.is_none()
            && self.net == NetFaults::default()
            && self.process == ProcessFaults::default()
    }
    /// Whether transactions live long beside all that may be committed before anybody sees it: in PBFT
    /// the slots between the watermarks, as the program demands.
    #[must_use]
    pub fn lives_long(&self) -> bool {
        let at_once = match self.protocol {
            Protocol::Pbft => 2 * self.checkpoints.get(),
            Protocol::HotStuff | Protocol::Raft => 0,
        };
        self.lifetime >= LONG_LIFE.max(8 * at_once)
    }
    /// The node that hoards its batches, is deaf, has a disk that rots, or alone hears of checkpoints, in a
    /// run that has one.
    #[must_use]
    pub fn odd_one(&self) -> NodeId {
        NodeId((self.seed % self.nodes as u64) as u16)
    }
    /// How long after the heal all that is left must have committed everywhere (L1, L2).
    #[must_use]
    pub fn liveness_bound(&self) -> Time {
        let (cap, client) = (self.timing.timeout_cap.0, self.client_timeout().0);
        match self.protocol {
            // A view's timer may stand at its cap; each of the f dead leaders, and one leader that was
            // cut off, costs one timeout; a client notices a dead node by its own time-out.
            Protocol::HotStuff | Protocol::Pbft => Time(40 * cap + 20 * client),
            // An election or two, the timer at its cap, and then nobody has to change his mind.
            Protocol::Raft => Time(12 * cap + 12 * client),
        }
    }
    /// How long a client waits before it asks another node.
    #[must_use]
    pub fn client_timeout(&self) -> Time {
        Time(6 * self.timing.timeout.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_draws_what_is_its_own_and_nothing_that_it_cannot_survive() {
        let plans: Vec<_> = (0..400)
            .map(|seed| Scenario::draw(Protocol::Raft, seed))
            .collect();
        let both = |test: fn(&Scenario) -> bool| {
            assert!(plans.iter().any(test) && !plans.iter().all(test));
        };
        both(|p| p.flexible.is_some());
        both(|p| p.timing.lease.is_some());
        both(|p| p.net.coups);
        both(|p| p.process.shutdown.0 > 0);
        both(|p| p.net.deaf > 0);
        both(|p| p.stay_down > 0);
        for nodes in [3, 4, 5, 7] {
            assert!(plans.iter().any(|p| p.nodes == nodes));
        }
        for plan in &plans {
            let quorums = crypto::Quorums::of(plan.protocol.fault_model(), plan.nodes);
            let least = (quorums.commit, quorums.election);
            let (commit, election) = plan.flexible.unwrap_or(least);
            let flexible = crypto::Quorums {
                commit,
                election,
                ..quorums
            };
            assert!(consensus::raft::rules::quorums_meet(&flexible));
            assert!(plan.stay_down + commit.max(election) <= plan.nodes);
            assert!(!plan.net.puppets);
            // A lease counts on clocks that run alike, and on a promise that lasts longer.
            if let Some(lease) = plan.timing.lease {
                assert!(lease < plan.timing.timeout && plan.process.clock_jump == Time(0));
            }
        }
    }

    #[test]
    fn pbft_draws_what_is_its_own_and_nothing_that_it_cannot_survive() {
        let plans: Vec<_> = (0..400)
            .map(|seed| Scenario::draw(Protocol::Pbft, seed))
            .collect();
        let both = |test: fn(&Scenario) -> bool| {
            assert!(plans.iter().any(test) && !plans.iter().all(test));
        };
        both(|p| p.net.puppets);
        both(|p| p.net.coups);
        both(|p| p.net.mutes);
        both(|p| p.net.deaf > 0);
        both(|p| p.net.secret_checkpoints);
        both(|p| p.process.shutdown.0 > 0);
        both(|p| p.stay_down > 0);
        for nodes in [4, 5, 6, 7] {
            assert!(plans.iter().any(|p| p.nodes == nodes));
        }
        let sound = |p: &Scenario| 3 * p.stay_down < p.nodes && p.flexible.is_none();
        assert!(plans.iter().all(sound));
    }

    #[test]
    fn every_fault_is_drawn_by_some_seeds_and_left_out_by_others() {
        let plans: Vec<_> = (0..400)
            .map(|seed| Scenario::draw(Protocol::HotStuff, seed))
            .collect();
        let both = |test: fn(&Scenario) -> bool| {
            assert!(plans.iter().any(test) && !plans.iter().all(test));
        };
        both(|p| p.net.loss > 0);
        both(|p| p.net.duplicate > 0);
        both(|p| p.net.replay > 0);
        both(|p| p.net.reorder > 0);
        both(|p| p.net.partitions);
        both(|p| p.net.one_way);
        both(|p| p.net.clogs);
        both(|p| p.net.reconnects);
        both(|p| p.net.mutes);
        both(|p| p.net.puppets);
        both(|p| p.net.deaf > 0);
        both(|p| p.net.hoards);
        both(|p| p.hasty);
        both(|p| p.large);
        both(|p| p.narrow);
        both(|p| p.process.crash > 0);
        both(|p| p.process.crash_in_recovery > 0);
        both(|p| p.process.crash_all.0 > 0);
        both(|p| p.process.pause.0 > 0);
        both(|p| p.process.clock_jump.0 > 0);
        both(|p| p.process.slow.0 > 0);
        both(|p| p.disk.lose_unsynced);
        both(|p| p.disk.torn);
        both(|p| p.disk.failed > 0);
        both(|p| p.disk.rots);
        both(|p| p.disk.stalls > 0);
        both(|p| p.stay_down > 0);
        both(|p| p.real_signatures);
        assert!(
            plans
                .iter()
                .any(|p| p.net == NetFaults::default() && p.process == ProcessFaults::default())
        );
    }
}
