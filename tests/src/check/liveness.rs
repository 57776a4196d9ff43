//! L1 and L2: once the faults have ended and at most f nodes stay down, everything that honest
//! clients ask for is committed within a stated time (L1), and all nodes that are up come to stand
//! at the same height and state (L2). Liars that give no rest keep the heights growing: then all have
//! to execute, within the same time, what the furthest had decided when the clients had been answered.

use super::{Report, Violation};
use crypto::{Height, NodeId, Time};

/// How things stand some time after the heal.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Transactions that some client still waits for.
    pub waiting: usize,
    /// Since when the one that waits longest does.
    pub oldest: Option<Time>,
    /// When the last client was answered.
    pub rested: Time,
    /// The height that the furthest had decided by then, in a cluster that need not come to rest.
    pub goal: Option<Height>,
    /// The highest height of which a client was told.
    pub told: Height,
    /// Whether all nodes are up that are to be.
    pub all_up: bool,
    /// The nodes that are up and correct.
    pub nodes: Vec<(NodeId, Report)>,
}

/// Judges how things stand.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// When the faults ended.
    pub healed: Time,
    /// Within which span all must be done.
    pub bound: Time,
}

impl Liveness {
    /// Whether all nodes stand alike, with everything executed, or have executed what they are to.
    #[must_use]
    pub fn converged(standing: &Standing) -> bool {
        let mut nodes = standing.nodes.iter().map(|(_, r)| r);
        let Some(first) = nodes.clone().next() else {
            return false;
        };
        let place = |r: &Report| (r.height, r.history, r.state_height, r.state);
        let executed = first.height == first.state_height;
        let alike = executed && nodes.clone().all(|r| place(r) == place(first));
        let reached = |goal| nodes.all(|r| r.state_height >= goal);
        standing.all_up && (alike || standing.goal.is_some_and(reached))
    }
    /// Whether a run may end. Nodes that lost their leader stand alike below what clients were told of
    /// until the next one commits it: so they have time for that, and S8 judges what they have then.
    #[must_use]
    pub fn settled(&self, now: Time, standing: &Standing) -> bool {
        let has_told = |r: &Report| r.state_height >= standing.told;
        let all_have = standing.nodes.iter().all(|(_, r)| has_told(r));
        Self::converged(standing) && (all_have || self.late(now, standing.rested))
    }
    fn late(&self, now: Time, since: Time) -> bool {
        now.since(since.max(self.healed)) >= self.bound
    }
    /// Judges at a moment.
    ///
    /// # Errors
    /// L1 or L2, if its bound has passed.
    pub fn judge(&self, now: Time, standing: &Standing) -> Result<(), Violation> {
        let places: Vec<_> = standing
            .nodes
            .iter()
            .map(|(id, r)| {
                format!(
                    "{id}: view {}, height {}, executed {}",
                    r.view, r.height, r.state_height
                )
            })
            .collect();
        let places = places.join("; ");
        let ms = self.bound.0 / 1_000_000;
        let (property, what) = match standing.oldest {
            Some(since) if self.late(now, since) => (
                "L1",
                format!(
                    "{} transactions wait, one for {ms} ms ({places})",
                    standing.waiting
                ),
            ),
            None if self.late(now, standing.rested) && !Self::converged(standing) => {
                ("L2", format!("no convergence within {ms} ms ({places})"))
            }
            _ => return Ok(()),
        };
        Err(Violation {
            property,
            at: now,
            what,
        })
    }
}
