//! Keys, certificates and blocks made by hand, and one replica to feed them to.

use super::super::certificate::{timeout_statement, vote_statement};
use super::super::message::{CertificatePair, Proposal, Timeout, Vote};
use super::super::{
    Block, Header, HotStuff, Message, Proof, QuorumCertificate, Record, TimeoutCertificate,
};
use crate::{
    Anchor, Committed, Config, Draft as _, Evidence, Input, LeaderSchedule, Loaded, Output,
    Outputs, Protocol as _, ReadId, Record as _, RecordKey, Retry, Timing, To,
};
use crypto::*;
use std::sync::Arc;

/// A signature that is a hash of key and digest: anybody could forge it, but nothing here does.
pub struct Mock;

impl Mock {
    fn signature(key: &PublicKey, digest: &Digest) -> Signature {
        let half = |part: u64| {
            Hasher::new("mock")
                .number(part)
                .digest(&Digest(key.0))
                .digest(digest)
                .finish()
                .0
        };
        let (a, b) = (half(0), half(1));
        Signature(std::array::from_fn(
            |i| if i < 32 { a[i] } else { b[i - 32] },
        ))
    }
}

impl Scheme for Mock {
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature {
        Self::signature(&key.public(), digest)
    }
    fn verify(&self, claims: &[(PublicKey, Digest, Signature)]) -> Vec<bool> {
        claims
            .iter()
            .map(|(key, digest, s)| Self::signature(key, digest) == *s)
            .collect()
    }
}

/// The keys of `n` members, and everything that can be signed with them.
pub struct Craft {
    pub verifier: Verifier,
    publics: Vec<PublicKey>,
    pub leaders: LeaderSchedule,
}

pub fn secret(i: u16) -> SecretKey {
    SecretKey::from_seed(&[i as u8 + 1; 32])
}

