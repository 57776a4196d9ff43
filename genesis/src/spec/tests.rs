#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Ports, Testnet};

fn genesis() -> Genesis {
    let testnet = Testnet::new(Ports::series(7000, 4).unwrap());
    testnet.build_from(&[3; 32]).unwrap().genesis
}

/// The sentence with which a text is refused, which is one line.
fn refused(text: &str) -> String {
    let error = Genesis::parse("genesis.toml", text)
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\n'), "more than one line: {error}");
    error
}

/// The good text with one piece replaced; the refusal must name the line of the new piece, and all
/// of `words`.
fn refuses(old: &str, new: &str, words: &[&str]) {
    let good = genesis().to_toml();
    let at = good
        .find(old)
        .unwrap_or_else(|| panic!("{old:?} is not in\n{good}"));
    let text = good.replacen(old, new, 1);
    let line = 1 + good[..at].matches('\n').count();
    let error = refused(&text);
    let place = format!("genesis.toml line {line}: ");
    assert!(error.starts_with(&place), "not {place:?}: {error}");
    for word in words {
        assert!(error.contains(word), "no {word:?}: {error}");
    }
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    let genesis = genesis();
    let text = genesis.to_toml();
    let back = Genesis::parse("genesis.toml", &text).unwrap();
    assert_eq!(back, genesis);
    assert_eq!(back.to_toml(), text);
    assert!(text.contains(&genesis.chain_id().to_string()));
}

#[test]
fn what_is_left_out_has_its_default() {
    let full = genesis();
    let mut text = format!(
        "format = 1\nchain = \"testnet\"\nnonce = \"{}\"\n",
        full.nonce
    );
    for one in &full.validators {
        text += &format!(
            "[[validators]]\nconsensus_key = \"{}\"\nnetwork_key = \"{}\"\naddress = \"{}\"\n",
            one.consensus_key, one.network_key, one.address
        );
    }
    let short = Genesis::parse("genesis.toml", &text).unwrap();
    assert_eq!(short.chain_id(), full.chain_id());
    assert_eq!((short.tenure, &short.limits), (8_192, &Limits::default()));
    let crash = text.replacen("chain", "fault_model = \"crash\"\nchain", 1);
    assert_eq!(
        Genesis::parse("genesis.toml", &crash).unwrap().protocol,
        Protocol::Raft
    );
    let pbft = text.replacen("chain", "protocol = \"pbft\"\nchain", 1);
    assert_eq!(
        Genesis::parse("genesis.toml", &pbft).unwrap().fault_model,
        FaultModel::Byzantine
    );
}

/// Changing what makes up a chain id would cut every running chain off from its data.
#[test]
fn the_chain_id_of_a_known_file_stays_what_it_is() {
    assert_eq!(
        genesis().chain_id().to_string(),
        "940fcb1c0257cab61cd6607749265bce0cd4adefc3f54d9bc2d2c79d259b374d"
    );
}

#[test]
fn the_chain_id_covers_all_but_names_and_addresses() {
    let spec = genesis().spec;
    let id = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        Genesis::new(spec).unwrap().chain_id()
    };
    let same = id(&|_| ());
    assert_eq!(same, id(&|s| s.validators[1].name = "elsewhere".into()));
    assert_eq!(
        same,
        id(&|s| s.validators[1].address = "db.example:9".into())
    );
    let client = spec.validators[0].consensus_key;
    let changes: [&dyn Fn(&mut Spec); 11] = [
        &|s| s.chain.push('x'),
        &|s| s.nonce.clear(),
        &|s| s.protocol = Protocol::Pbft,
        &|s| (s.fault_model, s.protocol) = (FaultModel::Crash, Protocol::Raft),
        &|s| s.tenure += 1,
        &|s| s.clients.push(client),
        &|s| s.limits.key_bytes -= 1,
        &|s| s.limits.author_batches -= 1,
        &|s| s.validators.swap(0, 1),
        &|s| drop(s.validators.pop()),
        &|s| {
            let one = &mut s.validators[0];
            std::mem::swap(&mut one.consensus_key, &mut one.network_key);
        },
    ];
    let mut ids: Vec<ChainId> = changes.iter().map(|change| id(change)).collect();
    ids.push(same);
    ids.sort();
    ids.dedup();
    assert_eq!(
        ids.len(),
        changes.len() + 1,
        "every change makes another chain"
    );
}

