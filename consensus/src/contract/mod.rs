//! What a protocol is: one deterministic machine, inputs in, outputs out.

mod config;
mod draft;
mod input;
mod output;
mod protocol;
mod record;

pub use config::{Config, LeaderSchedule, Timing};
pub use draft::{Draft, Signed, Unsigned};
pub use input::{Input, Loaded, ReadId, Refused, Ticket, Token};
pub use output::{Committed, Evidence, Output, Outputs, Retry, To};
pub use protocol::{Anchor, Message, Protocol, Status, Window};
pub use record::{Record, RecordKey, Selection};
