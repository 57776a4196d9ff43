//! The node program: runtime, RPC and command line.

pub mod client;
pub mod rpc;
