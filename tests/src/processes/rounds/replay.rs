//! The command that plays rounds of a campaign once more.

use super::Campaign;
use crate::processes::{Attack, Cast};
use std::fmt::Write as _;

/// Builds what the rounds need, all at one place, and runs them from there.
const PROGRAM: &str = "cargo build --release --workspace --bins --features quorate-tests/e2e && \
                       ${CARGO_TARGET_DIR:-target}/release/rounds";

impl Campaign {
    /// A command for the tree's root that plays the round of a seed under this cast.
    #[must_use]
    pub fn replay_round(&self, seed: u64, cast: &Cast) -> String {
        self.replay(seed, 1, "0", &adversaries(cast))
    }

    /// One that plays all of the first so many rounds, and what comes after them.
    #[must_use]
    pub fn replay_all(&self, rounds: u64) -> String {
        let liars = match &self.attack {
            Attack::Nobody => String::new(),
            Attack::Named(cast) => adversaries(cast),
            Attack::Any => " --adversary any".to_owned(),
        };
        let pause = self.pause.map_or(0, |pause| pause.as_secs());
        self.replay(self.setup.seed, rounds, &pause.to_string(), &liars)
    }

    fn replay(&self, seed: u64, rounds: u64, pause: &str, liars: &str) -> String {
        let Self {
            setup,
            span,
            clients,
            ..
        } = self;
        let mut text = format!(
            "{PROGRAM} --protocol {} --nodes {} --seed {seed} --rounds {rounds} --span {} --clients {clients}",
            setup.protocol.name(),
            setup.nodes,
            span.as_secs_f64(),
        );
        // Writing to a string cannot fail.
        if let Some(drift) = setup.lease_drift {
            let _ = write!(text, " --lease-drift {drift}");
        }
        // Who sleeps in the end would be one too many where some lie.
        if liars.is_empty() {
            let _ = write!(text, " --pause {pause}");
        }
        text + liars
    }
}

fn adversaries(cast: &Cast) -> String {
    let liars = cast.iter();
    liars
        .map(|(node, name)| format!(" --adversary {node}:{name}"))
        .collect()
}
