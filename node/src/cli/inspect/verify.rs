//! What the log claims of itself, checked as a third party would who trusts only the genesis file.

use super::{Node, commits};
use crate::cli::output::{progress, say};
use anyhow::{Context as _, Result, anyhow, bail};
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use consensus::replica::StableCheckpoint;
use consensus::{Committed, Protocol};
use crypto::{Digest, Ed25519, FaultModel, Height, Remembered, Transaction, Verifier, codec};
use genesis::ClientAuth;
use serde_json::json;
use std::sync::Arc;
use storage::log::check_fences;
use storage::{Applied, CommitRow, Log, REPLACE_NODE, Scan, Table, Verdict, verdict};

/// Heights between two signs of life.
const PROGRESS: u64 = 500;

/// Checks all of it and prints how much that was.
pub(super) fn print(node: &Node, as_json: bool) -> Result<()> {
    let log = complete(node)?;
    let found = match node.genesis.protocol {
        genesis::Protocol::Hotstuff => Checks::<HotStuff>::new(node, &log).all(),
        genesis::Protocol::Pbft => Checks::<Pbft>::new(node, &log).all(),
        genesis::Protocol::Raft => Checks::<Raft>::new(node, &log).all(),
    };
    progress("");
    let found = found?;
    if as_json {
        let object = json!({
            "heights": found.heights.0,
            "proofs": found.heights.0,
            "transactions": found.transactions,
            "history": found.history.to_string(),
            "checkpoint": found.checkpoint.map(|height| height.0),
            "state_height": found.state.map(|height| height.0),
        });
        return Ok(say(object.to_string())?);
    }
    let Found {
        heights,
        transactions,
        history,
        ..
    } = found;
    say(format!(
        "{heights} heights with {transactions} transactions fit together; history {history}"
    ))?;
    let quorum = node.genesis.quorums().commit;
    say(match node.genesis.fault_model {
        FaultModel::Byzantine => format!(
            "proofs: {heights} of {heights}, each by {quorum} or more validators of the genesis file"
        ),
        FaultModel::Crash => {
            "proofs: none that convinces a stranger; under the fault model crash nodes are believed"
                .into()
        }
    })?;
    say(match found.checkpoint {
        Some(height) => format!("checkpoint: height {height}, signed by a quorum"),
        None => "checkpoint: none yet".into(),
    })?;
    Ok(say(match found.state {
        Some(height) => format!("state: height {height}, of this log"),
        None => "state: not looked at, the node is running".into(),
    })?)
}

/// The log, if all that the node ever released is in it: what the disk lost at its end would leave
/// a shorter log that fits together just as well.
fn complete(node: &Node) -> Result<Log> {
    // A running node writes the log first: read in the other order it could seem behind.
    let safety = node.safety()?;
    let log = node.log()?;
    let fence = check_fences(&**log.store())?;
    match verdict(fence, safety.as_ref(), node.genesis.chain_id(), node.key) {
        Verdict::Start => Ok(log),
        Verdict::Refuse(refusal) => bail!("{}: {refusal}", node.data.display()),
    }
}

/// What was found to be right.
struct Found {
    /// Every one of them has a valid proof.
    heights: Height,
    transactions: u64,
    /// At the last height.
    history: Digest,
    checkpoint: Option<Height>,
    state: Option<Height>,
}

struct Checks<'a, P> {
    node: &'a Node,
    log: &'a Log,
    by: Verifier,
    /// At heights that something else refers to.
    expected: Vec<(Height, Digest, &'static str)>,
    protocol: std::marker::PhantomData<P>,
}

impl<'a, P: Protocol> Checks<'a, P> {
    fn new(node: &'a Node, log: &'a Log) -> Self {
        Self {
            node,
            log,
            by: Verifier {
                context: node.genesis.context(),
                validators: node.genesis.validator_set(),
                scheme: Arc::new(Remembered::new(Ed25519)),
            },
            expected: Vec::new(),
            protocol: std::marker::PhantomData,
        }
    }

