//! Bytes of wire and disk in short.

use crate::Message;
use crypto::{Hasher, codec};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Enough of a digest to tell any two apart.
pub fn digest(bytes: &[u8]) -> String {
    Hasher::new("golden").bytes(bytes).finish().to_string()[..16].to_owned()
}

/// Name, length and digest of each message.
pub fn messages<M: Message>(all: &[M]) -> Vec<String> {
    let line = |message: &M| {
        let bytes = codec::encode(message);
        format!("{} {} {}", message.name(), bytes.len(), digest(&bytes))
    };
    all.iter().map(line).collect()
}

/// The bytes of something stored, which are read back as the same.
pub fn stored<T: Serialize + DeserializeOwned + PartialEq + Debug>(it: &T) -> Vec<u8> {
    let bytes = codec::encode(it);
    assert_eq!(&codec::decode::<T>(&bytes).unwrap(), it);
    bytes
}
