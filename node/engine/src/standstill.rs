//! How long nothing has moved although work waits: what an operator is told whatever the protocol
//! makes of it (L4).

use crypto::{Height, Time};

/// After so many time-outs without any progress the node says so.
const TIMEOUTS: u64 = 4;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standstill {
    /// Highest committed and highest executed height.
    at: (Height, Height),
    /// Since when work waits and these stay; `None`: no work waits.
    since: Option<Time>,
}

impl Standstill {
    /// At the end of a step: how far this node is, and whether work waits.
    pub(crate) fn look(&mut self, now: Time, work: bool, at: (Height, Height)) {
        if !work {
            self.since = None;
        } else if at != self.at || self.since.is_none() {
            self.since = Some(now);
        }
        self.at = at;
    }
    /// For how long nothing has moved, once that is worth a word.
    pub(crate) fn lasted(&self, now: Time, timeout: Time) -> Option<Time> {
        let lasted = now.since(self.since?);
        (lasted.0 >= timeout.0.saturating_mul(TIMEOUTS)).then_some(lasted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Time = Time(10);

    fn at(committed: u64, executed: u64) -> (Height, Height) {
        (Height(committed), Height(executed))
    }

    #[test]
    fn work_that_waits_and_does_not_move_is_told_of_after_four_time_outs() {
        let mut it = Standstill::default();
        it.look(Time(100), false, at(1, 1));
        assert_eq!(it.lasted(Time(1_000), TIMEOUT), None, "at rest");
        it.look(Time(1_000), true, at(1, 1));
        assert_eq!(it.lasted(Time(1_039), TIMEOUT), None);
        assert_eq!(it.lasted(Time(1_040), TIMEOUT), Some(Time(40)));
        it.look(Time(1_035), true, at(2, 1));
        assert_eq!(it.lasted(Time(1_070), TIMEOUT), None, "it moves");
        it.look(Time(1_070), true, at(2, 1));
        assert_eq!(it.lasted(Time(1_075), TIMEOUT), Some(Time(40)));
        it.look(Time(1_080), true, at(2, 2));
        assert_eq!(
            it.lasted(Time(1_081), TIMEOUT),
            None,
            "execution is progress"
        );
        it.look(Time(1_082), false, at(2, 2));
        it.look(Time(2_000), true, at(2, 2));
        assert_eq!(it.lasted(Time(2_001), TIMEOUT), None, "new work");
    }
}
