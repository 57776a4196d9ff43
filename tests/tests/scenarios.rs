//! Plays the scripts in `testdata/`; see [`quorate_tests::scenario`] for the language.

#![allow(clippy::unwrap_used)]

use consensus::hotstuff::HotStuff;
use consensus::pbft::Pbft;
use consensus::raft::Raft;
use quorate_tests::scenario::{Spoken, play};
use std::fs;
use std::path::Path;

/// What differs, line by line, with a little of what is around it.
fn difference(expected: &str, played: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), played.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let (old_tail, new_tail) = (old.iter().rev(), new.iter().rev());
    let end = old_tail
        .zip(new_tail)
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let mut lines = Vec::new();
    lines.extend(
        old[same.saturating_sub(3)..same]
            .iter()
            .map(|it| format!("  {it}")),
    );
    lines.extend(
        old[same..old.len() - end]
            .iter()
            .map(|it| format!("- {it}")),
    );
    lines.extend(
        new[same..new.len() - end]
            .iter()
            .map(|it| format!("+ {it}")),
    );
    lines.join("\n")
}

/// All scripts of a protocol.
fn play_all<P: Spoken>(folder: &str) {
    let bless = std::env::var_os("QUORATE_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(folder);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|it| it.extension().is_some_and(|it| it == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{} scripts", files.len());
    let mut failed = Vec::new();
    for path in files {
        let script = fs::read_to_string(&path).unwrap();
        let name = path.display();
        match play::<P>(&script) {
            Ok(played) if played == script => {}
            Ok(played) if bless => fs::write(&path, played).unwrap(),
            Ok(played) => failed.push(format!("{name}\n{}", difference(&script, &played))),
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n\n"));
}

#[test]
fn raft() {
    play_all::<Raft>("raft");
}

#[test]
fn hotstuff() {
    play_all::<HotStuff>("hotstuff");
}

#[test]
fn pbft() {
    play_all::<Pbft>("pbft");
}

#[test]
fn a_script_that_says_otherwise_differs() {
    let script = "> nodes 1
> tick 0
  0 > all: pre_vote t1: last is 0/t0
  0 > all: request_vote t1: last is 0/t0
  0 leads
  0 commits 1: nothing
";
    assert_eq!(play::<Raft>(script).unwrap(), script);
    let other = script.replace("commits 1", "commits 2");
    let played = play::<Raft>(&other).unwrap();
    assert_ne!(played, other);
    let shown = difference(&other, &played);
    assert!(
        shown.contains("- ") && shown.contains("+   0 commits 1"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_done_is_an_error_with_its_line() {
    for (script, why) in [
        ("> tick 0\n", "line 1"),
        ("> nodes 2\n> tick 2\n", "line 2"),
        ("> nodes 2\n\n> deliver 0>1\n", "line 3"),
        ("> nodes 2\n> dance\n", "not understood"),
        ("> nodes 2\n> tick 0\n> nodes 3\n", "not understood"),
        ("> nodes 1\n> crash 0\n> tick 0\n", "down"),
    ] {
        let error = play::<Raft>(script).unwrap_err();
        assert!(format!("{error:#}").contains(why), "{error:#}");
    }
}
