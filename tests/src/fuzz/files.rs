//! The files a node is started from: whatever is in them, they are read or refused in words.

use super::Found;
use bytes::Bytes;
use crypto::{KeyFile, SecretKey};
use genesis::{Genesis, NodeConfig};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// `genesis.toml`: what is read is written and read again as the same chain.
#[must_use]
pub fn genesis(data: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(data) else {
        return Vec::new();
    };
    let genesis = match Genesis::parse("genesis.toml", text) {
        Ok(genesis) => genesis,
        Err(error) => return refused(&error),
    };
    let again = Genesis::parse("again", &genesis.to_toml());
    let again = again.expect("what was read is written and read again");
    assert!(again == genesis && again.chain_id() == genesis.chain_id());
    // What a node works out of it.
    let quorums = genesis.quorums();
    assert!(quorums.commit >= 1 && quorums.commit <= genesis.n());
    let limits = engine::state_limits(&genesis);
    assert!(limits.check().is_ok(), "{limits:?}");
    let lease = genesis.lease();
    assert!(lease.is_none_or(|lease| Some(lease) <= genesis.election_timeout));
    let addresses = genesis.validators.first().map(|it| it.address.clone());
    let listen = "127.0.0.1:0".parse().expect("an address");
    let config = NodeConfig::new(listen, listen, listen);
    let me = crypto::NodeId(0);
    let setup = engine::Setup::new(&genesis, &config, me, [0; 32]);
    assert!(setup.frame_bytes() > 0 && addresses.is_some());
    let rules = engine::rules(&genesis);
    assert!(
        rules.transaction_bytes <= rules.batch_bytes,
        "a batch holds any transaction"
    );
    // What holds for a pool is asserted where one is made.
    let now = crypto::Time(1);
    let pool = mempool::Mempool::new(setup.pool, now, mempool::Recovered::default());
    assert_eq!(pool.stats(), mempool::Stats::default());
    assert!(genesis.survives().starts_with("survives") && genesis.warning() != Some(String::new()));
    vec![genesis.protocol.name()]
}

/// Whatever is refused, somebody is told why.
fn refused(error: &impl std::fmt::Display) -> Found {
    assert!(!error.to_string().is_empty());
    Vec::new()
}

/// `node.toml`: the same.
#[must_use]
pub fn node(data: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(data) else {
        return Vec::new();
    };
    let config = match NodeConfig::parse("node.toml", text) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    let again = NodeConfig::parse("again", &config.to_toml());
    assert_eq!(
        again.expect("what was read is written and read again"),
        config
    );
    // A semaphore holds no more, and panics instead.
    let most = usize::MAX >> 3;
    let (rpc, pool) = (&config.rpc, &config.pool);
    assert!(rpc.connections.max(rpc.requests).max(rpc.range_entries) < most);
    assert!(pool.transactions.max(pool.bytes).max(pool.bulk_bytes) < most);
    vec!["node.toml"]
}

/// A key file, and the body of a transaction.
#[must_use]
pub fn key(data: &[u8]) -> Found {
    let mut found = Vec::new();
    let limits = storage::Limits::default();
    if let Ok(request) = storage::kv::validate(data, &limits) {
        assert_eq!(request.encode(), Bytes::copy_from_slice(data));
        assert!(request.check(&limits).is_ok());
        found.push("body");
    }
    let Ok(path) = written(data) else {
        return found;
    };
    let read = KeyFile::read(&path);
    fs::remove_file(&path).ok();
    if let Ok(key) = read {
        created(&path, &key, data);
        found.push("key");
    }
    found
}

/// A transaction as JSON, as `quorate client txn` reads it: what is read is a request or too large.
#[cfg(feature = "e2e")]
#[must_use]
pub fn transaction(data: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(data) else {
        return Vec::new();
    };
    let request = match quorate::cli::transaction(text) {
        Ok(request) => request,
        Err(error) => return refused(&error),
    };
    let limits = storage::Limits::default();
    let checked = request.check(&limits);
    let again = storage::kv::validate(&request.encode(), &limits);
    assert!(checked.is_err() || again.as_ref() == Ok(&request));
    vec!["transaction"]
}

/// A key is written as it was read, up to the case of its digits and the line's end.
fn created(path: &std::path::Path, key: &SecretKey, data: &[u8]) {
    if KeyFile::create(path, key).is_err() {
        return;
    }
    let text = fs::read(path).unwrap_or_default();
    fs::remove_file(path).ok();
    let (text, data) = (text.trim_ascii_end(), data.trim_ascii_end());
    assert!(text.eq_ignore_ascii_case(data));
}

/// A file of the owner's alone, with a name of its own.
fn written(data: &[u8]) -> std::io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("quorate-fuzz-{}-{number}.key", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(data)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ::genesis::{Ports, Testnet};

    /// The genesis file allowed sixteen times as many as the state machine's own limits do.
    #[test]
    fn more_sessions_than_the_state_machine_allows_are_refused() {
        let ports = Ports::series(7000, 4).unwrap();
        let built = Testnet::new(ports).build_from(&[7; 32]).unwrap();
        let text = built.genesis.to_toml();
        let of = |sessions: u32| {
            text.replace(
                "max_sessions = 65536",
                &format!("max_sessions = {sessions}"),
            )
        };
        let most = 1 << 20;
        let read = Genesis::parse("genesis.toml", &of(most)).unwrap();
        assert_eq!(read.limits.max_sessions, most);
        assert!(engine::state_limits(&read).check().is_ok());
        let refused = Genesis::parse("genesis.toml", &of(most + 1)).unwrap_err();
        assert!(refused.to_string().contains("max_sessions"), "{refused}");
    }

    /// A node panicked at its start: it asked for a semaphore with more permits than there can be.
    #[test]
    fn a_cap_that_caps_nothing_is_refused() {
        let listen = "127.0.0.1:0".parse().unwrap();
        let text = NodeConfig::new(listen, listen, listen).to_toml();
        for (key, default) in [
            ("connections", "1024"),
            ("requests", "16384"),
            ("range_entries", "10000"),
            ("transactions", "65536"),
            ("bulk_bytes", "67108864"),
            ("flush_bytes", "16777216"),
        ] {
            let line = format!("{key} = {default}");
            assert!(text.contains(&line), "{line}");
            let text = text.replace(&line, &format!("{key} = {}", i64::MAX));
            let refused = NodeConfig::parse("node.toml", &text).unwrap_err();
            assert!(refused.to_string().contains(key), "{refused}");
        }
    }
}