impl Craft {
    pub fn new(n: u16, leaders: LeaderSchedule) -> Self {
        let publics: Vec<_> = (0..n).map(|i| secret(i).public()).collect();
        let members = publics.iter().map(|key| Validator { key: *key }).collect();
        let validators = ValidatorSet::new(members, FaultModel::Byzantine).unwrap();
        let context = Context {
            chain: ChainId(Digest([7; 32])),
            epoch: Epoch(0),
        };
        let verifier = Verifier {
            context,
            validators: std::sync::Arc::new(validators),
            scheme: std::sync::Arc::new(Mock),
        };
        Self {
            verifier,
            publics,
            leaders,
        }
    }
    pub fn config(&self, me: u16) -> Config {
        Config {
            me: NodeId(me),
            context: self.verifier.context,
            validators: std::sync::Arc::clone(&self.verifier.validators),
            quorums: self.verifier.validators.quorums(),
            leaders: self.leaders.clone(),
            timing: Timing::default(),
            seed: [me as u8; 32],
            block_bytes: 1 << 20,
        }
    }
    pub fn signer(&self, me: u16) -> Signer {
        Signer {
            me: NodeId(me),
            key: secret(me),
            verifier: self.verifier.clone(),
        }
    }
    pub fn sign(&self, node: u16, statement: &Statement) -> Signature {
        Mock::signature(
            &self.publics[node as usize],
            &statement.digest(&self.verifier.context),
        )
    }
    pub fn quorum(&self) -> usize {
        self.verifier.validators.quorums().commit
    }
    pub fn anchor(&self) -> Anchor<Proof> {
        Anchor {
            epoch: Epoch(0),
            height: Height(0),
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: None,
        }
    }
    pub fn genesis(&self) -> Arc<QuorumCertificate> {
        Arc::new(QuorumCertificate::anchor(&self.verifier.context))
    }
    pub fn leader(&self, view: u64) -> u16 {
        self.leaders.leader(View(view), self.publics.len()).0
    }
    /// A block on a certified parent.
    pub fn block(
        &self,
        view: u64,
        justify: &Arc<QuorumCertificate>,
        payload: Payload,
    ) -> Arc<Block> {
        self.block_after(view, justify, None, payload)
    }
    pub fn block_after(
        &self,
        view: u64,
        justify: &Arc<QuorumCertificate>,
        timeout: Option<Arc<TimeoutCertificate>>,
        payload: Payload,
    ) -> Arc<Block> {
        let header = Header {
            epoch: Epoch(0),
            view: View(view),
            height: justify.height.next(),
            parent: justify.block,
            justify: Arc::clone(justify),
            timeout,
            payload: payload.digest(),
        };
        Arc::new(Block { header, payload })
    }
    /// The leader's proposal of it.
    pub fn proposal(&self, block: &Arc<Block>) -> Message {
        self.proposal_by(self.leader(block.header.view.0), block)
    }
    pub fn proposal_by(&self, author: u16, block: &Arc<Block>) -> Message {
        let mut proposal = Proposal {
            block: Arc::clone(block),
            author: NodeId(author),
            signature: Signature::NONE,
        };
        proposal.signature = self.sign(author, &proposal.statement());
        Message::Proposal(proposal)
    }
    pub fn vote(&self, node: u16, block: &Block) -> Vote {
        let header = &block.header;
        let mut vote = Vote {
            epoch: header.epoch,
            view: header.view,
            height: header.height,
            block: block.digest(),
            author: NodeId(node),
            signature: Signature::NONE,
        };
        vote.signature = self.sign(node, &vote.statement());
        vote
    }
    /// Certified by the given members.
    pub fn certify_by(&self, block: &Block, signers: &[u16]) -> Arc<QuorumCertificate> {
        let header = &block.header;
        let digest = block.digest();
        let statement = vote_statement(header.epoch, header.view, header.height, &digest);
        let signed = signers
            .iter()
            .map(|i| (NodeId(*i), self.sign(*i, &statement)));
        Arc::new(QuorumCertificate {
            view: header.view,
            height: header.height,
            block: digest,
            certificate: Certificate::collect(signed),
        })
    }
    /// Certified by the first q.
    pub fn certify(&self, block: &Block) -> Arc<QuorumCertificate> {
        let signers: Vec<u16> = (0..self.quorum() as u16).collect();
        self.certify_by(block, &signers)
    }
    /// A timeout; `high` must fit the tenure.
    pub fn timeout(
        &self,
        node: u16,
        tenure: u64,
        high: &Arc<QuorumCertificate>,
        entry: Option<Arc<TimeoutCertificate>>,
    ) -> Timeout {
        let mut timeout = Timeout {
            epoch: Epoch(0),
            tenure,
            high: Arc::clone(high),
            entry,
            vote: None,
            author: NodeId(node),
            signature: Signature::NONE,
        };
        timeout.signature = self.sign(node, &timeout.statement());
        timeout
    }
    /// A timeout certificate of the given signers and their high certificates.
    pub fn timeout_certificate(
        &self,
        tenure: u64,
        signers: &[(u16, &Arc<QuorumCertificate>)],
    ) -> Arc<TimeoutCertificate> {
        let mut signers = signers.to_vec();
        signers.sort_by_key(|(node, _)| *node);
        let high = signers
            .iter()
            .map(|(_, high)| *high)
            .max_by_key(|high| high.view)
            .unwrap();
        let signed = signers.iter().map(|(node, high)| {
            (
                NodeId(*node),
                self.sign(*node, &timeout_statement(Epoch(0), tenure, high.view)),
            )
        });
        Arc::new(TimeoutCertificate {
            tenure,
            high_views: signers.iter().map(|(_, high)| high.view).collect(),
            certificate: Certificate::collect(signed),
            high: Arc::clone(high),
        })
    }
    /// A chain of blocks with payload in the given views, each certified; returns the blocks, and
    /// the certificates of all.
    pub fn chain(&self, views: &[u64]) -> (Vec<Arc<Block>>, Vec<Arc<QuorumCertificate>>) {
        let mut justify = self.genesis();
        let (mut blocks, mut certificates) = (Vec::new(), Vec::new());
        for view in views {
            let block = self.block(*view, &justify, payload(*view));
            justify = self.certify(&block);
            blocks.push(block);
            certificates.push(Arc::clone(&justify));
        }
        (blocks, certificates)
    }
}

