//! What the RPC knows besides the running node: facts of the genesis file, caps of `node.toml`.

use super::convert::invalid;
use crypto::{ChainId, NodeId, Quorums, Transaction};
use engine::state_limits;
use genesis::{ClientAuth, Genesis, Rpc};
use std::sync::Arc;
use storage::Limits;
use tonic::Status;

/// The chain's constants and the node's caps. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    genesis: Arc<Genesis>,
    /// Its name.
    pub(super) chain: ChainId,
    /// How many nodes, faults and votes.
    pub(super) quorums: Quorums,
    /// The limits of operations and sessions.
    pub(super) limits: Limits,
    /// This node's own caps.
    pub(super) caps: Rpc,
}

impl NodeInfo {
    /// Of this chain, with the caps of this node.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>, caps: Rpc) -> Self {
        Self {
            caps,
            chain: genesis.chain_id(),
            quorums: genesis.quorums(),
            limits: state_limits(&genesis),
            genesis,
        }
    }

    /// Whether clients need not sign.
    pub(super) fn unsigned(&self) -> bool {
        self.genesis.client_auth == ClientAuth::None
    }

    /// Longest encoding of a transaction, in bytes.
    pub(super) fn transaction_bytes(&self) -> usize {
        self.genesis.limits.transaction_bytes as usize
    }

    /// Longest answer to a range of at most so many pairs, in bytes: keys and values, and what each
    /// pair costs besides.
    pub(super) fn range_bytes(&self, pairs: usize) -> usize {
        const PAIR: usize = 64;
        let limits = &self.limits;
        let one = limits.bound_bytes() + limits.value_bytes;
        let pairs = pairs.min(limits.range_pairs).min(self.caps.range_entries);
        let found = limits.result_bytes.max(one).min(pairs.saturating_mul(one));
        found + limits.bound_bytes() + (pairs + 1) * PAIR
    }

    /// About the longest receipt of a transaction with so many ranges, in bytes: all ranges together may
    /// find as much as one, and each says where to go on.
    pub(super) fn outcome_bytes(&self, ranges: usize) -> usize {
        let others = ranges.saturating_sub(1);
        self.range_bytes(usize::MAX) + others * self.limits.bound_bytes()
    }

    /// All nodes but one.
    pub(super) fn others(&self, me: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        let n = self.quorums.n as u16;
        (0..n).map(NodeId).filter(move |node| *node != me)
    }

    /// What can be told of a transaction from its bytes alone: said here with the field's name,
    /// before a signature check is spent on it. Tells what it does.
    pub(super) fn admit(&self, transaction: &Transaction) -> Result<storage::Request, Status> {
        if transaction.chain != self.chain {
            return Err(invalid(format!(
                "transaction.chain is {}: this chain is {}",
                transaction.chain, self.chain
            )));
        }
        let length = transaction.encoded_len();
        let most = self.transaction_bytes();
        if length > most {
            return Err(invalid(format!(
                "transaction has {length} bytes: at most {most} are allowed; send it in parts"
            )));
        }
        let body = storage::kv::validate(&transaction.body, &self.limits)
            .map_err(|bad| invalid(format!("transaction.body: {bad}")))?;
        if !self.genesis.admits(&transaction.client) {
            return Err(Status::permission_denied(format!(
                "the genesis file lists the clients that may write, and {} is none of them: use a \
                 key that it lists",
                transaction.client
            )));
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests;
