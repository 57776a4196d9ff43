//! What clients ask, and what they are told.

use crate::world::{World, fresh_session, get, put};
use bytes::Bytes;
use crypto::{ChainId, Digest, Height, SecretKey, Signature, Transaction};
use quorate::client::Client;
use quorate::rpc::proto::{Consistency, Wait};
use storage::{Operation, Request};

async fn every_node_shows_what_any_took(nodes: usize) {
    let world = World::start(nodes).await;
    for writer in 0..nodes {
        let client = world.client(&[writer]);
        let mut session = fresh_session(&client).await;
        let key = format!("from {writer}");
        put(&client, &mut session, &key, "here").await.unwrap();
        for reader in (0..nodes).filter(|node| *node != writer) {
            let client = world.client(&[reader]);
            let found = get(&client, &key, Consistency::Linearizable).await;
            assert_eq!(
                found.as_deref(),
                Some("here"),
                "node{reader} on the write to node{writer}"
            );
        }
    }
    world.agrees(&(0..nodes).collect::<Vec<_>>()).await;
    world.end().await;
}

#[tokio::test]
async fn what_one_of_four_took_all_show() {
    every_node_shows_what_any_took(4).await;
}

#[tokio::test]
async fn what_one_of_seven_took_all_show() {
    every_node_shows_what_any_took(7).await;
}

fn body(value: &str) -> Bytes {
    let operation = Operation::Put {
        key: "k".into(),
        value: value.to_owned().into(),
    };
    Request::all(vec![operation]).encode()
}

/// A client who signs whatever he likes.
struct Hand {
    key: SecretKey,
    chain: ChainId,
}

impl Hand {
    async fn new(client: &Client, seed: u8) -> Self {
        let key = SecretKey::from_seed(&[seed; 32]);
        let session = client.next_sequence(key.public()).await.unwrap();
        assert_eq!(session.next_sequence, 1);
        let chain: [u8; 32] = session.chain[..].try_into().unwrap();
        Self {
            key,
            chain: ChainId(Digest(chain)),
        }
    }

    fn sign(&self, sequence: u64, expires: u64, body: Bytes) -> Transaction {
        let mut transaction = Transaction {
            format: crypto::transaction::FORMAT,
            chain: self.chain,
            client: self.key.public(),
            sequence,
            expires: Height(expires),
            body,
            signature: Signature::NONE,
        };
        transaction.signature = self.key.sign(&transaction.digest());
        transaction
    }
}

/// The name of the status, and what it says.
async fn refused(client: &Client, transaction: &Transaction) -> (String, String) {
    let error = client.submit(transaction, Wait::Committed).await;
    let error = error.expect_err("was not refused");
    (format!("{:?}", error.code()), error.to_string())
}

#[tokio::test]
async fn a_transaction_takes_effect_once_wherever_it_is_sent() {
    let world = World::start(4).await;
    let client = world.client(&[0]);
    let hand = Hand::new(&client, 1).await;
    let transaction = hand.sign(1, 1000, body("once"));
    let first = client.submit(&transaction, Wait::Committed).await.unwrap();
    assert!(!first.repeated);
    for node in 0..4 {
        let other = world.client(&[node]);
        let again = other.submit(&transaction, Wait::Committed).await.unwrap();
        assert_eq!(
            (again.height, again.revision),
            (first.height, first.revision)
        );
        let stored = other.receipt(transaction.client, 1).await.unwrap();
        assert_eq!(
            (stored.height, stored.revision),
            (first.height, first.revision)
        );
    }
    let pair = client.get(b"k", Consistency::Linearizable).await.unwrap();
    assert_eq!(pair.unwrap().version, 1);
    world.end().await;
}

#[tokio::test]
async fn a_bad_transaction_is_told_what_is_wrong() {
    let world = World::start(4).await;
    let client = world.client(&[0]);
    let hand = Hand::new(&client, 1).await;
    client
        .submit(&hand.sign(1, 1000, body("a")), Wait::Committed)
        .await
        .unwrap();

    let mut forged = hand.sign(2, 1000, body("b"));
    forged.signature.0[3] ^= 1;
    let (code, message) = refused(&client, &forged).await;
    assert_eq!(code, "InvalidArgument");
    assert!(message.contains("transaction.signature"), "{message}");

    let mut foreign = hand.sign(2, 1000, body("b"));
    foreign.chain.0.0[0] ^= 1;
    let (code, message) = refused(&client, &foreign).await;
    assert_eq!(code, "InvalidArgument");
    assert!(message.contains("transaction.chain"), "{message}");

    let nonsense = hand.sign(2, 1000, Bytes::from_static(b"nonsense"));
    let (code, message) = refused(&client, &nonsense).await;
    assert_eq!(code, "InvalidArgument");
    assert!(message.contains("transaction.body"), "{message}");

    let long = hand.sign(2, 1000, vec![0; 3 << 19].into());
    assert_eq!(refused(&client, &long).await.0, "InvalidArgument");

    let (code, message) = refused(&client, &hand.sign(1, 1000, body("other"))).await;
    assert_eq!(code, "AlreadyExists");
    assert!(message.contains("sequence"), "{message}");

    let (code, _) = refused(&client, &hand.sign(2, 0, body("past"))).await;
    assert_eq!(code, "FailedPrecondition");
    let (code, _) = refused(&client, &hand.sign(2, u64::MAX, body("far"))).await;
    assert_eq!(code, "FailedPrecondition");
    world.end().await;
}
