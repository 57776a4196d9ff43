//! What becomes of transactions, and whether those who ask are told.

use super::*;
use crate::rpc::proto::{
    StatusRequest, SubmitRequest, TaggedRequest, TaggedResponse, tagged_response::Outcome,
};
use futures::StreamExt as _;
use storage::{End, Span};

/// A request that reads the long value.
fn read(chain: ChainId, sequence: u64) -> SubmitRequest {
    let key = Bytes::from_static(b"key");
    let span = Span {
        key,
        end: End::Only,
    };
    submit(
        chain,
        sequence,
        Operation::Range {
            span,
            limit: 0,
            revision: 0,
        },
    )
}

fn delete(chain: ChainId, sequence: u64) -> SubmitRequest {
    let key = Bytes::from_static(b"key");
    submit(chain, sequence, Operation::Delete { key })
}

fn submit(chain: ChainId, sequence: u64, operation: Operation) -> SubmitRequest {
    let transaction = Transaction {
        body: storage::Request::all(vec![operation]).encode(),
        ..put(chain, sequence)
    };
    SubmitRequest {
        transaction: Some((&transaction).into()),
        ..SubmitRequest::default()
    }
}

/// Submits all on one stream, which stays open.
async fn stream(
    mut ledger: LedgerClient<Channel>,
    requests: Vec<SubmitRequest>,
) -> Streaming<TaggedResponse> {
    let tagged = requests.into_iter().zip(1..);
    let tagged = tagged.map(|(request, tag)| TaggedRequest {
        tag,
        request: Some(request),
    });
    let tagged: Vec<_> = tagged.collect();
    let open = futures::stream::iter(tagged).chain(futures::stream::pending());
    ledger.submit_stream(open).await.unwrap().into_inner()
}

/// That many outcomes, all of transactions that were done, and how many of them with their results.
async fn done(answers: &mut Streaming<TaggedResponse>, count: usize) -> usize {
    let mut whole = 0;
    for _ in 0..count {
        let next = timeout(PATIENCE, answers.message()).await.unwrap();
        match next.unwrap().unwrap().outcome.unwrap() {
            Outcome::Receipt(receipt) => {
                assert_eq!(receipt.results.is_empty(), receipt.results_dropped);
                whole += usize::from(!receipt.results_dropped);
            }
            Outcome::Failure(why) => panic!("after {whole}: {why:?}"),
        }
    }
    whole
}

/// All are answered in the end, and whatever was done is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_that_nobody_takes_hold_little_memory() {
    let server = server().await;
    let ledger = LedgerClient::new(narrow(&server.url).await);
    let reads = (1..=ASKED as u64).map(|it| read(server.chain, it));
    let before = resident();
    let mut answers = stream(ledger, reads.collect()).await;
    let held = held_more_than(before).await;
    assert!(held < MEMORY, "{} MiB for {ASKED} outcomes", held >> 20);
    let counted = server.answers.waiting();
    assert!(counted <= 16 << 20, "{counted} bytes");
    assert_eq!(done(&mut answers, ASKED).await, ASKED);
    // Trailers and all: nothing is counted for ever.
    drop(answers);
    until(&server, |waiting| waiting == 0).await;
    server.handle.shutdown().cancel();
}

/// A long one takes all the room that its connection has, and eight have all that the node has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_outcomes_that_nobody_takes_leave_room_for_short_ones() {
    let small = Caps {
        connection: VALUE / 2,
        node: 4 * VALUE,
        ..ENDLESS
    };
    let server = server_with(small).await;
    let mut asked = Vec::new();
    for sequence in 1..=8 {
        let ledger = LedgerClient::new(narrow(&server.url).await);
        asked.push(stream(ledger, vec![read(server.chain, sequence)]).await);
    }
    until(&server, |waiting| waiting == small.node).await;
    let mut ledger = honest(&server.url).await;
    for sequence in 1..=20 {
        let status = ledger.status(StatusRequest {}).await.unwrap();
        assert_eq!(status.into_inner().protocol, "toy");
        let receipt = ledger.submit(delete(server.chain, sequence)).await.unwrap();
        assert!(!receipt.into_inner().results_dropped);
    }
    let deletes = (1..=20).map(|it| delete(server.chain, 100 + it));
    let mut answers = stream(ledger, deletes.collect()).await;
    assert_eq!(done(&mut answers, 20).await, 20);
    server.handle.shutdown().cancel();
}
