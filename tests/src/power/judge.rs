//! Whether what was promised is in an image.

use super::disk::{Disk, Heard};
use super::image::Fate;
use super::trace::{Record, Trace};
use super::writer::{self, BEGUN, MADE, RELEASED, Rows};
use crate::sim::Chance;
use anyhow::{Context as _, Result, bail, ensure};
use crypto::{Digest, View};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use storage::directory::Data;
use storage::{Job, OpenError, SafetyPolicy, StoreError};
use tempfile::TempDir;

/// What was promised up to a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// That there is a directory.
    pub made: bool,
    /// Groups up to this one.
    pub released: u64,
    /// Groups up to this one may be there.
    pub begun: u64,
}

impl Promised {
    fn hear(&mut self, record: &Record) {
        match record {
            Record::Note(MADE, _) => self.made = true,
            Record::Note(RELEASED, group) => self.released = self.released.max(*group),
            Record::Note(BEGUN, group) => self.begun = self.begun.max(*group),
            _ => {}
        }
    }
}

/// Cuts behind so many records: all of them if they are no more than `most`; else those around syncs, new
/// names and promises first, then others evenly.
#[must_use]
pub fn cuts(trace: &Trace, most: usize) -> Vec<usize> {
    let all = trace.records.len() + 1;
    if all <= most {
        return (0..all).collect();
    }
    let turning = |record: &Record| {
        !matches!(
            record,
            Record::Write(..) | Record::Open(..) | Record::Allocate(..)
        )
    };
    let points = trace.records.iter().enumerate();
    let turns: Vec<usize> = points
        .filter(|(_, record)| turning(record))
        .flat_map(|(i, _)| [i, i + 1])
        .collect();
    let evenly = |list: &[usize], count: usize| -> Vec<usize> {
        let count = count.min(list.len());
        (0..count).map(|i| list[i * list.len() / count]).collect()
    };
    let every: Vec<usize> = (0..all).collect();
    let mut cuts: BTreeSet<usize> = evenly(&turns, most * 3 / 4).into_iter().collect();
    cuts.extend(evenly(&every, most - cuts.len()));
    cuts.into_iter().collect()
}

/// What came of all images.
#[derive(Debug, Default)]
pub struct Judged {
    /// How many there were.
    pub images: usize,
    /// How many were of a log in which something was promised.
    pub promising: usize,
    /// How many RocksDB refused for its manifest, whose last record had lost a page in its middle.
    pub refused: usize,
    /// Which of them broke a promise, and how.
    pub broken: Vec<String>,
}

/// Who opens images of a writer's directory.
pub struct Judge {
    trace: Trace,
    seed: u64,
    policy: SafetyPolicy,
    /// Of all rows after so many groups.
    digests: Vec<Digest>,
    /// The data directory, below the traced one.
    data: PathBuf,
}

impl Judge {
    /// Of a trace that a writer of this seed left.
    #[must_use]
    pub fn new(trace: Trace, seed: u64, policy: SafetyPolicy, data: PathBuf) -> Self {
        let mut promised = Promised::default();
        trace.records.iter().for_each(|it| promised.hear(it));
        let mut rows = Rows::new();
        let mut digests = vec![writer::digest(&rows)];
        for number in 1..=promised.begun {
            writer::apply_groups(&mut rows, seed, [number]);
            digests.push(writer::digest(&rows));
        }
        Self {
            trace,
            seed,
            policy,
            digests,
            data,
        }
    }

    /// Opens `draws` images at each of these cuts, of a disk that is deaf to what `heard` says.
    ///
    /// # Errors
    /// If an image cannot be made: nothing was judged then.
    pub fn all(&self, cuts: &[usize], draws: u64, heard: Heard) -> Result<Judged> {
        // Two at a time: each waits for its own files.
        let parts = std::thread::scope(|scope| {
            let half = |part: usize| {
                let cuts: Vec<usize> = cuts.iter().copied().skip(part).step_by(2).collect();
                scope.spawn(move || self.some(&cuts, draws, heard))
            };
            [half(0), half(1)].map(|thread| thread.join().expect("it tells its errors"))
        });
        let mut all = Judged::default();
        for part in parts {
            let part = part?;
            all.images += part.images;
            all.promising += part.promising;
            all.refused += part.refused;
            all.broken.extend(part.broken);
        }
        Ok(all)
    }

