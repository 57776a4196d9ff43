//! Judges a play after every step, by what the honest members show to the outside: S1 (they agree, and
//! nothing can be prepared or certified any more beside what is, or could be, committed), S2 (no two certificates for one place), S3 (no key signs two statements for one slot, nor goes on in
//! what it gave up), S4 (every commit has its proof), S10 (nobody honest is accused). What is judged
//! elsewhere as well is judged by the same code: [`crate::check`].

use super::Played;
use super::troupe::Troupe;
use crate::check::{Agreed, Agreement, CarriedOver, Certified, Descent, Proof};
use crate::check::{Check, Honesty, OneCertificate, Promise, Promises, Seen, Slot, Violation};
use consensus::{Committed, Evidence};
use crypto::{Digest, Kind, NodeId, Statement, Time};
use std::collections::BTreeMap;

/// What a member has committed at a height.
#[derive(Clone, Copy)]
struct Fact {
    by: NodeId,
    history: Digest,
    ordered: Digest,
}

/// See the module.
pub struct Judge<P: Played> {
    /// By height, from 1 on.
    facts: Vec<Fact>,
    certificates: OneCertificate,
    promises: Promises,
    /// Who has said what, by signer and slot.
    said: BTreeMap<(NodeId, Kind, u64, u64), Digest>,
    proof: Box<dyn Check>,
    /// S1, before two logs differ.
    closer: Box<dyn Check>,
    honesty: Honesty,
    memory: P::Memory,
    honest: usize,
    verdict: Option<Violation>,
    /// A digest of all that was judged: equal for equal courses.
    trace: u64,
    /// The course in words, if somebody wants to read it.
    story: Option<Vec<String>>,
}

/// The name under which the ledger of promises knows a kind.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Proposal => "proposal",
        Kind::Vote => "vote",
        Kind::Timeout => "timeout",
        Kind::Checkpoint => "checkpoint",
        Kind::Grant => "grant",
        Kind::PrePrepare => "pre_prepare",
        Kind::Prepare => "prepare",
        Kind::Commit => "commit",
        Kind::ViewChange => "view_change",
        Kind::NewView => "new_view",
    }
}

