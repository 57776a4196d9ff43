//! Why an input of a peer was refused: typed, so that it can be counted.

use thiserror::Error;

/// A peer's fault, or a message that comes too late or too early. Counted by name, logged now and
/// then, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Reject {
    /// Longer than any honest message.
    #[error("frame is longer than the limit")]
    TooLong,
    /// Bytes that no honest node makes.
    #[error("bytes do not decode")]
    Undecodable,
    /// Sent or signed by none of the validators.
    #[error("not a member of the validator set")]
    NotMember,
    /// Another chain or epoch.
    #[error("of another chain or epoch")]
    WrongContext,
    /// The sender is not who the message says made it.
    #[error("sender and author differ")]
    WrongSender,
    /// Older than what is of interest.
    #[error("too old")]
    TooOld,
    /// Further ahead than any honest node can be without a proof.
    #[error("too far ahead")]
    TooFar,
    /// Seen before.
    #[error("a duplicate")]
    Duplicate,
    /// A signature that does not verify.
    #[error("bad signature")]
    BadSignature,
    /// Fewer distinct members than a quorum, or signers and signatures that do not match.
    #[error("certificate is not one")]
    BadCertificate,
    /// A field that contradicts another.
    #[error("malformed")]
    Malformed,
    /// A leader's message from one who is not the leader.
    #[error("not the leader of that view")]
    NotLeader,
    /// A second statement that contradicts the first of the same signer.
    #[error("conflicts with an earlier statement of its signer")]
    Conflict,
    /// A cap or quota is used up.
    #[error("over its quota")]
    OverQuota,
    /// A payload that breaks a limit or holds an invalid transaction.
    #[error("payload is not valid")]
    BadPayload,
}

impl Reject {
    /// The name under which it is counted in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reject::TooLong => "too_long",
            Reject::Undecodable => "undecodable",
            Reject::NotMember => "not_member",
            Reject::WrongContext => "wrong_context",
            Reject::WrongSender => "wrong_sender",
            Reject::TooOld => "too_old",
            Reject::TooFar => "too_far",
            Reject::Duplicate => "duplicate",
            Reject::BadSignature => "bad_signature",
            Reject::BadCertificate => "bad_certificate",
            Reject::Malformed => "malformed",
            Reject::NotLeader => "not_leader",
            Reject::Conflict => "conflict",
            Reject::OverQuota => "over_quota",
            Reject::BadPayload => "bad_payload",
        }
    }
}
