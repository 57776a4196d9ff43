//! Pool, batches, dissemination and availability, without I/O.
//!
//! A node gathers its own clients' transactions into batches and spreads them; every node stores
//! the batches of all; the leader orders them by digest, drawing from the authors in turn. A block
//! earns a vote only where all of its payload is held: what is missing is fetched first.
//!
//! Decoding, hashing and signature checks happen in [`Rules::admit`], outside; [`Mempool::step`]
//! only keeps the books.

mod admit;
mod authoring;
mod availability;
mod batches;
mod checks;
mod clients;
mod committed;
mod config;
mod handing;
mod input;
mod lateness;
mod loads;
mod mempool;
mod message;
mod ordering;
mod output;
mod pace;
mod questions;
mod served;
mod wants;
mod watch;

pub use admit::{CheckedMessage, CheckedTransaction, Rules, Validate};
pub use committed::Remembered;
pub use config::{Config, Dissemination};
pub use input::{Input, Recovered};
pub use mempool::Mempool;
pub use message::{LIST, Message};
pub use output::{Output, Refusal, Stats, To, Unfit};

#[cfg(test)]
mod tests;
