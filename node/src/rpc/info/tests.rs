#![allow(clippy::unwrap_used)]

use super::*;
use bytes::Bytes;
use crypto::{Height, SecretKey, Signature};
use genesis::{Ports, Testnet};
use storage::{Operation, Request};
use tonic::Code;

/// A chain on which only the key of this seed may write.
fn info(clients: &[u8]) -> NodeInfo {
    let ports = Ports::series(7000, 4).unwrap();
    let built = Testnet::new(ports).build_from(&[1; 32]).unwrap();
    let mut spec = (*built.genesis).clone();
    spec.clients = clients.iter().map(|seed| key(*seed).public()).collect();
    let genesis = Genesis::new(spec).unwrap();
    NodeInfo::new(Arc::new(genesis), Rpc::default())
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn transaction(info: &NodeInfo, seed: u8, body: Bytes) -> Transaction {
    Transaction {
        format: crypto::transaction::FORMAT,
        chain: info.chain,
        client: key(seed).public(),
        sequence: 1,
        expires: Height(1),
        body,
        signature: Signature::NONE,
    }
}

fn body(value: usize) -> Bytes {
    let operation = Operation::Put {
        key: "k".into(),
        value: vec![0; value].into(),
    };
    Request::all(vec![operation]).encode()
}

#[test]
fn a_client_that_genesis_does_not_list_is_denied() {
    let info = info(&[7, 8]);
    assert!(info.admit(&transaction(&info, 7, body(1))).is_ok());
    let denied = info.admit(&transaction(&info, 9, body(1))).unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains(&key(9).public().to_string()));
}

#[test]
fn without_a_list_everybody_may_write() {
    let info = info(&[]);
    assert!(info.admit(&transaction(&info, 9, body(1))).is_ok());
}

#[test]
fn the_field_that_is_wrong_is_named() {
    let info = info(&[]);
    let mut foreign = transaction(&info, 1, body(1));
    foreign.chain = ChainId::default();
    let long = transaction(&info, 1, body(2 << 20));
    let value = transaction(&info, 1, body((1 << 20) + 1));
    let nonsense = transaction(&info, 1, Bytes::from_static(b"?"));
    for (transaction, says) in [
        (foreign, "transaction.chain"),
        (long, "bytes"),
        (value, "transaction.body: then[0]"),
        (nonsense, "transaction.body"),
    ] {
        let refused = info.admit(&transaction).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(says), "{}", refused.message());
    }
}
