//! The genesis file: what all nodes of a chain agree on before its first block.

mod crash;

use crate::document::{Document, MAX_BYTES};
use crate::error::{Error, Fault};
use crate::protocol::{ClientAuth, Protocol, contradiction};
use crate::{Limits, duration, hex_key};
use crypto::{
    ChainId, Context, Epoch, FaultModel, Hasher, NodeId, PublicKey, Quorums, Time, Validator,
    ValidatorSet, codec,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The only format so far.
pub(crate) const FORMAT: u16 = 1;
/// Views a leader keeps, by default: with views of 2 ms and time-outs of 300 ms, one dead leader
/// of four costs well under one percent.
pub(crate) const TENURE: u64 = 8_192;
/// What `genesis` writes above some keys.
#[rustfmt::skip]
const EXPLAINED: [(&str, &str); 6] = [
    ("tenure", "Views that a leader keeps (HotStuff)."),
    ("client_auth", "Whether clients sign. Where they do not (none: crash only) whoever reaches a node may write in\n# any client's name."),
    ("commit_quorum", "How many nodes must have an entry on disk to commit it, and how many must vote for a leader:\n# together more than there are nodes, and more than half for a leader. The chain survives as many\n# crashes as both leave over."),
    ("lease_drift", "By how many percent clocks may run apart at most: a leader answers reads by itself for\n# election_timeout less this, after a quorum has answered it. Without it, it asks for each read."),
    ("election_timeout", "The least timing.timeout that a node may have: leases rest on it."),
    ("clients", "The only clients that may write; empty: anyone."),
];
/// Most clients in the allow-list.
const MAX_CLIENTS: usize = 16_384;

/// One validator as the file lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSpec {
    /// For people; may be empty. No part of the chain id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The key that signs its statements.
    #[serde(with = "hex_key")]
    pub consensus_key: PublicKey,
    /// The key by which peers know it on the network.
    #[serde(with = "hex_key")]
    pub network_key: PublicKey,
    /// Where peers reach it, `host:port`. No part of the chain id: a machine may move.
    pub address: String,
}

/// The contents of a genesis file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// A name for people, part of the chain id.
    pub chain: String,
    /// 32 random bytes as hex digits, part of the chain id: two chains of the same keys differ by
    /// it. May be empty.
    pub nonce: String,
    /// What a faulty node may do.
    pub fault_model: FaultModel,
    /// Who orders.
    pub protocol: Protocol,
    /// Views (HotStuff) that a leader keeps; at least 4.
    pub tenure: u64,
    /// Whether clients sign.
    pub client_auth: ClientAuth,
    /// Raft: how many nodes must hold an entry on disk to commit it. `None`: a majority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_quorum: Option<u16>,
    /// Raft: how many nodes must vote for a leader. `None`: a majority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election_quorum: Option<u16>,
    /// Raft: by how many percent clocks may run apart; then a leader answers reads by its lease.
    /// `None`: it asks the others each time, and clocks do not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_drift: Option<u8>,
    /// Raft: the least time-out of elections on any node, on which leases rest. Only with
    /// `lease_drift`.
    #[serde(skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub election_timeout: Option<Time>,
    /// The only clients that may write; empty: anyone who signs.
    #[serde(with = "hex_key::list")]
    pub clients: Vec<PublicKey>,
    /// Limits.
    pub limits: Limits,
    /// In the order of their [`NodeId`]s.
    pub validators: Vec<ValidatorSpec>,
}

/// The file as it is written: what may be left out is an option.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[expect(dead_code, reason = "checked before, by Document::format")]
    format: u16,
    chain: String,
    #[serde(default)]
    nonce: String,
    fault_model: Option<FaultModel>,
    protocol: Option<Protocol>,
    tenure: Option<u64>,
    #[serde(default)]
    client_auth: ClientAuth,
    commit_quorum: Option<u16>,
    election_quorum: Option<u16>,
    lease_drift: Option<u8>,
    #[serde(default, with = "duration::option")]
    election_timeout: Option<Time>,
    #[serde(default, with = "hex_key::list")]
    clients: Vec<PublicKey>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    validators: Vec<ValidatorSpec>,
}

/// A genesis without contradictions; its fields are those of [`Spec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    spec: Spec,
    set: Arc<ValidatorSet>,
    chain_id: ChainId,
}

impl Deref for Genesis {
    type Target = Spec;
    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl Genesis {
    /// Checks what a program put together.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn new(spec: Spec) -> Result<Self, Error> {
        Self::build(spec).map_err(|fault| Document::new("genesis", "").fault(fault))
    }

