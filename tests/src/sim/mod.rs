//! The simulator: n whole nodes on one thread in virtual time, over a network and disks that fail.
//!
//! A [`Scenario`] is drawn from a seed and says what a run is about; a [`World`] lets it happen; a
//! [`campaign`] runs many of them. The nodes are the machines that the program runs
//! ([`engine::Machine`]); only the runtime is replaced, and the signature scheme in most runs.

mod amnesia;
pub mod attack;
pub mod campaign;
mod chance;
mod client;
mod counters;
mod coup;
mod crash_point;
mod effects;
mod event;
mod expected;
mod faults;
pub mod history;
pub(crate) mod host;
mod hotstuff;
pub(crate) mod inspect;
pub mod mock;
mod network;
mod node;
mod pbft;
mod protocol;
mod puppeteer;
mod queue;
mod raft;
mod scenario;
pub mod shrink;
mod system;
mod talk;
mod trace;
mod watch;
mod world;

pub use chance::Chance;
pub use counters::{Counters, Sometimes};
pub use crash_point::{CrashPoint, Kind, Place, Victim};
pub use faults::{DiskFaults, DiskTimes, NetFaults, ProcessFaults};
pub use inspect::{Inspect, Inspected, Legible};
pub use mock::MockScheme;
pub use protocol::Protocol;
pub use scenario::Scenario;
pub use system::{Honest, Simulated, System, scheme};
pub use watch::Caught;
pub use world::{Outcome, World};
