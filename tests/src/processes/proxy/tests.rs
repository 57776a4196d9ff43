//! Each fault as the two ends of a connection see it.

#![allow(clippy::unwrap_used)]

use super::super::Links;
use super::*;
use std::net::{IpAddr, Ipv4Addr};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Long enough for anything that happens.
const LONG: Duration = Duration::from_secs(30);
/// Long enough to see that nothing does.
const SHORT: Duration = Duration::from_millis(200);

/// Node 0 has dialed node 1: its end, and the other.
async fn connected() -> (Links, TcpListener, TcpStream, TcpStream) {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let other = SocketAddr::new(host, 1);
    let nodes = [other, listener.local_addr().unwrap()];
    let links = Links::between(host, &nodes, 1).await.unwrap();
    let near = TcpStream::connect(links.address(0, 1)).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    (links, listener, near, far)
}

async fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    timeout(LONG, stream.read_exact(&mut found))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, expected);
}

async fn hears_nothing(stream: &mut TcpStream) {
    let heard = timeout(SHORT, stream.read(&mut [0; 8])).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let heard = timeout(LONG, stream.read(&mut [0; 8])).await.unwrap();
    assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_sound_link_carries_both_ways_and_an_end_of_stream() {
    let (links, _listener, mut near, mut far) = connected().await;
    near.write_all(b"there").await.unwrap();
    hears(&mut far, b"there").await;
    far.write_all(b"back").await.unwrap();
    hears(&mut near, b"back").await;
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    // The other direction is still open.
    far.write_all(b"more").await.unwrap();
    hears(&mut near, b"more").await;
    assert_eq!((links.carried(0, 1), links.carried(1, 0)), (5, 8));
}

#[tokio::test]
async fn a_delay_keeps_the_order_and_holds_for_one_direction_only() {
    let (links, _listener, mut near, mut far) = connected().await;
    let (least, jitter) = (Duration::from_millis(150), Duration::from_millis(50));
    links.set(0, 1, Fault::Delay { least, jitter });
    let begun = Instant::now();
    for byte in b"abcdef" {
        near.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    far.write_all(b"at once").await.unwrap();
    hears(&mut near, b"at once").await;
    hears(&mut far, b"abcdef").await;
    assert!(begun.elapsed() >= least);
}

#[tokio::test]
async fn a_stall_holds_bytes_and_their_end_and_loses_nothing() {
    let (links, _listener, mut near, mut far) = connected().await;
    links.set(0, 1, Fault::Stall);
    near.write_all(b"held").await.unwrap();
    near.shutdown().await.unwrap();
    hears_nothing(&mut far).await;
    far.write_all(b"passes").await.unwrap();
    hears(&mut near, b"passes").await;
    links.heal();
    hears(&mut far, b"held").await;
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn nobody_learns_over_a_stalled_link_that_the_other_is_gone() {
    let (links, _listener, near, mut far) = connected().await;
    links.set(0, 1, Fault::Stall);
    reset(near);
    far.write_all(b"to nobody").await.unwrap();
    hears_nothing(&mut far).await;
    far.write_all(b"to nobody").await.unwrap();
    links.heal();
    is_reset(&mut far).await;
}

#[tokio::test]
async fn a_reset_breaks_both_ends_and_new_connections_until_it_is_over() {
    let (links, listener, mut near, mut far) = connected().await;
    links.set(1, 0, Fault::Reset);
    is_reset(&mut near).await;
    is_reset(&mut far).await;
    let mut again = TcpStream::connect(links.address(0, 1)).await.unwrap();
    is_reset(&mut again).await;
    links.heal();
    let mut again = TcpStream::connect(links.address(0, 1)).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    again.write_all(b"again").await.unwrap();
    hears(&mut far, b"again").await;
}

#[tokio::test]
async fn a_half_open_link_swallows_and_is_reset_when_it_is_healed() {
    let (links, _listener, mut near, mut far) = connected().await;
    links.set(0, 1, Fault::Swallow);
    near.write_all(b"lost").await.unwrap();
    hears_nothing(&mut far).await;
    far.write_all(b"passes").await.unwrap();
    hears(&mut near, b"passes").await;
    links.heal();
    is_reset(&mut near).await;
    is_reset(&mut far).await;
    assert_eq!(links.carried(0, 1), 0);
}

#[tokio::test]
async fn who_is_not_there_is_a_reset() {
    let (links, _listener, _near, _far) = connected().await;
    let mut near = TcpStream::connect(links.address(1, 0)).await.unwrap();
    is_reset(&mut near).await;
}