    fn all(mut self) -> Result<Found> {
        let checkpoint = self.checkpoint()?;
        let state = self.state()?;
        let mut found = Found {
            heights: Height(0),
            transactions: 0,
            history: Digest::ZERO,
            checkpoint,
            state,
        };
        commits(self.log, Height(1), |row| {
            let height = row.height;
            found.transactions += self
                .height(&row, &found.history)
                .with_context(|| format!("height {height}"))?;
            (found.heights, found.history) = (height, row.history);
            if height.0.is_multiple_of(PROGRESS) {
                progress(&format!("height {height}"));
            }
            Ok(true)
        })?;
        let above = self.expected.iter().find(|(at, ..)| *at > found.heights);
        if let Some((at, _, what)) = above {
            let heights = found.heights;
            bail!("the log ends at height {heights}, but {what} is of height {at}: {REPLACE_NODE}");
        }
        Ok(found)
    }

    /// One height; how many transactions it has.
    fn height(&self, row: &CommitRow, before: &Digest) -> Result<u64> {
        if row.payload.extend_history(before, row.height) != row.history {
            bail!("its history does not follow from the one before: {REPLACE_NODE}");
        }
        self.proof(row)?;
        for (at, history, what) in &self.expected {
            if *at == row.height && *history != row.history {
                bail!("{what} is not of this log: its history is {history}");
            }
        }
        self.batches(row)
    }

    /// Whether a quorum of the genesis file's validators committed this payload at this height.
    fn proof(&self, row: &CommitRow) -> Result<()> {
        let proof = codec::decode(&row.proof)
            .map_err(|error| anyhow!("its proof is {error}: {REPLACE_NODE}"))?;
        let committed = Committed {
            height: row.height,
            payload: row.payload.clone(),
            history: row.history,
            proof,
        };
        P::check_proof(&committed, &self.by)
            .map_err(|reject| anyhow!("its proof convinces nobody ({reject}): {REPLACE_NODE}"))
    }

    fn batches(&self, row: &CommitRow) -> Result<u64> {
        let sealed = self.log.batches(row)?;
        let mut count = 0;
        for batch in sealed {
            let list = &batch.batch().transactions;
            let chain = &self.by.context.chain;
            let checks = match self.node.genesis.client_auth {
                ClientAuth::Signed => Transaction::check_all(list, chain, &Ed25519),
                ClientAuth::None => list.iter().map(|t| t.check_unsigned(chain)).collect(),
            };
            if let Some(bad) = checks.iter().find_map(|check| check.err()) {
                bail!("a transaction is not valid ({bad}): {REPLACE_NODE}");
            }
            count += list.len() as u64;
        }
        Ok(count)
    }

    /// The stable checkpoint, if there is one: a quorum signed it, and it is of this log.
    fn checkpoint(&mut self) -> Result<Option<Height>> {
        let rows = self.log.store().scan(Table::Checkpoint, &Scan::all())?;
        let Some((_, row)) = rows.last() else {
            return Ok(None);
        };
        let stable: StableCheckpoint = codec::decode(row)
            .map_err(|error| anyhow!("the stable checkpoint is {error}: {REPLACE_NODE}"))?;
        stable.check(&self.by).map_err(|reject| {
            anyhow!("no quorum signed the checkpoint ({reject}): {REPLACE_NODE}")
        })?;
        let at = (stable.height, stable.history, "the stable checkpoint");
        self.expected.push(at);
        Ok(Some(stable.height))
    }

    /// How far the state is: it must be of this log. `None` while a node has it in memory.
    fn state(&mut self) -> Result<Option<Height>> {
        if self.node.owner.is_some() {
            return Ok(None);
        }
        let applied = Applied::load(&*self.node.state()?)?;
        if applied.height > Height(0) {
            let at = (applied.height, applied.history, "data/state");
            self.expected.push(at);
        }
        Ok(Some(applied.height))
    }
}
