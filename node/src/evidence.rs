//! A proof that a validator lied, as a file: two statements for one slot, signed with one key. Whoever
//! has the genesis file checks it alone; nobody has to be believed, and no node is asked.
//!
//! The text of a file follows from the two statements, so there is one for each pair, and a file that
//! differs from it in a single byte is refused: also what it says in words can be relied on.

use consensus::Evidence;
use crypto::{
    Context, Digest, Ed25519, FaultModel, Height, Kind, NodeId, PublicKey, Reject, Signature, Slot,
    Statement, Verifier, View,
};
use genesis::{Genesis, Protocol};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// The only format so far.
const FORMAT: u64 = 1;
/// The longest file that is read, in bytes: ten times as long as one of ours.
const MAX_BYTES: usize = 16 << 10;

/// Why a file proves nothing. One line each.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The file system refuses.
    #[error("{path}: {why}; check the path and its permissions")]
    Unreadable {
        /// Which file.
        path: String,
        /// What it said.
        why: String,
    },
    /// It is none of ours.
    #[error("this is no evidence file: {0}; get the file that `quorate inspect evidence` wrote")]
    NoEvidence(String),
    /// A later version wrote it.
    #[error(
        "evidence of format {0} is newer than {FORMAT}, the newest this program knows: use a newer quorate"
    )]
    Newer(u64),
    /// Nodes are believed there.
    #[error(
        "under the fault model crash nodes sign nothing, so none can be convicted: check --genesis"
    )]
    NothingSigned,
    /// Of another chain.
    #[error(
        "the evidence is about chain {found}, the genesis file is that of {expected}: check --genesis"
    )]
    Chain {
        /// What it says.
        found: String,
        /// Of the genesis file.
        expected: String,
    },
    /// Of another validator set.
    #[error(
        "the evidence is about epoch {found}, the genesis file lists the validators of epoch {expected}"
    )]
    Epoch {
        /// What it says.
        found: u64,
        /// Of the genesis file.
        expected: u64,
    },
    /// The accused is none.
    #[error("node {0} is none of the validators of the genesis file: nobody is convicted")]
    NotMember(NodeId),
    /// Of another key.
    #[error(
        "the accused key {found} is not that of node {node}, which is {expected}: nobody is convicted"
    )]
    Key {
        /// The accused.
        node: NodeId,
        /// What it says.
        found: PublicKey,
        /// Of the genesis file.
        expected: PublicKey,
    },
    /// A kind of statement that this chain does not have.
    #[error("under {protocol} nobody signs a {kind}: nobody is convicted")]
    Kind {
        /// Of the chain.
        protocol: Protocol,
        /// What it says.
        kind: &'static str,
    },
    /// No contradiction: an honest node signs as many statements as there are slots.
    #[error(
        "the two statements are for different slots, {0} and {1}: an honest node may sign both"
    )]
    Slots(Slot, Slot),
    /// No contradiction: what is said twice is no lie.
    #[error(
        "the two statements for one slot ({0}) are the same: an honest node may sign that twice"
    )]
    Same(Slot),
    /// A statement that the accused did not sign.
    #[error(
        "the {which} signature is not one of node {node} over what it stands by: the evidence was altered or made up"
    )]
    Signature {
        /// `first` or `second`.
        which: &'static str,
        /// The accused.
        node: NodeId,
    },
    /// All is right but the text.
    #[error(
        "line {0} is not what the statements give: the file was altered or written anew; get the one that `quorate inspect evidence` wrote"
    )]
    Text(usize),
}

/// The file: what is written in it, in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    quorate_evidence: u64,
    says: String,
    chain: String,
    epoch: u64,
    accused: Accused,
    statements: [Said; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accused {
    node: u16,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    kind: String,
    view: u64,
    height: u64,
    content: String,
    signature: String,
}

/// What every format begins with.
#[derive(Deserialize)]
struct Head {
    quorate_evidence: u64,
}

/// A proof that was checked against a genesis file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    evidence: Evidence,
    context: Context,
    key: PublicKey,
}

