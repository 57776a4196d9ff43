//! How often a process that lies has told each of its ways. It writes that down in its home, since nobody
//! else can tell its lies from what it says honestly.

use crate::adversary::Ring;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::time::sleep;

/// Time between entries: what is told after the last before a kill is not counted.
const EVERY: Duration = Duration::from_millis(50);

/// Lies by the names of their ways.
pub type Told = BTreeMap<String, u64>;

/// Where a liar's counts are kept, over all its lives.
pub struct Diary {
    path: PathBuf,
    /// What it told in earlier lives.
    before: Told,
}

impl Diary {
    /// That of a home whose node lies in the way of this name.
    #[must_use]
    pub fn open(home: &Path, name: &str) -> Self {
        let path = home.join(format!("told-{name}.txt"));
        let before = parse(&fs::read_to_string(&path).unwrap_or_default());
        Self { path, before }
    }

    /// All that it has told.
    #[must_use]
    pub fn read(home: &Path, name: &str) -> Told {
        Self::open(home, name).before
    }

    /// Keeps what a ring tells, for as long as the process lives.
    pub async fn keep(self, ring: Arc<Ring>) {
        let mut written = BTreeMap::new();
        loop {
            let told = ring.told();
            if told != written {
                match self.write(&told) {
                    Ok(()) => written = told,
                    Err(error) => tracing::warn!("cannot write {}: {error}", self.path.display()),
                }
            }
            sleep(EVERY).await;
        }
    }

    /// Notes what was told in this life. A kill leaves what was there before, or all of it.
    fn write(&self, told: &BTreeMap<&'static str, u64>) -> io::Result<()> {
        let mut all = self.before.clone();
        for (way, count) in told {
            *all.entry((*way).to_owned()).or_default() += count;
        }
        let mut text = String::new();
        for (way, count) in &all {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{count} {way}");
        }
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &self.path)
    }
}

fn parse(text: &str) -> Told {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .filter_map(|(count, way)| Some((way.to_owned(), count.parse().ok()?)))
        .collect()
}

/// What is in the second and not yet in the first.
pub(super) fn since(before: &Told, now: Told) -> Told {
    let fresh = now.into_iter().map(|(way, count)| {
        let old = before.get(&way).copied().unwrap_or(0);
        (way, count.saturating_sub(old))
    });
    fresh.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_diary_goes_on_over_the_lives_of_its_liar_and_apart_from_other_ways() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Diary::read(dir.path(), "forge").is_empty());
        let first = Diary::open(dir.path(), "forge");
        first.write(&BTreeMap::from([("one way", 2)])).unwrap();
        first.write(&BTreeMap::from([("one way", 3)])).unwrap();
        let before = Diary::read(dir.path(), "forge");
        assert_eq!(before, Told::from([("one way".to_owned(), 3)]));
        let second = Diary::open(dir.path(), "forge");
        let lies = BTreeMap::from([("one way", 1), ("the other", 5)]);
        second.write(&lies).unwrap();
        let now = Diary::read(dir.path(), "forge");
        let all = Told::from([("one way".to_owned(), 4), ("the other".to_owned(), 5)]);
        assert_eq!(now, all);
        let fresh = Told::from([("one way".to_owned(), 1), ("the other".to_owned(), 5)]);
        assert_eq!(since(&before, now.clone()), fresh);
        assert!(since(&now, now.clone()).is_empty());
        assert!(Diary::read(dir.path(), "stale").is_empty());
    }
}
