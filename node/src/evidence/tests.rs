#![allow(clippy::unwrap_used)]

use super::*;
use crypto::{Epoch, SecretKey};
use genesis::{BuiltTestnet, Ports, Spec, Testnet};
use proptest::prelude::*;
use std::sync::LazyLock;

const LIAR: NodeId = NodeId(2);

static HOTSTUFF: LazyLock<BuiltTestnet> = LazyLock::new(|| built(Protocol::Hotstuff, 7));
static PBFT: LazyLock<BuiltTestnet> = LazyLock::new(|| built(Protocol::Pbft, 7));

fn built(protocol: Protocol, seed: u8) -> BuiltTestnet {
    let testnet = Testnet {
        protocol,
        fault_model: protocol.fault_model(),
        ..Testnet::new(Ports::series(7000, 4).unwrap())
    };
    testnet.build_from(&[seed; 32]).unwrap()
}

fn slot(kind: Kind, view: u64, height: u64) -> Slot {
    Slot {
        kind,
        epoch: Epoch(0),
        view: View(view),
        height: Height(height),
    }
}

fn sign(on: &BuiltTestnet, by: NodeId, slot: Slot, content: u8) -> (Statement, Signature) {
    let statement = Statement {
        slot,
        content: Digest([content; 32]),
    };
    let key = SecretKey::from_seed(&on.nodes[by.index()].consensus_key.seed());
    (
        statement,
        key.sign(&statement.digest(&on.genesis.context())),
    )
}

/// `by` says two things for a slot.
fn lie(on: &BuiltTestnet, by: NodeId, slot: Slot) -> Evidence {
    Evidence {
        node: by,
        first: sign(on, by, slot, 0xbb),
        second: sign(on, by, slot, 0xaa),
    }
}

fn proof() -> Proof {
    let vote = lie(&HOTSTUFF, LIAR, slot(Kind::Vote, 17, 0));
    Proof::new(vote, &HOTSTUFF.genesis).unwrap()
}

fn refused(evidence: Evidence, on: &BuiltTestnet) -> Refusal {
    Proof::new(evidence, &on.genesis).unwrap_err()
}

/// The format is other people's, too: it may only change together with its number.
#[test]
fn golden_file() {
    let proof = proof();
    let [first, second] = [proof.evidence.first, proof.evidence.second];
    let expected = format!(
        r#"{{
  "quorate_evidence": 1,
  "says": "node 2 signed two contradicting statements: vote in view 17, epoch 0. An honest node never does.",
  "chain": "{}",
  "epoch": 0,
  "accused": {{
    "node": 2,
    "key": "{}"
  }},
  "statements": [
    {{
      "kind": "vote",
      "view": 17,
      "height": 0,
      "content": "{}",
      "signature": "{}"
    }},
    {{
      "kind": "vote",
      "view": 17,
      "height": 0,
      "content": "{}",
      "signature": "{}"
    }}
  ]
}}
"#,
        HOTSTUFF.genesis.chain_id(),
        HOTSTUFF.genesis.validators[2].consensus_key,
        "aa".repeat(32),
        hex::encode(first.1.0),
        "bb".repeat(32),
        hex::encode(second.1.0),
    );
    assert_eq!(proof.to_text(), expected);
    let read = Proof::parse(expected.as_bytes(), &HOTSTUFF.genesis).unwrap();
    assert_eq!(read, proof);
}

#[test]
fn whoever_saw_them_in_the_other_order_writes_the_same_file() {
    let Evidence {
        node,
        first,
        second,
    } = proof().evidence;
    let swapped = Evidence {
        node,
        first: second,
        second: first,
    };
    assert_eq!(Proof::new(swapped, &HOTSTUFF.genesis).unwrap(), proof());
}

