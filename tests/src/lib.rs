//! The simulator and its checkers, and tests of real processes.
//!
//! [`sim`] runs whole engines over a simulated network and disks, every chance from one seed;
//! [`adversary`] holds the members that lie;
//! [`check`] judges what the nodes show to the outside. [`scenario`] plays scripts, [`twins`] all
//! schedules of members that run twice. `conformance` holds every protocol to the same work, crashes and
//! promises. `processes` does to real processes what can be done to them from outside, and `power` fails theirs.
//! Nothing here is used by a production crate.

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod adversary;
pub mod check;
#[cfg(test)]
mod conformance;
pub mod fuzz;
#[cfg(planted)]
pub mod mutants;
#[cfg(feature = "e2e")]
pub mod power;
#[cfg(feature = "e2e")]
pub mod processes;
pub mod puppeteer;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod twins;
