//! `quorate genesis`: the files of a cluster's nodes, without running them.

use super::output::say;
use super::{Usage, cluster};
use anyhow::{Result, bail};
use crypto::FaultModel;
use genesis::{BuiltTestnet, ClientAuth, Error, Genesis, Ports, Protocol, Testnet};
use std::net::IpAddr;
use std::path::PathBuf;

/// The first node's first port.
pub(super) const BASE_PORT: u16 = 7000;
/// Nodes, if nothing is said.
const NODES: u16 = 4;

/// What kind of cluster.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Shape {
    /// How many nodes [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    nodes: Option<u16>,
    /// What a faulty node may do: lie (byzantine, the default) or only stop (crash).
    #[arg(long, value_name = "MODEL")]
    fault_model: Option<Model>,
    /// Who orders: hotstuff or pbft (byzantine), raft (crash).
    #[arg(long, value_name = "NAME")]
    protocol: Option<Order>,
    /// How many nodes must have an entry on disk to commit it (crash) [default: a majority].
    #[arg(long, value_name = "N")]
    commit_quorum: Option<u16>,
    /// How many nodes must vote for a leader (crash) [default: a majority].
    #[arg(long, value_name = "N")]
    election_quorum: Option<u16>,
    /// Whether clients sign their transactions (the default) or not (none, under crash only).
    #[arg(long, value_name = "AUTH")]
    client_auth: Option<Auth>,
    /// Let a leader answer reads by its lease, with clocks that run apart by so much at most (crash).
    #[arg(long, value_name = "PERCENT")]
    lease_drift: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Auth {
    Signed,
    None,
}

impl From<Auth> for ClientAuth {
    fn from(auth: Auth) -> Self {
        match auth {
            Auth::Signed => ClientAuth::Signed,
            Auth::None => ClientAuth::None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Model {
    Byzantine,
    Crash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    Hotstuff,
    Pbft,
    Raft,
}

impl From<Model> for FaultModel {
    fn from(model: Model) -> Self {
        match model {
            Model::Byzantine => FaultModel::Byzantine,
            Model::Crash => FaultModel::Crash,
        }
    }
}

impl From<Order> for Protocol {
    fn from(order: Order) -> Self {
        match order {
            Order::Hotstuff => Protocol::Hotstuff,
            Order::Pbft => Protocol::Pbft,
            Order::Raft => Protocol::Raft,
        }
    }
}

/// A fault model and a protocol that fit each other, and what else was asked for.
pub(super) struct Choice<'a>(FaultModel, Protocol, &'a Shape);

impl Choice<'_> {
    /// A testnet of this kind on loopback.
    pub(super) fn testnet(&self, ports: Vec<Ports>) -> Testnet {
        Testnet {
            fault_model: self.0,
            protocol: self.1,
            client_auth: self.2.client_auth.map(ClientAuth::from).unwrap_or_default(),
            commit_quorum: self.2.commit_quorum,
            election_quorum: self.2.election_quorum,
            lease_drift: self.2.lease_drift,
            ..Testnet::new(ports)
        }
    }
}

impl Shape {
    /// So many nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.unwrap_or(NODES).into()
    }

    /// Completes what was given, and refuses what contradicts itself.
    pub(super) fn choose(&self) -> Result<Choice<'_>> {
        let model = self.fault_model.map(FaultModel::from);
        let protocol = self.protocol.map(Protocol::from);
        let (model, protocol) = Protocol::choose(model, protocol).map_err(Usage)?;
        Ok(Choice(model, protocol, self))
    }

    /// Whether an existing chain is what was asked for; else how it differs.
    pub(super) fn agrees(&self, there: &Genesis) -> Result<(), String> {
        if self.nodes.is_some_and(|n| usize::from(n) != there.n()) {
            return Err(format!("has {} nodes", there.n()));
        }
        if self
            .protocol
            .is_some_and(|p| Protocol::from(p) != there.protocol)
        {
            return Err(format!("runs {}", there.protocol));
        }
        if self
            .fault_model
            .is_some_and(|m| FaultModel::from(m) != there.fault_model)
        {
            return Err(format!("has the fault model {}", there.fault_model));
        }
        let differs = |asked: Option<u16>, there: Option<u16>| asked.is_some() && asked != there;
        if differs(self.commit_quorum, there.commit_quorum)
            || differs(self.election_quorum, there.election_quorum)
        {
            return Err(there.survives());
        }
        if self
            .client_auth
            .is_some_and(|auth| ClientAuth::from(auth) != there.client_auth)
        {
            return Err("has another client_auth".into());
        }
        if self.lease_drift.is_some() && self.lease_drift != there.lease_drift {
            return Err("has another lease_drift".into());
        }
        Ok(())
    }
}

/// Makes keys, genesis and settings; what contradicts itself was given on the command line.
pub(super) fn build(testnet: &Testnet) -> Result<BuiltTestnet> {
    testnet.build().map_err(|error| match error {
        Error::Field { .. } => Usage(error.to_string()).into(),
        other => other.into(),
    })
}

/// Makes the homes of all nodes of a new cluster: keys, genesis and settings.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: four nodes in ./cluster, then run the first one\n  quorate genesis --nodes 4 --out cluster\n  quorate node --home cluster/node0"
)]
pub(super) struct Args {
    #[command(flatten)]
    shape: Shape,
    /// Where to; must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the nodes reach one another.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The first node's first port.
    #[arg(long, value_name = "PORT", default_value_t = BASE_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    base_port: u16,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let ports = Ports::series(args.base_port, args.shape.nodes()).map_err(Usage)?;
    let testnet = Testnet {
        host: args.host,
        ..args.shape.choose()?.testnet(ports)
    };
    let empty = std::fs::read_dir(&args.out).map_or(true, |mut entries| entries.next().is_none());
    if !empty {
        bail!("{} is not empty: choose another --out", args.out.display());
    }
    let built = build(&testnet)?;
    cluster::create(&args.out, &built)?;
    if let Some(warning) = built.genesis.warning() {
        eprintln!("warning: {warning}");
    }
    let out = args.out.display();
    say(format!(
        "chain {}: {} nodes, {} ({}), {}",
        built.genesis.chain_id(),
        built.genesis.n(),
        built.genesis.fault_model,
        built.genesis.protocol,
        built.genesis.survives()
    ))?;
    Ok(say(format!(
        "start each with: quorate node --home {out}/node0"
    ))?)
}
