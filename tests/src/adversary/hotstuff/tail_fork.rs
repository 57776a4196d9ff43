//! Forks off what the leader before left behind (Malkhi and Nayak, HotStuff-2; "tail forking").

use super::Certificates;
use crate::adversary::mouth::{Said, protocol};
use crate::adversary::tongue::{Tongue, build_on};
use crate::adversary::{Adversary, Mouth, Ring, Way};
use consensus::hotstuff::certificate::timeout_statement;
use consensus::hotstuff::message::{Proposal, Timeout};
use consensus::hotstuff::{HotStuff, Message, QuorumCertificate, TimeoutCertificate};
use crypto::{Certificate, NodeId, View};
use std::collections::BTreeMap;
use std::sync::Arc;

const END: Way = Way::bold("by those who had seen least");
const BELOW: Way = Way::bold("below what those show who gave up");
pub(super) const WAYS: [Way; 2] = [END, BELOW];

/// Where the tenure before was given up, opens its own with the timeouts of those who had seen least,
/// itself and its accomplices among them, who say that they saw nothing at all; and builds on what is
/// left: the blocks above, and the payload in them, are to be lost. Whoever is locked higher refuses.
/// Where that is no lower, on the highest certificate below what those who gave up show: nobody may vote
/// for that, locked or not.
#[derive(Default)]
pub struct TailFork {
    known: Certificates<REMEMBERED>,
    /// Timeouts of the latest tenure that others gave up.
    given: (u64, BTreeMap<NodeId, Timeout>),
}

/// Certificates remembered.
const REMEMBERED: usize = 8;

impl TailFork {
    fn learn(&mut self, message: &Message, ring: &Ring) {
        match message {
            Message::Proposal(it) => self.known.learn(&it.block.header.justify),
            Message::Timeout(it) if !ring.holds(it.author) && it.tenure >= self.given.0 => {
                if it.tenure > self.given.0 {
                    self.given = (it.tenure, BTreeMap::new());
                }
                let timeout = Timeout::clone(it);
                self.given.1.entry(it.author).or_insert(timeout);
            }
            _ => {}
        }
    }
    /// The highest certificate below a view.
    fn below(&self, view: View) -> Option<&Arc<QuorumCertificate>> {
        let below = |it: &&Arc<QuorumCertificate>| it.view < view;
        self.known.all().iter().rev().find(below)
    }
    /// The end of a tenure by liars and as few others as it takes, of those who show the least.
    fn end(&self, it: &Proposal, tenure: u64, ring: &Ring) -> Option<Arc<TimeoutCertificate>> {
        let (known, given) = &self.given;
        let quorum = ring.verifier.validators.quorums().commit;
        let wanted = quorum.saturating_sub(ring.liars().count());
        let mut others: Vec<&Timeout> = given.values().collect();
        if *known != tenure || others.len() < wanted {
            return None;
        }
        others.sort_by_key(|it| it.high.view);
        others.truncate(wanted);
        let first = ring.leaders.first(tenure + 1);
        let oldest = self.known.all().front().filter(|it| it.view < first)?;
        let epoch = it.block.header.epoch;
        let said = others
            .into_iter()
            .map(|it| (it.author, it.signature, &it.high));
        let lied = ring.liars().map(|liar| {
            let statement = timeout_statement(epoch, tenure, oldest.view);
            (liar, ring.sign(liar, &statement), oldest)
        });
        let mut all: Vec<_> = said.chain(lied).collect();
        all.sort_by_key(|(node, ..)| *node);
        let (.., high) = all.iter().max_by_key(|(.., high)| high.view)?;
        Some(Arc::new(TimeoutCertificate {
            tenure,
            high_views: all.iter().map(|(.., high)| high.view).collect(),
            certificate: Certificate::collect(all.iter().map(|(node, it, _)| (*node, *it))),
            high: Arc::clone(high),
        }))
    }
}

impl Adversary<HotStuff> for TailFork {
    fn say(&mut self, said: Said<Message>, mouth: &mut Mouth<'_>) {
        let Some(message @ Message::Proposal(it)) = said.message() else {
            return mouth.pass(&said);
        };
        self.learn(message, mouth.ring);
        let header = &it.block.header;
        let timeout = header.timeout.as_ref();
        let Some(timeout) = timeout else {
            return mouth.pass(&said);
        };
        let end = self.end(it, timeout.tenure, mouth.ring);
        let lower = end.filter(|end| end.high.view < header.justify.view);
        let mut fork = it.clone();
        let way = match (lower, self.below(timeout.high.view)) {
            (Some(end), _) => {
                build_on(&mut fork, &end.high);
                Arc::make_mut(&mut fork.block).header.timeout = Some(end);
                END
            }
            (None, Some(below)) => {
                build_on(&mut fork, below);
                BELOW
            }
            (None, None) => return mouth.pass(&said),
        };
        let mut fork = Message::Proposal(fork);
        HotStuff::sign(&mut fork, mouth.ring);
        mouth.lie(way, &said.to, said.class, &protocol(fork));
    }
    fn hear(&mut self, _: NodeId, message: &Message, mouth: &mut Mouth<'_>) {
        self.learn(message, mouth.ring);
    }
}
