//! Bugs that others had, and the tests that keep us from having them: `testdata/bugs_of_others.txt`, a
//! list that cannot rot, since this fails when one of the tests is gone.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a test has above it that is not run.
const IGNORED: &str = concat!("#[", "ignore");
/// How many have all their tests, and how many wait for something that is not built yet.
const BUGS: [usize; 2] = [30, 1];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().into()
}

/// Where a file of tests is.
fn path(name: &str) -> String {
    let (folder, file) = name.split_once('/').unwrap();
    match folder {
        "hotstuff" | "pbft" | "raft" => format!("consensus/src/{folder}/tests/{file}.rs"),
        "shell" => format!("consensus/src/replica/tests/{file}.rs"),
        _ => format!("{name}.rs"),
    }
}

/// Whether there is a test of this name in the text that is run: the function, with its attribute above.
fn is_test(text: &str, name: &str) -> bool {
    let wanted = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(&wanted));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        let above = above.take_while(|line| !line.trim().is_empty() && !line.starts_with('}'));
        let above: Vec<&str> = above.map(|line| line.trim()).collect();
        let any = |start: &str| above.iter().any(|line| line.starts_with(start));
        (any("#[test]") || any("#[tokio::test")) && !any(IGNORED)
    })
}

/// What is wrong with the list.
fn faults(list: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waiting = BTreeSet::new();
    let mut bug = "";
    for line in list
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty())
    {
        let Some(test) = line.strip_prefix("    ") else {
            bug = line;
            tests.insert(bug, 0);
            if !line.contains(" | ") {
                faults.push(format!("{line}: whose?"));
            }
            continue;
        };
        *tests.entry(bug).or_default() += 1;
        if test.starts_with("not yet: ") {
            waiting.insert(bug);
            continue;
        }
        let (file, name) = test.split_once(' ').unwrap_or((test, ""));
        let file = path(file);
        if !read(&file).is_some_and(|text| is_test(&text, name)) {
            faults.push(format!("{bug}: {file} has no test {name}"));
        }
    }
    let none = tests.iter().filter(|(_, tests)| **tests == 0);
    faults.extend(none.map(|(bug, _)| format!("{bug}: no test")));
    let counted = [tests.len() - waiting.len(), waiting.len()];
    println!("{} bugs have tests, {} wait", counted[0], counted[1]);
    if counted != BUGS {
        let [tested, waiting] = counted;
        faults.push(format!("{tested} bugs have tests, {waiting} wait"));
    }
    faults
}

#[test]
fn every_bug_that_others_had_has_its_test() {
    let list = root().join("tests/testdata/bugs_of_others.txt");
    let list = fs::read_to_string(list).unwrap();
    let faults = faults(&list, |file| fs::read_to_string(root().join(file)).ok());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    let text = "#[test]\nfn one() {\n}\n\nfn two() {\n}\n\n#[test]\n#[inline]\nfn three() {";
    assert!(is_test(text, "one") && is_test(text, "three"));
    assert!(!is_test(text, "two") && !is_test(text, "four") && !is_test(text, "on"));
    for ignored in [format!("{IGNORED}]"), format!("{IGNORED} = \"slow\"]")] {
        for text in [
            format!("#[test]\n{ignored}\nfn five() {{"),
            format!("{ignored}\n#[tokio::test]\nasync fn five() {{"),
        ] {
            assert!(!is_test(&text, "five"), "{text}");
        }
    }
    let list = "a | b\n    raft/x one\n    raft/x two\n    raft/y one\nc\nd | e\n    not yet: f\n";
    let read = |file: &str| file.ends_with("x.rs").then(|| text.to_owned());
    let found = faults(list, read);
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(found[4], "2 bugs have tests, 1 wait");
}
