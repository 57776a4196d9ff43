#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;

fn safety(fence: u64) -> Safety {
    Safety {
        chain: ChainId(Digest([0xAA; 32])),
        key: PublicKey([0xBB; 32]),
        epoch: Epoch(1),
        view: View(2),
        fence,
    }
}

#[test]
fn golden_bytes() {
    let hex: String = safety(3)
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let body = [
        "5152534146450001".to_owned(),
        "aa".repeat(32),
        "bb".repeat(32),
        "0100000000000000".to_owned(),
        "0200000000000000".to_owned(),
        "0300000000000000".to_owned(),
    ];
    assert_eq!(hex, body.concat() + "fd3a947f");
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let good = safety(3).encode();
    assert_eq!(Safety::decode(&good), Some(safety(3)));
    for bit in 0..ENCODED * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Safety::decode(&bad), None, "bit {bit}");
    }
    for end in 0..ENCODED {
        assert_eq!(Safety::decode(&good[..end]), None, "{end} bytes");
    }
}

#[test]
fn the_newest_valid_slot_counts_and_a_write_spares_the_other() {
    let mut file = MemorySafetyFile::create(&safety(0));
    for fence in 1..=5 {
        file.write(&safety(fence)).unwrap();
        assert_eq!(file.read().unwrap(), Some(safety(fence)));
    }
    assert_eq!(Safety::decode(&file.bytes()[..SLOT]), Some(safety(4)));
    assert_eq!(Safety::decode(&file.bytes()[SLOT..]), Some(safety(5)));
}

#[test]
fn a_write_torn_anywhere_leaves_the_one_before_or_itself() {
    for (kept, fails) in (0..=ENCODED).flat_map(|kept| [(kept, false), (kept, true)]) {
        let mut file = MemorySafetyFile::create(&safety(0));
        if fails {
            file.fail_write_after(3);
        }
        for fence in 1..=4 {
            assert_eq!(file.write(&safety(fence)).is_err(), fails && fence == 4);
        }
        file.tear(kept);
        let fence = file.read().unwrap().unwrap().fence;
        assert!(
            fence == 4 || (fence == 3 && kept < ENCODED),
            "{kept} bytes: fence {fence}"
        );
        file.crash();
        file.write(&safety(5)).unwrap();
    }
}

/// Found by the simulator: the fence of the database runs ahead of the file after a torn write, so
/// that the next fence had the parity, and took the slot, of the only valid one.
#[test]
fn a_second_torn_write_spares_the_only_valid_slot() {
    let mut file = MemorySafetyFile::create(&safety(0));
    for fence in 1..=6 {
        file.write(&safety(fence)).unwrap();
        file.tear(7);
        file.crash();
        assert_eq!(file.read().unwrap(), Some(safety(0)), "fence {fence}");
    }
}

#[test]
fn the_verdict_starts_only_if_nothing_released_is_lost() {
    let (chain, key) = (safety(0).chain, safety(0).key);
    let refuse = Verdict::Refuse;
    assert_eq!(verdict(5, Some(&safety(5)), chain, key), Verdict::Start);
    assert_eq!(verdict(6, Some(&safety(5)), chain, key), Verdict::Start);
    assert_eq!(verdict(0, Some(&safety(0)), chain, key), Verdict::Start);
    assert_eq!(
        verdict(4, Some(&safety(5)), chain, key),
        refuse(Refusal::Behind {
            database: 4,
            file: 5
        })
    );
    assert_eq!(verdict(5, None, chain, key), refuse(Refusal::Missing));
    let foreign = |what| refuse(Refusal::Foreign(what));
    assert_eq!(
        verdict(5, Some(&safety(5)), ChainId::default(), key),
        foreign("chain")
    );
    assert_eq!(
        verdict(5, Some(&safety(5)), chain, PublicKey([0; 32])),
        foreign("key")
    );
}

#[test]
fn the_real_file_is_overwritten_in_place() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("safety");
    RealSafetyFile::create(&path, &safety(0)).unwrap();
    let again = RealSafetyFile::create(&path, &safety(9)).unwrap_err();
    assert!(matches!(again, SafetyError::Exists { .. }), "{again}");
    let mut file = RealSafetyFile::open(&path).unwrap();
    for fence in 1..=5 {
        file.write(&safety(fence)).unwrap();
    }
    drop(file);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 2 * SLOT);
    assert_eq!(Safety::decode(&bytes[..SLOT]), Some(safety(4)));
    assert_eq!(
        RealSafetyFile::open(&path).unwrap().read().unwrap(),
        Some(safety(5))
    );
}

#[test]
fn no_file_or_nothing_valid_in_it_is_none() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("safety");
    let mut missing = RealSafetyFile::open(&path).unwrap();
    assert_eq!(missing.read().unwrap(), None);
    assert!(
        missing.write(&safety(1)).is_err(),
        "it is never created by a write"
    );
    assert!(!path.exists());
    for bytes in [vec![], vec![0; 2 * SLOT], vec![0xFF; 100]] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(RealSafetyFile::open(&path).unwrap().read().unwrap(), None);
    }
}