impl Proof {
    /// Checks what a node has found.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn new(evidence: Evidence, genesis: &Genesis) -> Result<Self, Refusal> {
        check(&evidence, genesis)?;
        let node = evidence.node;
        let key = genesis.validator_set().key(node);
        let proof = Self {
            key: key.ok_or(Refusal::NotMember(node))?,
            context: genesis.context(),
            evidence,
        };
        Ok(proof.in_order())
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// See [`Refusal`]; also if a single byte is not as [`Proof::to_text`] writes it.
    pub fn parse(raw: &[u8], genesis: &Genesis) -> Result<Self, Refusal> {
        let written = read(raw)?;
        let (context, key) = (
            genesis.context(),
            bytes(&written.accused.key, "accused.key")?,
        );
        if written.chain != context.chain.to_string() {
            return Err(Refusal::Chain {
                found: short(&written.chain),
                expected: context.chain.to_string(),
            });
        }
        if written.epoch != context.epoch.0 {
            return Err(Refusal::Epoch {
                found: written.epoch,
                expected: context.epoch.0,
            });
        }
        let node = NodeId(written.accused.node);
        let expected = genesis.validator_set().key(node);
        let expected = expected.ok_or(Refusal::NotMember(node))?;
        if expected != PublicKey(key) {
            return Err(Refusal::Key {
                node,
                found: PublicKey(key),
                expected,
            });
        }
        let [first, second] = &written.statements;
        let evidence = Evidence {
            node,
            first: first.read(&context)?,
            second: second.read(&context)?,
        };
        let proof = Self::new(evidence, genesis)?;
        match difference(raw, proof.to_text().as_bytes()) {
            None => Ok(proof),
            Some(line) => Err(Refusal::Text(line)),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn load(path: &Path, genesis: &Genesis) -> Result<Self, Refusal> {
        let unreadable = |why: String| Refusal::Unreadable {
            path: path.display().to_string(),
            why,
        };
        // A pipe or device would block or never end: looked at before it is opened.
        let about = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        if !about.is_file() {
            return Err(unreadable("not a file".into()));
        }
        let mut raw = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut raw))
            .map_err(|error| unreadable(error.to_string()))?;
        Self::parse(&raw, genesis)
    }

    /// The text of the file; two nodes that have the same two statements write the same.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.written()).expect("strings and numbers");
        text.push('\n');
        text
    }

    /// The same as one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(&self.written()).expect("strings and numbers")
    }

    /// What it proves, in a sentence without its end.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (node, slot) = self.evidence.about();
        format!(
            "node {node} signed two contradicting statements: {slot}, epoch {}",
            slot.epoch
        )
    }

    /// The two statements.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Which of the two came first is of no importance to anybody.
    fn in_order(mut self) -> Self {
        let Evidence { first, second, .. } = &mut self.evidence;
        if first.0.content > second.0.content {
            std::mem::swap(first, second);
        }
        self
    }

    fn written(&self) -> Written {
        let Evidence {
            node,
            first,
            second,
        } = &self.evidence;
        Written {
            quorate_evidence: FORMAT,
            says: format!("{}. An honest node never does.", self.sentence()),
            chain: self.context.chain.to_string(),
            epoch: self.context.epoch.0,
            accused: Accused {
                node: node.0,
                key: self.key.to_string(),
            },
            statements: [first, second].map(Said::write),
        }
    }
}

impl Said {
    fn write((statement, signature): &(Statement, Signature)) -> Self {
        let Slot {
            kind, view, height, ..
        } = statement.slot;
        Self {
            kind: kind.name().to_owned(),
            view: view.0,
            height: height.0,
            content: statement.content.to_string(),
            signature: hex::encode(signature.0),
        }
    }

