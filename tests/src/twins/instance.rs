//! One replica: its shell, and a disk that is as fast as can be.

use super::{Cast, Twinned};
use crate::scenario::{self, Company};
use consensus::replica::{Damaged, Effect, Replica, ShellConfig, Stored};
use consensus::{Anchor, Config, LeaderSchedule, Record as _, Selection, Timing};
use crypto::{Digest, Epoch, Height, Signer, Time};

/// All members, for all worlds of a thread: deriving their keys costs more than a schedule.
pub struct Members {
    pub company: Company,
    pub signers: Vec<Signer>,
}

impl Members {
    /// So many.
    ///
    /// # Panics
    /// Never: the keys are distinct and strong.
    pub fn new<P: Twinned>(nodes: usize) -> Self {
        let cast = scenario::Cast::<P> {
            nodes: nodes as u16,
            ..scenario::Cast::default()
        };
        let company = Company::new(&cast).expect("our keys are distinct and strong");
        let signers = (0..cast.nodes).map(|i| company.signer(i)).collect();
        Self { company, signers }
    }
}

/// See the module.
pub struct Instance<P: Twinned> {
    pub shell: Replica<P>,
    /// All that it has ever stored, in order.
    pub records: Vec<P::Record>,
    /// The last view for which it was given payload.
    pub supplied: u64,
}

impl<P: Twinned> Instance<P> {
    /// Starts for the first time, as a member led by these.
    ///
    /// # Errors
    /// Never: it has stored nothing that could be damaged.
    pub fn start(
        company: &Company,
        member: u16,
        leaders: LeaderSchedule,
        out: &mut Vec<Effect<P>>,
    ) -> Result<Self, Damaged> {
        let config = Config {
            leaders,
            timing: Timing {
                // Payload never comes late here.
                linger: Time(0),
                ..Timing::default()
            },
            ..company.config(member)
        };
        let genesis = Anchor {
            epoch: Epoch(0),
            height: Height(0),
            executed: Height(0),
            history: Digest::ZERO,
            state: Digest::ZERO,
            proof: None,
        };
        let shell = ShellConfig {
            checkpoint_every: P::CHECKPOINTS,
        };
        let (signer, stored) = (company.signer(member), Stored::empty(genesis));
        Ok(Self {
            shell: Replica::recover(config, &shell, signer, Time(0), stored, out)?,
            records: Vec::new(),
            supplied: 0,
        })
    }
    /// The current view.
    pub fn view(&self) -> u64 {
        self.shell.view().0
    }
    /// What was stored at these heights; of what replaced each other, the latest.
    pub fn load(&self, which: &Selection) -> Vec<P::Record> {
        let mut found: Vec<P::Record> = Vec::new();
        for record in &self.records {
            let key = record.key();
            if which.contains(&key) {
                found.retain(|it| it.key() != key);
                found.push(record.clone());
            }
        }
        found
    }
}

/// The batch that an instance orders in a view: no two are the same.
pub fn batch(cast: Cast, view: u64, instance: usize) -> u64 {
    (view - 1) * cast.instances() as u64 + instance as u64 + 1
}

/// The view in which a batch was proposed first.
pub fn proposed_in(cast: Cast, batch: u64) -> u64 {
    (batch - 1) / cast.instances() as u64 + 1
}