#[test]
fn unknown_missing_and_mistyped_keys_are_refused_with_their_line() {
    refuses("tenure", "tenur", &["unknown field", "tenur"]);
    refuses("key_bytes", "key_byte", &["unknown field", "key_byte"]);
    refuses(
        "name = \"node2\"",
        "nam = \"node2\"",
        &["unknown field", "nam"],
    );
    refuses("tenure = 8192", "tenure = \"long\"", &["invalid type"]);
    refuses("tenure = 8192", "tenure = ", &[]);
    refuses("\"byzantine\"", "\"evil\"", &["evil", "byzantine", "crash"]);
    let missing = genesis().to_toml().replacen("chain = \"testnet\"\n", "", 1);
    assert!(refused(&missing).contains("missing field `chain`"));
}

#[test]
fn formats_are_told_apart_before_anything_else() {
    let newer = genesis()
        .to_toml()
        .replacen("format = 1", "format = 2\nsurprise = true", 1);
    let error = refused(&newer);
    assert!(
        error.contains("newer") && error.contains("use a newer quorate"),
        "{error}"
    );
    let none = genesis().to_toml().replacen("format = 1", "", 1);
    assert!(refused(&none).contains("add `format = 1`"));
    for bad in ["0", "-1", "\"1\"", "99999999999999999999999"] {
        let text = genesis()
            .to_toml()
            .replacen("format = 1", &format!("format = {bad}"), 1);
        assert!(refused(&text).contains("format"), "{bad}");
    }
}

#[test]
fn contradictions_are_refused_with_line_field_and_way_out() {
    refuses(
        "tenure = 8192",
        "tenure = 3",
        &["tenure", "below 4", "leave it out"],
    );
    refuses(
        "\"hotstuff\"",
        "\"raft\"",
        &["protocol", "lies", "hotstuff or pbft"],
    );
    refuses("\"signed\"", "\"none\"", &["client_auth", "signed"]);
    refuses("chain = \"testnet\"", "chain = \"\"", &["chain", "1 to 64"]);
    refuses("nonce = \"", "nonce = \"0", &["nonce", "64 hex"]);
    refuses(
        "batch_bytes = 2097152",
        "batch_bytes = 1048576",
        &["limits.batch_bytes", "transaction_bytes"],
    );
    refuses(
        "key_bytes = 4096",
        "key_bytes = 0",
        &["limits.key_bytes", "0 is not within 1 to"],
    );
    refuses(
        "lifetime = 10000",
        "lifetime = 8",
        &["limits.lifetime", "within 2048 to"],
    );
    let crash = genesis()
        .to_toml()
        .replacen("\"byzantine\"", "\"crash\"", 1);
    assert!(refused(&crash).contains("choose raft"));
}

#[test]
fn validators_that_share_a_key_or_an_address_are_refused() {
    let g = genesis();
    let key = |i: usize| g.validators[i].consensus_key.to_string();
    let network = |i: usize| g.validators[i].network_key.to_string();
    refuses(
        &key(2),
        &key(1),
        &[
            "validators[2].consensus_key",
            "validators[1].consensus_key",
            "quorate key new",
        ],
    );
    refuses(
        &network(3),
        &network(0),
        &["validators[3].network_key", "validators[0].network_key"],
    );
    refuses(
        &network(1),
        &key(1),
        &["validators[1].network_key", "validators[1].consensus_key"],
    );
    refuses(
        "127.0.0.1:7030",
        "127.0.0.1:7000",
        &["validators[3].address", "validators[0]"],
    );
    refuses("node1", "node0", &["validators[1].name", "taken"]);
    refuses(&key(0), &"00".repeat(32), &["weak"]);
    refuses(&key(0), "abc", &["64 hex digits"]);
}

