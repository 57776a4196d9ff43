//! What a client can be told.

use thiserror::Error;
use tonic::{Code, Status};

/// Why a call failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No endpoint, or one that is no URL.
    #[error("endpoint {0:?} is no URL: give one like http://127.0.0.1:7001")]
    BadEndpoint(String),
    /// The time is over. A write's outcome is unknown.
    #[error(
        "no answer in time ({last}): try again with a longer --timeout, or ask another --endpoint"
    )]
    Timeout {
        /// What the last attempt met.
        last: String,
    },
    /// The node refused, and would refuse again.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The node answered what the protocol does not allow.
    #[error("the node's answer makes no sense: {0}")]
    Nonsense(String),
}

impl ClientError {
    /// The gRPC status code, for scripts.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::BadEndpoint(_) => Code::InvalidArgument,
            Self::Timeout { .. } => Code::DeadlineExceeded,
            Self::Refused(status) => status.code(),
            Self::Nonsense(_) => Code::Internal,
        }
    }
}

/// A status in one line, with the cause that tonic hides in the error's sources.
#[must_use]
pub(crate) fn describe(status: &Status) -> String {
    let mut deepest = None;
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        deepest = Some(error.to_string());
        source = error.source();
    }
    match deepest {
        Some(cause) => cause,
        None => status.message().to_owned(),
    }
}
