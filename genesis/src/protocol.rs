//! Which protocol orders, and whether clients sign.

use crate::error::Fault;
use crypto::FaultModel;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The protocol that orders. Its number is part of the chain id: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Chained HotStuff (byzantine).
    Hotstuff,
    /// PBFT (byzantine).
    Pbft,
    /// Raft (crash).
    Raft,
}

impl Protocol {
    /// The fault model that it is made for.
    #[must_use]
    pub fn fault_model(self) -> FaultModel {
        match self {
            Protocol::Hotstuff | Protocol::Pbft => FaultModel::Byzantine,
            Protocol::Raft => FaultModel::Crash,
        }
    }

    /// Its name in files, flags and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Hotstuff => "hotstuff",
            Protocol::Pbft => "pbft",
            Protocol::Raft => "raft",
        }
    }

    /// Completes what the user gave: `byzantine` means hotstuff, `crash` means raft, nothing means
    /// byzantine.
    ///
    /// # Errors
    /// A sentence, if the two contradict each other.
    pub fn choose(
        model: Option<FaultModel>,
        protocol: Option<Protocol>,
    ) -> Result<(FaultModel, Protocol), String> {
        let pair = match (model, protocol) {
            (None | Some(FaultModel::Byzantine), None) => {
                (FaultModel::Byzantine, Protocol::Hotstuff)
            }
            (Some(FaultModel::Crash), None) => (FaultModel::Crash, Protocol::Raft),
            (None, Some(protocol)) => (protocol.fault_model(), protocol),
            (Some(model), Some(protocol)) => (model, protocol),
        };
        contradiction(pair.0, pair.1).map_or(Ok(pair), |fault| {
            Err(format!(
                "protocol {}: {}; {}",
                pair.1, fault.problem, fault.remedy
            ))
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether clients sign their transactions. Its number is part of the chain id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They do.
    #[default]
    Signed,
    /// They do not: only where nodes are trusted (`crash`).
    None,
}

pub(crate) fn contradiction(model: FaultModel, protocol: Protocol) -> Option<Fault> {
    if protocol.fault_model() == model {
        return None;
    }
    let problem = match model {
        FaultModel::Byzantine => {
            "raft believes every node, so it cannot survive one that lies (byzantine)".to_owned()
        }
        FaultModel::Crash => {
            format!("{protocol} pays for surviving nodes that lie, which crash rules out")
        }
    };
    let remedy = match model {
        FaultModel::Byzantine => "choose hotstuff or pbft, or the fault model crash",
        FaultModel::Crash => "choose raft, or the fault model byzantine",
    };
    Some(Fault::new("protocol", problem, remedy))
}