#[test]
fn addresses_are_hosts_with_ports() {
    for good in [
        "10.0.0.1:1",
        "[::1]:7000",
        "node-1.example.org:65535",
        "localhost:7000",
    ] {
        assert!(is_host_and_port(good), "{good}");
    }
    let bad = [
        "",
        "7000",
        ":7000",
        "localhost",
        "localhost:0",
        "localhost:70000",
        "0.0.0.0:7000",
        "10.0.0:7000",
        "a b:1",
        "a..b:1",
        "[::1]",
        "::1:7000x",
        "h/x:1",
    ];
    for bad in bad {
        assert!(!is_host_and_port(bad), "{bad}");
        refuses(
            "127.0.0.1:7020",
            bad,
            &["validators[2].address", "host:port"],
        );
    }
}

#[test]
fn the_allow_list_admits_its_members_only() {
    let g = genesis();
    let [a, b, c] = [0, 1, 2].map(|i| g.validators[i].consensus_key);
    assert!(g.admits(&a), "an empty list admits anyone");
    let mut spec = g.spec.clone();
    spec.clients = vec![b, a];
    let listed = Genesis::new(spec.clone()).unwrap();
    assert!(listed.admits(&a) && listed.admits(&b) && !listed.admits(&c));
    let back = Genesis::parse("genesis.toml", &listed.to_toml()).unwrap();
    assert_eq!(back, listed);
    spec.clients = vec![a, b, a];
    assert!(
        Genesis::new(spec)
            .unwrap_err()
            .to_string()
            .contains("listed twice")
    );
}

#[test]
fn too_few_nodes_start_with_a_warning() {
    let warning = |n: usize, protocol: Protocol| {
        let mut testnet = Testnet::new(Ports::series(7000, n).unwrap());
        (testnet.fault_model, testnet.protocol) = (protocol.fault_model(), protocol);
        testnet.build_from(&[1; 32]).unwrap().genesis.warning()
    };
    assert!(
        warning(3, Protocol::Hotstuff)
            .unwrap()
            .contains("at least 4")
    );
    assert!(warning(2, Protocol::Raft).unwrap().contains("at least 3"));
    assert_eq!(warning(4, Protocol::Hotstuff), None);
    assert_eq!(warning(3, Protocol::Raft), None);
}

#[test]
fn a_pair_is_completed_and_a_contradiction_is_said() {
    use FaultModel::{Byzantine, Crash};
    assert_eq!(
        Protocol::choose(None, None),
        Ok((Byzantine, Protocol::Hotstuff))
    );
    assert_eq!(
        Protocol::choose(Some(Crash), None),
        Ok((Crash, Protocol::Raft))
    );
    assert_eq!(
        Protocol::choose(None, Some(Protocol::Raft)),
        Ok((Crash, Protocol::Raft))
    );
    assert!(
        Protocol::choose(Some(Crash), Some(Protocol::Pbft))
            .unwrap_err()
            .contains("choose raft")
    );
    assert!(
        Protocol::choose(Some(Byzantine), Some(Protocol::Raft))
            .unwrap_err()
            .contains("hotstuff")
    );
}

/// Whatever is cut or changed in a file: an error or a genesis, never a panic.
#[test]
fn damaged_files_never_panic() {
    let text = genesis().to_toml();
    for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        let _ = Genesis::parse("genesis.toml", &text[..cut]);
        let mut bytes = text.clone().into_bytes();
        for with in *b"0]\"\n.-" {
            bytes[cut] = with;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = Genesis::parse("genesis.toml", text);
            }
        }
    }
}

/// Five nodes that only crash.
fn crash(change: impl FnOnce(&mut Testnet)) -> Result<Genesis, Error> {
    let mut testnet = Testnet::new(Ports::series(7000, 5).unwrap());
    (testnet.fault_model, testnet.protocol) = (FaultModel::Crash, Protocol::Raft);
    change(&mut testnet);
    testnet.build_from(&[3; 32]).map(|built| built.genesis)
}

/// The refusal of the crash genesis with these lines in the place of its quorums'.
fn crash_refuses(lines: &str, line: usize, words: &[&str]) {
    let text = crash(|_| ()).unwrap().to_toml();
    let start = text.find("commit_quorum = ").unwrap();
    let rest = text[start..].split_inclusive('\n').skip(2);
    let above = 1 + text[..start].matches('\n').count();
    let text = format!("{}{lines}\n{}", &text[..start], rest.collect::<String>());
    let error = refused(&text);
    let place = format!("genesis.toml line {}: ", above + line);
    assert!(error.starts_with(&place), "not {place:?}: {error}");
    for word in words {
        assert!(error.contains(word), "no {word:?}: {error}");
    }
}