impl<P: Played> Judge<P> {
    /// Of HotStuff, for tenures of so many views; of PBFT, if there are none.
    #[must_use]
    pub fn new(troupe: &Troupe, tenure: Option<u64>, in_words: bool) -> Self {
        let nodes = usize::from(troupe.n);
        let (proof, closer): (Box<dyn Check>, Box<dyn Check>) = match tenure {
            Some(_) => (Box::new(Proof::new(nodes)), Box::<Descent>::default()),
            None => (
                Box::new(Agreement::new(nodes)),
                Box::<CarriedOver>::default(),
            ),
        };
        Self {
            facts: Vec::new(),
            certificates: OneCertificate::default(),
            promises: Promises::new(tenure.unwrap_or(1)),
            said: BTreeMap::new(),
            proof,
            closer,
            honesty: Honesty,
            memory: P::Memory::default(),
            honest: troupe.honest(),
            verdict: None,
            trace: 0,
            story: in_words.then(Vec::new),
        }
    }
    /// Whether something is broken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.verdict.is_some()
    }
    /// How many heights somebody has committed.
    #[must_use]
    pub fn heights(&self) -> u64 {
        self.facts.len() as u64
    }
    /// What is broken; a digest of the course; the course in words.
    #[must_use]
    pub fn end(self) -> (Option<Violation>, u64, Vec<String>) {
        (self.verdict, self.trace, self.story.unwrap_or_default())
    }
    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }
    /// Something is broken. The first thing counts.
    pub fn break_off(&mut self, property: &'static str, what: String) {
        self.tell(|| format!("{property} broken: {what}"));
        self.verdict.get_or_insert(Violation {
            property,
            at: Time(0),
            what,
        });
    }
    fn heed(&mut self, property: &'static str, verdict: Result<(), String>) {
        if let Err(what) = verdict {
            self.break_off(property, what);
        }
    }
    /// Mixes something into the digest of the course.
    pub fn mark(&mut self, what: u64) {
        self.trace = (self.trace ^ what)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }

    /// An honest member signs something.
    pub fn signs(&mut self, node: NodeId, statement: &Statement) {
        let crypto::Slot {
            kind, view, height, ..
        } = statement.slot;
        let key = (node, kind, view.0, height.0);
        let known = self.said.insert(key, statement.content);
        if known == Some(statement.content) {
            return;
        }
        let content = statement.content;
        self.mark(u64::from(node.0) ^ view.0 << 16 ^ height.0 << 40);
        self.mark(first_eight(&content));
        let promise = Promise {
            signer: node,
            slot: Slot {
                kind: name(kind),
                epoch: statement.slot.epoch.0,
                view: view.0,
                height: height.0,
            },
            content,
        };
        let sent = Seen::Sent {
            node,
            promises: vec![promise],
            certified: Vec::new(),
            led: None,
        };
        let verdict = self.promises.see(&sent);
        self.heed("S3", verdict);
        if matches!(
            kind,
            Kind::Vote | Kind::PrePrepare | Kind::Prepare | Kind::Commit
        ) {
            let verdict = self.promises.see(&Seen::Voted {
                node,
                view: view.0,
                footing: None,
            });
            self.heed("S3", verdict);
        }
    }
    /// A certificate exists, or can be made.
    pub fn certified(&mut self, node: NodeId, (view, height): (u64, u64), block: Digest) {
        let certified = Certified {
            epoch: 0,
            view,
            height,
            block,
        };
        let seen = Seen::Certified(node, certified);
        let verdict = self.certificates.see(&seen);
        self.heed("S2", verdict);
        self.look_closer(&seen);
    }
    /// There is a block of this parent, view and height.
    pub fn grows(&mut self, node: NodeId, block: Digest, parent: Digest, place: (u64, u64)) {
        self.look_closer(&Seen::Stored {
            node,
            block,
            parent,
            place,
        });
    }
    /// Enough have committed a slot for whoever is shown it to do the same.
    pub fn agreed(&mut self, node: NodeId, (view, height): (u64, u64), content: Digest) {
        let agreed = Agreed {
            height,
            ordered: content,
            slot: height,
            view,
            content,
            signers: Vec::new(),
        };
        self.look_closer(&Seen::Agreed(node, agreed));
    }
    fn look_closer(&mut self, seen: &Seen) {
        let verdict = self.closer.see(seen);
        self.heed("S1", verdict);
    }
    /// An honest member commits.
    pub fn commits(&mut self, by: NodeId, height: u64, it: &Committed<P::Proof>) {
        let ordered = P::ordered(it, &mut self.memory);
        self.tell(|| format!("node {by} commits height {}: {ordered:?}", it.height));
        self.mark(first_eight(&ordered) ^ it.height.0);
        if it.height.0 != height + 1 {
            let what = format!("node {by} commits {} behind {height}", it.height);
            return self.break_off("S1", what);
        }
        let fact = Fact {
            by,
            history: it.history,
            ordered,
        };
        match self.facts.get(height as usize) {
            None => self.facts.push(fact),
            Some(known) if (known.history, known.ordered) == (fact.history, ordered) => {}
            Some(known) => {
                let what = format!(
                    "height {}: {:?} at node {}, {ordered:?} at node {by}",
                    it.height, known.ordered, known.by
                );
                self.break_off("S1", what);
            }
        }
        match P::proven(by, it, &mut self.memory) {
            Err(what) => self.break_off("S4", what),
            Ok(seen) => {
                let verdict = self.proof.see(&seen);
                self.heed("S4", verdict);
                self.look_closer(&seen);
            }
        }
    }
    /// Somebody is accused.
    pub fn accused(&mut self, by: NodeId, it: &Evidence, troupe: &Troupe) {
        let node = it.node;
        self.tell(|| format!("node {by} accuses node {node}"));
        if node.index() < self.honest {
            let what = format!("{:?} and {:?}", it.first.0, it.second.0);
            let verdict = self.honesty.see(&Seen::Accused { by, node, what });
            return self.heed("S10", verdict);
        }
        if let Err(reject) = it.check(&troupe.verifier) {
            let what = format!("node {by} accuses node {node}, and proves nothing: {reject}");
            self.break_off("S10", what);
        }
    }
}

fn first_eight(digest: &Digest) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&digest.0[..8]);
    u64::from_le_bytes(eight)
}
