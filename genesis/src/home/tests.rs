#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Ports, Testnet};
use std::os::unix::fs::PermissionsExt as _;

fn homes(dir: &Path) -> Vec<Home> {
    let testnet = Testnet::new(Ports::series(7000, 4).unwrap());
    testnet.build_from(&[3; 32]).unwrap().write(dir).unwrap()
}

#[test]
fn a_missing_home_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = Home::new(dir.path().join("none"))
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("node.toml") && error.contains("quorate genesis"),
        "{error}"
    );
}

#[test]
fn a_key_that_is_no_validators_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let homes = homes(dir.path());
    fs::copy(dir.path().join("client.key"), homes[0].consensus_key()).unwrap();
    let error = homes[0].load().unwrap_err();
    assert!(matches!(error, Error::NotMember { n: 4, .. }), "{error}");
    assert!(error.to_string().contains("consensus.key"), "{error}");
}

#[test]
fn the_network_key_of_another_validator_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let homes = homes(dir.path());
    fs::copy(homes[1].network_key(), homes[0].network_key()).unwrap();
    let error = homes[0].load().unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongNetworkKey {
                node: NodeId(0),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_key_open_to_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let homes = homes(dir.path());
    fs::set_permissions(homes[2].network_key(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        homes[2]
            .load()
            .unwrap_err()
            .to_string()
            .contains("chmod 600")
    );
}

#[test]
fn what_is_no_text_or_endless_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let homes = homes(dir.path());
    fs::write(homes[0].genesis_toml(), [0xff, 0xfe, 0]).unwrap();
    let error = homes[0].load().unwrap_err().to_string();
    assert!(
        error.contains("genesis.toml") && error.contains("restore"),
        "{error}"
    );
    fs::write(homes[0].genesis_toml(), "#".repeat(5 << 20)).unwrap();
    assert!(
        homes[0]
            .load()
            .unwrap_err()
            .to_string()
            .contains("longer than")
    );
    fs::remove_file(homes[0].genesis_toml()).unwrap();
    fs::create_dir(homes[0].genesis_toml()).unwrap();
    assert!(
        homes[0]
            .load()
            .unwrap_err()
            .to_string()
            .contains("not a file")
    );
}

/// Leases of other nodes rest on the time-out of this one.
#[test]
fn a_time_out_below_the_chains_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let testnet = Testnet {
        fault_model: crypto::FaultModel::Crash,
        protocol: crate::Protocol::Raft,
        lease_drift: Some(10),
        ..Testnet::new(Ports::series(7000, 3).unwrap())
    };
    let homes = testnet.build_from(&[3; 32]).unwrap().write(dir.path());
    let home = &homes.unwrap()[1];
    home.load().unwrap();
    let path = home.node_toml();
    let text = fs::read_to_string(&path).unwrap();
    let line = 1 + text[..text.find("timeout = ").unwrap()]
        .matches('\n')
        .count();
    fs::write(&path, text.replacen("\"300ms\"", "\"299ms\"", 1)).unwrap();
    let error = home.load().unwrap_err().to_string();
    for word in [
        "timing.timeout",
        "299ms",
        "raise it to 300ms",
        &format!("line {line}:"),
    ] {
        assert!(error.contains(word), "no {word:?}: {error}");
    }
    fs::write(&path, text.replacen("\"300ms\"", "\"400ms\"", 1)).unwrap();
    home.load().unwrap();
}
