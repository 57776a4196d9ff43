//! What clients ask, and what they are told.

use crate::world::{World, fresh_session, get, pbft, put, raft};
use bytes::Bytes;
use crypto::{ChainId, Digest, Height, SecretKey, Signature, Transaction};
use genesis::{ClientAuth, Testnet};
use quorate::client::Client;
use quorate::rpc::proto::{BlocksRequest, Consistency, Wait};
use std::time::Duration;
use storage::{Operation, Request};

async fn every_node_shows_what_any_took(world: World) {
    let nodes = world.cluster.n();
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
    world.agrees(&world.all()).await;
    world.end().await;
}

#[tokio::test]
async fn what_one_of_four_took_all_show() {
    every_node_shows_what_any_took(World::start(4).await).await;
}

#[tokio::test]
async fn what_one_of_seven_took_all_show() {
    every_node_shows_what_any_took(World::start(7).await).await;
}

#[tokio::test]
async fn what_one_of_four_took_all_show_under_pbft() {
    every_node_shows_what_any_took(World::of(pbft, 4).await).await;
}

#[tokio::test]
async fn what_one_of_three_took_all_show_under_raft() {
    every_node_shows_what_any_took(World::of(raft, 3).await).await;
}

#[tokio::test]
async fn what_one_of_five_took_all_show_under_raft() {
    let flexible = |ports| Testnet {
        commit_quorum: Some(2),
        election_quorum: Some(4),
        lease_drift: Some(10),
        ..raft(ports)
    };
    let world = World::of(flexible, 5).await;
    let (_, status) = world.http(0, "/status");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["quorum"], 2);
    assert_eq!(status["election_quorum"], 4);
    every_node_shows_what_any_took(world).await;
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
    takes_effect_once(World::start(4).await).await;
}

#[tokio::test]
async fn a_transaction_takes_effect_once_wherever_it_is_sent_under_raft() {
    takes_effect_once(World::of(raft, 3).await).await;
}

async fn takes_effect_once(world: World) {
    let client = world.client(&[0]);
    let hand = Hand::new(&client, 1).await;
    let transaction = hand.sign(1, 1000, body("once"));
    let first = client.submit(&transaction, Wait::Committed).await.unwrap();
    assert!(!first.repeated);
    for node in world.all() {
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

#[tokio::test]
async fn clients_sign_only_where_the_chain_wants_it() {
    let unsigned = |ports| Testnet {
        client_auth: ClientAuth::None,
        ..raft(ports)
    };
    let world = World::of(unsigned, 3).await;
    for node in world.all() {
        let client = world.client(&[node]);
        let mut session = fresh_session(&client).await;
        assert_eq!(session.sign(body("x")).signature, Signature::NONE);
        let mut session = fresh_session(&client).await;
        let key = format!("from {node}");
        put(&client, &mut session, &key, "here").await.unwrap();
        for reader in world.all() {
            let client = world.client(&[reader]);
            let found = get(&client, &key, Consistency::Linearizable).await;
            assert_eq!(found.as_deref(), Some("here"));
        }
    }
    world.agrees(&world.all()).await;
    world.end().await;

    let world = World::of(raft, 3).await;
    let client = world.client(&[0]);
    let mut bare = fresh_session(&client).await.sign(body("x"));
    assert_ne!(bare.signature, Signature::NONE);
    bare.signature = Signature::NONE;
    let (code, message) = refused(&client, &bare).await;
    assert_eq!(code, "InvalidArgument");
    assert!(message.contains("transaction.signature"), "{message}");
    world.end().await;
}

#[tokio::test]
async fn more_streams_of_blocks_than_one_connection_may_have_are_refused() {
    let world = World::start(4).await;
    let follow = BlocksRequest {
        from: 1,
        follow: true,
        batches: false,
    };
    let client = world.client_within(&[0], Duration::from_secs(5));
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(client.blocks(follow).await.unwrap());
    }
    let refusal = client.blocks(follow).await.unwrap_err().to_string();
    assert!(
        refusal.contains("8 streams of blocks are open on this connection"),
        "{refusal}"
    );
    world.client(&[0]).blocks(follow).await.unwrap();
    // Who leaves makes room.
    streams.pop();
    client.blocks(follow).await.unwrap();
    world.end().await;
}
