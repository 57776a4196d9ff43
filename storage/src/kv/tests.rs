#![allow(clippy::unwrap_used)]

use super::range::pair;
use super::rows::{Head, Version, history_key, history_parts, history_prefix};
use super::*;
use crate::{Memory, Read as _, Scan, Store as _, Table, WriteBatch};
use bytes::Bytes;
use proptest::prelude::*;

fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Operation {
    Operation::Put {
        key: key.into(),
        value: value.into(),
    }
}

fn range(key: &'static str, end: End) -> Operation {
    Operation::Range {
        span: Span {
            key: key.into(),
            end,
        },
        limit: 0,
        revision: 0,
    }
}

fn refused(request: Request) -> String {
    let limits = Limits {
        key_bytes: 8,
        value_bytes: 16,
        operations: 4,
        ..Limits::default()
    };
    validate(&request.encode(), &limits)
        .expect_err("it breaks a limit")
        .to_string()
}

#[test]
fn a_bad_request_is_told_which_field() {
    assert_eq!(refused(Request::default()), "body has no operations");
    assert!(refused(Request::all(vec![put("", "v")])).starts_with("then[0]: the key is 0 bytes"));
    let long = Request {
        then: vec![range("a", End::Only), put("123456789", "v")],
        ..Request::default()
    };
    assert!(refused(long).starts_with("then[1]: the key is 9 bytes"));
    let value = Request {
        otherwise: vec![put("k", vec![0; 17])],
        ..Request::default()
    };
    assert!(refused(value).starts_with("otherwise[0]: the value is 17 bytes"));
    let compare = Compare {
        key: "k".into(),
        test: Test::Value(Relation::Equal, vec![0; 17].into()),
    };
    let compares = Request {
        compares: vec![compare],
        then: vec![put("k", "v")],
        ..Request::default()
    };
    assert!(refused(compares).starts_with("compares[0]: the value is 17 bytes"));
    let twice = vec![put("k", "1"), Operation::Delete { key: "k".into() }];
    assert!(refused(Request::all(twice)).starts_with("then[1]: the key is written twice"));
    let backwards = Request::all(vec![range("b", End::Before("b".into()))]);
    assert!(refused(backwards).starts_with("then[0]: the range ends before it begins"));
    let many = (0..5).map(|i| put(format!("k{i}"), "v")).collect();
    assert!(refused(Request::all(many)).starts_with("body has 5 compares and operations"));
    assert!(refused(Request::all(vec![range("", End::Only)])).starts_with("then[0]: the key is 0"));
}

#[test]
fn the_same_key_in_both_branches_is_fine_and_so_is_the_empty_prefix() {
    let request = Request {
        then: vec![put("k", "1"), range("", End::Prefix)],
        otherwise: vec![put("k", "2"), range("", End::Unbounded)],
        ..Request::default()
    };
    assert_eq!(
        validate(&request.encode(), &Limits::default()).unwrap(),
        request
    );
}

#[test]
fn a_body_that_is_too_long_is_not_even_decoded() {
    let limits = Limits {
        body_bytes: 64,
        ..Limits::default()
    };
    assert_eq!(
        validate(&[0xFF; 65], &limits),
        Err(BadRequest::Body(65, 64))
    );
}

#[test]
fn golden_request() {
    let request = Request {
        compares: vec![Compare {
            key: "a".into(),
            test: Test::Version(Relation::Greater, 5),
        }],
        then: vec![put("b", "cd"), range("e", End::Before("f".into()))],
        otherwise: vec![Operation::Delete { key: "g".into() }],
    };
    let one = "0100000000000000";
    let parts = [
        one,
        one,
        "61",
        "04000000",
        "03000000",
        "0500000000000000", // a compare
        "0200000000000000", // two operations
        "00000000",
        one,
        "62",
        "0200000000000000",
        "6364", // put
        "02000000",
        one,
        "65",
        "02000000",
        one,
        "66",
        "00000000",
        "0000000000000000", // range
        one,
        "01000000",
        one,
        "67", // delete
    ];
    let hex: String = request
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, parts.concat());
}

#[test]
fn default_limits_are_sound_and_every_bad_one_is_named() {
    Limits::default().check().unwrap();
    let bad = Limits {
        window: 0,
        ..Limits::default()
    }
    .check()
    .unwrap_err();
    assert_eq!(bad.to_string(), "window is 0; it must be from 1 to 65536");
}

