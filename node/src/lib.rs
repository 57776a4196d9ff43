//! The node program: runtime, RPC and command line.
