//! What liars do to PBFT. A view of it has no tenure: it lasts until it is given up.

mod chaos;
mod craft;
mod knowledge;
mod scheme;

use super::checkpoints::FAR;
use super::judge::Judge;
use super::stage::Stage;
use super::troupe::Troupe;
use super::{Manner, Outcome, Plan, Played};
use crate::check::{Agreed, Seen};
use crate::sim::Chance;
use consensus::Committed;
use consensus::pbft::{Assigned, Message, Pbft, Proof, Record};
use crypto::{Digest, Epoch, Hasher, Kind, NodeId, Payload, Slot, Statement};
use knowledge::Knowledge;
use std::num::NonZeroU64;

/// A play of PBFT.
struct Play<'a> {
    stage: Stage<'a, Pbft>,
    known: Knowledge,
    /// Who is told the one thing and who the other.
    camps: [u32; 2],
    /// Now and then these liars say what must not be believed, in vain.
    bold: bool,
    /// How often commits are let through: once in so many times.
    thrift: u64,
    /// How many the attack takes; liars lead two in three of them.
    views: u64,
    /// How far checkpoints are apart.
    every: NonZeroU64,
    /// Heights that are fought about, from 1 on.
    heights: u64,
}

/// Views within which honest members have committed something new once all is well: those of two
/// rounds of primaries, the liars silent among them.
const fn healthy(plan: &Plan) -> u64 {
    2 * plan.nodes as u64
}

/// Heights that are fought about where there are no checkpoints.
const FEW: u64 = 3;
/// And where there are.
const SEVERAL: u64 = 5;

/// How far checkpoints are apart: in every second play none is reached.
fn distance(chance: &mut Chance) -> NonZeroU64 {
    const CLOSE: [u64; 4] = [0, 0, 1, 2];
    NonZeroU64::new(chance.pick(&CLOSE)).unwrap_or(FAR)
}

/// Plays.
pub fn play(plan: Plan, troupe: &Troupe, manner: Manner) -> Outcome {
    let mut chance = super::chance(&plan);
    let views = 12 + chance.below(13);
    let leaders = super::stage::leaders(troupe, 1, views, &mut chance);
    let bold = chance.one_in(4);
    let chaos = chance.one_in(4);
    let thrift = 1 + chance.below(4);
    let every = distance(&mut chance);
    let stage = Stage::new(troupe, plan, chance, (leaders, every), manner);
    let mut play = Play {
        known: Knowledge::new(stage.puppets.len()),
        camps: [0; 2],
        bold,
        thrift,
        views,
        every,
        heights: if every == FAR { FEW } else { SEVERAL },
        stage,
    };
    play.draw_camps();
    if chaos {
        play.chaos();
    } else {
        play.scheme();
    }
    let heights = play.stage.judge.heights();
    let views = play.stage.view();
    play.count(heights);
    if play.stage.one_in(2) {
        play.reveal();
    }
    play.end(heights, views)
}

impl Play<'_> {
    /// What the attack has reached.
    fn count(&mut self, heights: u64) {
        self.stage.count(heights);
        self.known.count(&mut self.stage.rares);
    }
    fn end(self, heights: u64, views: u64) -> Outcome {
        // Where the attack was short, silent liars are still to lead.
        let early = self.views.saturating_sub(self.stage.view());
        let within = early + healthy(&self.stage.plan);
        self.stage.end(within, heights, views)
    }
}

/// What stands for a payload in statements: its digest, or a name for nothing.
fn stands_for(payload: &Payload) -> Digest {
    if payload.is_empty() {
        Hasher::new("quorate/v1/pbft/null").finish()
    } else {
        payload.digest()
    }
}

/// What a commit signs, from the format and not from the code that is judged.
fn commit_statement(it: &Assigned) -> Statement {
    Statement {
        slot: Slot {
            kind: Kind::Commit,
            epoch: Epoch(0),
            view: it.view,
            height: it.height,
        },
        content: it.digest,
    }
}

impl Played for Pbft {
    fn tenure(_: &Plan) -> Option<u64> {
        None
    }
    type Memory = ();

    fn recorded(node: NodeId, record: &Record, judge: &mut Judge<Self>) {
        let it = match record {
            Record::Prepared(it) => &it.assigned,
            Record::Committed(it) => &it.assigned,
            _ => return,
        };
        judge.certified(node, (it.view.0, it.height.0), it.digest);
    }
    fn ordered(it: &Committed<Proof>, (): &mut ()) -> Digest {
        let Proof(certificate) = &it.proof;
        certificate.assigned.digest
    }
    fn proven(node: NodeId, it: &Committed<Proof>, (): &mut ()) -> Result<Seen, String> {
        let Proof(certificate) = &it.proof;
        let assigned = &certificate.assigned;
        let statement = commit_statement(assigned);
        let signed = &certificate.certificate;
        let signatures = signed.signers.iter().zip(&signed.signatures);
        let agreed = Agreed {
            height: it.height.0,
            ordered: stands_for(&it.payload),
            slot: assigned.height.0,
            view: assigned.view.0,
            content: assigned.digest,
            signers: signatures
                .map(|(node, it)| (node, Troupe::is_genuine(node, &statement, it)))
                .collect(),
        };
        Ok(Seen::Agreed(node, agreed))
    }
    fn words(message: &Message) -> String {
        let place = |it: &Assigned| {
            let (view, height, digest) = (it.view, it.height, it.digest);
            format!("view {view}, slot {height}, {digest:?}")
        };
        let all = |list: &[Assigned]| list.iter().map(place).collect::<Vec<_>>().join("; ");
        match message {
            Message::PrePrepare(it) => format!("pre-prepares {}", place(&it.assigned())),
            Message::Prepare(it) => format!("prepares {}", place(&it.assigned)),
            Message::Commit(it) => format!("commits {}", place(&it.assigned)),
            Message::ViewChange(it) => {
                let (view, prepared) = (it.change.view, all(&it.change.prepared));
                format!("asks for view {view}, with [{prepared}]")
            }
            Message::NewView(it) | Message::Opened(it) => {
                let authors = it.changes.iter().map(|it| it.author.0);
                let slots = it.all_assigned().collect::<Vec<_>>();
                format!(
                    "opens view {} by {:?}, with [{}]",
                    it.view,
                    authors.collect::<Vec<_>>(),
                    all(&slots)
                )
            }
            Message::Slots(it) => {
                let slots = it.slots.iter().map(|it| place(&it.certificate.assigned));
                format!("tells committed [{}]", slots.collect::<Vec<_>>().join("; "))
            }
            other => consensus::Message::name(other).to_string(),
        }
    }
}
