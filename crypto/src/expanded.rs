//! Public keys as points, remembered: to decompress a key costs a tenth of a signature check, and
//! the same clients and validators sign again and again.

use crate::PublicKey;
use ed25519_dalek::VerifyingKey;
use ed25519_zebra::VerificationKey;
use std::cell::RefCell;

/// How many keys each thread remembers: at most half a megabyte.
const SLOTS: usize = 1 << 10;

/// A key, decompressed for both libraries.
#[derive(Clone, Copy)]
pub(crate) struct Expanded {
    key: PublicKey,
    /// For batches.
    pub(crate) batch: VerifyingKey,
    /// For one alone.
    pub(crate) single: VerificationKey,
    /// Of small order: anybody can sign for it.
    pub(crate) weak: bool,
}

impl Expanded {
    fn of(key: PublicKey) -> Option<Self> {
        let batch = VerifyingKey::from_bytes(&key.0).ok()?;
        let single = VerificationKey::try_from(key.0).ok()?;
        Some(Self {
            key,
            batch,
            single,
            weak: batch.is_weak(),
        })
    }
}

thread_local! {
    /// Each key has one place, where it replaces what was there. What is answered does not depend
    /// on what is remembered.
    static KNOWN: RefCell<Box<[Option<Box<Expanded>>]>> =
        RefCell::new((0..SLOTS).map(|_| None).collect());
}

/// The points of a key; `None` if its bytes are none.
pub(crate) fn expand(key: &PublicKey) -> Option<Expanded> {
    let place = usize::from(u16::from_le_bytes([key.0[0], key.0[1]])) % SLOTS;
    KNOWN.with_borrow_mut(|known| {
        if let Some(expanded) = &known[place]
            && expanded.key == *key
        {
            return Some(**expanded);
        }
        let expanded = Expanded::of(*key)?;
        known[place] = Some(Box::new(expanded));
        Some(expanded)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::SecretKey;

    #[test]
    fn keys_that_share_a_place_are_told_apart() {
        let keys: Vec<PublicKey> = (0..=255)
            .map(|i| SecretKey::from_seed(&[i; 32]).public())
            .collect();
        for _ in 0..2 {
            for key in keys.iter().map(|key| {
                let mut other = key.0;
                other[31] ^= 0x80;
                [*key, PublicKey(other)]
            }) {
                for key in key {
                    if let Some(expanded) = expand(&key) {
                        assert_eq!(expanded.batch.to_bytes(), key.0);
                        assert_eq!(<[u8; 32]>::from(expanded.single), key.0);
                    } else {
                        assert!(VerifyingKey::from_bytes(&key.0).is_err());
                    }
                }
            }
        }
    }
}
