//! What stops a node that must not go on.

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use tokio_util::sync::CancellationToken;

/// The first failure stops the node; its reason is what the operator reads.
#[derive(Clone, Debug)]
pub struct Failure {
    reason: Arc<OnceLock<String>>,
    stop: CancellationToken,
}

impl Failure {
    /// Cancels this token when something fails.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            reason: Arc::default(),
            stop,
        }
    }

    /// Stops the node. Later reasons follow from the first and are only logged.
    pub fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!("stopping: {reason}");
        // Only the first one is kept.
        self.reason.set(reason).ok();
        self.stop.cancel();
    }

    /// Why it failed, if it did.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }

    /// Starts a thread; if it panics, the node stops.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(
        &self,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        let guard = Guard {
            failure: self.clone(),
            name,
        };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _guard = guard;
            run();
        })
    }
}

struct Guard {
    failure: Failure,
    name: &'static str,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.failure.fail(format!(
                "an invariant broke in thread `{}` (see the panic above): this is a bug",
                self.name
            ));
        }
    }
}
