//! Clusters of real processes under faults: the program itself, its sockets and its disk, and whatever
//! can be done to them from outside.
//!
//! A [`Lab`] is a testnet whose nodes reach each other only through [`Links`]: a proxy for each pair,
//! whose two byte streams fail independently. A round of a [`Campaign`] draws a [`Plan`] from its seed
//! (kill -9, SIGSTOP, links), carries it out while clients write, compare and read, heals everything,
//! and judges: all nodes serve again within a stated bound, nothing acknowledged is lost (S8), and what
//! the clients were told is linearizable (S9). Under an [`Attack`] some nodes lie all the time: then the
//! honest ones and their clients are judged. [`pauses`] plays what a pause did to others.

mod attack;
mod book;
mod clients;
mod failures;
mod lab;
mod links;
pub mod pauses;
mod plan;
mod proxy;
pub mod rounds;
mod told;
mod watch;

pub use attack::{Attack, Cast};
pub use book::Book;
pub use failures::Broken;
pub use lab::{Lab, Setup, own_address, program};
pub use links::Links;
pub use plan::Plan;
pub use proxy::Fault;
pub use rounds::{Campaign, Report};
pub use told::{Diary, Told};
pub use watch::{Caps, Most, Watch};
