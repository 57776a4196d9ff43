#![allow(clippy::unwrap_used)]
use super::*;
use crate::codec;

/// All points of small order in all their encodings, and bytes that are no point.
pub(crate) const WEAK: [&str; 11] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0200000000000000000000000000000000000000000000000000000000000000",
];

#[test]
fn weak_keys_are_refused() {
    for weak in WEAK {
        let bytes = hex::decode(weak).unwrap().try_into().unwrap();
        assert_eq!(
            PublicKey::checked(bytes),
            Err(Reject::BadSignature),
            "{weak}"
        );
    }
    let good = SecretKey::from_seed(&[1; 32]).public();
    assert_eq!(PublicKey::checked(good.0), Ok(good));
}

/// RFC 8032, section 7.1: the key of test 1, and a signature over 32 bytes that any other
/// implementation makes as well.
#[test]
fn keys_are_those_of_rfc_8032() {
    let seed =
        hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
    let key = SecretKey::from_seed(&seed.clone().try_into().unwrap());
    assert_eq!(
        key.public().to_string(),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(&key.seed()[..], &seed[..]);
    assert_eq!(
        key.sign(&Digest([1; 32])),
        key.sign(&Digest([1; 32])),
        "no chance in it"
    );
}

#[test]
fn secrets_are_not_printed() {
    let key = SecretKey::from_seed(&[0xab; 32]);
    assert!(!format!("{key:?}").contains("abab"));
}

#[test]
fn golden_bytes() {
    let signature = Signature(std::array::from_fn(|i| i as u8));
    let bytes = codec::encode(&signature);
    assert_eq!(bytes, signature.0);
    assert_eq!(codec::decode::<Signature>(&bytes).unwrap(), signature);
    assert_eq!(codec::encode(&PublicKey([3; 32])), [3; 32]);
}
