//! Clients who ask for much.

use crate::world::{World, fresh_session, put};
use quorate::client::{Client, Outcome, SubmitStream};
use quorate::rpc::proto::Wait;
use std::time::Duration;
use storage::{Operation, Request};

/// How long a burst may take.
const SOON: Duration = Duration::from_secs(9);

/// What became of a burst of so many transactions of one client, sent without waiting.
async fn burst(world: &World, node: usize, count: u64) -> (u64, Vec<quorate::rpc::proto::Failure>) {
    let client = Client::new(&[world.cluster.rpc(node)], SOON).unwrap();
    let mut session = fresh_session(&client).await;
    let (sender, mut answers) = SubmitStream::of(&client).await.unwrap().split();
    for tag in 0..count {
        let operation = Operation::Put {
            key: format!("{tag}").into(),
            value: "x".into(),
        };
        let transaction = session.sign(Request::all(vec![operation]).encode());
        sender
            .submit(tag, &transaction, Wait::Committed)
            .await
            .unwrap();
    }
    let (mut done, mut failures) = (0, Vec::new());
    for _ in 0..count {
        match answers.next().await.unwrap().unwrap().1 {
            Outcome::Done(_) => done += 1,
            Outcome::Failed(failure) => failures.push(failure),
        }
    }
    (done, failures)
}

#[tokio::test]
async fn a_full_pool_says_so_at_once_and_when_to_come_back() {
    let configure = |node: usize, text: String| match node {
        0 => text.replace("per_client = 4096", "per_client = 2"),
        1 => text.replace("transactions = 65536", "transactions = 2"),
        2 => text.replace("requests = 16384", "requests = 2"),
        _ => text,
    };
    let world = World::start_with(4, configure).await;
    for node in 0..3 {
        let (done, failures) = burst(&world, node, 200).await;
        assert!(done >= 2, "node{node} took {done}");
        assert!(!failures.is_empty(), "node{node} took all");
        for failure in failures {
            assert_eq!(failure.code, 8, "RESOURCE_EXHAUSTED: {failure:?}");
            assert!(failure.retry_after_ms > 0, "{failure:?}");
            assert!(failure.message.contains("try again in"), "{failure:?}");
        }
        // Who comes back later is served.
        let client = world.client(&[node]);
        let mut session = fresh_session(&client).await;
        put(&client, &mut session, "later", "v").await.unwrap();
    }
    world.agrees(&[0, 1, 2, 3]).await;
    world.end().await;
}
