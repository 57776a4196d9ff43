//! What the client prints: a line for people, or an object for scripts.

use crate::cli::output;
use crate::rpc::proto::operation_result::Result as Operation;
use crate::rpc::proto::{Block, KeyValue, Lie, OperationResult, Peer, Receipt, StatusResponse};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A key with its value, as JSON.
pub(super) fn pair(pair: &KeyValue) -> String {
    pair_object(pair).to_string()
}

fn pair_object(pair: &KeyValue) -> Value {
    let numbers = [pair.create_revision, pair.mod_revision, pair.version];
    output::pair_object(&pair.key, &pair.value, numbers)
}

/// A transaction's receipt.
pub(super) fn receipt(receipt: &Receipt, json: bool) -> String {
    if json {
        return json!({
            "id": hex::encode(&receipt.id),
            "height": receipt.height,
            "index": receipt.index,
            "revision": receipt.revision,
            "succeeded": receipt.succeeded,
            "repeated": receipt.repeated,
            "results": receipt.results.iter().map(result_object).collect::<Vec<_>>(),
        })
        .to_string();
    }
    let branch = if receipt.succeeded {
        ""
    } else {
        ", conditions did not hold"
    };
    let mut text = format!(
        "committed at height {}, revision {}{branch}",
        receipt.height, receipt.revision
    );
    for result in &receipt.results {
        text.push_str(&result_lines(result));
    }
    text
}

fn result_object(result: &OperationResult) -> Value {
    match &result.result {
        Some(Operation::Put(put)) => json!({ "put": { "version": put.version } }),
        Some(Operation::Delete(delete)) => json!({ "delete": { "existed": delete.existed } }),
        Some(Operation::Range(range)) => json!({ "range": {
            "pairs": range.kvs.iter().map(pair_object).collect::<Vec<_>>(),
            "more": range.more,
        } }),
        None => Value::Null,
    }
}

/// Only what was read is worth a line.
fn result_lines(result: &OperationResult) -> String {
    match &result.result {
        Some(Operation::Range(range)) => range.kvs.iter().map(pair_line).collect(),
        Some(Operation::Delete(delete)) if !delete.existed => "\nthere was no such key".into(),
        _ => String::new(),
    }
}

fn pair_line(pair: &KeyValue) -> String {
    format!(
        "\n{}\t{}",
        String::from_utf8_lossy(&pair.key),
        String::from_utf8_lossy(&pair.value)
    )
}

/// A committed height.
pub(super) fn block(block: &Block, json: bool) -> String {
    let history = hex::encode(&block.history);
    if json {
        return json!({
            "height": block.height,
            "history": history,
            "transactions": block.transactions,
            "payload": hex::encode(&block.payload),
            "proof": hex::encode(&block.proof),
        })
        .to_string();
    }
    let short = &history[..history.len().min(16)];
    format!(
        "height {}  transactions {}  history {short}",
        block.height, block.transactions
    )
}

fn lie(lie: &Lie) -> Value {
    json!({
        "node": lie.node,
        "kind": lie.kind,
        "epoch": lie.epoch,
        "view": lie.view,
        "height": lie.height,
    })
}

/// Who lied, and how often that was proven; nothing if nobody did.
fn liars(evidence: &[Lie]) -> Option<String> {
    let mut counts = BTreeMap::<u32, usize>::new();
    for lie in evidence {
        *counts.entry(lie.node).or_default() += 1;
    }
    let list: Vec<String> = counts
        .iter()
        .map(|(node, count)| {
            let proofs = if *count == 1 { "proof" } else { "proofs" };
            format!("node {node} ({count} {proofs})")
        })
        .collect();
    let list = list.join(", ");
    (!list.is_empty())
        .then(|| format!("liars         {list}; export one with quorate inspect evidence"))
}

/// A node's state, with the fields of the operator's `/status`.
fn status_object(s: &StatusResponse) -> Value {
    let peer = |peer: &Peer| json!({ "node": peer.node, "connected": peer.connected });
    json!({
        "node": s.node,
        "chain": hex::encode(&s.chain),
        "fault_model": s.fault_model,
        "protocol": s.protocol,
        "n": s.n,
        "f": s.f,
        "quorum": s.quorum,
        "election_quorum": s.election_quorum,
        "view": s.view,
        "leader": s.leader,
        "height": s.height,
        "history": hex::encode(&s.history),
        "state_height": s.state_height,
        "state_digest": hex::encode(&s.state_digest),
        "pending": s.pending,
        "peers": s.peers.iter().map(peer).collect::<Vec<_>>(),
        "evidence": s.evidence.iter().map(lie).collect::<Vec<_>>(),
        "waiting": if s.waiting.is_empty() { Value::Null } else { s.waiting.clone().into() },
    })
}

/// A node's state.
pub(super) fn status(s: &StatusResponse, json: bool) -> String {
    if json {
        return status_object(s).to_string();
    }
    let leader = s
        .leader
        .map_or("unknown".into(), |leader| format!("node {leader}"));
    let peers = s.peers.iter().map(|peer| {
        let state = if peer.connected {
            "connected"
        } else {
            "not connected"
        };
        format!("node {} {state}", peer.node)
    });
    let waiting = if s.waiting.is_empty() {
        "nothing"
    } else {
        &s.waiting
    };
    let lines = [
        format!("node          {}", s.node),
        format!("chain         {}", hex::encode(&s.chain)),
        format!("protocol      {} ({})", s.protocol, s.fault_model),
        format!(
            "cluster       {} nodes, survives {}, quorum {}{}",
            s.n,
            s.f,
            s.quorum,
            if s.election_quorum == s.quorum {
                String::new()
            } else {
                format!(" to commit, {} to elect", s.election_quorum)
            }
        ),
        format!("view          {}", s.view),
        format!("leader        {leader}"),
        format!("height        {}", s.height),
        format!("history       {}", hex::encode(&s.history)),
        format!("state height  {}", s.state_height),
        format!("state digest  {}", hex::encode(&s.state_digest)),
        format!("pending       {}", s.pending),
        format!("peers         {}", peers.collect::<Vec<_>>().join(", ")),
        format!("waiting for   {waiting}"),
    ];
    let lines = lines.into_iter().chain(liars(&s.evidence));
    lines.collect::<Vec<_>>().join("\n")
}
