//! Clients who ask for much or never finish asking.

use crate::world::{PATIENCE, World, fresh_session, put};
use quorate::client::{Client, Outcome, SubmitStream};
use quorate::rpc::proto::Wait;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use storage::{Operation, Request};

fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the node hangs up; how long that took.
fn until_it_hangs_up(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    loop {
        match stream.read(&mut [0; 256]) {
            Ok(0) => return begun.elapsed(),
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "it goes on talking"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return begun.elapsed(),
            Err(error) => panic!("it does not hang up: {error}"),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header field that is not in HPACK's table: no index, name and value as they are.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// A call of Submit over HTTP/2 whose message of a mebibyte stops behind its first kilobyte.
fn half_a_submit() -> Vec<u8> {
    let headers = [
        vec![0x83, 0x86], // :method POST, :scheme http
        field(":path", "/quorate.v1.Ledger/Submit"),
        field(":authority", "node"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat();
    let begun = [&[0][..], &(1_u32 << 20).to_be_bytes(), &[0x0A; 1_000]].concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),      // settings
        frame(1, 4, 1, &headers), // headers, complete
        frame(0, 0, 1, &begun),   // data, more to come
    ]
    .concat()
}

/// Waits for headers on stream 1: the answer to the call.
fn until_it_answers(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).unwrap();
        if head[3] == 1 && head[8] == 1 {
            return begun.elapsed();
        }
    }
}

#[tokio::test]
async fn who_never_finishes_asking_is_cut_off_and_the_others_are_served() {
    let world = World::start(4).await;
    let rpc = world.cluster.rpc(0);
    let silent = connect(rpc);
    let mut half = connect(rpc);
    half.write_all(&half_a_submit()).unwrap();
    let silent = tokio::task::spawn_blocking(move || until_it_hangs_up(silent));
    let half = tokio::task::spawn_blocking(move || until_it_answers(half));

    let client = world.client(&[0]);
    let mut session = fresh_session(&client).await;
    put(&client, &mut session, "k", "v").await.unwrap();
    for waited in [silent.await.unwrap(), half.await.unwrap()] {
        assert!(waited > Duration::from_secs(3), "cut off after {waited:?}");
    }
    world.end().await;
}

/// What became of a burst of so many transactions of one client, sent without waiting.
async fn burst(world: &World, node: usize, count: u64) -> (u64, Vec<quorate::rpc::proto::Failure>) {
    let client = Client::new(&[world.cluster.rpc(node)], PATIENCE).unwrap();
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
            Outcome::Failed(failure) | Outcome::Unknown(failure) => failures.push(failure),
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
