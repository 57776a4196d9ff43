#![allow(clippy::unwrap_used)]

use super::*;
use crypto::Digest;

fn identity() -> Identity {
    Identity {
        chain: ChainId(Digest([0xAB; 32])),
        key: PublicKey([0xCD; 32]),
        protocol: "hotstuff".into(),
    }
}

#[test]
fn golden_format_file() {
    let expected = format!(
        "quorate-data 2\nchain {}\nkey {}\nprotocol hotstuff\n",
        "ab".repeat(32),
        "cd".repeat(32)
    );
    assert_eq!(describe(&identity()), expected);
}

#[test]
fn a_directory_is_made_once() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    let error = Directory::create(home.path(), &identity()).unwrap_err();
    assert!(matches!(error, OpenError::Exists(_)), "{error}");
    Directory::open(home.path(), &identity()).unwrap();
}

#[test]
fn none_is_not_made_by_opening() {
    let home = tempfile::tempdir().unwrap();
    let error = Directory::open(home.path(), &identity()).unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_foreign_one_is_refused_and_says_what_differs() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    let others = [
        (
            "chain",
            Identity {
                chain: ChainId(Digest([1; 32])),
                ..identity()
            },
        ),
        (
            "key",
            Identity {
                key: PublicKey([1; 32]),
                ..identity()
            },
        ),
        (
            "protocol",
            Identity {
                protocol: "raft".into(),
                ..identity()
            },
        ),
    ];
    for (field, other) in others {
        let error = Directory::open(home.path(), &other).unwrap_err();
        assert!(
            matches!(&error, OpenError::Foreign { what, .. } if *what == field),
            "{error}"
        );
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn another_format_is_refused_whatever_else_it_says() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    for other in [FORMAT - 1, FORMAT + 1] {
        let text = format!("quorate-data {other}\nsomething else\n");
        fs::write(home.path().join("FORMAT"), text).unwrap();
        let error = Directory::open(home.path(), &identity()).unwrap_err();
        assert!(
            matches!(error, OpenError::OtherFormat { found, .. } if found == other),
            "{error}"
        );
    }
}

#[test]
fn a_damaged_format_file_is_refused() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    for text in [
        "",
        "quorate-data",
        "quorate-data x\n",
        "quorate-data 2\n",
        "quorate-data 2\nchain\n",
    ] {
        fs::write(home.path().join("FORMAT"), text).unwrap();
        let error = Directory::open(home.path(), &identity()).unwrap_err();
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn a_look_tells_who_has_it_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    let files = || {
        let mut names: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files();
    assert_eq!(Directory::look(home.path(), &identity()).unwrap(), None);
    assert_eq!(files(), before);

    let held = Directory::open(home.path(), &identity()).unwrap();
    let owner = Directory::look(home.path(), &identity()).unwrap();
    assert_eq!(owner, Some(std::process::id().to_string()));
    drop(held);
    assert_eq!(Directory::look(home.path(), &identity()).unwrap(), None);
    // The look itself has let go of it.
    Directory::open(home.path(), &identity()).unwrap();

    let other = Identity {
        chain: ChainId(Digest([1; 32])),
        ..identity()
    };
    let error = Directory::look(home.path(), &other).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

/// As `inspect` and the supervisor do, at any time.
#[test]
fn a_start_is_not_refused_because_somebody_looks() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    drop(Directory::open(home.path(), &identity()).unwrap());
    let looker = File::open(home.path().join("LOCK")).unwrap();
    flock(&looker, FlockOperation::NonBlockingLockShared).unwrap();
    let looks = std::thread::spawn(move || {
        sleep(20 * PAUSE);
        drop(looker);
    });
    let held = Directory::open(home.path(), &identity()).unwrap();
    looks.join().unwrap();
    let error = Directory::open(home.path(), &identity()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(held);
}

/// The process that had it last has long ended.
#[test]
fn a_start_that_somebody_keeps_from_it_by_looking_names_nobody() {
    let home = tempfile::tempdir().unwrap();
    Directory::create(home.path(), &identity()).unwrap();
    drop(Directory::open(home.path(), &identity()).unwrap());
    let looker = File::open(home.path().join("LOCK")).unwrap();
    flock(&looker, FlockOperation::NonBlockingLockShared).unwrap();
    let error = Directory::open(home.path(), &identity()).unwrap_err();
    let (said, pid) = (error.to_string(), std::process::id().to_string());
    assert!(!said.contains(&format!("process {pid}")), "{said}");
    assert!(said.contains("looks at it"), "{said}");
}

#[test]
fn a_format_file_that_is_no_text_is_damaged() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("FORMAT"), [0xFF, 0xFE, 0]).unwrap();
    let error = Directory::open(home.path(), &identity()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}
