//! The whole node as one deterministic machine, without I/O.
