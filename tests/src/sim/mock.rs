//! A cheap signature scheme for the simulator: whoever holds the secret key's object can sign, and
//! nobody in the simulator forges. It signs the same digests as Ed25519.

use crypto::scheme::Claim;
use crypto::{Digest, Hasher, PublicKey, Scheme, SecretKey, Signature};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

/// The scheme.
#[derive(Clone, Copy, Debug, Default)]
pub struct MockScheme;

fn tag(key: &PublicKey, digest: &Digest) -> Signature {
    let half = Hasher::new("quorate/sim/signature")
        .digest(&Digest(key.0))
        .digest(digest)
        .finish();
    // Never all zero: `Signature::NONE` must not verify.
    let mut bytes = [1; 64];
    bytes[..32].copy_from_slice(&half.0);
    Signature(bytes)
}

impl Scheme for MockScheme {
    fn sign(&self, key: &SecretKey, digest: &Digest) -> Signature {
        tag(&key.public(), digest)
    }
    fn verify(&self, claims: &[Claim]) -> Vec<bool> {
        let valid = |(key, digest, signature): &Claim| *signature == tag(key, digest);
        claims.iter().map(valid).collect()
    }
}

/// Named keys: deriving one costs as much as a thousand events, so each is derived once a process.
#[must_use]
pub fn key(role: &'static str, number: u64) -> Arc<SecretKey> {
    type Keys = Mutex<BTreeMap<(&'static str, u64), Arc<SecretKey>>>;
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let mut keys = KEYS
        .get_or_init(Keys::default)
        .lock()
        .expect("nobody panics while holding it");
    let make = || {
        let seed = Hasher::new("quorate/sim/key")
            .bytes(role.as_bytes())
            .number(number)
            .finish();
        Arc::new(SecretKey::from_seed(&seed.0))
    };
    Arc::clone(keys.entry((role, number)).or_insert_with(make))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_and_digest_verify() {
        let (one, two) = (key("validator", 0), key("validator", 1));
        let (a, b) = (Digest([1; 32]), Digest([2; 32]));
        let signature = MockScheme.sign(&one, &a);
        let claims = [
            (one.public(), a, signature),
            (one.public(), b, signature),
            (two.public(), a, signature),
            (one.public(), a, Signature::NONE),
        ];
        assert_eq!(MockScheme.verify(&claims), [true, false, false, false]);
    }
}
