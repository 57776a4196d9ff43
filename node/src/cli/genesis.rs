//! `quorate genesis`: the files of a cluster's nodes, without running them.

use super::output::say;
use super::{Usage, cluster};
use anyhow::{Result, bail};
use crypto::FaultModel;
use genesis::{Genesis, Ports, Protocol, Testnet};
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

/// A fault model and a protocol that fit each other and exist.
pub(super) struct Choice(FaultModel, Protocol);

impl Choice {
    /// A testnet of this kind on loopback.
    pub(super) fn testnet(&self, ports: Vec<Ports>) -> Testnet {
        Testnet {
            fault_model: self.0,
            protocol: self.1,
            ..Testnet::new(ports)
        }
    }
}

impl Shape {
    /// So many nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.unwrap_or(NODES).into()
    }

    /// Completes what was given, and refuses what contradicts itself or is not built.
    pub(super) fn choose(&self) -> Result<Choice> {
        let model = self.fault_model.map(FaultModel::from);
        let protocol = self.protocol.map(Protocol::from);
        let (model, protocol) = Protocol::choose(model, protocol).map_err(Usage)?;
        if protocol == Protocol::Pbft {
            let why = "pbft is not built yet: use --protocol hotstuff";
            return Err(Usage(why.into()).into());
        }
        Ok(Choice(model, protocol))
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
        Ok(())
    }
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
    let built = testnet.build()?;
    cluster::create(&args.out, &built)?;
    if let Some(warning) = built.genesis.warning() {
        eprintln!("warning: {warning}");
    }
    let out = args.out.display();
    let quorums = built.genesis.quorums();
    say(format!(
        "chain {}: {} nodes, {} ({}), survives {}, quorum {}",
        built.genesis.chain_id(),
        quorums.n,
        built.genesis.fault_model,
        built.genesis.protocol,
        quorums.f,
        quorums.commit
    ))?;
    Ok(say(format!(
        "start each with: quorate node --home {out}/node0"
    ))?)
}
