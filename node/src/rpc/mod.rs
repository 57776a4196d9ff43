//! What clients and operators reach: the gRPC ledger and the operator's HTTP.

mod accept;
mod account;
mod admin;
mod answers;
mod arrival;
mod blocks;
mod connection;
mod convert;
mod deadline;
mod departure;
mod held;
mod info;
mod ledger;
mod outbox;
mod outcome;
mod purse;
mod range;
mod refusal;
mod serve;
mod submission;

pub use info::NodeInfo;
pub use serve::{Listeners, ledger, serve};

/// The messages and services of `quorate.v1`, generated from `proto/quorate/v1/ledger.proto`.
pub mod proto {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("quorate.v1");
}

/// Metadata of a refusal that passes: after how many milliseconds to try again.
pub const RETRY_AFTER: &str = "retry-after-ms";
