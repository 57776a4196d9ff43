//! What protocols have in common beside the contract: each takes from here what it needs. What is in
//! here knows no protocol, and no rule of a paper is in here.

pub mod barrier;
pub mod catch_up;
pub mod claims;
pub mod payload;
pub mod reads;
pub mod timers;

pub use barrier::{Barrier, Placed};
pub use catch_up::{ANSWER_BYTES, Brought, Fetching, Loads, Serving};
pub use claims::Claims;
pub use payload::{Held, Supply};
pub use timers::{Help, Patience};
