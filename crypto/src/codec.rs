//! The one encoding of wire and disk: bincode with fixed-size little-endian integers. No other
//! place names bincode.
//!
//! Decoding allocates in proportion to its input, whatever the lengths in it claim, consumes all
//! of it, and so is the inverse of encoding.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian, standard};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The longest encoding of anything, in bytes.
pub const LIMIT: usize = 64 << 20;

/// Bytes that are no encoding of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("undecodable: {0}")]
pub struct DecodeError(String);

const fn config<const N: usize>() -> Configuration<LittleEndian, Fixint, Limit<N>> {
    standard().with_fixed_int_encoding().with_limit::<N>()
}

/// Encodes a value of ours.
///
/// # Panics
/// If the value is longer than [`LIMIT`]: our own broken invariant, since all lengths are capped.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // bincode applies a limit to decoding only.
    let bytes = bincode::serde::encode_to_vec(value, config::<LIMIT>())
        .expect("our own values are encodable");
    assert!(bytes.len() <= LIMIT, "our own values are capped");
    bytes
}

/// Decodes a value, all of `bytes`.
///
/// # Errors
/// If the bytes are too long, too short, too many, or not of this type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    // The limit bounds what a length prefix can make bincode allocate before it sees that the
    // input is too short; a limit near the input's own length keeps that in proportion.
    let decoded = match bytes.len() {
        0..=0x400 => bincode::serde::decode_from_slice(bytes, config::<0x400>()),
        0x401..=0x4000 => bincode::serde::decode_from_slice(bytes, config::<0x4000>()),
        0x4001..=0x4_0000 => bincode::serde::decode_from_slice(bytes, config::<0x4_0000>()),
        0x4_0001..=0x40_0000 => bincode::serde::decode_from_slice(bytes, config::<0x40_0000>()),
        0x40_0001..=LIMIT => bincode::serde::decode_from_slice(bytes, config::<LIMIT>()),
        _ => {
            return Err(DecodeError(format!(
                "{} bytes, more than {LIMIT}",
                bytes.len()
            )));
        }
    };
    match decoded {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(DecodeError(format!(
            "{} bytes too many",
            bytes.len() - used
        ))),
        Err(error) => Err(DecodeError(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
