//! Random schedules of faults and work, and progress after all is mended.

use super::{Cluster, Subject};
use crypto::Time;
use std::ops::Range;

/// `QUORATE_SEEDS=first..last` runs other seeds than the usual ones.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses the seeds"
)]
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    let parse = |text: String| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    };
    std::env::var("QUORATE_SEEDS")
        .ok()
        .and_then(parse)
        .unwrap_or(usual)
}

/// What came of a run.
pub struct Ran {
    /// Heights committed under faults.
    pub height: u64,
    /// Reads answered under faults.
    pub reads: usize,
}

/// Faults for a while; then all is mended, and everything submitted must be committed everywhere.
pub fn faults_and_progress<P: Subject>(cluster: &mut Cluster<P>, what: &str) -> Ran {
    let mut asked = 0;
    for round in 0..80 {
        cluster.submit(round);
        cluster.disturb(&mut asked);
        let span = [1, 5, 50, 400][cluster.draw(4) as usize];
        cluster.run(Time::millis(span));
    }
    let heights = (0..cluster.n()).filter(|i| cluster.up(*i));
    let ran = Ran {
        height: heights.map(|i| cluster.height(i)).max().unwrap_or(0),
        reads: cluster.reads.iter().filter(|(.., at)| at.is_ok()).count(),
    };
    cluster.mend();
    cluster.submit(1000);
    cluster.run_until(Time::millis(120_000), what, Cluster::all_done);
    ran
}

impl<P: Subject> Cluster<P> {
    /// A fault, or work.
    fn disturb(&mut self, asked: &mut u64) {
        let n = self.n();
        let node = self.draw(u64::from(n)) as u16;
        match self.draw(24) {
            0 if self.up(node) => self.crash(node),
            1 if self.up(node) => {
                let after = 1 + self.draw(5);
                self.crash_at_sync.insert(node, after);
            }
            2 => (0..n).for_each(|i| self.crash(i)),
            3..=6 | 16..=18 if !self.up(node) => self.start(node),
            7 => self.isolate(node),
            8 => {
                let camp = self.draw(1 << n);
                let apart = |i: u16, j: u16| (camp >> i ^ camp >> j) & 1 == 1;
                let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
                self.net.cut = pairs.filter(|(i, j)| apart(*i, *j)).collect();
            }
            9 => {
                let other = self.draw(u64::from(n)) as u16;
                self.net.cut.insert((node, other));
            }
            10..=14 => self.net.cut.clear(),
            15 if self.up(node) => self.transfer(node),
            19 => {
                let slow = [100_000, 100_000, 20_000_000, 400_000_000][self.draw(4) as usize];
                self.slow_disk(node, Time(slow));
            }
            20..=23 => {
                for i in (0..n).filter(|i| self.up(*i)).collect::<Vec<_>>() {
                    *asked += 1;
                    self.read(i, *asked);
                }
            }
            _ => {}
        }
    }
}
