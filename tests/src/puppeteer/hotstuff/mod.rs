//! What liars do to HotStuff.

mod chaos;
mod craft;
mod knowledge;
mod scheme;

use super::checkpoints::FAR;
use super::judge::Judge;
use super::stage::Stage;
use super::troupe::{CONTEXT, Troupe};
use super::{Manner, Outcome, Plan, Played};
use crate::check::{Link, Proven, Seen};
use crate::sim::Chance;
use consensus::Committed;
use consensus::hotstuff::{Header, HotStuff, Message, Proof, QuorumCertificate, Record};
use crypto::{Digest, Epoch, Hasher, Height, Kind, NodeId, Signature, Slot, Statement};
use knowledge::Knowledge;
use std::sync::Arc;

/// A play of HotStuff.
struct Play<'a> {
    stage: Stage<'a, HotStuff>,
    known: Knowledge,
    /// The highest certificates of two branches.
    tips: [Arc<QuorumCertificate>; 2],
    /// Who is to see which branch.
    camps: [u32; 2],
    /// Now and then these liars say what must not be believed, in vain.
    bold: bool,
    /// How many the attack takes; liars lead two in three of them.
    tenures: u64,
}

/// Views within which honest members have committed something new once all is well: those of two
/// rounds of leaders, the liars silent among them.
const fn healthy(plan: &Plan) -> u64 {
    2 * plan.nodes as u64 * plan.tenure
}

/// Tenures of the attack: some 12 to 32 views.
fn tenures(plan: &Plan, chance: &mut Chance) -> u64 {
    match plan.tenure {
        1 => 12 + chance.below(21),
        _ => 8,
    }
}

/// Plays.
pub fn play(plan: Plan, troupe: &Troupe, manner: Manner) -> Outcome {
    let mut chance = super::chance(&plan);
    let tenures = tenures(&plan, &mut chance);
    let leaders = super::stage::leaders(troupe, plan.tenure, tenures, &mut chance);
    let bold = chance.one_in(4);
    let chaos = chance.one_in(4);
    let stage = Stage::new(troupe, plan, chance, (leaders, FAR), manner);
    let genesis = Arc::new(QuorumCertificate::anchor(&CONTEXT));
    let mut play = Play {
        known: Knowledge::new(stage.puppets.len(), &genesis),
        tips: [Arc::clone(&genesis), genesis],
        camps: [0; 2],
        bold,
        tenures,
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
    play.hurry();
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
        let early = self.first(self.tenures).saturating_sub(self.stage.view());
        let within = early + healthy(&self.stage.plan);
        self.stage.end(within, heights, views)
    }
}

/// What a vote signs, from the format and not from the code that is judged.
fn vote_statement(it: &QuorumCertificate) -> Statement {
    let content = Hasher::new("quorate/v1/vote")
        .number(it.height.0)
        .digest(&it.block)
        .finish();
    Statement {
        slot: Slot {
            kind: Kind::Vote,
            epoch: Epoch(0),
            view: it.view,
            height: Height(0),
        },
        content,
    }
}

/// Digests of headers that were computed.
#[derive(Default)]
pub struct Digests(Vec<(Header, Digest)>);

impl Digests {
    fn of(&mut self, header: &Header) -> Digest {
        let mut known = self.0.iter().rev();
        if let Some((_, digest)) = known.find(|(known, _)| known == header) {
            return *digest;
        }
        let digest = header.digest();
        self.0.push((header.clone(), digest));
        digest
    }
}

impl Played for HotStuff {
    type Memory = Digests;

    fn tenure(plan: &Plan) -> Option<u64> {
        Some(plan.tenure)
    }
    fn recorded(_: NodeId, _: &Record, _: &mut Judge<Self>) {}
    /// The block: two blocks of one payload are a fork as well.
    fn ordered(it: &Committed<Proof>, memory: &mut Digests) -> Digest {
        let first = it.proof.headers.first();
        first.map_or(Digest::ZERO, |header| memory.of(header))
    }
    fn proven(node: NodeId, it: &Committed<Proof>, memory: &mut Digests) -> Result<Seen, String> {
        let certificate = &it.proof.certificate;
        let statement = vote_statement(certificate);
        let signed = &certificate.certificate;
        let signatures = signed.signers.iter().zip(&signed.signatures);
        let genuine = |(signer, it): (NodeId, &Signature)| {
            (signer, Troupe::is_genuine(signer, &statement, it))
        };
        let signers = signatures.map(genuine).collect();
        let mut link = |header: &Header| Link {
            block: memory.of(header),
            view: header.view.0,
            height: header.height.0,
            parent: header.parent,
            justify: (header.justify.block, header.justify.view.0),
            payload: header.payload,
        };
        let proven = Proven {
            height: it.height.0,
            payload: it.payload.digest(),
            links: it.proof.headers.iter().map(&mut link).collect(),
            certified: (certificate.block, certificate.view.0),
            signers,
        };
        Ok(Seen::Committed(node, proven))
    }
    fn words(message: &Message) -> String {
        match message {
            Message::Proposal(it) => {
                let header = &it.block.header;
                let end = header.timeout.as_ref().map_or(String::new(), |end| {
                    let (tenure, high) = (end.tenure, end.high.view);
                    format!(", and the end of tenure {tenure} with high view {high}")
                });
                format!(
                    "proposes block {:?} of view {}, height {}, on the certificate of view {}{end}",
                    it.block.digest(),
                    header.view,
                    header.height,
                    header.justify.view
                )
            }
            Message::Vote(it) => format!("votes in view {} for block {:?}", it.view, it.block),
            Message::Timeout(it) => {
                format!(
                    "gives up tenure {} with high view {}",
                    it.tenure, it.high.view
                )
            }
            Message::Certificate(it) => {
                let end = it.timeout.as_ref().map_or(String::new(), |end| {
                    let (tenure, high) = (end.tenure, end.high.view);
                    format!(", and the end of tenure {tenure} with high view {high}")
                });
                let (view, block) = (it.quorum.view, it.quorum.block);
                format!("shows the certificate of view {view} for block {block:?}{end}")
            }
            Message::Blocks(it) => {
                let blocks = it.blocks.iter().map(|it| it.digest());
                format!("tells blocks {:?}", blocks.collect::<Vec<_>>())
            }
            other => consensus::Message::name(other).to_string(),
        }
    }
}
