//! What only a chain of the fault model crash may say: its quorums, and leases.

use super::Spec;
use crate::duration;
use crate::error::Fault;
use crypto::{FaultModel, Hasher, Quorums, Time};

/// The least time-out of elections under leases, if nothing is said: the default of `node.toml`.
const ELECTION_TIMEOUT: Time = Time::millis(300);
/// The most that clocks may run apart, in percent. A lease would hardly last beyond.
const MOST_DRIFT: u8 = 90;

/// Quorum sizes: those that are named, or the least that are safe.
pub(super) fn quorums(spec: &Spec) -> Quorums {
    let n = spec.validators.len();
    let least = Quorums::of(spec.fault_model, n);
    match spec.fault_model {
        FaultModel::Byzantine => least,
        FaultModel::Crash => Quorums::flexible(
            n,
            spec.commit_quorum.map_or(least.commit, usize::from),
            spec.election_quorum.map_or(least.election, usize::from),
        ),
    }
}

/// Names what was left out, so that a file says all that it decides.
pub(super) fn complete(spec: &mut Spec) {
    if spec.fault_model == FaultModel::Byzantine {
        return;
    }
    let quorums = quorums(spec);
    spec.commit_quorum = u16::try_from(quorums.commit).ok();
    spec.election_quorum = u16::try_from(quorums.election).ok();
    if spec.lease_drift.is_some() {
        spec.election_timeout.get_or_insert(ELECTION_TIMEOUT);
    }
}

/// Adds it to the chain id, of which it is a part: nodes that differ in it would fork the chain.
pub(super) fn hash(spec: &Spec, hasher: &mut Hasher) {
    if spec.fault_model == FaultModel::Byzantine {
        return;
    }
    let quorums = quorums(spec);
    hasher
        .number(quorums.commit as u64)
        .number(quorums.election as u64);
    // A drift of 0 is refused, so 0 stands for none.
    hasher
        .number(spec.lease_drift.map_or(0, u64::from))
        .number(spec.election_timeout.map_or(0, |timeout| timeout.0));
}

pub(super) fn check(spec: &Spec) -> Result<(), Fault> {
    if spec.fault_model == FaultModel::Byzantine {
        let given = [
            ("commit_quorum", spec.commit_quorum.is_some()),
            ("election_quorum", spec.election_quorum.is_some()),
            ("lease_drift", spec.lease_drift.is_some()),
            ("election_timeout", spec.election_timeout.is_some()),
        ];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(Fault::new(
                field,
                "means nothing where nodes may lie",
                "leave it out, or set the fault model to crash",
            )),
            None => Ok(()),
        };
    }
    check_quorums(spec)?;
    check_lease(spec)
}

fn check_quorums(spec: &Spec) -> Result<(), Fault> {
    let quorums = quorums(spec);
    let Quorums {
        n,
        commit,
        election,
        ..
    } = quorums;
    if quorums.meet() {
        return Ok(());
    }
    let fault =
        |field: &str, problem: String, remedy: String| Err(Fault::new(field, problem, remedy));
    for (field, size) in [("commit_quorum", commit), ("election_quorum", election)] {
        if !(1..=n).contains(&size) {
            let problem = format!("{size} is not within 1 to {n}, the number of validators");
            return fault(field, problem, "choose one within".into());
        }
    }
    if 2 * election <= n {
        let problem = format!("{election} of {n} nodes could elect two leaders at once");
        return fault(
            "election_quorum",
            problem,
            format!("raise it to {} or more", n / 2 + 1),
        );
    }
    let problem = format!(
        "{commit} nodes may hold what {election} others know nothing of when they elect a leader: \
         it would be lost"
    );
    let remedy = format!(
        "raise it to {} or more, or election_quorum to {} or more",
        n + 1 - election,
        n + 1 - commit
    );
    fault("commit_quorum", problem, remedy)
}

fn check_lease(spec: &Spec) -> Result<(), Fault> {
    let Some(drift) = spec.lease_drift else {
        if spec.election_timeout.is_some() {
            return Err(Fault::new(
                "election_timeout",
                "means nothing without lease_drift",
                "set timing.timeout in each node.toml, or give lease_drift",
            ));
        }
        return Ok(());
    };
    if !(1..=MOST_DRIFT).contains(&drift) {
        return Err(Fault::new(
            "lease_drift",
            format!("{drift} is not within 1 to {MOST_DRIFT} percent"),
            "choose one within, or leave it out for reads that trust no clock",
        ));
    }
    let timeout = spec.election_timeout.unwrap_or(ELECTION_TIMEOUT);
    if !(Time::millis(10)..=Time::millis(3_600_000)).contains(&timeout) {
        return Err(Fault::new(
            "election_timeout",
            format!("{} is not within 10ms to 1h", duration::text(timeout)),
            "choose one within, or leave it out for 300ms",
        ));
    }
    Ok(())
}
