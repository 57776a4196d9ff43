//! The puppeteer: decides who learns what, so that members enter the next view or tenure with unlike
//! knowledge, which is what the rules about locks, certificates and view changes are for.

use super::network::Frame;
use super::{Chance, Protocol, Scenario};
use crypto::NodeId;

/// Whether a frame is kept from its receiver.
pub fn is_withheld(
    chance: &mut Chance,
    link: (NodeId, NodeId),
    it: Frame<'_>,
    plan: &Scenario,
) -> bool {
    // Batches are hard to come by, so that whoever votes for what it lacks is found out.
    match it.name {
        "batch" => return chance.one_in(2),
        "batches" => return !chance.one_in(4),
        _ => {}
    }
    match plan.protocol {
        Protocol::Pbft => pbft(chance, link, it, plan),
        Protocol::HotStuff | Protocol::Raft => hotstuff(chance, link, it, plan),
    }
}

/// What tells of HotStuff's certificates and promises nothing.
const TELLING: [&str; 4] = ["certificate", "blocks", "fetch_blocks", "read_answer"];

/// In each tenure the members are of two camps, and each camp hears proposals up to some view and
/// none after it; what else tells of certificates comes through once in thirty times; and in every
/// second tenure nobody hears how its leader votes or gives up.
fn hotstuff(
    chance: &mut Chance,
    (from, to): (NodeId, NodeId),
    it: Frame<'_>,
    plan: &Scenario,
) -> bool {
    let fixed = |place: u64, who: u64| Chance::of(plan.seed ^ place << 16 ^ who, "puppets");
    let tenure = match it.name {
        "proposal" | "vote" => it.view / plan.tenure,
        "timeout" => it.view,
        name => return TELLING.contains(&name) && !chance.one_in(30),
    };
    if it.name == "proposal" {
        let hears = fixed(tenure, 0x100).below(plan.tenure + 1);
        // A commit takes three views: that far apart, one camp may have what the other never saw.
        let more = match fixed(tenure, u64::from(to.0)).below(2) {
            0 => 0,
            _ => fixed(tenure, 0x101).below(4),
        };
        return it.view % plan.tenure >= hears + more;
    }
    let leader = tenure % plan.nodes as u64;
    leader == u64::from(from.0) && fixed(tenure, 0xffff).one_in(2)
}

/// What tells of PBFT's slots and views and promises nothing.
const TELLING_PBFT: [&str; 5] = [
    "certificate",
    "slots",
    "fetch_slots",
    "read_answer",
    "opened",
];

/// Some slots of a view stand still: their commits, their prepares or their pre-prepares come to
/// some members only. So a slot is committed by some, prepared by some, or known to some when the
/// view is given up; and some are not heard then, or do not hear that the next view is open. What
/// else tells of slots and views comes through once in thirty times.
fn pbft(chance: &mut Chance, (from, to): (NodeId, NodeId), it: Frame<'_>, plan: &Scenario) -> bool {
    let fixed = |height: u64, who: u64| {
        Chance::of(
            plan.seed ^ it.view << 40 ^ height << 20 ^ who,
            "puppets of pbft",
        )
    };
    let phase = match it.name {
        "pre_prepare" => 0,
        "prepare" => 1,
        "commit" => 2,
        "view_change" => return fixed(0, 0x100 + u64::from(from.0)).one_in(4),
        "new_view" => return fixed(0, 0x200 + u64::from(to.0)).one_in(4),
        name => return TELLING_PBFT.contains(&name) && !chance.one_in(30),
    };
    let ends = fixed(it.height, 0x300).below(9);
    ends <= phase && !fixed(it.height, u64::from(to.0)).one_in(3)
}
