#![allow(clippy::unwrap_used)]
use super::*;

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

#[test]
fn a_key_comes_back_from_its_file_and_the_file_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consensus.key");
    KeyFile::create(&path, &key()).unwrap();
    assert_eq!(KeyFile::read(&path).unwrap().public(), key().public());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("ed25519-seed-v1:{}\n", "07".repeat(32)));
}

#[test]
fn a_key_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    KeyFile::create(&path, &key()).unwrap();
    let error = KeyFile::create(&path, &SecretKey::from_seed(&[8; 32])).unwrap_err();
    assert!(matches!(error, KeyFileError::Exists(_)), "{error}");
    assert_eq!(KeyFile::read(&path).unwrap().public(), key().public());
}

#[test]
fn a_file_open_to_others_is_refused_with_the_command_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k");
    KeyFile::create(&path, &key()).unwrap();
    for mode in [0o604, 0o640, 0o644, 0o660, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyFile::read(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"),
            "{error}"
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    KeyFile::read(&path).unwrap();
}

#[test]
fn what_is_no_key_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = KeyFile::read(&dir.path().join("none")).unwrap_err();
    assert!(matches!(missing, KeyFileError::Missing(_)), "{missing}");
    let directory = KeyFile::read(dir.path()).unwrap_err();
    assert!(matches!(directory, KeyFileError::Damaged(_)), "{directory}");
    let good = format!("{PREFIX}{}\n", "07".repeat(32));
    let bad = [
        String::new(),
        "07".repeat(32),
        format!("{PREFIX}{}\n", "07".repeat(31)),
        format!("{PREFIX}{}\n", "07".repeat(33)),
        format!("{PREFIX}{}zz\n", "07".repeat(31)),
        format!("{good}\n"),
        format!("{good}{good}"),
        "x".repeat(1 << 20),
    ];
    for (i, text) in bad.iter().enumerate() {
        let path = dir.path().join(i.to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Damaged(_)), "{i}: {error}");
        assert!(
            !error.to_string().contains("0707"),
            "an error never shows key material"
        );
    }
}
