//! The node program: runtime, RPC and command line.

pub mod assemble;
pub mod cli;
pub mod client;
pub mod evidence;
pub mod handle;
#[cfg(test)]
mod hooked;
#[cfg(test)]
mod logged;
#[cfg(test)]
mod own_address;
pub mod rpc;
pub mod runtime;