#[test]
fn quorums_are_majorities_unless_they_are_named() {
    let plain = crash(|_| ()).unwrap();
    assert_eq!(plain.quorums(), Quorums::of(FaultModel::Crash, 5));
    assert_eq!(plain.survives(), "survives 2 crashes, quorum 3");
    let named = crash(|t| (t.commit_quorum, t.election_quorum) = (Some(2), Some(4))).unwrap();
    assert_eq!(named.quorums(), Quorums::flexible(5, 2, 4));
    assert_eq!(
        named.survives(),
        "survives 1 crash, commit quorum 2, election quorum 4"
    );
    assert_ne!(named.chain_id(), plain.chain_id());
    let said = crash(|t| (t.commit_quorum, t.election_quorum) = (Some(3), Some(3))).unwrap();
    assert_eq!(
        said.chain_id(),
        plain.chain_id(),
        "what is said is the same"
    );
    for genesis in [plain, named] {
        let text = genesis.to_toml();
        assert_eq!(Genesis::parse("genesis.toml", &text).unwrap(), genesis);
        assert!(
            text.contains("# How many nodes must have an entry on disk"),
            "{text}"
        );
    }
    let byzantine = genesis();
    assert!(!byzantine.to_toml().contains("commit_quorum"));
    assert_eq!(byzantine.survives(), "survives 1 faulty node, quorum 3");
}

#[test]
fn quorums_that_do_not_meet_are_refused() {
    crash_refuses(
        "commit_quorum = 2",
        0,
        &["commit_quorum", "lost", "4 or more"],
    );
    crash_refuses(
        "commit_quorum = 4\nelection_quorum = 2",
        1,
        &["election_quorum", "two leaders", "3 or more"],
    );
    crash_refuses("commit_quorum = 6", 0, &["commit_quorum", "within 1 to 5"]);
    crash_refuses(
        "election_quorum = 0",
        0,
        &["election_quorum", "within 1 to 5"],
    );
    crash_refuses("commit_quorum = -1", 0, &["-1"]);
    for (field, value) in [("commit_quorum", "3"), ("lease_drift", "10")] {
        let line = format!("{field} = {value}\ntenure = 8192");
        refuses("tenure = 8192", &line, &[field, "nodes may lie"]);
    }
}

#[test]
fn a_lease_is_shorter_than_the_time_out_by_what_clocks_may_drift() {
    assert_eq!(crash(|_| ()).unwrap().lease(), None);
    let leased = crash(|t| t.lease_drift = Some(10)).unwrap();
    assert_eq!(leased.lease(), Some(Time::millis(270)));
    assert_eq!(leased.election_timeout, Some(Time::millis(300)));
    let text = leased.to_toml();
    assert_eq!(Genesis::parse("genesis.toml", &text).unwrap(), leased);
    let longer = text.replacen("\"300ms\"", "\"1s\"", 1);
    let longer = Genesis::parse("genesis.toml", &longer).unwrap();
    assert_eq!(longer.lease(), Some(Time::millis(900)));
    assert_ne!(longer.chain_id(), leased.chain_id());
    crash_refuses("lease_drift = 0", 0, &["lease_drift", "within 1 to 90"]);
    crash_refuses("lease_drift = 100", 0, &["lease_drift", "within 1 to 90"]);
    crash_refuses(
        "election_timeout = \"300ms\"",
        0,
        &["election_timeout", "without lease_drift"],
    );
    crash_refuses(
        "lease_drift = 5\nelection_timeout = \"1ms\"",
        1,
        &["election_timeout", "10ms"],
    );
}

#[test]
fn clients_that_do_not_sign_are_told_so_by_the_chain_id() {
    let signed = crash(|_| ()).unwrap();
    let unsigned = crash(|t| t.client_auth = ClientAuth::None).unwrap();
    assert_ne!(signed.chain_id(), unsigned.chain_id());
    assert!(unsigned.to_toml().contains("client_auth = \"none\""));
}
