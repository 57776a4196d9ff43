//! The log's thread: group commit. And the loader's, so that a slow read never stops a vote.

use super::failure::Failure;
use super::inbox::Inbox;
use super::metrics::Metrics;
use crypto::View;
use engine::{Input, Query};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::{GroupCommit, Job, Store, WriteBatch};

/// Most bytes in one group: a sync of more would make all of it wait.
const GROUP_BYTES: usize = 8 << 20;
/// Most jobs in one group.
const GROUP_JOBS: usize = 4_096;
/// Above this a disk is too slow for the purpose.
const SLOW: Duration = Duration::from_millis(10);
/// Syncs over which the 99th percentile is taken.
const SAMPLES: usize = 512;
/// At most one warning in this span.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What the log's thread is asked, in order.
pub(crate) enum Task {
    /// Write; answered by [`Input::Written`].
    Write {
        /// Comes back.
        token: u64,
        /// What.
        batch: WriteBatch,
        /// Whether to answer only once it is durable.
        sync: bool,
        /// The view now.
        view: View,
    },
    /// Load behind the writes before it; answered by [`Input::Loaded`].
    Load {
        /// Comes back.
        token: u64,
        /// What.
        query: Query,
    },
}

/// Starts both threads. They end, with everything written and synced, when the sender is dropped.
pub(crate) fn start<C: Send + 'static>(
    group: GroupCommit,
    log: Arc<dyn Store>,
    inbox: Inbox<C>,
    metrics: Arc<Metrics>,
    failure: &Failure,
) -> std::io::Result<(Sender<Task>, Vec<JoinHandle<()>>)> {
    let (tasks, receiver) = channel();
    let (loads, load_receiver) = channel();
    let writer = Writer {
        group,
        loads,
        inbox: inbox.clone(),
        metrics,
        failure: failure.clone(),
        slow: SlowDisk::default(),
    };
    let threads = vec![
        failure.spawn("storage", move || writer.run(&receiver))?,
        failure.spawn("loader", {
            let failure = failure.clone();
            move || load(&*log, &load_receiver, &inbox, &failure)
        })?,
    ];
    Ok((tasks, threads))
}

struct Writer<C> {
    group: GroupCommit,
    loads: Sender<(u64, Query)>,
    inbox: Inbox<C>,
    metrics: Arc<Metrics>,
    failure: Failure,
    slow: SlowDisk,
}

impl<C> Writer<C> {
    fn run(mut self, tasks: &Receiver<Task>) {
        while let Ok(first) = tasks.recv() {
            if !self.group_of(first, tasks) {
                // Nothing is written or answered any more: what is on disk is unknown.
                return;
            }
        }
        if let Err(error) = self.group.finish() {
            self.failure.fail(error.to_string());
        }
    }

    /// One write and one sync for all that waits. False: it failed.
    fn group_of(&mut self, first: Task, tasks: &Receiver<Task>) -> bool {
        let (mut jobs, mut loads, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some(task) = next {
            match task {
                Task::Write {
                    token,
                    batch,
                    sync,
                    view,
                } => {
                    bytes += batch.bytes();
                    jobs.push(Job {
                        token,
                        batch,
                        sync,
                        view,
                    });
                }
                Task::Load { token, query } => loads.push((token, query)),
            }
            let room = bytes < GROUP_BYTES && jobs.len() < GROUP_JOBS;
            next = if room { tasks.try_recv().ok() } else { None };
        }
        if !jobs.is_empty() && !self.commit(jobs, bytes) {
            return false;
        }
        for load in loads {
            // The loader ends before this thread only when the node has failed.
            self.loads.send(load).ok();
        }
        true
    }

    fn commit(&mut self, jobs: Vec<Job<u64>>, bytes: usize) -> bool {
        let (count, began) = (jobs.len(), Instant::now());
        match self.group.commit(jobs) {
            Ok(done) => {
                if done.fence.is_some() {
                    let took = began.elapsed();
                    self.metrics.sync_seconds.observe(took.as_secs_f64());
                    if let Some(p99) = self.slow.observe(took) {
                        tracing::warn!(
                            "the disk is slow: the 99th percentile of a synced write is {p99:?}, \
                             above {SLOW:?}; latency suffers (is the disk shared or failing?)"
                        );
                    }
                }
                self.metrics.groups.inc();
                self.metrics.writes.inc_by(count as u64);
                self.metrics.written_bytes.inc_by(bytes as u64);
                for token in done.tokens {
                    self.inbox.post(Input::Written { token });
                }
                true
            }
            Err(error) => {
                self.failure.fail(error.to_string());
                false
            }
        }
    }
}

fn load<C>(log: &dyn Store, loads: &Receiver<(u64, Query)>, inbox: &Inbox<C>, failure: &Failure) {
    for (token, query) in loads {
        match query.run(log) {
            Ok(rows) => inbox.post(Input::Loaded { token, rows }),
            Err(error) => return failure.fail(error.to_string()),
        }
    }
}

/// Notices a disk whose syncs are slow.
#[derive(Default)]
struct SlowDisk {
    samples: Vec<Duration>,
    warned: Option<Instant>,
}

impl SlowDisk {
    /// Returns the 99th percentile when it is time to warn.
    fn observe(&mut self, took: Duration) -> Option<Duration> {
        self.samples.push(took);
        if self.samples.len() < SAMPLES {
            return None;
        }
        self.samples.sort_unstable();
        let p99 = self.samples[SAMPLES * 99 / 100];
        self.samples.clear();
        let silent = self.warned.is_some_and(|last| last.elapsed() < WARN_EVERY);
        if p99 <= SLOW || silent {
            return None;
        }
        self.warned = Some(Instant::now());
        Some(p99)
    }
}

#[cfg(test)]
mod tests;
