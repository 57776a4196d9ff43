//! Starting: from genesis, or from what was stored.

use super::block::{Block, Header};
use super::certificate::{Proof, QuorumCertificate, TimeoutCertificate, anchor_digest};
use super::log::{Log, Root};
use super::message::Timeout;
use super::record::{Record, VoteRecord};
use super::timers::Timers;
use super::view_change::Pacemaker;
use super::{HotStuff, Out, catch_up::CatchUp, read::Reads, replication::Replication};
use crate::{Anchor, Config, To};
use crypto::{Time, View};
use std::sync::Arc;

/// The stored records, by kind.
#[derive(Default)]
struct Stored {
    blocks: Vec<Arc<Block>>,
    vote: Option<VoteRecord>,
    timeout: Option<Box<Timeout>>,
    quorums: Vec<Arc<QuorumCertificate>>,
    timeouts: Vec<Arc<TimeoutCertificate>>,
}

impl Stored {
    fn sort(records: Vec<Record>) -> Self {
        let mut stored = Self::default();
        for record in records {
            match record {
                Record::Block(block) => stored.blocks.push(block),
                Record::Vote(vote) => {
                    stored
                        .quorums
                        .extend([Arc::clone(&vote.justify), Arc::clone(&vote.lock)]);
                    stored.timeouts.extend(vote.timeout.clone());
                    stored.vote = Some(*vote);
                }
                Record::Timeout(timeout) => {
                    stored.quorums.push(Arc::clone(&timeout.high));
                    stored.timeouts.extend(timeout.entry.clone());
                    stored.timeout = Some(timeout);
                }
                Record::Progress(pair) => {
                    stored.quorums.push(pair.quorum);
                    stored.timeouts.extend(pair.timeout);
                }
                Record::Commit { .. } => {}
            }
        }
        stored.blocks.sort_by_key(|block| block.header.height);
        stored
    }
}

/// The last commit proves itself, and what may be signed again is of the epoch that goes on.
///
/// # Errors
/// See [`crate::Protocol::check_stored`].
pub fn check(anchor: &Anchor<Proof>, records: &[Record]) -> Result<(), String> {
    if let Some(proof) = &anchor.proof {
        let proven = proof.headers.first().map(|header| header.height);
        if proven != Some(anchor.height) {
            return Err(format!("commit {} is not what it proves", anchor.height));
        }
    }
    for record in records {
        let epoch = match record {
            Record::Block(block) => block.header.epoch,
            Record::Timeout(timeout) => timeout.epoch,
            Record::Vote(_) | Record::Progress(_) | Record::Commit { .. } => continue,
        };
        if epoch != anchor.epoch {
            let now = anchor.epoch;
            return Err(format!("a record is of epoch {epoch}, the epoch is {now}"));
        }
    }
    Ok(())
}

fn root(config: &Config, anchor: &Anchor<Proof>) -> Root {
    let committed: Option<&Header> = anchor
        .proof
        .as_ref()
        .and_then(|proof| proof.headers.first());
    let child = anchor.proof.as_ref().and_then(|proof| proof.headers.get(1));
    Root {
        digest: committed.map_or_else(|| anchor_digest(&config.context), Header::digest),
        height: anchor.height,
        view: committed.map_or(View(0), |header| header.view),
        history: anchor.history,
        certificate: child.map(|child| Arc::clone(&child.justify)),
    }
}

/// See [`crate::Protocol::recover`].
///
/// Nothing here trusts one record to know it all: the view, for one, is the highest that any stored
/// certificate leads into, and not the one that the last vote or the high certificate shows.
pub fn recover(
    config: Config,
    now: Time,
    anchor: Anchor<Proof>,
    records: Vec<Record>,
    out: &mut Out,
) -> HotStuff {
    let root = root(&config, &anchor);
    let genesis = Arc::new(QuorumCertificate::anchor(&config.context));
    let mut stored = Stored::sort(records);
    if let Some(proof) = &anchor.proof {
        stored.quorums.push(Arc::clone(&proof.certificate));
        stored.quorums.extend(
            proof
                .headers
                .iter()
                .map(|header| Arc::clone(&header.justify)),
        );
        stored.timeouts.extend(
            proof
                .headers
                .iter()
                .filter_map(|header| header.timeout.clone()),
        );
    }
    let locked = stored
        .vote
        .as_ref()
        .map_or_else(|| Arc::clone(&genesis), |vote| Arc::clone(&vote.lock));
    let mut replica = HotStuff {
        view: View(1),
        high: genesis,
        high_timeout: None,
        locked,
        log: Log::new(root),
        replication: Replication::new(anchor.executed, &config),
        pacemaker: Pacemaker::new(stored.timeout),
        timers: Timers::new(config.timing.clone()),
        catch_up: CatchUp::default(),
        reads: Reads::new(config.timing.clone(), config.seed, now),
        config,
    };
    replica.replication.last_vote = stored.vote;
    let last = anchor.proof.as_ref().map(|proof| &proof.certificate);
    replica.replication.committed_by = last.map(|last| (last.view, last.block));
    out.leader(replica.leader(replica.view));
    for block in stored.blocks {
        let digest = block.digest();
        if !crypto::planted!(ForgetPromises) {
            replica.note_stored(digest, &block);
        }
        if replica.log.holds(&block.header.parent) {
            replica.insert_stored(now, digest, block, out);
        }
    }
    for certificate in &stored.quorums {
        replica.adopt(now, certificate, None, out);
    }
    for certificate in stored
        .timeouts
        .iter()
        .filter(|_| !crypto::planted!(ForgetView))
    {
        replica.adopt_timeout(now, certificate, None, out);
    }
    replica.promise_again(out);
    replica.go_on(now, out);
    replica
}

impl HotStuff {
    fn insert_stored(
        &mut self,
        now: Time,
        digest: crypto::Digest,
        block: Arc<Block>,
        out: &mut Out,
    ) {
        let mut unneeded = Out::default();
        self.insert(now, digest, block, &mut unneeded);
        // It is stored already; what else followed from it counts.
        let stored = |output: &crate::Output<Self>| matches!(output, crate::Output::Persist(Record::Block(block)) if block.digest() == digest);
        out.0
            .extend(unneeded.0.into_iter().filter(|output| !stored(output)));
    }

    /// What was promised for the current view may not have left: it is sent again, and what comes
    /// back through the fence is counted again.
    fn promise_again(&self, out: &mut Out) {
        self.resend_proposal(To::Others, out);
        self.send_vote(out);
        self.send_timeout(To::All, out);
    }
}
