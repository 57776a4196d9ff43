//! Files that are said to prove a lie: whatever is in them, they are refused in words, unless each of their
//! bytes follows from two statements that the accused has signed.

use super::{Found, testnets};
use genesis::{BuiltTestnet, Genesis};
use quorate::evidence::Proof;
use std::sync::LazyLock;

static CHAINS: LazyLock<Vec<BuiltTestnet>> = LazyLock::new(testnets);

/// Checks a file against a genesis file of every kind.
#[must_use]
pub fn file(data: &[u8]) -> Found {
    let mut found = Vec::new();
    for chain in CHAINS.iter() {
        match Proof::parse(data, &chain.genesis) {
            Ok(proof) => {
                accepted(data, &proof, &chain.genesis);
                found.push(proof.evidence().first.0.slot.kind.name());
            }
            Err(refusal) => {
                let said = refusal.to_string();
                assert!(!said.is_empty() && !said.contains('\n'), "{said:?}");
            }
        }
    }
    found
}

fn accepted(data: &[u8], proof: &Proof, genesis: &Genesis) {
    assert_eq!(data, proof.to_text().as_bytes());
    let evidence = proof.evidence().clone();
    let (first, second) = (evidence.first.0, evidence.second.0);
    assert!(first.slot == second.slot && first.content != second.content);
    let again = Proof::new(evidence, genesis);
    assert_eq!(again.ok().as_ref(), Some(proof), "it proves what it proves");
    let others = CHAINS.iter().filter(|it| it.genesis != *genesis);
    for other in others {
        let elsewhere = Proof::parse(data, &other.genesis);
        assert!(elsewhere.is_err(), "nobody is convicted on another chain");
    }
}

/// What a lie of each kind looks like on each chain.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let lies = CHAINS.iter().flat_map(|chain| {
        let lie = |kind| Proof::new(lie(chain, kind), &chain.genesis).ok();
        crypto::Kind::ALL.into_iter().filter_map(lie)
    });
    lies.map(|proof| proof.to_text().into_bytes()).collect()
}

fn lie(chain: &BuiltTestnet, kind: crypto::Kind) -> consensus::Evidence {
    let node = crypto::NodeId(1);
    let slot = crypto::Slot {
        kind,
        epoch: chain.genesis.context().epoch,
        view: crypto::View(7),
        height: crypto::Height(9),
    };
    let said = |content| {
        let content = crypto::Digest([content; 32]);
        let statement = crypto::Statement { slot, content };
        let digest = statement.digest(&chain.genesis.context());
        (
            statement,
            chain.nodes[node.index()].consensus_key.sign(&digest),
        )
    };
    consensus::Evidence {
        node,
        first: said(1),
        second: said(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_corpus_holds_proofs_of_all_kinds() {
        let accepts = |text: &Vec<u8>| {
            let proven = |it: &&BuiltTestnet| Proof::parse(text, &it.genesis).is_ok();
            CHAINS.iter().filter(proven).count()
        };
        let seeds = seeds();
        assert!(seeds.iter().all(|text| accepts(text) == 1));
        assert_eq!(seeds.len(), 4 + 6, "HotStuff's kinds and PBFT's");
    }
}