    fn some(&self, cuts: &[usize], draws: u64, heard: Heard) -> Result<Judged> {
        let (mut disk, mut promised, mut at) = (Disk::new(heard), Promised::default(), 0);
        let mut judged = Judged::default();
        for cut in cuts {
            for record in &self.trace.records[at..*cut] {
                disk.follow(record)?;
                promised.hear(record);
            }
            at = *cut;
            for draw in 0..draws {
                let mut chance = Chance::of((*cut as u64) << 8 | draw, "power");
                let fate = match chance.below(8) {
                    0 => Fate::Lost,
                    1 => Fate::Kept,
                    _ => Fate::Mixed,
                };
                let dir = memory_dir()?;
                disk.image(fate, &mut chance, dir.path())?;
                judged.images += 1;
                judged.promising += usize::from(promised.released > 0);
                match self.image(&dir.path().join(&self.data), promised) {
                    Ok(()) => {}
                    Err(error) if may_refuse(&error) => judged.refused += 1,
                    Err(error) => {
                        let what = format!("cut {cut}, draw {draw}, {fate:?}: {error:#}");
                        judged.broken.push(what);
                    }
                }
            }
        }
        Ok(judged)
    }

    /// Opens an image and looks for what was promised; then the node goes on.
    fn image(&self, data: &Path, promised: Promised) -> Result<()> {
        let open = || Data::open(data, &writer::identity(), self.policy);
        let mut opened = match open() {
            Err(_) if !promised.made => return Ok(()),
            opened => opened?,
        };
        let rows = writer::rows(&*opened.log)?;
        let last = writer::last(&rows)?;
        let Promised {
            released, begun, ..
        } = promised;
        ensure!(
            (released..=begun).contains(&last),
            "group {last} is the last, {released} was promised and {begun} begun"
        );
        if writer::digest(&rows) != self.digests[last as usize] {
            bail!("{}", self.difference(&rows, last));
        }
        let mut commits = opened.group_commit().context("to go on")?;
        let next = writer::group(self.seed, last + 1);
        let job = Job {
            token: (),
            batch: next.batch.clone(),
            sync: true,
            view: View(last),
        };
        commits.commit(vec![job]).context("to go on")?;
        drop((commits, opened));
        let again = open().context("to start again")?;
        let mut expected = rows;
        writer::apply(&mut expected, next.batch);
        ensure!(
            writer::rows(&*again.log)? == expected,
            "what was written after the loss is not there"
        );
        Ok(())
    }

    fn difference(&self, found: &Rows, last: u64) -> String {
        let mut rows = Rows::new();
        writer::apply_groups(&mut rows, self.seed, 1..=last);
        let lost = rows.iter().filter(|(key, _)| !found.contains_key(key));
        let lost: Vec<_> = lost.map(|((table, key), _)| (*table, key)).collect();
        let wrong = found.iter().filter(|(key, row)| rows.get(key) != Some(row));
        let wrong: Vec<_> = wrong.map(|((table, key), _)| (*table, key)).collect();
        format!("group {last} is the last, without {lost:?}, with {wrong:?}")
    }
}

/// Whether it is no promise that such a log is taken.
fn may_refuse(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<OpenError>() {
        Some(OpenError::Store(StoreError::Damaged { what, .. })) => {
            what.contains("checksum mismatch in file") && what.contains("MANIFEST")
        }
        _ => false,
    }
}

/// A directory in memory where there is one: no image has to survive.
fn memory_dir() -> Result<TempDir> {
    let memory = tempfile::tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).context("no room")
}
