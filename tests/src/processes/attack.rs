//! Who lies in rounds of faults, and how.

use super::Setup;
use super::plan::shuffle;
use crate::adversary::{self, Fluent};
use crate::sim::Chance;
use anyhow::{Context as _, Result, ensure};
use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use genesis::Protocol;
use std::collections::{BTreeMap, BTreeSet};

/// Who lies, and in the way of which name.
pub type Cast = BTreeMap<usize, String>;

/// Who lies in a campaign. It is the same nodes in all rounds: a key that has lied is not honest again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attack {
    /// Nobody.
    #[default]
    Nobody,
    /// These.
    Named(Cast),
    /// As many as may, drawn from the campaign's seed; all in one way, and in the next round in the next
    /// of the catalogue.
    Any,
}

impl Attack {
    /// As on the command line: `any`, or nodes with their names like `3:equivocate`.
    ///
    /// # Errors
    /// What is wrong with it, and the way out.
    pub fn read(words: &[String], setup: &Setup) -> Result<Self> {
        if words.is_empty() {
            return Ok(Self::Nobody);
        }
        let names = names(setup.protocol);
        ensure!(
            !names.is_empty(),
            "{} withstands no liar: choose hotstuff or pbft",
            setup.protocol.name()
        );
        if words == ["any"] {
            return Ok(Self::Any);
        }
        let mut cast = Cast::new();
        for word in words {
            let parts = word.split_once(':');
            let (node, name) =
                parts.with_context(|| format!("{word}: write it as 3:equivocate, or any"))?;
            let node = node.parse().ok().filter(|node| *node < setup.nodes);
            let node = node.with_context(|| format!("{word}: there is no such node"))?;
            ensure!(
                names.contains(&name),
                "nobody lies in the way of {name}; there are: {}",
                names.join(" ")
            );
            cast.insert(node, name.to_owned());
        }
        let (some, most) = (cast.len(), setup.faults());
        ensure!(some <= most, "{some} nodes lie, and {most} may");
        Ok(Self::Named(cast))
    }

    /// Who lies in the round of a seed.
    ///
    /// # Panics
    /// If liars are drawn under a protocol that withstands none.
    #[must_use]
    pub fn cast(&self, setup: &Setup, round: u64) -> Cast {
        match self {
            Self::Nobody => Cast::new(),
            Self::Named(cast) => cast.clone(),
            Self::Any => {
                let names = names(setup.protocol);
                let name = names[(round % names.len() as u64) as usize];
                let mut liars: Vec<usize> = (0..setup.nodes).collect();
                shuffle(&mut liars, &mut Chance::of(setup.seed, "liars of rounds"));
                liars.truncate(setup.faults());
                liars.into_iter().map(|it| (it, name.to_owned())).collect()
            }
        }
    }

    /// How many attacks it consists of.
    #[must_use]
    pub fn count(&self, protocol: Protocol) -> usize {
        match self {
            Self::Nobody => 0,
            Self::Named(cast) => cast.values().collect::<BTreeSet<_>>().len(),
            Self::Any => names(protocol).len(),
        }
    }
}

/// The names of the ways to lie in the attack of a name.
pub(super) fn ways(protocol: Protocol, name: &str) -> Vec<&'static str> {
    fn of<P: Fluent>(name: &str) -> Vec<&'static str> {
        let all = adversary::catalogue::<P>().into_iter();
        let ways = all.filter(|it| it.name == name).flat_map(|it| it.ways);
        ways.map(|way| way.name).collect()
    }
    match protocol {
        Protocol::Hotstuff => of::<HotStuff>(name),
        Protocol::Pbft => of::<Pbft>(name),
        Protocol::Raft => Vec::new(),
    }
}

/// The catalogue of a protocol: a cluster of processes can be attacked in all of its ways.
fn names(protocol: Protocol) -> Vec<&'static str> {
    match protocol {
        Protocol::Hotstuff => adversary::names::<HotStuff>(),
        Protocol::Pbft => adversary::names::<Pbft>(),
        Protocol::Raft => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn seven(protocol: Protocol) -> Setup {
        Setup {
            nodes: 7,
            ..Setup::smallest(protocol, 5)
        }
    }

    #[test]
    fn the_same_nodes_lie_in_all_rounds_and_in_all_ways_in_turn() {
        for protocol in [Protocol::Hotstuff, Protocol::Pbft] {
            let setup = seven(protocol);
            let ways = Attack::Any.count(protocol) as u64;
            assert!(ways > 20);
            let first = Attack::Any.cast(&setup, setup.seed);
            assert_eq!(first.len(), 2);
            let mut played = BTreeSet::new();
            for round in setup.seed..setup.seed + ways {
                let cast = Attack::Any.cast(&setup, round);
                assert!(cast.keys().eq(first.keys()));
                played.extend(cast.into_values());
            }
            assert_eq!(played.len() as u64, ways);
        }
    }

    #[test]
    fn who_is_to_lie_is_looked_at() {
        let read = |protocol, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
            Attack::read(&words, &seven(protocol))
        };
        let hotstuff = |words: &[&str]| read(Protocol::Hotstuff, words);
        assert_eq!(hotstuff(&[]).unwrap(), Attack::Nobody);
        assert_eq!(hotstuff(&["any"]).unwrap(), Attack::Any);
        let two = hotstuff(&["6:forge", "2:equivocate"]).unwrap();
        let cast = Cast::from([(2, "equivocate".to_owned()), (6, "forge".to_owned())]);
        assert_eq!(two, Attack::Named(cast));
        assert_eq!(two.count(Protocol::Hotstuff), 2);
        let same = hotstuff(&["6:forge", "2:forge"]).unwrap();
        assert_eq!(same.count(Protocol::Hotstuff), 1);
        let refused = |protocol, words: &[&str], says: &str| {
            let error = read(protocol, words).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(Protocol::Hotstuff, &["equivocate"], "3:equivocate");
        refused(Protocol::Hotstuff, &["7:equivocate"], "no such node");
        refused(Protocol::Hotstuff, &["1:bad-new-view"], "tail-fork");
        refused(Protocol::Pbft, &["1:tail-fork"], "bad-new-view");
        let three = ["1:forge", "2:forge", "3:forge"];
        refused(Protocol::Pbft, &three, "3 nodes lie, and 2 may");
        refused(Protocol::Raft, &["any"], "raft withstands no liar");
    }
}
