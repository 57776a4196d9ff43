//! Power that fails at any moment: what processes did to their files is cut anywhere, and what a disk may
//! have left then is opened again.

use crate::world::program;
use quorate_tests::power::{Disk, Heard, Judge, Judged, Trace, cuts};
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::SafetyPolicy;
use storage::SafetyPolicy::{EachFence, EachPromise};

const SEED: u64 = 1;
/// Images that are opened, if not all.
const IMAGES: usize = 240;

/// A disk that does as it is told.
pub const HONEST: Heard = |_| true;

/// The recorder, which is built as a dependency of this test.
pub fn recorder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().join("libquorate_recorder.so");
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// Whether all cuts are asked for, with several draws of each.
pub fn all_cuts() -> bool {
    std::env::var("QUORATE_POWER").is_ok_and(|value| value == "all")
}

/// What a writer left: its trace, and who judges images of it.
struct Written {
    judge: Judge,
    trace: Trace,
}

impl Written {
    /// It makes a directory, is killed, starts again, ends in order, and once more.
    fn record(policy: SafetyPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, trace) = (dir.path().join("disk"), dir.path().join("trace"));
        std::fs::create_dir(&root).unwrap();
        for flags in [&["--make"][..], &["--orderly"], &[]] {
            write(&root, &trace, policy, flags);
        }
        let trace = Trace::read(&trace, &root).unwrap();
        let disk = Disk::after(&trace.records, HONEST).unwrap();
        // Whatever was not recorded shows here.
        disk.compare(&root).unwrap();
        let judge = Judge::new(trace.clone(), SEED, policy, "node/data".into());
        Self { judge, trace }
    }

    /// Opens one image at each of so many cuts, or several at each.
    fn judged(&self, most: usize, draws: u64, heard: Heard) -> Judged {
        let cuts = cuts(&self.trace, most);
        self.judge.all(&cuts, draws, heard).unwrap()
    }

    /// That nothing is broken on a disk that does as it is told.
    fn holds(&self) {
        let (most, draws) = match all_cuts() {
            true => (usize::MAX, 4),
            false => (IMAGES, 1),
        };
        let Judged {
            images,
            promising,
            refused,
            broken,
        } = self.judged(most, draws, HONEST);
        println!(
            "{images} images, {promising} with promises, {refused} refused, of {} records",
            self.trace.records.len()
        );
        assert!(refused * 100 < images, "{refused} of {images} are refused");
        assert!(promising * 2 > images, "{promising} of {images} say little");
        assert!(
            broken.is_empty(),
            "{} of {images}:\n{}",
            broken.len(),
            broken.join("\n")
        );
    }

    /// That a disk which is deaf to some syncs is found out.
    fn finds_out(&self, heard: Heard, sign: &str) {
        let broken = self.judged(IMAGES / 2, 1, heard).broken;
        let told = broken.iter().any(|what| what.contains(sign));
        assert!(told, "nobody says {sign:?}: {broken:#?}");
    }
}

fn write(root: &Path, trace: &Path, policy: SafetyPolicy, flags: &[&str]) {
    let mut command = Command::new(program().with_file_name("power-writer"));
    command
        .arg("--data")
        .arg(root.join("node/data"))
        .arg("--trace")
        .arg(trace)
        .args(["--groups", "60", "--seed", &SEED.to_string()])
        .args(flags)
        .args((policy == EachPromise).then_some("--each-promise"))
        .env("LD_PRELOAD", recorder())
        .env("QUORATE_TRACED", root)
        .env("QUORATE_TRACE", trace);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn what_was_promised_survives_a_loss_of_power_at_any_moment() {
    Written::record(EachFence).holds();
}

#[test]
fn what_was_promised_survives_also_if_the_safety_file_tells_promises_only() {
    Written::record(EachPromise).holds();
}

#[test]
fn disks_that_are_deaf_to_syncs_are_found_out() {
    let written = Written::record(EachFence);
    written.finds_out(|_| false, "no data directory");
    written.finds_out(|path| !path.ends_with(".log"), "was released");
    written.finds_out(|path| path != "node", "no data directory");
    written.finds_out(|path| path != "node/data", "ends at fence 0");
    written.finds_out(|path| path != "node/data/log", "was released");
    written.finds_out(|path| !path.ends_with("safety"), "safety file");
}