#[test]
fn every_kind_that_a_protocol_signs_convicts_under_it_and_no_other() {
    for kind in Kind::ALL {
        for on in [&*HOTSTUFF, &*PBFT] {
            let evidence = lie(on, LIAR, slot(kind, 1, 2));
            match (kind, on.genesis.protocol) {
                (Kind::Proposal | Kind::Vote | Kind::Timeout, Protocol::Hotstuff)
                | (
                    Kind::PrePrepare
                    | Kind::Prepare
                    | Kind::Commit
                    | Kind::ViewChange
                    | Kind::NewView,
                    Protocol::Pbft,
                )
                | (Kind::Checkpoint, _) => {
                    let proof = Proof::new(evidence, &on.genesis).unwrap();
                    let text = proof.to_text();
                    assert_eq!(Proof::parse(text.as_bytes(), &on.genesis).unwrap(), proof);
                }
                _ => assert!(matches!(refused(evidence, on), Refusal::Kind { .. })),
            }
        }
    }
    let raft = built(Protocol::Raft, 7);
    let evidence = lie(&raft, LIAR, slot(Kind::Checkpoint, 1, 2));
    assert!(matches!(refused(evidence, &raft), Refusal::NothingSigned));
}

#[test]
fn an_honest_node_cannot_be_accused() {
    let vote = |view, content| sign(&HOTSTUFF, LIAR, slot(Kind::Vote, view, 0), content);
    let accuse = |first, second| {
        let node = LIAR;
        let evidence = Evidence {
            node,
            first,
            second,
        };
        refused(evidence, &HOTSTUFF)
    };
    // Twice the same; two views; two kinds.
    assert!(matches!(accuse(vote(1, 1), vote(1, 1)), Refusal::Same(_)));
    assert!(matches!(accuse(vote(1, 1), vote(2, 2)), Refusal::Slots(..)));
    let proposal = sign(&HOTSTUFF, LIAR, slot(Kind::Proposal, 1, 0), 2);
    assert!(matches!(accuse(vote(1, 1), proposal), Refusal::Slots(..)));
    // What another has signed, on either side.
    let of_another = sign(&HOTSTUFF, NodeId(1), slot(Kind::Vote, 1, 0), 2);
    let first = accuse(of_another, vote(1, 1)).to_string();
    assert!(
        first.contains("first signature is not one of node 2"),
        "{first}"
    );
    let second = accuse(vote(1, 1), of_another).to_string();
    assert!(
        second.contains("second signature is not one of node 2"),
        "{second}"
    );
    // The signature of one statement under another.
    let moved = (vote(1, 2).0, vote(1, 1).1);
    assert!(matches!(
        accuse(vote(1, 1), moved),
        Refusal::Signature { .. }
    ));
    // What the same key has signed on another chain, or for another epoch.
    let mut elsewhere = Spec::clone(&HOTSTUFF.genesis);
    elsewhere.nonce = "11".repeat(32);
    let other = Genesis::new(elsewhere).unwrap();
    assert_eq!(other.validators, HOTSTUFF.genesis.validators);
    assert_ne!(other.chain_id(), HOTSTUFF.genesis.chain_id());
    let refusal = Proof::new(proof().evidence, &other).unwrap_err();
    assert!(matches!(refusal, Refusal::Signature { .. }));
    let refusal = Proof::parse(proof().to_text().as_bytes(), &other).unwrap_err();
    assert!(matches!(refusal, Refusal::Chain { .. }));
    let mut later = slot(Kind::Vote, 1, 0);
    later.epoch = Epoch(1);
    let refusal = refused(lie(&HOTSTUFF, LIAR, later), &HOTSTUFF);
    assert!(matches!(refusal, Refusal::Epoch { found: 1, .. }));
    let mut nobody = proof().evidence;
    nobody.node = NodeId(4);
    assert!(matches!(
        refused(nobody, &HOTSTUFF),
        Refusal::NotMember(NodeId(4))
    ));
}