    /// Reads a file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The first contradiction, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let document = Document::new(file, text);
        document.format(FORMAT)?;
        let written: Written = document.read()?;
        let (fault_model, protocol) = match (written.fault_model, written.protocol) {
            (Some(model), Some(protocol)) => (model, protocol),
            (model, protocol) => Protocol::choose(model, protocol)
                .map_err(|problem| document.fault(Fault::new("protocol", problem, "give both")))?,
        };
        let spec = Spec {
            chain: written.chain,
            nonce: written.nonce,
            fault_model,
            protocol,
            tenure: written.tenure.unwrap_or(TENURE),
            client_auth: written.client_auth,
            commit_quorum: written.commit_quorum,
            election_quorum: written.election_quorum,
            lease_drift: written.lease_drift,
            election_timeout: written.election_timeout,
            clients: written.clients,
            limits: written.limits,
            validators: written.validators,
        };
        Self::build(spec).map_err(|fault| document.fault(fault))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or the first contradiction, with its line.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::parse(
            &path.display().to_string(),
            &crate::home::read_text(path, MAX_BYTES)?,
        )
    }

    /// The file's text, which [`Genesis::parse`] reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let body = toml::to_string(&self.spec).expect("strings, numbers and lists are TOML");
        let body = explained(&body);
        format!(
            "# What all nodes of this chain agree on. It is the same on every node: all but names and\n\
             # addresses of validators makes up the chain id.\n\
             # chain id when written: {}\nformat = {FORMAT}\n{body}",
            self.chain_id
        )
    }

    /// The digest of all contents but the validators' names and addresses.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }
    /// Chain and first epoch.
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            chain: self.chain_id,
            epoch: Epoch(0),
        }
    }
    /// The validators' consensus keys.
    #[must_use]
    pub fn validator_set(&self) -> Arc<ValidatorSet> {
        Arc::clone(&self.set)
    }
    /// Quorum sizes.
    #[must_use]
    pub fn quorums(&self) -> Quorums {
        crash::quorums(&self.spec)
    }
    /// How long after a round a leader may answer reads without another one: by so much less than
    /// the time-out of elections as clocks may run apart meanwhile. `None`: not at all.
    #[must_use]
    pub fn lease(&self) -> Option<Time> {
        let (drift, timeout) = (self.spec.lease_drift?, self.spec.election_timeout?);
        Some(Time(timeout.0 / 100 * u64::from(100 - drift)))
    }
    /// What it survives, in words: `survives 1 crash, commit quorum 2, election quorum 2`.
    #[must_use]
    pub fn survives(&self) -> String {
        let Quorums {
            f,
            commit,
            election,
            ..
        } = self.quorums();
        let (one, many) = match self.spec.fault_model {
            FaultModel::Byzantine => ("faulty node", "faulty nodes"),
            FaultModel::Crash => ("crash", "crashes"),
        };
        let nodes = if f == 1 { one } else { many };
        if commit == election {
            return format!("survives {f} {nodes}, quorum {commit}");
        }
        format!("survives {f} {nodes}, commit quorum {commit}, election quorum {election}")
    }
    /// How many validators.
    #[must_use]
    pub fn n(&self) -> usize {
        self.spec.validators.len()
    }
    /// The validator of a consensus key.
    #[must_use]
    pub fn member(&self, consensus_key: &PublicKey) -> Option<NodeId> {
        self.set
            .ids()
            .find(|id| self.set.key(*id) == Some(*consensus_key))
    }
    /// Whether a client may write.
    #[must_use]
    pub fn admits(&self, client: &PublicKey) -> bool {
        self.spec.clients.is_empty() || self.spec.clients.binary_search(client).is_ok()
    }
    /// What it survives, for the start line; a warning where that is nothing.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let least = match self.spec.fault_model {
            FaultModel::Byzantine => 4,
            FaultModel::Crash => 3,
        };
        (self.quorums().f == 0).then(|| {
            format!(
                "{} nodes survive no faulty one: {} needs at least {least}",
                self.n(),
                self.spec.fault_model
            )
        })
    }

    fn build(mut spec: Spec) -> Result<Self, Fault> {
        spec.nonce.make_ascii_lowercase();
        check(&mut spec)?;
        crash::complete(&mut spec);
        let members = spec
            .validators
            .iter()
            .map(|v| Validator {
                key: v.consensus_key,
            })
            .collect();
        let set = ValidatorSet::new(members, spec.fault_model)
            .map_err(|bad| Fault::new("validators", bad.to_string(), "mend the list"))?;
        let chain_id = chain_id(&spec);
        Ok(Self {
            spec,
            set: Arc::new(set),
            chain_id,
        })
    }
}

