//! The key-value state as it lies on the disk.

use super::Node;
use crate::cli::output::{pair_object, say};
use anyhow::{Result, bail};
use bytes::Bytes;
use crypto::Height;
use serde_json::json;
use storage::kv::Pair;
use storage::{Applied, End, Span, StateReader};

/// Prints how far the state is; with a prefix, the keys that begin so instead.
pub(super) fn print(
    node: &Node,
    prefix: Option<&str>,
    limit: Option<u64>,
    as_json: bool,
) -> Result<()> {
    if let Some(owner) = &node.owner {
        bail!(
            "{} is in use by process {owner}, whose state is in memory: ask it with `quorate client \
             status` or `quorate client range`, or stop it first",
            node.data.display()
        );
    }
    let reader = StateReader::new(node.state()?, engine::state_limits(&node.genesis));
    match prefix {
        Some(prefix) => keys(&reader, prefix, limit, as_json),
        None => head(node, reader.applied()?, as_json),
    }
}

fn head(node: &Node, applied: Applied, as_json: bool) -> Result<()> {
    let last = node.log()?.last_commit()?;
    let log = last.map_or(Height(0), |row| row.height);
    if as_json {
        let object = json!({
            "height": applied.height.0,
            "revision": applied.revision,
            "history": applied.history.to_string(),
            "state_digest": applied.state.to_string(),
            "log_height": log.0,
        });
        return Ok(say(object.to_string())?);
    }
    let rest = match log.0.saturating_sub(applied.height.0) {
        0 => String::new(),
        rest => format!(" (the node executes the last {rest} again when it starts)"),
    };
    Ok(say(format!(
        "height        {}\nrevision      {}\nhistory       {}\nstate digest  {}\nlog height    {log}{rest}",
        applied.height, applied.revision, applied.history, applied.state
    ))?)
}

/// Page by page.
fn keys(reader: &StateReader, prefix: &str, limit: Option<u64>, as_json: bool) -> Result<()> {
    let mut span = Span::prefix(Bytes::copy_from_slice(prefix.as_bytes()));
    let end = span.until().map_or(End::Unbounded, End::Before);
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let page = reader.range(&span, u32::try_from(left).unwrap_or(u32::MAX), 0)?;
        for pair in &page.pairs {
            say(line(pair, as_json))?;
        }
        left -= (page.pairs.len() as u64).min(left);
        let Some(next) = page.next else { break };
        span = Span {
            key: next,
            end: end.clone(),
        };
    }
    Ok(())
}

fn line(pair: &Pair, as_json: bool) -> Vec<u8> {
    if as_json {
        let numbers = [pair.created, pair.modified, pair.version];
        return pair_object(&pair.key, &pair.value, numbers)
            .to_string()
            .into_bytes();
    }
    [&pair.key[..], b"\t", &pair.value[..]].concat()
}
