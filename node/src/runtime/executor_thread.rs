//! The executor's thread: pulls committed heights from the log and executes them.

use super::clock::Clock;
use super::failure::Failure;
use super::inbox::Inbox;
use crypto::Height;
use engine::Input;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use storage::{ExecuteError, Executor};
use tokio::sync::watch;

/// How often an executor that has nothing to do looks whether its state is due to be flushed.
const FLUSH_CHECK: Duration = Duration::from_secs(10);

/// Starts the thread. It ends, with the state flushed, when the sender is dropped.
pub(crate) fn start<C: Send + 'static>(
    executor: Executor,
    clock: Clock,
    inbox: Inbox<C>,
    failure: &Failure,
) -> std::io::Result<(Sender<Height>, watch::Receiver<Height>, JoinHandle<()>)> {
    let (targets, receiver) = channel();
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
            && let Err(error) = thread.executor.flush(true)
        {
            failed.fail(error.to_string());
        }
    })?;
    Ok((targets, followers, join))
}

struct Thread<C> {
    executor: Executor,
    clock: Clock,
    inbox: Inbox<C>,
    executed: watch::Sender<Height>,
    target: Height,
}

impl<C> Thread<C> {
    fn run(&mut self, targets: &Receiver<Height>) -> Result<(), ExecuteError> {
        // After a quiet spell with everything flushed it sleeps until it is called.
        let mut idle_checks = 0;
        loop {
            let next = if idle_checks > FLUSH_CHECKS {
                targets.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                targets.recv_timeout(FLUSH_CHECK)
            };
            match next {
                Ok(height) => {
                    idle_checks = 0;
                    self.target = self.target.max(height);
                }
                Err(RecvTimeoutError::Timeout) => idle_checks += 1,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if let Some(highest) = targets.try_iter().max() {
                self.target = self.target.max(highest);
            }
            self.execute(targets)?;
        }
    }

    /// Executes up to the target, which may rise meanwhile.
    fn execute(&mut self, targets: &Receiver<Height>) -> Result<(), ExecuteError> {
        loop {
            let done = self.executor.step(self.clock.now(), self.target)?;
            let Some(last) = done.last() else {
                return Ok(());
            };
            self.executed.send_replace(last.height);
            self.inbox.post(Input::Executed(done));
            if let Some(highest) = targets.try_iter().max() {
                self.target = self.target.max(highest);
            }
        }
    }
}

/// Idle checks until the last state must have been flushed by age (a minute), and some.
const FLUSH_CHECKS: u32 = 12;

#[cfg(test)]
mod tests;