    fn read(&self, context: &Context) -> Result<(Statement, Signature), Refusal> {
        let kind = Kind::named(&self.kind)
            .ok_or_else(|| Refusal::NoEvidence(format!("{:?} is no kind", short(&self.kind))))?;
        let slot = Slot {
            kind,
            epoch: context.epoch,
            view: View(self.view),
            height: Height(self.height),
        };
        let statement = Statement {
            slot,
            content: Digest(bytes(&self.content, "content")?),
        };
        Ok((statement, Signature(bytes(&self.signature, "signature")?)))
    }
}

/// The syntax of a file.
fn read(raw: &[u8]) -> Result<Written, Refusal> {
    if raw.len() > MAX_BYTES {
        let why = format!("it is longer than {MAX_BYTES} bytes");
        return Err(Refusal::NoEvidence(why));
    }
    // It quotes what it met.
    let wrong = |error: serde_json::Error| Refusal::NoEvidence(plain(&error.to_string(), 256));
    let head: Head = serde_json::from_slice(raw).map_err(wrong)?;
    match head.quorate_evidence {
        FORMAT => serde_json::from_slice(raw).map_err(wrong),
        newer if newer > FORMAT => Err(Refusal::Newer(newer)),
        _ => Err(Refusal::NoEvidence("its format never was one".into())),
    }
}

/// Whether two statements convict whom they name, by the genesis file alone.
fn check(evidence: &Evidence, genesis: &Genesis) -> Result<(), Refusal> {
    if genesis.fault_model == FaultModel::Crash {
        return Err(Refusal::NothingSigned);
    }
    let by = Verifier {
        context: genesis.context(),
        validators: genesis.validator_set(),
        scheme: Arc::new(Ed25519),
    };
    let (node, first, second) = (evidence.node, evidence.first, evidence.second);
    for (statement, _) in [first, second] {
        if !signed_under(genesis.protocol, statement.slot.kind) {
            return Err(Refusal::Kind {
                protocol: genesis.protocol,
                kind: statement.slot.kind.name(),
            });
        }
    }
    let forged = |which| Refusal::Signature { which, node };
    evidence.check(&by).map_err(|reject| match reject {
        Reject::Malformed if first.0.slot != second.0.slot => {
            Refusal::Slots(first.0.slot, second.0.slot)
        }
        Reject::Malformed => Refusal::Same(first.0.slot),
        Reject::NotMember => Refusal::NotMember(node),
        Reject::WrongContext => Refusal::Epoch {
            found: first.0.slot.epoch.0,
            expected: by.context.epoch.0,
        },
        _ if by.one(node, first.0, first.1).is_err() => forged("first"),
        _ => forged("second"),
    })
}

/// Whether a protocol, or the shell around it, has statements of this kind.
fn signed_under(protocol: Protocol, kind: Kind) -> bool {
    match kind {
        Kind::Proposal | Kind::Vote | Kind::Timeout => protocol == Protocol::Hotstuff,
        Kind::PrePrepare | Kind::Prepare | Kind::Commit | Kind::ViewChange | Kind::NewView => {
            protocol == Protocol::Pbft
        }
        Kind::Checkpoint => protocol != Protocol::Raft,
        Kind::Grant => false,
    }
}

fn bytes<const N: usize>(text: &str, what: &str) -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| Refusal::NoEvidence(format!("{what} is not {} hex digits", 2 * N)))?;
    Ok(bytes)
}

/// What a file says, where it may say anything.
fn short(text: &str) -> String {
    plain(text, 64)
}

/// So much of a text, in characters that do nothing to a terminal.
fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for c in text.chars().take(most) {
        match c {
            ' ' | '!'..='~' => plain.push(c),
            _ => plain.extend(c.escape_default()),
        }
    }
    plain
}

/// The first line, from 1, in which two texts differ.
fn difference<'a>(one: &'a [u8], other: &'a [u8]) -> Option<usize> {
    if one == other {
        return None;
    }
    let lines = |text: &'a [u8]| text.split(|byte| *byte == b'\n');
    let (mut one, mut other) = (lines(one), lines(other));
    (1..).find(|_| one.next() != other.next())
}

#[cfg(test)]
mod tests;
