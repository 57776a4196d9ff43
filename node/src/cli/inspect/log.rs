//! The committed heights.

use super::Node;
use crate::cli::output::say;
use anyhow::Result;
use crypto::Height;
use serde_json::{Value, json};
use storage::CommitRow;

/// Prints heights from one on.
pub(super) fn print(node: &Node, from: Height, limit: u64, as_json: bool) -> Result<()> {
    let mut left = limit;
    super::commits(&node.log()?, from.max(Height(1)), |row| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        say(if as_json {
            object(&row).to_string()
        } else {
            line(&row)
        })?;
        Ok(true)
    })
}

fn object(row: &CommitRow) -> Value {
    let payload: Vec<Value> = row
        .payload
        .references()
        .iter()
        .map(|r| {
            json!({
                "author": r.author.0,
                "number": r.number,
                "digest": r.digest.to_string(),
                "bytes": r.bytes,
                "transactions": r.count,
                "expires": r.expires.0,
            })
        })
        .collect();
    json!({
        "height": row.height.0,
        "history": row.history.to_string(),
        "payload": payload,
        "proof": hex::encode(&row.proof),
    })
}

fn line(row: &CommitRow) -> String {
    let batches = row.payload.references();
    let transactions: u64 = batches.iter().map(|r| u64::from(r.count)).sum();
    let bytes: u64 = batches.iter().map(|r| u64::from(r.bytes)).sum();
    let history = row.history.to_string();
    let short = history.get(..16).unwrap_or(&history);
    format!(
        "height {}  batches {}  transactions {transactions}  bytes {bytes}  history {short}",
        row.height,
        batches.len()
    )
}