#[test]
fn reading_an_old_revision_below_many_versions_takes_few_rows() {
    let store = Memory::state();
    let mut batch = WriteBatch::new();
    for (key, versions) in [("a", 5_000), ("b", 1)] {
        for version in 1..=versions {
            let value = version.to_string();
            batch.put(
                Table::History,
                history_key(key.as_bytes(), version),
                Version::encode_put(1, version, value.as_bytes()),
            );
        }
    }
    store.write(batch).unwrap();
    for revision in [1, 2, 2_500, 5_000] {
        let mut budget = Budget::new(&Limits::default());
        let found = super::range::range(&store, &Span::prefix(""), revision, &mut budget).unwrap();
        let more = found.more;
        let found: Vec<_> = found
            .pairs
            .iter()
            .map(|pair| (&pair.key[..], pair.modified))
            .collect();
        assert_eq!(found, [(&b"a"[..], revision), (b"b", 1)]);
        assert!(!more);
    }
}

#[test]
fn a_head_without_its_value_is_damage() {
    let store = Memory::state();
    let head = Head {
        created: 1,
        modified: 1,
        version: 1,
    };
    assert!(pair(&store, &Bytes::from_static(b"k"), head).is_err());
    assert!(Head::decode(&[0; 23]).is_err());
    for row in [&b""[..], &[0, 0], &[1; 16], &[2; 20]] {
        assert!(Version::decode(&Bytes::copy_from_slice(row)).is_err());
    }
}

#[test]
fn no_prefix_of_only_the_last_byte_has_an_end() {
    assert_eq!(Span::prefix(vec![0xFF, 0xFF]).until(), None);
    assert_eq!(
        Span::prefix(vec![1, 0xFF]).until(),
        Some(Bytes::from_static(&[2]))
    );
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(
        prop_oneof![Just(0u8), Just(1), Just(0xFE), Just(0xFF), any::<u8>()],
        0..6,
    )
}

proptest! {
    #[test]
    fn history_keys_lie_in_order_of_keys_newest_first(a in bytes(), b in bytes(), r in 1..9u64, s in 1..9u64) {
        let expected = a.cmp(&b).then(s.cmp(&r));
        prop_assert_eq!(history_key(&a, r).cmp(&history_key(&b, s)), expected);
        prop_assert_eq!(history_parts(&history_key(&a, r)).unwrap(), (a.clone(), r));
        prop_assert!(history_prefix(&a)[..] < history_key(&a, u64::MAX)[..]);
    }

    #[test]
    fn history_parts_never_panics(row in bytes()) {
        if let Ok((key, revision)) = history_parts(&row) {
            prop_assert_eq!(&history_key(&key, revision)[..], &row[..]);
        }
    }

    #[test]
    fn a_span_holds_what_it_contains(key in bytes(), end in bytes(), which in 0..4u8, probe in bytes()) {
        let end = match which {
            0 => End::Only,
            1 => End::Prefix,
            2 => End::Before(end.into()),
            _ => End::Unbounded,
        };
        let span = Span { key: key.into(), end };
        let below = span.until().is_none_or(|until| probe[..] < until[..]);
        prop_assert_eq!(span.contains(&probe), probe[..] >= span.key[..] && below);
    }

    /// Whatever a client sends is refused or understood, and then means the same again.
    #[test]
    fn validation_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = validate(&body, &Limits::default()) {
            prop_assert_eq!(&request.encode()[..], &body[..]);
        }
    }

    /// An overlay reads as if its writes were in the store.
    #[test]
    fn an_overlay_reads_like_the_store_after_the_write(
        base in proptest::collection::vec((0..20u8, any::<u8>()), 0..30),
        over in proptest::collection::vec((0..20u8, proptest::option::of(any::<u8>())), 0..30),
        from in 0..20u8, until in proptest::option::of(0..22u8), rows in 0..9usize, bytes in 0..20usize,
    ) {
        let store = Memory::state();
        let mut batch = WriteBatch::new();
        for (key, value) in base {
            batch.put(Table::Key, vec![key], vec![value]);
        }
        store.write(batch).unwrap();
        let after = store.from_image({ store.flush(true).unwrap(); store.image() });
        let mut overlay = Overlay::new(&store);
        for (key, value) in over {
            match value {
                Some(value) => overlay.put(Table::Key, vec![key].into(), vec![value].into()),
                None => overlay.delete(Table::Key, vec![key].into()),
            }
        }
        let scan = Scan::range(vec![from], until.map(|key| vec![key].into())).rows(rows).bytes(bytes);
        let merged = overlay.scan(Table::Key, &scan).unwrap();
        let each: Vec<_> = (0..22).map(|key| overlay.get(Table::Key, &[key]).unwrap()).collect();
        after.write(overlay.into_layer().first(usize::MAX)).unwrap();
        prop_assert_eq!(merged, after.scan(Table::Key, &scan).unwrap());
        for (key, value) in (0..22).zip(each) {
            prop_assert_eq!(value, after.get(Table::Key, &[key]).unwrap());
        }
    }
}
