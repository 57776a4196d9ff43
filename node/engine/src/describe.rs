//! What the operator is told.

use crate::{Engine, Status};
use consensus::Protocol;

impl<P: Protocol> Engine<P> {
    pub(crate) fn describe(&self) -> Status {
        let config = &self.setup.config;
        Status {
            node: config.me,
            fault_model: self.setup.fault_model,
            protocol: self.setup.protocol,
            consensus: self.replica.status(),
            state_height: self.execution.executed,
            state_digest: self.execution.state,
            pending: self.pool.stats(),
            connected: self.connected,
            requests: self.requests.len(),
            may_end: self.may_end(),
            waiting: self.waiting(),
        }
    }

    /// Whether somebody else leads, or nobody can, and all who asked here have their answers.
    fn may_end(&self) -> bool {
        let departed = self.replica.departed() || self.out_of_touch.is_some();
        self.shutting_down && departed && self.requests.len() == 0
    }

    fn waiting(&self) -> Option<String> {
        let quorum = self.setup.config.quorums.commit;
        if self.connected.len() < quorum {
            let missing: Vec<String> = self.missing().iter().map(|id| id.to_string()).collect();
            return Some(format!(
                "in touch with {} of {} nodes, {quorum} are needed; out of reach: {}",
                self.connected.len(),
                self.setup.config.validators.n(),
                missing.join(", ")
            ));
        }
        self.replica.status().waiting
    }
}
