//! The node program: runtime, RPC and command line.

pub mod client;
pub mod handle;
pub mod rpc;
pub mod runtime;
