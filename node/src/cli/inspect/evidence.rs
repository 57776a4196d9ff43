//! Who has lied, as far as this node can prove it.

use super::Node;
use crate::cli::output::say;
use crate::evidence::Proof;
use anyhow::{Context as _, Result, bail};
use genesis::Genesis;
use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use storage::REPLACE_NODE;

/// Lists all proofs.
pub(super) fn print(node: &Node, as_json: bool) -> Result<()> {
    let proofs = proofs(node)?;
    if as_json {
        for proof in &proofs {
            say(proof.to_line())?;
        }
        return Ok(());
    }
    if proofs.is_empty() {
        return Ok(say(
            "no evidence: this node has seen no two contradicting statements of one validator; others may \
             have, so try their homes",
        )?);
    }
    for (number, proof) in (1..).zip(&proofs) {
        say(lines(number, proof))?;
    }
    Ok(())
}

fn lines(number: usize, proof: &Proof) -> String {
    let evidence = proof.evidence();
    let contents = [evidence.first, evidence.second].map(|(statement, signature)| {
        let signature = hex::encode(signature.0);
        let short = signature.get(..16).unwrap_or(&signature).to_owned();
        format!("\n   content {}  signature {short}..", statement.content)
    });
    format!("{number}  {}{}", proof.sentence(), contents.concat())
}

/// Writes one of them to a file of its own.
pub(super) fn export(node: &Node, number: usize, out: &Path, as_json: bool) -> Result<()> {
    let proofs = proofs(node)?;
    let Some(proof) = number.checked_sub(1).and_then(|at| proofs.get(at)) else {
        match proofs.len() {
            0 => bail!(
                "there is no evidence to write: this node has caught nobody lying; others may have, so try their homes"
            ),
            count => bail!("there is no evidence number {number}: choose one of 1 to {count}"),
        }
    };
    // What is there may be evidence of something else.
    let write = || -> std::io::Result<()> {
        let mut file = File::create_new(out)?;
        file.write_all(proof.to_text().as_bytes())?;
        file.sync_all()
    };
    let path = out.display();
    write().with_context(|| format!("cannot write {path}: choose another file"))?;
    if as_json {
        return Ok(say(proof.to_line())?);
    }
    Ok(say(format!(
        "{path}: {} (number {number} of {})\nwhoever has genesis.toml checks it: quorate inspect \
         verify {path} --genesis genesis.toml",
        proof.sentence(),
        proofs.len()
    ))?)
}

/// Checks a file against a genesis file alone.
pub(super) fn verify(file: &Path, genesis: &Path, as_json: bool) -> Result<()> {
    let genesis = Genesis::load(genesis)?;
    let proof = Proof::load(file, &genesis).with_context(|| file.display().to_string())?;
    if as_json {
        let (node, slot) = proof.evidence().about();
        let object = json!({
            "node": node.0,
            "key": genesis.validators[node.index()].consensus_key.to_string(),
            "kind": slot.kind.name(),
            "epoch": slot.epoch.0,
            "view": slot.view.0,
            "height": slot.height.0,
            "chain": genesis.chain_id().to_string(),
        });
        return Ok(say(object.to_string())?);
    }
    Ok(say(format!(
        "proven: {}; both signatures are valid for its key in the genesis file of chain {}",
        proof.sentence(),
        genesis.chain_id()
    ))?)
}

/// Checked again: a damaged disk convicts nobody.
fn proofs(node: &Node) -> Result<Vec<Proof>> {
    let stored = engine::evidence(&node.log()?)?;
    let proofs = stored.into_iter().map(|evidence| {
        Proof::new(evidence, &node.genesis)
            .with_context(|| format!("{}: {REPLACE_NODE}", node.data.display()))
    });
    proofs.collect()
}
