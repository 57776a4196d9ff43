//! The safety file, and what follows from it.

use super::Node;
use crate::cli::output::say;
use anyhow::Result;
use serde_json::json;
use storage::{Verdict, verdict};

/// Prints what it says and whether the node may vote.
pub(super) fn print(node: &Node, as_json: bool) -> Result<()> {
    let said = node.safety()?;
    // A log that is lost is for the verdict to tell.
    let database = if node.data.join("log/CURRENT").exists() {
        node.log()?.fence()?
    } else {
        0
    };
    let verdict = match verdict(database, said.as_ref(), node.genesis.chain_id(), node.key) {
        Verdict::Start => "may vote".to_owned(),
        Verdict::Refuse(refusal) => refusal.to_string(),
    };
    if as_json {
        let file = said.map(|s| {
            json!({
                "chain": s.chain.to_string(),
                "key": s.key.to_string(),
                "epoch": s.epoch.0,
                "view": s.view.0,
                "fence": s.fence,
            })
        });
        let object = json!({ "file": file, "database_fence": database, "verdict": verdict });
        return Ok(say(object.to_string())?);
    }
    match said {
        Some(s) => say(format!(
            "chain           {}\nkey             {}\nepoch           {}\nview            {}\nfence           {}",
            s.chain, s.key, s.epoch, s.view, s.fence
        ))?,
        None => say(format!(
            "{}: no valid slot",
            node.data.join("safety").display()
        ))?,
    }
    Ok(say(format!(
        "database fence  {database}\nverdict         {verdict}"
    ))?)
}
