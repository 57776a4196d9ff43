//! Who signed, counted apart from the code that is checked.

use crypto::NodeId;

/// Whether these are a quorum of distinct members: two quorums share more members than can be faulty.
pub fn are_quorum(signers: impl IntoIterator<Item = NodeId>, nodes: usize) -> bool {
    let faulty = (nodes - 1) / 3;
    let mut signers: Vec<_> = signers.into_iter().collect();
    signers.sort_unstable();
    signers.dedup();
    let known = signers.iter().all(|node| node.index() < nodes);
    known && 2 * signers.len() > nodes + faulty
}