/// A payload of one batch.
pub fn payload(number: u64) -> Payload {
    Payload::Refs(vec![batch(number)])
}

pub fn batch(number: u64) -> BatchRef {
    BatchRef {
        author: NodeId(0),
        number,
        digest: Hasher::new("test/batch").number(number).finish(),
        bytes: 100,
        count: 1,
        expires: Height(1 << 40),
    }
}

/// One replica without a shell: everything is durable at once, own messages come back signed, and
/// payload is held unless it is withheld.
pub struct Solo {
    pub craft: Craft,
    pub me: u16,
    pub replica: HotStuff,
    pub now: Time,
    /// Everything it put out, own messages included.
    pub sent: Vec<(To, Message)>,
    pub records: Vec<Record>,
    pub commits: Vec<Committed<Proof>>,
    pub rejects: Vec<Reject>,
    pub evidence: Vec<Evidence>,
    pub returned: Vec<Payload>,
    pub reads: Vec<(ReadId, Result<Height, Retry>)>,
    /// Digests of blocks whose payload is never held.
    pub withheld: Vec<Digest>,
    pub dropped: Vec<Digest>,
    pub pool: Vec<u64>,
}

impl Solo {
    pub fn new(craft: Craft, me: u16) -> Self {
        let anchor = craft.anchor();
        Self::recover(craft, me, anchor, Vec::new())
    }
    pub fn recover(craft: Craft, me: u16, anchor: Anchor<Proof>, records: Vec<Record>) -> Self {
        let mut out = Outputs::default();
        let config = craft.config(me);
        let replica = HotStuff::recover(config, Time(0), anchor, records.clone(), &mut out);
        let mut solo = Self {
            craft,
            me,
            replica,
            now: Time(0),
            sent: Vec::new(),
            records,
            commits: Vec::new(),
            rejects: Vec::new(),
            evidence: Vec::new(),
            returned: Vec::new(),
            reads: Vec::new(),
            withheld: Vec::new(),
            dropped: Vec::new(),
            pool: Vec::new(),
        };
        solo.take(out);
        solo
    }
    pub fn input(&mut self, input: Input<HotStuff>) {
        let mut out = Outputs::default();
        self.replica.step(self.now, input, &mut out);
        self.take(out);
    }
    /// Delivers a message that has to pass its check.
    pub fn deliver(&mut self, from: u16, message: Message) {
        self.try_deliver(from, message).unwrap();
    }
    pub fn try_deliver(&mut self, from: u16, message: Message) -> Result<(), Reject> {
        let message = Verified::new(NodeId(from), message, &self.craft.verifier)?;
        self.input(Input::Message {
            from: NodeId(from),
            message,
        });
        Ok(())
    }
    pub fn propose(&mut self, block: &Arc<Block>) {
        let message = self.craft.proposal(block);
        self.deliver(self.craft.leader(block.header.view.0), message);
    }
    /// A certificate, as the answer of a peer.
    pub fn certificate(&mut self, from: u16, quorum: &Arc<QuorumCertificate>) {
        let pair = CertificatePair {
            quorum: Arc::clone(quorum),
            timeout: None,
        };
        self.deliver(from, Message::Certificate(pair));
    }
    pub fn tick_at(&mut self, now: Time) {
        self.now = now;
        self.input(Input::Tick);
    }
    /// Lets time pass, with every wake it asks for.
    pub fn pass(&mut self, span: Time) {
        let end = self.now.plus(span);
        while let Some(at) = self.replica.deadline().filter(|at| *at <= end) {
            self.tick_at(at.max(self.now));
        }
        self.now = end;
    }
    fn take(&mut self, out: Outputs<HotStuff>) {
        let mut next = Vec::new();
        for output in out.0 {
            match output {
                Output::Persist(record) => self.persist(record),
                Output::Send(to, draft) => {
                    let statement = draft.statement();
                    let signature = statement.map(|s| self.craft.sign(self.me, &s));
                    let message = draft.seal(signature);
                    Verified::new(NodeId(self.me), message.clone(), &self.craft.verifier)
                        .expect("own messages are in order");
                    if matches!(to, To::All | To::Me) || to == To::One(NodeId(self.me)) {
                        let own = Verified::own(message.clone(), &self.craft.signer(self.me));
                        next.push(Input::Message {
                            from: NodeId(self.me),
                            message: own,
                        });
                    }
                    self.sent.push((to, message));
                }
                Output::Commit(committed) => {
                    HotStuff::check_proof(&committed, &self.craft.verifier).unwrap();
                    self.commits.push(committed);
                }
                Output::WantPayload {
                    ticket, exclude, ..
                } => {
                    let free = self.pool.iter().map(|n| batch(*n));
                    let refs = free.filter(|b| !exclude.contains(&b.digest)).collect();
                    next.push(Input::Payload {
                        ticket,
                        payload: Payload::Refs(refs),
                    });
                }
                Output::CheckPayload { block, .. } if self.withheld.contains(&block) => {}
                Output::CheckPayload { block, .. } => {
                    next.push(Input::Checked {
                        block,
                        held: Ok(()),
                    });
                }
                Output::DropCheck(block) => self.dropped.push(block),
                Output::Return(payload) => self.returned.push(payload),
                Output::Load { token, heights } => {
                    let at = |record: &&Record| matches!(record.key(), RecordKey::At(h, _) if heights.contains(&h));
                    let records = self.records.iter().filter(at).cloned().collect();
                    next.push(Input::Loaded(Loaded { token, records }));
                }
                Output::Read(id, at) => self.reads.push((id, at)),
                Output::Evidence(evidence) => self.evidence.push(evidence),
                Output::Reject(_, reject) => self.rejects.push(reject),
                _ => {}
            }
        }
        for input in next {
            self.input(input);
        }
    }
    fn persist(&mut self, record: Record) {
        self.records.retain(|old| old.key() != record.key());
        self.records.push(record);
    }
    /// The views in which it voted, in order, each once.
    pub fn voted(&self) -> Vec<u64> {
        let mut views: Vec<u64> = self
            .sent
            .iter()
            .filter_map(|(to, message)| match message {
                Message::Vote(vote) if *to == To::Me => Some(vote.view.0),
                _ => None,
            })
            .collect();
        views.dedup();
        views
    }
    /// The blocks that it proposed.
    pub fn proposed(&self) -> Vec<Arc<Block>> {
        self.sent
            .iter()
            .filter_map(|(to, message)| match message {
                Message::Proposal(p) if *to == To::All => Some(Arc::clone(&p.block)),
                _ => None,
            })
            .collect()
    }
    /// The tenures it gave up.
    pub fn gave_up(&self) -> Vec<u64> {
        let mut tenures: Vec<u64> = self
            .sent
            .iter()
            .filter_map(|(_, message)| match message {
                Message::Timeout(timeout) => Some(timeout.tenure),
                _ => None,
            })
            .collect();
        tenures.dedup();
        tenures
    }
    pub fn view(&self) -> u64 {
        self.replica.view.0
    }
    pub fn heights(&self) -> Vec<u64> {
        self.commits.iter().map(|c| c.height.0).collect()
    }
}

pub fn round_robin(tenure: u64) -> LeaderSchedule {
    LeaderSchedule::RoundRobin { tenure }
}