#[test]
fn no_bit_of_a_file_can_be_flipped() {
    let text = proof().to_text().into_bytes();
    assert!(text.len() * 10 < MAX_BYTES);
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut altered = text.clone();
            altered[at] ^= 1 << bit;
            let result = Proof::parse(&altered, &HOTSTUFF.genesis);
            assert!(result.is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// What an altered field is called.
#[test]
fn an_altered_field_is_named() {
    let other_key = HOTSTUFF.genesis.validators[1].consensus_key.to_string();
    let digits = |n| serde_json::Value::from("5".repeat(n));
    let same = |refusal: &str, pointer: &str, value: serde_json::Value| {
        let mut file: serde_json::Value = serde_json::from_str(&proof().to_text()).unwrap();
        *file.pointer_mut(pointer).unwrap() = value;
        let raw = serde_json::to_vec(&file).unwrap();
        let said = Proof::parse(&raw, &HOTSTUFF.genesis)
            .unwrap_err()
            .to_string();
        assert!(said.contains(refusal), "{pointer}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    same("format 2 is newer", "/quorate_evidence", 2.into());
    same("never was one", "/quorate_evidence", 0.into());
    same("about chain 555", "/chain", digits(64));
    same("about epoch 1", "/epoch", 1.into());
    same(
        "node 9 is none of the validators",
        "/accused/node",
        9.into(),
    );
    same("is not that of node 1", "/accused/node", 1.into());
    same("is not that of node 2", "/accused/key", other_key.into());
    same("\"Vote\" is no kind", "/statements/0/kind", "Vote".into());
    same(
        "nobody signs a prepare",
        "/statements/0/kind",
        "prepare".into(),
    );
    same(
        "different slots, timeout of",
        "/statements/0/kind",
        "timeout".into(),
    );
    same("different slots", "/statements/1/view", 18.into());
    same("different slots", "/statements/1/height", 1.into());
    same("first signature", "/statements/0/content", digits(64));
    same("the same", "/statements/0/content", "bb".repeat(32).into());
    same("second signature", "/statements/1/signature", digits(128));
    same("not 128 hex digits", "/statements/1/signature", digits(126));
    same("line 1 is not what", "/says", "node 2 is honest".into());
}

/// Found by fuzzing: the syntax error quoted the name of a field, line break and all.
#[test]
fn a_refusal_is_one_line_of_plain_text_whatever_the_file_says() {
    let names = [
        "hd\nce".to_owned(),
        "\u{1b}[2J\u{202e}".into(),
        "x".repeat(2000),
    ];
    for name in names {
        let mut file: serde_json::Value = serde_json::from_str(&proof().to_text()).unwrap();
        file["statements"][1][&name] = 1.into();
        let raw = serde_json::to_vec(&file).unwrap();
        let refusal = Proof::parse(&raw, &HOTSTUFF.genesis).unwrap_err();
        let said = refusal.to_string();
        assert!(said.contains("unknown field"), "{said}");
        assert!(said.len() < 512, "{said}");
        assert!(
            said.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
            "{said:?}"
        );
    }
}

/// Also a file that says the same in another shape was touched by somebody.
#[test]
fn a_reshaped_file_is_refused() {
    let text = proof().to_text();
    let upper = text.replace("aaaa", "AAAA");
    let unsaid = text.replace("never does", "always does");
    let more = text.replace("\"epoch\": 0,", "\"epoch\": 0, \"reward\": 1,");
    let twice = text.replace("\"epoch\": 0,", "\"epoch\": 0, \"epoch\": 0,");
    let line = proof().to_line();
    for altered in [
        upper,
        unsaid,
        more,
        twice,
        line,
        text.clone() + "\n",
        String::new(),
    ] {
        assert!(
            Proof::parse(altered.as_bytes(), &HOTSTUFF.genesis).is_err(),
            "{altered}"
        );
    }
    let statements = |text: &str| -> serde_json::Value {
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        file["statements"].clone()
    };
    let mut swapped = proof();
    std::mem::swap(&mut swapped.evidence.first, &mut swapped.evidence.second);
    assert_ne!(statements(&swapped.to_text()), statements(&text));
    let refusal = Proof::parse(swapped.to_text().as_bytes(), &HOTSTUFF.genesis).unwrap_err();
    assert!(matches!(refusal, Refusal::Text(15)), "{refusal}");
}

#[test]
fn a_hostile_file_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.json");
    let load = || {
        let refusal = Proof::load(&path, &HOTSTUFF.genesis).unwrap_err();
        refusal.to_string()
    };
    assert!(load().contains("check the path"), "missing");
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(load().contains("longer than"));
    std::fs::write(&path, "[".repeat(MAX_BYTES)).unwrap();
    assert!(load().contains("no evidence file"));
    std::fs::write(&path, b"\xff\xfe{}").unwrap();
    assert!(load().contains("no evidence file"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(load().contains("not a file"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..Default::default() })]

    /// Bytes replaced, put in or taken out anywhere.
    #[test]
    fn no_part_of_a_file_can_be_altered(
        from in any::<prop::sample::Index>(),
        length in 0_usize..80,
        by in prop::collection::vec(prop_oneof![any::<u8>(), 0x20_u8..0x7f], 0..80),
    ) {
        let text = proof().to_text().into_bytes();
        let from = from.index(text.len());
        let until = (from + length).min(text.len());
        let mut altered = text.clone();
        altered.splice(from..until, by);
        let result = Proof::parse(&altered, &HOTSTUFF.genesis);
        prop_assert_eq!(result.is_ok(), altered == text);
    }

    /// A number or a digit in any field, written as we write it: only what is said in words has no
    /// other reason to be refused than that it differs.
    #[test]
    fn no_field_can_be_altered(
        field in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        by in 1_u64..,
    ) {
        let mut written = proof().written();
        let [first, second] = &mut written.statements;
        let numbers = [
            &mut written.quorate_evidence, &mut written.epoch,
            &mut first.view, &mut first.height, &mut second.view, &mut second.height,
        ];
        let texts = [
            &mut written.chain, &mut written.accused.key,
            &mut first.content, &mut first.signature, &mut second.content, &mut second.signature,
        ];
        let field = field.index(numbers.len() + texts.len() + 1);
        if let Some(number) = numbers.into_iter().nth(field) {
            *number = number.wrapping_add(by);
        } else if let Some(text) = texts.into_iter().nth(field - 6) {
            let at = at.index(text.len());
            let digit = u64::from_str_radix(&text[at..=at], 16).unwrap();
            let other = (digit + 1 + by % 15) % 16;
            text.replace_range(at..=at, &format!("{other:x}"));
        } else {
            written.accused.node = written.accused.node.wrapping_add(1 + (by % 0xfffe) as u16);
        }
        let raw = serde_json::to_string_pretty(&written).unwrap() + "\n";
        let refusal = Proof::parse(raw.as_bytes(), &HOTSTUFF.genesis).unwrap_err();
        prop_assert!(!matches!(refusal, Refusal::Text(_)), "{}", refusal);
    }

    /// Whatever an honest key signs, one statement a slot: no two of them are a proof, whoever puts
    /// them together under whatever name.
    #[test]
    fn statements_of_different_slots_prove_nothing(
        said in prop::collection::btree_map(
            (0_usize..10, 0_u64..4, 0_u64..3), 0_u8..3, 2..6,
        ),
        node in 0_u16..5,
        pick in any::<[prop::sample::Index; 2]>(),
    ) {
        let on = &*HOTSTUFF;
        let said: Vec<_> = said
            .into_iter()
            .map(|((kind, view, height), content)| {
                sign(on, LIAR, slot(Kind::ALL[kind], view, height), content)
            })
            .collect();
        let [first, second] = pick.map(|at| *at.get(&said));
        let evidence = Evidence { node: NodeId(node), first, second };
        prop_assert!(Proof::new(evidence, &on.genesis).is_err());
    }

    #[test]
    fn nothing_makes_it_panic(raw in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Proof::parse(&raw, &HOTSTUFF.genesis).is_err());
    }
}
