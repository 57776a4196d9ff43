//! A smaller scenario that breaks the same property: faults are left out one by one, and work and time are
//! halved, as long as it stays broken. What is left names what it takes.

use super::Scenario;
use crypto::Time;

/// What may be left out, or made smaller, and how.
type Change = (&'static str, fn(&mut Scenario));

/// The largest first: each that is taken makes all later runs shorter.
const CHANGES: [Change; 39] = [
    ("half the time of faults", |it| it.safety.0 /= 2),
    ("half the transactions", |it| {
        it.transactions = it.transactions.div_ceil(2);
    }),
    ("half the clients", |it| it.clients = it.clients.div_ceil(2)),
    ("one node less", |it| it.nodes = fewer(it)),
    ("no coups", |it| it.net.coups = false),
    ("no puppets", |it| it.net.puppets = false),
    ("no camps", |it| {
        it.attack.iter_mut().for_each(|attack| attack.camps = false);
    }),
    ("a liar less", |it| {
        if let Some(attack) = it.attack.as_mut().filter(|it| it.liars.len() > 1) {
            attack.liars.pop();
        }
    }),
    ("nobody stays down", |it| {
        let spoilt = it.disk.rots || it.net.hoards;
        it.stay_down = if spoilt { it.stay_down.min(1) } else { 0 };
    }),
    ("no crash at a place", |it| it.crash_point = None),
    ("no crashes", |it| it.process.crash = 0),
    ("no crashes in recovery", |it| {
        it.process.crash_in_recovery = 0;
    }),
    ("no crashes of all", |it| it.process.crash_all = Time(0)),
    ("no shutdowns", |it| it.process.shutdown = Time(0)),
    ("no pauses", |it| it.process.pause = Time(0)),
    ("no jumps of clocks", |it| it.process.clock_jump = Time(0)),
    ("no slow node", |it| it.process.slow = Time(0)),
    ("no partitions", |it| it.net.partitions = false),
    ("no one-way partitions", |it| it.net.one_way = false),
    ("no clogged links", |it| it.net.clogs = false),
    ("no reconnects", |it| it.net.reconnects = false),
    ("no muted kinds", |it| it.net.mutes = false),
    ("nobody deaf", |it| it.net.deaf = 0),
    ("nobody hoards", |it| it.net.hoards = false),
    ("no secret checkpoints", |it| {
        it.net.secret_checkpoints = false;
    }),
    ("no loss", |it| it.net.loss = 0),
    ("no duplicates", |it| it.net.duplicate = 0),
    ("no replays", |it| it.net.replay = 0),
    ("no reordering", |it| it.net.reorder = 0),
    ("no disk rots", |it| it.disk.rots = false),
    ("no failed writes", |it| it.disk.failed = 0),
    ("no stalls of disks", |it| it.disk.stalls = 0),
    ("nothing torn", |it| it.disk.torn = false),
    ("nothing unsynced is lost", |it| {
        it.disk.lose_unsynced = false;
    }),
    ("no lease", |it| it.timing.lease = None),
    ("no hasty clients", |it| it.hasty = false),
    ("values of an ordinary size", |it| it.large = false),
    ("batches of an ordinary size", |it| it.narrow = false),
    ("caps of an ordinary size", |it| it.tight = false),
];

/// The next smaller cluster, if there is one that is no other scenario.
fn fewer(plan: &Scenario) -> usize {
    let least = match plan.protocol.fault_model() {
        crypto::FaultModel::Byzantine => 4,
        crypto::FaultModel::Crash => 3,
    };
    let bound = plan.flexible.is_some() || plan.attack.is_some();
    let less = plan.nodes.saturating_sub(1).max(least);
    // Fewer nodes survive fewer that stay down.
    if bound || plan.stay_down > 0 {
        plan.nodes
    } else {
        less
    }
}

/// Makes a scenario smaller that `breaks` something, and says to `tell` what was left out, each time.
#[must_use]
pub fn shrink(
    mut plan: Scenario,
    breaks: &mut dyn FnMut(&Scenario) -> bool,
    tell: &dyn Fn(&str),
) -> Scenario {
    loop {
        let mut smaller = false;
        for (name, change) in CHANGES {
            loop {
                let mut tried = plan.clone();
                change(&mut tried);
                if tried == plan || !breaks(&tried) {
                    break;
                }
                tell(name);
                (plan, smaller) = (tried, true);
            }
        }
        // What could not be left out before may be now.
        if !smaller {
            return plan;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{DiskFaults, NetFaults, ProcessFaults};
    use super::super::{Protocol, campaign};
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_it_takes_is_left_and_nothing_else() {
        let torn = |plan: &Scenario| plan.net.loss > 0 && plan.disk.failed > 0;
        let plan = (0..)
            .map(|seed| Scenario::draw(Protocol::Raft, seed))
            .find(|plan| {
                torn(plan) && plan.process.crash > 0 && plan.stay_down > 0 && plan.nodes > 4
            })
            .expect("many are drawn");
        let runs = Cell::new(0);
        let mut breaks = |it: &Scenario| {
            runs.set(runs.get() + 1);
            torn(it) && it.transactions >= 5
        };
        let small = shrink(plan.clone(), &mut breaks, &|_| {});
        let net = NetFaults {
            loss: plan.net.loss,
            ..NetFaults::default()
        };
        let disk = DiskFaults {
            failed: plan.disk.failed,
            ..DiskFaults::default()
        };
        assert_eq!((&small.net, &small.disk), (&net, &disk));
        assert_eq!(small.process, ProcessFaults::default());
        assert!((5..10).contains(&small.transactions));
        assert_eq!((small.clients, small.stay_down), (1, 0));
        assert!(plan.flexible.is_some() || small.nodes == 3);
        assert!(runs.get() < 400, "{runs:?}");
    }

    /// Two of four stay down: more than a cluster survives.
    #[test]
    fn a_real_violation_stays_one() {
        let broken = |plan: &Scenario| {
            let outcome = campaign::run_plan(plan.clone(), false);
            outcome.violation.map(|it| (it.property, outcome.events))
        };
        let mut plan = (0..)
            .map(|seed| Scenario::draw(Protocol::HotStuff, seed))
            .find(|plan| plan.nodes == 4 && plan.net.loss > 0 && plan.process.crash > 0)
            .expect("many are drawn");
        plan.stay_down = 2;
        let (property, events) = broken(&plan).expect("nobody survives that");
        let mut breaks = |plan: &Scenario| broken(plan).is_some_and(|it| it.0 == property);
        let small = shrink(plan, &mut breaks, &|_| {});
        let (found, fewer) = broken(&small).expect("it is still broken");
        assert_eq!(found, property);
        assert!(fewer < events, "{fewer} events, and {events} before");
        assert_eq!((small.stay_down, small.net.loss), (2, 0));
        assert_eq!(small.process, ProcessFaults::default());
    }
}
