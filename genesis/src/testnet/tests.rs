#![allow(clippy::unwrap_used)]
use super::*;

fn built(nodes: usize) -> BuiltTestnet {
    let ports = Ports::series(7000, nodes).unwrap();
    Testnet::new(ports).build_from(&[3; 32]).unwrap()
}

#[test]
fn ports_go_up_by_ten_and_stop_at_the_last() {
    let ports = Ports::series(7000, 3).unwrap();
    assert_eq!(
        ports[2],
        Ports {
            p2p: 7020,
            rpc: 7021,
            http: 7022
        }
    );
    assert_eq!(Ports::series(65_523, 2).unwrap()[1].http, 65_535);
    assert!(Ports::series(65_524, 2).unwrap_err().contains("lower"));
    assert!(Ports::series(60_000, 1000).is_err());
}

#[test]
fn one_seed_makes_one_testnet_and_another_seed_another() {
    let (one, same) = (built(4), built(4));
    assert_eq!(one.genesis, same.genesis);
    assert_eq!(one.client_key.public(), same.client_key.public());
    let other = Testnet::new(Ports::series(7000, 4).unwrap())
        .build_from(&[4; 32])
        .unwrap();
    assert_ne!(one.genesis.chain_id(), other.genesis.chain_id());
    let entropy = Testnet::new(Ports::series(7000, 4).unwrap())
        .build()
        .unwrap();
    assert_ne!(one.genesis.chain_id(), entropy.genesis.chain_id());
    let again = Testnet::new(Ports::series(7000, 4).unwrap())
        .build()
        .unwrap();
    assert_ne!(again.genesis.chain_id(), entropy.genesis.chain_id());
}

#[test]
fn every_home_loads_and_knows_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let built = built(4);
    for (i, home) in built.write(dir.path()).unwrap().iter().enumerate() {
        let loaded = home.load().unwrap();
        assert_eq!(loaded.me.index(), i);
        assert_eq!(loaded.genesis, built.genesis);
        assert_eq!(loaded.config, built.nodes[i].config);
        assert_eq!(
            loaded.network_key.public(),
            built.nodes[i].network_key.public()
        );
        assert_eq!(loaded.data, dir.path().join(format!("node{i}/data")));
    }
    let client = crypto::KeyFile::read(&dir.path().join("client.key")).unwrap();
    assert_eq!(client.public(), built.client_key.public());
}

#[test]
fn a_second_testnet_never_overwrites_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let homes = built(4).write(dir.path()).unwrap();
    let other = Testnet::new(Ports::series(7000, 4).unwrap())
        .build_from(&[9; 32])
        .unwrap();
    let error = other.write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("never overwritten"), "{error}");
    assert_eq!(homes[0].load().unwrap().genesis, built(4).genesis);
}

#[test]
fn away_from_loopback_clients_still_come_by_loopback() {
    let mut testnet = Testnet::new(Ports::series(7000, 4).unwrap());
    testnet.host = "10.0.0.1".parse().unwrap();
    let built = testnet.build_from(&[3; 32]).unwrap();
    let listen = &built.nodes[1].config.listen;
    assert_eq!(built.genesis.validators[1].address, "10.0.0.1:7010");
    assert_eq!(listen.p2p.to_string(), "10.0.0.1:7010");
    assert!(listen.rpc.ip().is_loopback() && listen.http.ip().is_loopback());
    NodeConfig::parse("node.toml", &built.nodes[1].config.to_toml()).unwrap();
}

#[test]
fn sizes_and_pairs_that_cannot_be_are_refused() {
    let none = Testnet::new(Vec::new()).build_from(&[3; 32]).unwrap_err();
    assert!(none.to_string().contains("0 validators"), "{none}");
    let many = Testnet::new(Ports::series(1000, 129).unwrap())
        .build_from(&[3; 32])
        .unwrap_err();
    assert!(many.to_string().contains("129 validators"), "{many}");
    let mut pair = Testnet::new(Ports::series(7000, 4).unwrap());
    pair.protocol = Protocol::Raft;
    assert!(
        pair.build_from(&[3; 32])
            .unwrap_err()
            .to_string()
            .contains("raft")
    );
}
