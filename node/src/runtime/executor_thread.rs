//! The executor's thread: pulls committed heights from the log and executes them.

use super::clock::Clock;
use super::failure::Failure;
use super::inbox::Inbox;
use crypto::Height;
use engine::Input;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use storage::{Commit, ExecuteError, Executor};
use tokio::sync::watch;

/// How often an executor that has nothing to do looks whether its state is due to be flushed.
const FLUSH_CHECK: Duration = Duration::from_secs(10);

/// How far to execute, and a commit that need not be read from the log.
pub(crate) type Order = (Height, Option<Commit>);

/// How long the end waits for the log to hold what was executed, so that the state can be flushed.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(2);

/// Starts the thread. It ends, with the state flushed, when the sender is dropped.
pub(crate) fn start<C: Send + 'static>(
    executor: Executor,
    clock: Clock,
    inbox: Inbox<C>,
    failure: &Failure,
) -> std::io::Result<(Sender<Order>, watch::Receiver<Height>, JoinHandle<()>)> {
    let (orders, receiver) = channel();
    let (executed, followers) = watch::channel(executor.applied().height);
    let mut thread = Thread {
        executor,
        clock,
        inbox,
        executed,
        target: Height(0),
    };
    let failed = failure.clone();
    let join = failure.spawn("executor", move || {
        if let Err(error) = thread.run(&receiver) {
            failed.fail(error.to_string());
        } else if failed.reason().is_none()
            && let Err(error) = thread.end()
        {
            failed.fail(error.to_string());
        }
    })?;
    Ok((orders, followers, join))
}

struct Thread<C> {
    executor: Executor,
    clock: Clock,
    inbox: Inbox<C>,
    executed: watch::Sender<Height>,
    target: Height,
}

impl<C> Thread<C> {
    fn run(&mut self, orders: &Receiver<Order>) -> Result<(), ExecuteError> {
        // After a quiet spell with everything flushed it sleeps until it is called.
        let mut idle_checks = 0;
        loop {
            let next = if idle_checks > FLUSH_CHECKS {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                orders.recv_timeout(FLUSH_CHECK)
            };
            match next {
                Ok(order) => {
                    idle_checks = 0;
                    self.take(order);
                }
                Err(RecvTimeoutError::Timeout) => idle_checks += 1,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.execute(orders)?;
        }
    }

    fn take(&mut self, (to, handed): Order) {
        self.target = self.target.max(to);
        self.executor.hand(handed);
    }

    /// Executes up to the target, which may rise meanwhile.
    fn execute(&mut self, orders: &Receiver<Order>) -> Result<(), ExecuteError> {
        loop {
            orders.try_iter().for_each(|order| self.take(order));
            let done = self.executor.step(self.clock.now(), self.target)?;
            let Some(last) = done.last() else {
                return Ok(());
            };
            self.executed.send_replace(last.height);
            self.inbox.post(Input::Executed(done));
        }
    }

    /// Flushes the state, if the log's thread writes the last commits in time; else the next start
    /// executes again what was not flushed.
    fn end(&mut self) -> Result<(), ExecuteError> {
        let end = Instant::now() + LAST_WRITES;
        while !self.executor.flush(true)? && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Idle checks until the last state must have been flushed by age (a minute), and some.
const FLUSH_CHECKS: u32 = 12;

#[cfg(test)]
mod tests;
