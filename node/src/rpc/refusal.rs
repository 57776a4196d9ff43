//! What a client is told when he gets no receipt: a status, and a sentence that says what to do.

use super::RETRY_AFTER;
use super::convert::invalid;
use crate::handle::RequestError;
use crypto::{Height, NodeSet, Reject, Time};
use engine::Refusal;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// When to try again if a node merely is not ready.
const SOON: Time = Time::millis(200);

/// The status of a request without an answer.
pub(super) fn status(error: RequestError) -> Status {
    match error {
        RequestError::Invalid(reject) => invalid(rejected(reject)),
        RequestError::Refused(refusal) => refused(refusal),
        RequestError::Deadline => Status::deadline_exceeded(
            "no outcome within the deadline: it is unknown; ask GetReceipt, or send the same \
             transaction again: it takes effect once",
        ),
    }
}

fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::SequenceUsed => sequence_used(),
        Refusal::Expired { height } => expired(height),
        Refusal::Full { retry_after, what } => later(
            Code::ResourceExhausted,
            format!("no room in {what}: try again in {} ms", millis(retry_after)),
            retry_after,
        ),
        Refusal::NoQuorum { missing } => later(
            Code::Unavailable,
            format!(
                "no quorum is in touch (missing: {}): start the missing nodes or mend the network",
                names(&missing)
            ),
            SOON,
        ),
        Refusal::NoLeader => later(
            Code::Unavailable,
            "no leader is known yet: try again".into(),
            SOON,
        ),
        Refusal::ShuttingDown => later(
            Code::Unavailable,
            "this node shuts down: ask another".into(),
            SOON,
        ),
        Refusal::Invalid(why) => invalid(why),
    }
}

/// ALREADY_EXISTS.
pub(super) fn sequence_used() -> Status {
    Status::already_exists(
        "transaction.sequence was used by a different transaction: ask Session for the next one \
         and sign anew",
    )
}

/// FAILED_PRECONDITION.
pub(super) fn expired(height: Height) -> Status {
    Status::failed_precondition(format!(
        "transaction.expires is past, or too far ahead: the height is {height}; sign anew with an \
         expiry above it and within the chain's lifetime"
    ))
}

/// The field that a rejected transaction got wrong.
fn rejected(reject: Reject) -> String {
    let known = crypto::transaction::FORMAT;
    match reject {
        Reject::Malformed => format!("transaction.format must be {known}"),
        Reject::WrongContext => {
            "transaction.chain is another chain's: ask Session for this one's".into()
        }
        Reject::BadSignature => "transaction.signature is not the client's over this transaction, \
                                 or transaction.client is a weak key"
            .into(),
        Reject::BadPayload | Reject::TooLong | Reject::Undecodable => {
            "transaction.body is no list of operations within the chain's limits".into()
        }
        other => format!("transaction: {other}"),
    }
}

/// A status that names the time to try again.
pub(super) fn later(code: Code, message: String, after: Time) -> Status {
    let mut status = Status::new(code, message);
    status
        .metadata_mut()
        .insert(RETRY_AFTER, MetadataValue::from(millis(after)));
    status
}

/// The time to try again that a status names, in milliseconds; 0 if none.
pub(super) fn retry_after(status: &Status) -> u64 {
    let value = status.metadata().get(RETRY_AFTER);
    value
        .and_then(|v| v.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

fn millis(time: Time) -> u64 {
    time.0.div_ceil(1_000_000)
}

/// `node 1, node 3`.
pub(super) fn names(nodes: &NodeSet) -> String {
    let list: Vec<_> = nodes.iter().map(|node| format!("node {node}")).collect();
    list.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crypto::NodeId;

    #[test]
    fn every_refusal_is_the_status_of_the_interface() {
        let missing = [NodeId(1), NodeId(3)].into_iter().collect();
        let full = Refusal::Full {
            retry_after: Time::millis(50),
            what: "transactions in the pool",
        };
        let expired = Refusal::Expired { height: Height(7) };
        let cases = [
            (Refusal::SequenceUsed, Code::AlreadyExists, "Session"),
            (expired, Code::FailedPrecondition, "height is 7"),
            (full, Code::ResourceExhausted, "try again in 50 ms"),
            (
                Refusal::NoQuorum { missing },
                Code::Unavailable,
                "node 1, node 3",
            ),
            (Refusal::NoLeader, Code::Unavailable, "try again"),
            (Refusal::ShuttingDown, Code::Unavailable, "ask another"),
            (
                Refusal::Invalid("transaction.body: why".into()),
                Code::InvalidArgument,
                "transaction.body",
            ),
        ];
        for (refusal, code, says) in cases {
            let status = status(RequestError::Refused(refusal));
            assert_eq!(status.code(), code);
            assert!(status.message().contains(says), "{}", status.message());
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let status = status(RequestError::Refused(Refusal::Full {
            retry_after: Time(1_500_001),
            what: "requests",
        }));
        assert_eq!(retry_after(&status), 2);
    }

    #[test]
    fn a_passed_deadline_says_how_to_learn_the_outcome() {
        let status = status(RequestError::Deadline);
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(status.message().contains("GetReceipt"));
    }
}
