//! The language of a transaction's body: if all compares hold then these operations, else those.

use super::{Limits, Span};
use bytes::Bytes;
use crypto::codec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// How two values must relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// Equal.
    Equal,
    /// Different.
    Different,
    /// The stored one is less.
    Less,
    /// The stored one is greater.
    Greater,
}

impl Relation {
    /// Whether `stored` relates so to `given`.
    #[must_use]
    pub fn holds<T: Ord + ?Sized>(self, stored: &T, given: &T) -> bool {
        match self {
            Relation::Equal => stored == given,
            Relation::Different => stored != given,
            Relation::Less => stored < given,
            Relation::Greater => stored > given,
        }
    }
}

/// What is compared. The numbers of a key that does not exist are 0; a compare with its value never
/// holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// Whether there is such a key.
    Exists(bool),
    /// The value.
    Value(Relation, Bytes),
    /// The revision that created the key.
    Created(Relation, u64),
    /// The revision that wrote it last.
    Modified(Relation, u64),
    /// How often it was written since it was created.
    Version(Relation, u64),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// About which key.
    pub key: Bytes,
    /// What must hold.
    pub test: Test,
}

/// One operation. Operations of a transaction see what those before them did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Writes a value.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Reads, in order of keys.
    Range {
        /// Which keys.
        span: Span,
        /// Most pairs; 0: as many as the limits allow.
        limit: u32,
        /// At which revision; 0: now.
        revision: u64,
    },
}

/// The body of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// All must hold, before any operation, for `then`.
    pub compares: Vec<Compare>,
    /// Done if they do.
    pub then: Vec<Operation>,
    /// Done if they do not.
    pub otherwise: Vec<Operation>,
}

/// Why a body is none. Says which field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// Too long in all.
    #[error("body is {0} bytes; at most {1} are allowed")]
    Body(usize, usize),
    /// No encoding of a request.
    #[error("body does not decode: {0}")]
    Undecodable(String),
    /// Nothing to do.
    #[error("body has no operations")]
    Empty,
    /// Too many parts.
    #[error("body has {0} compares and operations; at most {1} are allowed")]
    Operations(usize, usize),
    /// A key that is empty or too long.
    #[error("{0}: the key is {1} bytes; 1 to {2} are allowed")]
    Key(String, usize, usize),
    /// A value that is too long.
    #[error("{0}: the value is {1} bytes; at most {2} are allowed")]
    Value(String, usize, usize),
    /// A range that holds nothing by construction.
    #[error("{0}: the range ends before it begins")]
    Range(String),
    /// Two writes of one key in one branch: its version at that revision would be ambiguous.
    #[error("{0}: the key is written twice in this branch")]
    Twice(String),
}

impl Request {
    /// Does these, unconditionally.
    #[must_use]
    pub fn all(operations: Vec<Operation>) -> Self {
        Self {
            then: operations,
            ..Self::default()
        }
    }
    /// Its encoding: a transaction's body.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }
    /// Checks every limit.
    ///
    /// # Errors
    /// The first thing found wrong, with its place, for instance `then[3]`.
    pub fn check(&self, limits: &Limits) -> Result<(), BadRequest> {
        let count = self.compares.len() + self.then.len() + self.otherwise.len();
        if self.then.is_empty() && self.otherwise.is_empty() {
            return Err(BadRequest::Empty);
        }
        if count > limits.operations {
            return Err(BadRequest::Operations(count, limits.operations));
        }
        for (i, compare) in self.compares.iter().enumerate() {
            let place = Place("compares", i);
            place.key(&compare.key, limits)?;
            if let Test::Value(_, value) = &compare.test {
                place.value(value, limits)?;
            }
        }
        check_branch("then", &self.then, limits)?;
        check_branch("otherwise", &self.otherwise, limits)
    }
}

/// Decodes and checks a body. It depends on the bytes and the limits only, never on state.
///
/// # Errors
/// See [`BadRequest`].
pub fn validate(body: &[u8], limits: &Limits) -> Result<Request, BadRequest> {
    if body.len() > limits.body_bytes {
        return Err(BadRequest::Body(body.len(), limits.body_bytes));
    }
    let request: Request =
        codec::decode(body).map_err(|error| BadRequest::Undecodable(error.to_string()))?;
    request.check(limits)?;
    Ok(request)
}

fn check_branch(name: &'static str, list: &[Operation], limits: &Limits) -> Result<(), BadRequest> {
    let mut written = BTreeSet::new();
    for (i, operation) in list.iter().enumerate() {
        let place = Place(name, i);
        match operation {
            Operation::Put { key, value } => {
                place.key(key, limits)?;
                place.value(value, limits)?;
                place.once(key, &mut written)?;
            }
            Operation::Delete { key } => {
                place.key(key, limits)?;
                place.once(key, &mut written)?;
            }
            Operation::Range { span, .. } => place.span(span, limits)?,
        }
    }
    Ok(())
}

/// Where in the request.
#[derive(Clone, Copy)]
struct Place(&'static str, usize);

impl Place {
    fn name(self) -> String {
        format!("{}[{}]", self.0, self.1)
    }
    fn key(self, key: &[u8], limits: &Limits) -> Result<(), BadRequest> {
        if key.is_empty() || key.len() > limits.key_bytes {
            return Err(BadRequest::Key(self.name(), key.len(), limits.key_bytes));
        }
        Ok(())
    }
    fn value(self, value: &[u8], limits: &Limits) -> Result<(), BadRequest> {
        if value.len() > limits.value_bytes {
            return Err(BadRequest::Value(
                self.name(),
                value.len(),
                limits.value_bytes,
            ));
        }
        Ok(())
    }
    fn once<'a>(self, key: &'a [u8], written: &mut BTreeSet<&'a [u8]>) -> Result<(), BadRequest> {
        if written.insert(key) {
            Ok(())
        } else {
            Err(BadRequest::Twice(self.name()))
        }
    }
    /// A span may begin at the empty key, unless it is that key alone. Its bounds need not be keys that
    /// may be written: the first one behind the longest key is a byte longer.
    fn span(self, span: &Span, limits: &Limits) -> Result<(), BadRequest> {
        use super::End;
        match &span.end {
            End::Only => return self.key(&span.key, limits),
            End::Before(end) if *end <= span.key => return Err(BadRequest::Range(self.name())),
            End::Before(end) if end.len() > limits.bound_bytes() => {
                let most = limits.bound_bytes();
                return Err(BadRequest::Key(self.name(), end.len(), most));
            }
            End::Before(_) | End::Prefix | End::Unbounded => {}
        }
        let (bytes, most) = (span.key.len(), limits.bound_bytes());
        if bytes > most {
            return Err(BadRequest::Key(self.name(), bytes, most));
        }
        Ok(())
    }
}
