//! Addresses to listen at, for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port, below those that the system gives to whoever connects.
const PORT: u16 = 10_000;

/// So many loopback addresses that nobody else uses: their host is this process's own, so that no connection
/// of anybody can take a port between two lives of who listens there.
pub(crate) fn own_addresses(count: u16) -> Vec<SocketAddr> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 64 | high & 63, middle, low);
    let first = PORT + TAKEN.fetch_add(count, Ordering::Relaxed) % PORT;
    let ports = first..first + count;
    ports.map(|port| SocketAddr::from((host, port))).collect()
}
