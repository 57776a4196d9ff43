//! The first frame of every stream: read before anything is known of who sends it.

use super::Found;
use crypto::{ChainId, codec};
use quorate::runtime::network::hello::{Hello, MAX_HELLO, Mismatch, WIRE_VERSION};

/// What this node says.
fn ours() -> Hello {
    Hello {
        wire: WIRE_VERSION,
        chain: ChainId::default(),
        protocol: "hotstuff".into(),
        build: "0.1.0".into(),
    }
}

/// Reads a hello.
#[must_use]
pub fn check(data: &[u8]) -> Found {
    let ours = ours();
    let read = codec::decode::<Hello>(data).ok();
    let read = read.filter(|_| data.len() <= MAX_HELLO);
    match ours.check(data) {
        Ok(theirs) => {
            assert_eq!(Some(&theirs), read.as_ref());
            let same = (theirs.wire, theirs.chain, &theirs.protocol);
            assert_eq!(same, (ours.wire, ours.chain, &ours.protocol));
        }
        Err(Mismatch::NoHello) => assert_eq!(read, None),
        Err(mismatch) => assert!(!mismatch.to_string().is_empty() && read.is_some()),
    }
    // What is said again is cut, and can be read.
    let Some(theirs) = read else {
        return Vec::new();
    };
    let said = theirs.encode();
    assert!(said.len() <= MAX_HELLO);
    assert!(codec::decode::<Hello>(&said).is_ok());
    vec![match ours.check(data) {
        Ok(_) => "fits",
        Err(_) => "does not fit",
    }]
}

/// Hellos that go together with ours, or do not.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let with = |change: fn(&mut Hello)| {
        let mut hello = ours();
        change(&mut hello);
        codec::encode(&hello)
    };
    vec![
        with(|_| {}),
        with(|it| it.wire += 1),
        with(|it| it.chain = ChainId(crypto::Digest([1; 32]))),
        with(|it| it.protocol = "raft".into()),
        with(|it| it.build = "x".repeat(400)),
    ]
}
