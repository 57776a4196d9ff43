#![allow(clippy::unwrap_used)]
use super::*;
use crate::{BatchRef, Certificate, Payload, Transaction};
use bytes::Bytes;
use proptest::prelude::*;

#[test]
fn numbers_are_fixed_and_little_endian() {
    assert_eq!(encode(&0x0102_0304u32), [4, 3, 2, 1]);
    assert_eq!(encode(&300u16), [44, 1]);
    assert_eq!(encode(&Some(7u8)), [1, 7]);
    assert_eq!(
        encode(&Bytes::from_static(b"ab")),
        [2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']
    );
    assert_eq!(encode("ab"), encode(&Bytes::from_static(b"ab")));
}

#[test]
fn all_input_is_consumed() {
    assert_eq!(decode::<u32>(&[1, 0, 0, 0]), Ok(1));
    let error = decode::<u32>(&[1, 0, 0, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("1 bytes too many"), "{error}");
    assert!(decode::<u32>(&[1, 0, 0]).is_err());
    assert!(decode::<u32>(&[]).is_err());
    assert_eq!(decode::<()>(&[]), Ok(()));
    assert!(decode::<()>(&[0]).is_err());
}

#[test]
fn no_number_has_a_second_encoding() {
    assert!(decode::<bool>(&[2]).is_err());
    assert!(decode::<Option<u8>>(&[2, 0]).is_err());
    assert!(
        decode::<Payload>(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err(),
        "an unknown tag"
    );
}

/// A length that claims more than a small multiple of the input is refused for what it claims,
/// which is before anything is set aside for it.
#[test]
fn hostile_lengths_are_refused_before_they_are_believed() {
    for length in [1u64 << 20, 1 << 30, 1 << 40, u64::MAX / 64, u64::MAX] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.resize(40, 0);
        let errors = [
            decode::<Bytes>(&bytes).unwrap_err(),
            decode::<String>(&bytes).unwrap_err(),
            decode::<Vec<u8>>(&bytes).unwrap_err(),
        ];
        for error in &errors[..2] {
            assert!(
                error.to_string().contains("LimitExceeded"),
                "{length}: {error}"
            );
        }
        assert!(decode::<Vec<BatchRef>>(&bytes).is_err());
        assert!(decode::<Vec<Vec<Vec<u8>>>>(&bytes).is_err());
        let mut certificate = vec![0; 16];
        certificate.extend(&bytes);
        assert!(decode::<Certificate>(&certificate).is_err());
        let mut payload = vec![1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        payload.extend(&bytes);
        assert!(decode::<Payload>(&payload).is_err());
    }
}

#[test]
fn lengths_at_each_step_of_the_limit_come_back() {
    let steps = [0usize, 0x400, 0x4000, 0x4_0000, 0x40_0000, LIMIT];
    for step in steps {
        for length in [
            step.saturating_sub(9),
            step.saturating_sub(8),
            step.saturating_sub(7),
            step,
            step + 1,
        ] {
            if length + 8 <= LIMIT {
                let value = Bytes::from(vec![5; length]);
                let bytes = encode(&value);
                assert_eq!(decode::<Bytes>(&bytes).unwrap(), value, "{length}");
            }
        }
    }
    let error = decode::<Bytes>(&vec![0; LIMIT + 1])
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than"), "{error}");
}

#[test]
#[should_panic(expected = "our own values are capped")]
fn a_value_of_ours_above_the_limit_is_our_own_fault() {
    let _ = encode(&Bytes::from(vec![0; LIMIT + 1]));
}

proptest! {
    /// Whatever the bytes: an error, or a value whose encoding they are.
    #[test]
    fn decoding_is_the_inverse_of_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(value) = decode::<Payload>(&bytes) {
            prop_assert_eq!(encode(&value), &bytes[..]);
        }
        if let Ok(value) = decode::<Transaction>(&bytes) {
            prop_assert_eq!(encode(&value), &bytes[..]);
        }
        if let Ok(value) = decode::<Certificate>(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
