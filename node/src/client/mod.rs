//! The client of a cluster: sessions, signing, fail-over and retries, for the command line, the
//! benchmark and the tests.

mod endpoints;
mod error;
mod reader;
mod session;
mod stream;

pub use endpoints::Client;
pub use error::ClientError;
pub use reader::Reader;
pub use session::Session;
pub use stream::{Outcome, SubmitAnswers, SubmitSender, SubmitStream};
