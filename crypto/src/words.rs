//! Byte arrays for serde, eight bytes at a time: fixed-int, little-endian bincode writes the same
//! bytes as for an array of bytes, with an eighth of the calls.

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};
use std::fmt;

/// Bytes of a word.
const WORD: usize = 8;

/// For `#[serde(with)]`.
pub fn serialize<const N: usize, S: Serializer>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    const { assert!(N.is_multiple_of(WORD), "whole words") };
    let mut tuple = serializer.serialize_tuple(N / WORD)?;
    for word in bytes.as_chunks::<WORD>().0 {
        tuple.serialize_element(&u64::from_le_bytes(*word))?;
    }
    tuple.end()
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    struct Words<const N: usize>;
    impl<'de, const N: usize> Visitor<'de> for Words<N> {
        type Value = [u8; N];
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
            let mut bytes = [0; N];
            for (i, word) in bytes.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
                let next: Option<u64> = seq.next_element()?;
                *word = next
                    .ok_or_else(|| A::Error::invalid_length(i, &self))?
                    .to_le_bytes();
            }
            Ok(bytes)
        }
    }
    deserializer.deserialize_tuple(N / WORD, Words::<N>)
}