/// The text with a word on those keys that do not explain themselves.
fn explained(body: &str) -> String {
    let mut out = String::new();
    for line in body.lines() {
        let key = line.split(' ').next().unwrap_or_default();
        if let Some((_, about)) = EXPLAINED.iter().find(|(known, _)| *known == key) {
            out.push_str(&format!("# {about}\n"));
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Field by field: serde names and TOML text may change their looks, the chain id may not.
fn chain_id(spec: &Spec) -> ChainId {
    let mut hasher = Hasher::new("quorate/v1/genesis");
    hasher
        .number(u64::from(FORMAT))
        .bytes(spec.chain.as_bytes())
        .bytes(spec.nonce.as_bytes());
    hasher
        .number(spec.fault_model as u64)
        .number(spec.protocol as u64);
    hasher.number(spec.tenure).number(spec.client_auth as u64);
    hasher.number(spec.clients.len() as u64);
    for client in &spec.clients {
        hasher.bytes(&client.0);
    }
    hasher.bytes(&codec::encode(&spec.limits));
    hasher.number(spec.validators.len() as u64);
    for validator in &spec.validators {
        hasher
            .bytes(&validator.consensus_key.0)
            .bytes(&validator.network_key.0);
    }
    crash::hash(spec, &mut hasher);
    ChainId(hasher.finish())
}

fn check(spec: &mut Spec) -> Result<(), Fault> {
    if spec.chain.is_empty() || spec.chain.len() > 64 || spec.chain.chars().any(char::is_control) {
        return Err(Fault::new(
            "chain",
            "not a name of 1 to 64 printable bytes",
            "choose one",
        ));
    }
    if !spec.nonce.is_empty() && hex::decode_to_slice(&spec.nonce, &mut [0; 32]).is_err() {
        return Err(Fault::new(
            "nonce",
            "not 64 hex digits",
            "give 32 random bytes, or leave it out",
        ));
    }
    if let Some(fault) = contradiction(spec.fault_model, spec.protocol) {
        return Err(fault);
    }
    if spec.tenure < 4 {
        let problem = format!(
            "{} is below 4, the least at which a live leader between two dead ones commits",
            spec.tenure
        );
        return Err(Fault::new(
            "tenure",
            problem,
            format!("set it to 4 or more, or leave it out for {TENURE}"),
        ));
    }
    if spec.client_auth == ClientAuth::None && spec.fault_model == FaultModel::Byzantine {
        let problem = "\"none\" lets any one faulty node write in any client's name";
        return Err(Fault::new(
            "client_auth",
            problem,
            "set it to \"signed\", or the fault model to crash",
        ));
    }
    if spec.client_auth == ClientAuth::None && !spec.clients.is_empty() {
        let problem = "a list of clients means nothing where clients do not sign";
        return Err(Fault::new(
            "clients",
            problem,
            "set client_auth to \"signed\", or leave clients out",
        ));
    }
    if spec.clients.len() > MAX_CLIENTS {
        let problem = format!("{} clients, more than {MAX_CLIENTS}", spec.clients.len());
        return Err(Fault::new(
            "clients",
            problem,
            "list fewer, or none to admit anyone",
        ));
    }
    spec.clients.sort_unstable();
    if let Some(pair) = spec.clients.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Fault::new(
            "clients",
            format!("{} is listed twice", pair[0]),
            "list it once",
        ));
    }
    spec.limits.check()?;
    check_validators(&spec.validators)?;
    crash::check(spec)
}

fn check_validators(list: &[ValidatorSpec]) -> Result<(), Fault> {
    if list.is_empty() || list.len() > crypto::NodeSet::CAPACITY {
        let problem = format!(
            "{} validators; 1 to {} are possible",
            list.len(),
            crypto::NodeSet::CAPACITY
        );
        return Err(Fault::new(
            "validators",
            problem,
            "give each one a [[validators]] table",
        ));
    }
    let mut keys: BTreeMap<PublicKey, String> = BTreeMap::new();
    let mut addresses: BTreeMap<String, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (i, one) in list.iter().enumerate() {
        for (name, key) in [
            ("consensus_key", one.consensus_key),
            ("network_key", one.network_key),
        ] {
            let field = format!("validators[{i}].{name}");
            if PublicKey::checked(key.0).is_err() {
                return Err(Fault::new(
                    field,
                    "a weak key, or none at all",
                    "make one with `quorate key new`",
                ));
            }
            if let Some(other) = keys.insert(key, field.clone()) {
                let problem = format!("is the same as {other}");
                return Err(Fault::new(
                    field,
                    problem,
                    "every key serves one purpose of one validator; make another with `quorate key new`",
                ));
            }
        }
        let field = format!("validators[{i}].address");
        let address = one.address.to_ascii_lowercase();
        if !is_host_and_port(&address) {
            return Err(Fault::new(
                field,
                format!("{:?} is not host:port", one.address),
                "give one such as 10.0.0.1:7000",
            ));
        }
        if let Some(other) = addresses.insert(address, i) {
            let problem = format!("is the same as that of validators[{other}]");
            return Err(Fault::new(
                field,
                problem,
                "give each validator an address of its own",
            ));
        }
        if !one.name.is_empty() && !names.insert(one.name.as_str()) {
            let problem = format!("{:?} is taken by another validator", one.name);
            return Err(Fault::new(
                format!("validators[{i}].name"),
                problem,
                "choose another, or leave it out",
            ));
        }
    }
    Ok(())
}

/// An IP address or host name, and a port that is not 0.
fn is_host_and_port(text: &str) -> bool {
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return address.port() != 0 && !address.ip().is_unspecified();
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let label = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    // All digits and dots is a mistyped IP address, not a name.
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !numeric
        && host.len() <= 253
        && host.split('.').all(label)
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests;
